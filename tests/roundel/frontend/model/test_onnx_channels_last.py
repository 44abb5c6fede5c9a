"""Files that take channels last, or bytes, against onnxruntime on the file as it is."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto

import roundel
from roundel.frontend import against_onnxruntime, prepare, read_original
from roundel.golden.errors import InputError
from tests.support.onnx_models import model, reference

IMAGE = (9, 8, 3)  # rows, columns, channels
TURN = ("Transpose", {"perm": [0, 3, 1, 2]})


@pytest.fixture
def rng(seed):
    return np.random.default_rng(seed)


def network(rng, before, *, kind=TensorProto.FLOAT, sizes=IMAGE, batch="batch", opset=17):
    """Operators before the turn, each in a row; the turn; a convolution that pads."""
    weights = {
        "w": rng.normal(size=(4, 3, 3, 3)).astype(np.float32),
        "mean": rng.uniform(50, 200, 3).astype(np.float32),
        "row": rng.uniform(50, 200, (1, 1, 3)).astype(np.float32),
        "std": rng.uniform(30, 90, (1, 1, 1, 3)).astype(np.float32),
        "255": np.float32(255),
    }
    steps = [*before, (TURN[0], [], TURN[1])]
    nodes, tensor = [], "x"
    for index, (operator, others, attributes) in enumerate(steps):
        nodes.append((operator, [tensor, *others], f"t{index}", attributes))
        tensor = f"t{index}"
    nodes.append(("Conv", [tensor, "w"], "y", {"pads": [1, 1, 1, 1]}))
    proto = model(nodes, sizes, weights, batch=batch, opset=opset)
    proto.graph.input[0].type.tensor_type.elem_type = kind
    proto.graph.output[0].type.tensor_type.ClearField("shape")
    proto.graph.output[0].type.tensor_type.shape.SetInParent()
    return proto


def pictures(rng, shape=IMAGE, count=3):
    return rng.integers(0, 256, (count, *shape)).astype(np.uint8)


CAST = ("Cast", [], {"to": TensorProto.FLOAT})
CASES = {
    "a turn alone": ([], TensorProto.FLOAT),
    "a mean of each channel": ([("Sub", ["mean"], {}), ("Div", ["std"], {})], TensorProto.FLOAT),
    "a mean in another shape": ([("Identity", [], {}), ("Sub", ["row"], {}), ("Mul", ["255"], {})], TensorProto.FLOAT),
    "bytes": ([CAST, ("Div", ["255"], {})], TensorProto.UINT8),
    "bytes, normalized": ([CAST, ("Sub", ["mean"], {}), ("Div", ["std"], {})], TensorProto.UINT8),
}


@pytest.mark.parametrize("opset", [7, 13, 17])
@pytest.mark.parametrize("case", CASES)
def test_channels_last(case, opset, rng):
    before, kind = CASES[case]
    proto, x = network(rng, before, kind=kind, opset=opset), pictures(rng)
    given = x if kind == TensorProto.UINT8 else x.astype(np.float32)
    graph = roundel.read_onnx(proto)
    assert graph.shape == (3, 9, 8)
    assert graph.notes == (
        "The file has the channels last: images may be (count, rows, columns, channels) as well as channels first",
    )
    [expected] = reference(proto, given)
    np.testing.assert_allclose(
        graph.run(x.transpose(0, 3, 1, 2)), expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max()
    )
    check = against_onnxruntime(graph, proto, x.transpose(0, 3, 1, 2))
    assert check.difference is not None
    assert check.difference < 1e-5


def test_bytes_with_channels_first(rng):
    weights = {"w": rng.normal(size=(4, 3, 3, 3)).astype(np.float32), "s": np.float32(1 / 64)}
    nodes = [("Cast", ["x"], "a", {"to": 1}), ("Mul", ["a", "s"], "b", {}), ("Conv", ["b", "w"], "y", {})]
    proto = model(nodes, (3, 9, 8), weights, kind=TensorProto.UINT8)
    proto.graph.output[0].type.tensor_type.elem_type = TensorProto.FLOAT
    graph, x = roundel.read_onnx(proto), pictures(rng, (3, 9, 8))
    np.testing.assert_allclose(graph.run(x), reference(proto, x)[0], rtol=1e-4, atol=1e-4)
    assert against_onnxruntime(graph, proto, x).difference < 1e-5
    reason = against_onnxruntime(graph, proto, x + np.float32(0.5)).reason
    assert reason == "the file takes integers of 0 to 255, and the images are no such integers"


OPEN = {"rows and columns": (("h", "w", 3), IMAGE), "all": (("h", "w", "c"), IMAGE), "fixed": (IMAGE, (7, 6, 3))}


@pytest.mark.parametrize("case", OPEN)
def test_sizes_in_the_order_of_the_file(case, rng):
    sizes, image = OPEN[case]
    proto = network(rng, [], sizes=sizes, batch=10)
    graph = roundel.read_onnx(proto, input_shape=(1, *image))
    assert graph.shape == (image[2], *image[:2])
    assert against_onnxruntime(graph, proto, pictures(rng, graph.shape)).difference < 1e-5
    assert read_original(proto, graph.shape, ["y"]).shape == graph.shape


def test_images_with_channels_last_or_first(rng):
    """Both open the sizes of the file, calibrate the network and run on it, with the same results."""
    proto, x = network(rng, CASES["bytes"][0], sizes=("h", "w", 3), kind=TensorProto.UINT8), pictures(rng, count=6)
    results = []
    for images in (x, np.ascontiguousarray(x.transpose(0, 3, 1, 2))):
        small = roundel.compress(proto, images)
        assert small.shape == (3, 9, 8)
        assert small.report["import"]["difference"] < 1e-5
        results.append(roundel.run(small, images, original=proto).integers["y"])
    np.testing.assert_array_equal(*results)


def test_images_that_fit_in_no_order_are_refused(rng):
    with pytest.raises(InputError, match=r"images: expected shape \(count, 3, 9, 8\), not \(3, 9, 3, 8\)"):
        roundel.compress(network(rng, []), pictures(rng, (9, 3, 8)))


def test_a_cut_before_the_turn_leaves_channels_last(rng):
    """What a name means does not depend on where the network ends: the tensor is (rows, columns, channels) then."""
    proto, x = network(rng, [("Neg", [], {}), ("Sub", ["255"], {})]), pictures(rng).astype(np.float32)
    graph = roundel.read_onnx(proto, outputs=["t0"])
    assert (graph.shape, graph.notes) == (IMAGE, ())
    np.testing.assert_array_equal(graph.run(x), -x)
    assert against_onnxruntime(graph, proto, x).difference == 0
    graph = roundel.read_onnx(proto, outputs=["t2"])
    np.testing.assert_array_equal(graph.run(x.transpose(0, 3, 1, 2)), -x.transpose(0, 3, 1, 2) - np.float32(255))
    assert against_onnxruntime(graph, proto, x.transpose(0, 3, 1, 2)).difference < 1e-6


def test_constants_are_turned_once(rng):
    """Names that are taken stay; a constant that many operators read is there twice, not once more for each."""
    before = [("Sub", ["mean"], {}), ("Div", ["mean"], {})] * 20
    proto, x = network(rng, before), pictures(rng).astype(np.float32)
    taken = proto.graph.initializer.add()
    taken.CopyFrom(proto.graph.initializer[1])
    taken.name = "mean by channel"
    prepared = prepare(proto).proto
    assert [item.name for item in prepared.graph.initializer][6:] == ["mean by channel_"]
    [expected] = reference(proto, x)
    got = roundel.read_onnx(proto).run(x.transpose(0, 3, 1, 2))
    np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())


OTHERS = {
    "another order": [("Transpose", ["x"], "y", {"perm": [0, 3, 2, 1]})],
    "two readers": [("Transpose", ["x"], "a", {"perm": [0, 3, 1, 2]}), ("Relu", ["x"], "b", {})],
    "an output between": [("Neg", ["x"], "b", {}), ("Transpose", ["b"], "a", {"perm": [0, 3, 1, 2]})],
    "a map of five axes": [("Mul", ["x", "c"], "b", {}), ("Transpose", ["b"], "a", {"perm": [0, 3, 1, 2]})],
}


@pytest.mark.parametrize("case", OTHERS)
def test_other_turns_are_left_as_they_are(case):
    """They are refused, or read as what they are."""
    nodes = OTHERS[case]
    outputs = [name for name in ("a", "b") if any(node[2] == name for node in nodes)] or ["y"]
    constants = {"c": np.ones((1, 1, 1, 1, 1), np.float32)} if "five" in case else {}
    proto = model(nodes, IMAGE, constants, outputs)
    before = proto.SerializeToString()
    try:
        graph = roundel.read_onnx(proto)
    except InputError:
        return
    finally:
        assert proto.SerializeToString() == before
    x = np.random.default_rng(2).normal(size=(2, *IMAGE)).astype(np.float32)
    for name, values in zip(outputs, reference(proto, x), strict=True):
        np.testing.assert_array_equal(graph.outputs(x)[graph.names[name]], values)


def test_a_source_of_another_type_is_refused():
    proto = onnx.ModelProto.FromString(model([("Relu", ["x"], "y", {})], IMAGE).SerializeToString())
    proto.graph.input[0].type.tensor_type.elem_type = TensorProto.INT32
    with pytest.raises(InputError, match="input x: expected FLOAT or UINT8, not INT32"):
        roundel.read_onnx(proto)
