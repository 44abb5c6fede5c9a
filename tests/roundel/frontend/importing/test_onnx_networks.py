"""Whole networks as both exporters of torch, onnxruntime's quantizer and brevitas write them, against who runs them.

The files are made by tests/data/networks/export.py and export_brevitas.py, with random weights.
"""

import numpy as np
import onnx
import pytest

from roundel.frontend import read_onnx
from roundel.graph import (
    Add,
    Affine,
    AveragePool,
    Clip,
    Concat,
    Conv,
    Dense,
    Flatten,
    LeakyRelu,
    MaxPool,
    Quantize,
    Relu,
    Upsample,
    read_npz,
)
from tests.support.onnx_models import reference
from tests.support.places import NETWORKS

KINDS = {
    "residual_script": {Add, Affine, AveragePool, Conv, Dense, Flatten, MaxPool, Relu},
    "residual_dynamo": {Add, AveragePool, Conv, Dense, Flatten, MaxPool, Relu},
    "separable_script": {Add, AveragePool, Clip, Conv, Dense, Flatten},
    "separable_dynamo": {Add, AveragePool, Clip, Conv, Dense, Flatten},
    "separable_qdq": {Add, AveragePool, Conv, Dense, Flatten, Quantize},
    "two_scales_script": {Add, Concat, Conv, LeakyRelu, MaxPool, Upsample},
    "two_scales_dynamo": {Add, Affine, Concat, Conv, LeakyRelu, MaxPool, Upsample},
    "two_scales_qdq": {Add, Concat, Conv, LeakyRelu, MaxPool, Quantize, Upsample},
}
HOST = {
    "Softmax": lambda x: np.exp(x) / np.exp(x).sum(axis=1, keepdims=True),
    "Sigmoid": lambda x: 1 / (1 + np.exp(-x)),
}


def images_for(graph, seed):
    """Random images."""
    return np.random.default_rng(seed).normal(size=(5, *graph.shape)).astype(np.float32)


@pytest.mark.parametrize("name", [name for name in KINDS if not name.endswith("_qdq")])
def test_network_equals_onnxruntime(name, seed):
    path = NETWORKS / f"{name}.onnx"
    graph = read_onnx(path)
    images = images_for(graph, seed)
    got = graph.outputs(images)
    for host in graph.host:
        got[host.tensor] = HOST[host.operator](got[host.tensor])
    expected = reference(onnx.load(path), images)
    assert len(expected) == len(graph.results) == (2 if "two_scales" in name else 1)
    for result, values in zip(graph.results, expected, strict=True):
        assert np.abs(values).max() > 0.1
        np.testing.assert_allclose(got[result], values, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", KINDS)
def test_every_node_equals_onnxruntime(name, seed):
    """Each on what onnxruntime gives it: a last digit that differs would else become a step where it is quantized."""
    proto = onnx.load(NETWORKS / f"{name}.onnx")
    graph = read_onnx(NETWORKS / f"{name}.onnx")
    assert {type(node) for node in graph.nodes} == KINDS[name]
    names = [node.output for node in graph.nodes if not node.output.endswith("of each map")]
    proto.graph.ClearField("output")
    proto.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    images = images_for(graph, seed)
    values = {graph.source: images} | dict(zip(names, reference(proto, images), strict=True))
    for node in graph.nodes:
        got = node.compute(*(values[name] for name in node.inputs))
        np.testing.assert_allclose(got, values.setdefault(node.output, got), rtol=1e-4, atol=1e-4)
        if isinstance(node, Quantize):
            np.testing.assert_array_equal(got, values[node.output])


def test_quantized_weights_know_their_steps():
    """Of separable, a step per channel (whole multiples of it within 8 bits); of two_scales, one for all."""
    for name, per_channel in (("separable_qdq", True), ("two_scales_qdq", False)):
        weighted = [node for node in read_onnx(NETWORKS / f"{name}.onnx").nodes if isinstance(node, Conv | Dense)]
        assert len(weighted) >= 6
        for node in weighted:
            assert node.step is not None
            assert node.code_width is not None
            assert node.step.shape == ((len(node.bias),) if per_channel else ())
            axes = (-1, 1, 1, 1) if isinstance(node, Conv) else (1, -1)
            codes = node.weights / (node.step.reshape(axes) if per_channel else node.step)
            np.testing.assert_allclose(codes, np.rint(codes), atol=1e-4)
            assert -(2 ** (node.code_width - 1)) <= np.rint(codes).min()
            assert np.rint(codes).max() < 2 ** (node.code_width - 1)
            assert node.code_width in (8, 9)  # 9 for unsigned ones whose zero point is off the middle


@pytest.mark.parametrize("dialect", ["qonnx", "qdq"])
@pytest.mark.parametrize("kind", ["shift", "scale"])
def test_network_equals_brevitas(kind, dialect):
    """Weights and activations of 4 bits: exactly where scales are powers of two, so that every sum is exact."""
    graph = read_onnx(NETWORKS / f"brevitas_{kind}_{dialect}.onnx")
    order = [Quantize, Conv, Relu, Quantize, MaxPool, Conv, Relu, Quantize, Flatten, Dense]
    assert [type(node) for node in graph.nodes] == order
    limits = [(node.low, node.high) for node in graph.nodes if isinstance(node, Quantize)]
    assert limits == [(-128, 127), (0, 15), (0, 15)]
    assert {node.code_width for node in graph.nodes if isinstance(node, Conv | Dense)} == {4}
    arrays = read_npz(NETWORKS / "brevitas.npz")
    got, expected = graph.run(arrays["images"]), arrays[kind]
    assert len(np.unique(expected)) > 40
    if kind == "shift":
        np.testing.assert_array_equal(got, expected)
    else:  # a last digit that differs may become a step where it is quantized, and changes one image's results
        assert np.mean(np.abs(got - expected) > 1e-4) < 0.2


def test_files_are_small_and_name_no_folder_of_a_machine():
    files = sorted(NETWORKS.glob("*.onnx"))
    assert {path.stem for path in files if not path.stem.startswith("brevitas")} == set(KINDS)
    assert sum(path.stat().st_size for path in files) < 1_000_000
    assert not any(b"site-packages" in path.read_bytes() for path in files)
