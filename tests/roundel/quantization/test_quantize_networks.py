"""Networks exported from torch, quantized to 8 bits, against onnxruntime in float."""

import numpy as np
import onnxruntime
import pytest

from roundel.frontend import read_onnx
from roundel.golden.errors import InputError
from roundel.golden.network import outputs
from roundel.graph import fold
from roundel.quantization import QuantizeOptions, modules_table, quantize, unify
from tests.support.made_graphs import ratio_db
from tests.support.places import NETWORKS

EXPORTERS = ("dynamo", "script")


def reference(path, images):
    """What onnxruntime makes of the images, by output."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: images})


def on_host(operator, values):
    """What is left to the host, by definition."""
    if operator == "Sigmoid":
        return 1 / (1 + np.exp(-values))
    assert operator == "Softmax"
    powers = np.exp(values)
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("exporter", EXPORTERS)
@pytest.mark.parametrize(("name", "least_db"), [("residual", 38), ("separable", 30), ("two_scales", 33)])
def test_networks_come_close_to_onnxruntime(name, exporter, per_channel, least_db):
    """Eight bits give 35 to 50 dB once; a dozen roundings take some of that. A wrong order leaves nothing."""
    path = NETWORKS / f"{name}_{exporter}.onnx"
    graph = read_onnx(path)
    rng = np.random.default_rng(1)
    calibration, images = (rng.normal(size=(32, *graph.shape)).astype(np.float32) for _ in range(2))
    integers = quantize(graph, calibration, QuantizeOptions(bias_bits=12, per_channel=per_channel)).network
    formats = {layer.name: layer.output for layer in integers.layers}
    results = outputs(integers, integers.encode(images))
    host = {item.tensor: item.operator for item in graph.host}
    expected = reference(path, images)
    assert len(expected) == len(graph.results) == len(results)
    for tensor, values, (layer, codes) in zip(graph.results, expected, results.items(), strict=True):
        got = formats[layer].decode(codes)
        got = got.transpose(0, 3, 1, 2) if got.ndim == 4 else got
        got = on_host(host[tensor], got) if tensor in host else got
        assert ratio_db(values.astype(np.float64), got) > least_db


@pytest.mark.parametrize(
    ("name", "joined", "saved"),
    [
        ("residual", ("Conv", "Affine", "Add", "Relu"), 13),
        ("separable", ("Conv", "Clip"), 5),
        ("two_scales", ("Conv", "LeakyRelu"), 4),
    ],
)
def test_tables_of_exported_networks(name, joined, saved):
    """Saved is what joins a convolution: 6 normalizations, 5 ReLUs, 2 sums; 4 clips, 1 sum; 4 leaky ReLUs."""
    graph = read_onnx(NETWORKS / f"{name}_script.onnx")
    table = modules_table(graph, unify(fold(graph)))
    assert joined in {row.operators for row in table.rows}
    assert table.saved == saved


@pytest.mark.parametrize("name", ["separable", "two_scales"])
def test_scales_that_are_no_powers_of_two_are_refused(name):
    """Never silently: a file that says its scales gets those, or nothing."""
    graph = read_onnx(NETWORKS / f"{name}_qdq.onnx")
    images = np.random.default_rng(2).normal(size=(4, *graph.shape)).astype(np.float32)
    first = r"node image_QuantizeLinear: scale: expected a power of two, not 0\.0304761454 \(one of \d+ tensors"
    with pytest.raises(InputError, match=rf"{first} .*: --requant .*, --refit .*, `roundel advise` "):
        quantize(graph, images)
