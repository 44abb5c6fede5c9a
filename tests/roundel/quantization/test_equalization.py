"""Cross-layer equalization: float results as onnxruntime gives them, channels more alike, integers nearer to floats."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from roundel.frontend import read_onnx
from roundel.golden.network import outputs
from roundel.graph import Conv, Graph, fold
from roundel.quantization import QuantizeOptions, equalize, quantize, real_values, tensor_sqnr_db

SHAPE = (3, 12, 12)


def model(seed: int, *, slopes: bool = False) -> onnx.ModelProto:
    """An expansion, a depthwise convolution, a sum, pixels out of channels, a join; channels are far from alike."""
    rng = np.random.default_rng(seed)
    nodes, constants = list[onnx.NodeProto](), list[TensorProto]()

    def conv(source: str, name: str, outputs: int, channels: int, kernel: int = 1, groups: int = 1) -> str:
        weights = rng.normal(size=(outputs, channels // groups, kernel, kernel)) / np.sqrt(
            channels / groups * kernel**2
        )
        spread = 2.0 ** rng.uniform(-4, 4, outputs)
        values = {"w": weights * spread[:, None, None, None], "b": rng.normal(size=outputs) * spread * 0.3}
        names = [f"{name}_{key}" for key in values]
        constants.extend(
            numpy_helper.from_array(value.astype(np.float32), key)
            for key, value in zip(names, values.values(), strict=True)
        )
        pads = [kernel // 2] * 4
        nodes.append(helper.make_node("Conv", [source, *names], [name], name, pads=pads, group=groups))
        return name

    def made(kind: str, *sources: str, name: str, **options: object) -> str:
        nodes.append(helper.make_node(kind, list(sources), [name], name, **options))
        return name

    first = made("Relu", conv("images", "c0", 8, 3, 3), name="r0")
    wide = made("Relu", conv(first, "c1", 24, 8), name="r1")
    if slopes:
        constants.append(numpy_helper.from_array(rng.uniform(0.1, 0.4, (24, 1, 1)).astype(np.float32), "slopes"))
        deep = made("PRelu", conv(wide, "c2", 24, 24, 3, 24), "slopes", name="r2")
    else:
        deep = made("LeakyRelu", conv(wide, "c2", 24, 24, 3, 24), name="r2", alpha=0.25)
    total = made("Add", conv(deep, "c3", 8, 24), first, name="a3")
    pixels = made("DepthToSpace", made("Relu", conv(total, "c4", 16, 8), name="r4"), name="d4", blocksize=2, mode="CRD")
    pooled = made("MaxPool", pixels, name="m4", kernel_shape=[2, 2], strides=[2, 2])
    joined = made("Concat", pooled, total, name="j5", axis=1)
    conv(joined, "result", 5, 12)
    image = helper.make_tensor_value_info("images", TensorProto.FLOAT, (None, *SHAPE))
    result = helper.make_tensor_value_info("result", TensorProto.FLOAT, (None, 5, 12, 12))
    graph = helper.make_graph(nodes, "spread", [image], [result], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 16)], ir_version=8)


def images(seed: int, count: int = 8) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (count, *SHAPE)).astype(np.float32)


def spread(graph: Graph, pictures: np.ndarray) -> float:
    """Greatest magnitude of what the depthwise layer reads, beside the median of its channels."""
    reader = next(node for node in graph.nodes if node.name == "c2")
    most = np.abs(graph.values(pictures)[reader.inputs[0]]).max(axis=(0, 2, 3))
    return float(most.max() / np.median(most))


@pytest.mark.parametrize("slopes", [False, True])
def test_float_results_stay_those_of_onnxruntime(slopes: bool) -> None:
    proto, pictures = model(1, slopes=slopes), images(2)
    [wanted] = onnxruntime.InferenceSession(proto.SerializeToString()).run(None, {"images": pictures})
    graph = fold(read_onnx(proto.SerializeToString()))
    made = equalize(graph, images(3)).graph
    np.testing.assert_allclose(made.run(pictures), wanted, rtol=1e-4, atol=1e-5 * np.abs(wanted).max())
    moved = [
        new.name
        for old, new in zip(graph.nodes, made.nodes, strict=True)
        if isinstance(old, Conv) and isinstance(new, Conv) and not np.allclose(old.weights, new.weights)
    ]
    assert {"c0", "c1", "c2", "c3", "result"} <= set(moved)
    assert spread(graph, images(3)) > 4
    assert spread(made, images(3)) < spread(graph, images(3)) / 2


def test_integers_are_nearer_to_the_floats() -> None:
    graph, pictures = fold(read_onnx(model(4).SerializeToString())), images(6)
    wanted, found = graph.run(pictures), []
    for item in (graph, equalize(graph, images(5)).graph):
        made = quantize(item, images(5), QuantizeOptions(per_channel=True, bias_bits=16))
        codes = outputs(made.network, made.network.encode(pictures))
        [real] = real_values(made.network, SHAPE, codes).values()
        found.append(tensor_sqnr_db(wanted, real))
    assert found[1] > found[0] + 3  # half a bit


def test_results_and_clamps_keep_their_scale() -> None:
    proto = model(7)
    node = next(node for node in proto.graph.node if node.name == "r1")
    node.op_type = "Clip"
    node.input.extend(["low", "high"])
    proto.graph.initializer.extend(numpy_helper.from_array(np.float32(v), n) for n, v in (("low", 0), ("high", 3)))
    graph = fold(read_onnx(proto.SerializeToString()))
    made = equalize(graph, images(8)).graph
    nodes = {node.name: node for node in made.nodes}
    old = {node.name: node for node in graph.nodes}
    for output, name in ((True, "c1"), (False, "c2")):  # whose result is clamped, who reads that
        ratio = np.asarray(nodes[name].weights) / np.asarray(old[name].weights)  # type: ignore[attr-defined]
        if output:
            assert np.allclose(ratio / ratio[:1], 1, rtol=1e-5)  # factors of its inputs alone
        else:
            assert np.allclose(nodes[name].bias / old[name].bias, ratio[:, 0, 0, 0], rtol=1e-5)  # type: ignore[attr-defined]
    pictures = images(9)
    np.testing.assert_allclose(made.run(pictures), graph.run(pictures), rtol=1e-4, atol=1e-4)


def test_the_same_images_give_the_same_weights() -> None:
    graph = fold(read_onnx(model(10).SerializeToString()))
    first, second = (equalize(graph, images(11)).graph for _ in range(2))
    for left, right in zip(first.nodes, second.nodes, strict=True):
        if isinstance(left, Conv) and isinstance(right, Conv):
            assert np.array_equal(left.weights, right.weights)


def test_tables_give_all_channels_one_factor() -> None:
    """A convolution, a SiLU and a convolution of its results, whose range is filled."""
    found = [table_factor(size) for size in (0.4, 0.5, 0.6, 0.7)]  # by which ranges are filled more or less
    assert len(set(found)) > 1
    assert all(1 / 2 <= factor <= 2 for factor in found)


def table_factor(size: float) -> float:
    """Weights of a size before the SiLU: check that floats stay, and return the factor behind its table."""
    rng = np.random.default_rng(12)
    values = {"w0": rng.normal(0, size, (8, 3, 1, 1)), "b0": rng.normal(size=8)}
    values |= {"w1": rng.normal(0, 0.5, (4, 8, 3, 3)), "b1": rng.normal(size=4)}
    nodes = [
        helper.make_node("Conv", ["images", "w0", "b0"], ["c0"], "c0"),
        helper.make_node("Sigmoid", ["c0"], ["s0"], "s0"),
        helper.make_node("Mul", ["c0", "s0"], ["m0"], "m0"),
        helper.make_node("Conv", ["m0", "w1", "b1"], ["result"], "c1", pads=[1] * 4),
    ]
    image = helper.make_tensor_value_info("images", TensorProto.FLOAT, (None, *SHAPE))
    result = helper.make_tensor_value_info("result", TensorProto.FLOAT, (None, 4, 12, 12))
    constants = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in values.items()]
    graph = helper.make_graph(nodes, "silu", [image], [result], constants)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 16)], ir_version=8)
    before, pictures = fold(read_onnx(proto.SerializeToString())), images(13)
    made = equalize(before, images(14)).graph
    [wanted] = onnxruntime.InferenceSession(proto.SerializeToString()).run(None, {"images": pictures})
    np.testing.assert_allclose(made.run(pictures), wanted, rtol=1e-4, atol=1e-5 * np.abs(wanted).max())
    old, new = (next(node for node in item.nodes if node.name == "c1") for item in (before, made))
    ratio = new.weights / old.weights  # type: ignore[attr-defined]
    assert np.allclose(ratio, ratio.flat[0], rtol=1e-5)
    assert len(quantize(made, pictures, QuantizeOptions()).functions) == 1
    return 1 / float(ratio.flat[0])
