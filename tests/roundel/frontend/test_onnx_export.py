"""Export to ONNX: onnxruntime computes what the network does, and the file holds the integers themselves."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from roundel.frontend import export_onnx, read_onnx
from roundel.frontend.exporter import to_onnx
from roundel.golden.errors import InputError
from roundel.golden.network import Window
from roundel.graph import Conv, Dense, Graph, HostOperator, codes_of, graph
from tests.support.every_node import every_node, images, shaped
from tests.support.onnx_models import reference


def stepped(network: Graph, seed: int, base: float = 2.0) -> Graph:
    """With weights of 4 bits: a step, power of `base`, for each output of convolutions, one for dense layers."""
    rng = np.random.default_rng(seed)
    nodes = []
    for node in network.nodes:
        if isinstance(node, Conv | Dense):
            shape = (len(node.bias), 1, 1, 1) if isinstance(node, Conv) else ()
            step = np.asarray(base ** rng.integers(-5, -2, shape).astype(np.float64), np.float32)
            weights = rng.integers(-7, 8, node.weights.shape).astype(np.float32) * step
            node = replace(node, weights=weights, step=np.squeeze(step), code_width=4)
        nodes.append(node)
    return replace(network, nodes=tuple(nodes))


def runtime(model: onnx.ModelProto, x: np.ndarray) -> list[Any]:
    """What onnxruntime computes."""
    return list(onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"image": x}))


@pytest.mark.parametrize("base", [None, 2.0, 2.3])
def test_onnxruntime_computes_the_same(base: float | None, seed: int) -> None:
    network = stepped(every_node(seed), seed, base) if base else every_node(seed)
    x = images(5, seed)
    for result, expected in zip(runtime(to_onnx(network), x), network.outputs(x).values(), strict=True):
        np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-5)


def test_weights_leave_as_integers(seed: int) -> None:
    network = stepped(every_node(seed), seed)
    constants = {item.name: numpy_helper.to_array(item) for item in to_onnx(network).graph.initializer}
    for node in network.nodes:
        if isinstance(node, Conv | Dense):
            codes = constants[f"{node.name}.codes"]
            assert codes.dtype == np.int8
            assert np.abs(codes).max() <= 7
            assert np.array_equal(codes, codes_of(node))
            assert f"{node.name}.weight" not in constants


def test_import_of_an_export(seed: int, tmp_path: Path) -> None:
    network = stepped(every_node(seed), seed)
    export_onnx(network, tmp_path / "model.onnx")
    again, x = read_onnx(tmp_path / "model.onnx"), images(3, seed)
    for result, expected in zip(again.outputs(x).values(), network.outputs(x).values(), strict=True):
        np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-5)
    for node, kept in zip(weighted(network), weighted(again), strict=True):
        assert np.array_equal(node.weights, kept.weights)
        assert np.array_equal(codes_of(node), codes_of(kept))


def weighted(network: Graph) -> list[Conv | Dense]:
    """The nodes with weights, in order."""
    return [node for node in network.nodes if isinstance(node, Conv | Dense)]


def test_host_operators_are_exported_too(seed: int) -> None:
    network = every_node(seed)
    host = (
        HostOperator(name="soft", operator="Softmax", tensor="p", axis=1),
        HostOperator(name="sigmoid", operator="Sigmoid", tensor="m"),
    )
    x = images(4, seed)
    confidence, probability = runtime(to_onnx(replace(network, host=host)), x)
    expected = network.outputs(x)
    exponentials = np.exp(expected["p"].astype(np.float64))
    np.testing.assert_allclose(
        probability, exponentials / exponentials.sum(axis=1, keepdims=True), rtol=1e-4, atol=1e-6
    )
    np.testing.assert_allclose(confidence, 1 / (1 + np.exp(-expected["m"].astype(np.float64))), rtol=1e-4, atol=1e-6)


def one_dense(**about: Any) -> Graph:
    """A network of one dense layer."""
    node = graph.Dense(name="only", inputs=("image",), output="y", bias=np.zeros(2, np.float32), **about)
    return shaped((node,), (3,), ("y",))


@pytest.mark.parametrize("weights", [np.full((3, 2), 128.0), np.full((3, 2), 0.5)])
def test_no_multiples_of_the_step_in_8_bits(weights: np.ndarray) -> None:
    with pytest.raises(InputError) as caught:
        to_onnx(one_dense(weights=weights.astype(np.float32), step=np.float32(1.0), code_width=8))
    assert str(caught.value) == "test: node only: expected weights of -127 to 127 times their step"


@pytest.mark.parametrize(
    ("low", "high", "zero", "rounding", "operators"),
    [
        (-128, 127, 3, "ROUND", "QuantizeLinear DequantizeLinear"),
        (-8, 7, 0, "ROUND", "QuantizeLinear Clip DequantizeLinear"),
        (3, 200, 100, "ROUND", "QuantizeLinear Clip DequantizeLinear"),
        (-127, 127, 0, "FLOOR", "Quant"),
        (0, 14, 8, "CEIL", "Quant"),
        (-8, 7, 0, "HALF_DOWN", "Quant"),
        (0, 15, 3, "HALF_ODD", "Quant"),
        (0, 255, 1, "HALF_FLOOR", "Quant"),
    ],
)
def test_quantizers_of_any_range_and_rounding(low, high, zero, rounding, operators) -> None:
    about = {"scale": 0.25, "low": low, "high": high, "zero_point": zero, "rounding": rounding}
    node = graph.Quantize(name="q", inputs=("image",), output="y", **about)
    proto = to_onnx(shaped((node,), (3,), ("y",)))
    assert [item.op_type for item in proto.graph.node] == operators.split()
    [again] = read_onnx(proto).nodes
    assert {name: getattr(again, name) for name in about} == about
    if operators != "Quant":
        x = np.random.default_rng(5).integers(-999, 999, (9, 3)).astype(np.float32) / 8
        np.testing.assert_array_equal(reference(proto, x)[0], node.compute(x))


def test_a_quantizer_that_onnx_does_not_have() -> None:
    node = graph.Quantize(name="q", inputs=("image",), output="y", scale=1.0, zero_point=0, low=-9, high=7)
    node = replace(node, rounding="FLOOR")
    with pytest.raises(InputError) as caught:
        to_onnx(shaped((node,), (3,), ("y",)))
    said = "test: node q: expected integers of a width, or of 8 bits with ROUND, not -9 to 7, FLOOR"
    assert str(caught.value) == said


def test_a_node_that_onnx_does_not_have() -> None:
    class Unknown(graph.Relu):
        """No operator of ONNX."""

    with pytest.raises(InputError) as caught:
        to_onnx(shaped((Unknown(name="odd", inputs=("image",), output="y"),), (3,), ("y",)))
    assert str(caught.value) == "test: node odd: Unknown cannot be exported"


@pytest.mark.parametrize(
    ("kind", "pad"),
    [(graph.MaxPool, (1, 0, 1, 1)), (graph.MaxPool, (3, 2, 2, 3)), (graph.AveragePool, (1, 0, 1, 1))],
)
def test_dilated_pools_and_padding_as_wide_as_the_kernel(kind: type[graph.Node], pad: Any, seed: int) -> None:
    """Means of dilated windows are there since opset 19; pools of any opset pad by less than their kernel."""
    window = Window(kernel=(2, 3), stride=(1, 2), pad=pad, dilation=(4, 2))
    network = shaped((kind(name="p", inputs=("image",), output="y", window=window),), (2, 6, 7), ("y",))
    x = np.random.default_rng(seed).normal(size=(3, 2, 6, 7)).astype(np.float32)
    np.testing.assert_allclose(runtime(to_onnx(network), x)[0], network.run(x), rtol=1e-5, atol=1e-5)


def test_a_mean_that_onnx_does_not_have() -> None:
    window = Window(kernel=(2, 2), pad=(2, 0, 0, 0), dilation=(3, 1))
    pool = graph.AveragePool(name="p", inputs=("image",), output="y", window=window)
    with pytest.raises(InputError) as caught:
        to_onnx(shaped((pool,), (2, 6, 7), ("y",)))
    assert str(caught.value) == "test: node p: a mean with padding as wide as its kernel has no ONNX"
