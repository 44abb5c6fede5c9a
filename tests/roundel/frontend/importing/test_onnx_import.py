"""ONNX import: what is refused, and how; the digits network against onnxruntime; images."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from roundel.data import DIGITS
from roundel.frontend import read_onnx
from roundel.golden.errors import InputError
from roundel.graph import Add, Conv, Images, Relu, fold, load_images, read_npz
from tests.support.onnx_models import check, model, saved

RNG = np.random.default_rng(11)
IMAGE = (3, 7, 6)


def real(*shape):
    """Random weights."""
    return RNG.normal(size=shape).astype(np.float32)


def check_folded(tmp_path, proto, shape):
    """`check`, and the same numbers after folding."""
    graph = check(tmp_path, proto, shape)
    x = RNG.normal(size=(3, *shape)).astype(np.float32)
    np.testing.assert_allclose(fold(graph).run(x), graph.run(x), rtol=1e-4, atol=1e-4)
    return graph


def test_batch_normalization_folds_into_a_convolution(tmp_path):
    weights = {"w": real(4, 3, 3, 2), "b": real(4), "s": real(4), "o": real(4), "m": real(4), "v": np.exp(real(4))}
    nodes = [("Conv", ["x", "w", "b"], "a", {}), ("BatchNormalization", ["a", "s", "o", "m", "v"], "y", {})]
    check_folded(tmp_path, model(nodes, IMAGE, weights), IMAGE)


def test_a_constant_folds_into_a_matrix_product(tmp_path):
    nodes = [("MatMul", ["x", "w"], "a", {}), ("Add", ["b", "a"], "y", {})]
    check_folded(tmp_path, model(nodes, (5,), {"w": real(5, 3), "b": real(3)}), (5,))


def test_batch_normalization_alone_becomes_a_convolution_of_one_weight_a_channel(tmp_path):
    weights = {"s": real(3), "o": real(3), "m": real(3), "v": np.exp(real(3))}
    proto = model([("BatchNormalization", ["x", "s", "o", "m", "v"], "y", {})], IMAGE, weights)
    (node,) = fold(check_folded(tmp_path, proto, IMAGE)).nodes
    assert isinstance(node, Conv)
    assert node.scales_channels


def test_batch_normalization_of_features_alone_does_not_fold(tmp_path):
    weights = {"s": real(5), "o": real(5), "m": real(5), "v": np.exp(real(5))}
    proto = model([("BatchNormalization", ["x", "s", "o", "m", "v"], "y", {})], (5,), weights)
    graph = check(tmp_path, proto, (5,))
    with pytest.raises(InputError, match="batchnormalization_y: no convolution or matrix product to fold it into"):
        fold(graph)


def test_what_the_result_does_not_need_is_dropped(tmp_path):
    proto = model([("Relu", ["x"], "y", {}), ("Flatten", ["x"], "unused", {})], IMAGE)
    assert [node.output for node in fold(check_folded(tmp_path, proto, IMAGE)).nodes] == ["y"]


def test_digits_equals_onnxruntime():
    path = DIGITS / "digits.onnx"
    graph = read_onnx(path)
    held_out = load_images(DIGITS / "heldout.npz", graph)
    session = onnxruntime.InferenceSession(path.read_bytes())
    expected = session.run(None, {graph.source: held_out.images.astype(np.float32)})[0]
    np.testing.assert_allclose(graph.run(held_out.images), expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(fold(graph).run(held_out.images), expected, rtol=1e-4, atol=1e-4)
    assert len(held_out.images) >= 360
    assert held_out.accuracy(expected) >= 0.985
    assert sum((DIGITS / name).stat().st_size for name in ("heldout.npz", "calibration.npz")) < 100_000
    assert path.stat().st_size < 200_000


def test_held_out_digits_are_no_training_digits():
    held_out, calibration = (read_npz(DIGITS / f"{name}.npz")["images"] for name in ("heldout", "calibration"))
    seen = {image.tobytes() for image in calibration}
    assert not any(image.tobytes() in seen for image in held_out)


TWICE = np.array([1, 1, 2, 2], np.float32)
DOUBLED = {"roi": real(0), "scales": TWICE}
REACHES_OUT = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1], "ceil_mode": 1, "count_include_pad": 1}


def shifted(coordinates, nearest="floor"):
    """Attributes of a Resize."""
    return {"coordinate_transformation_mode": coordinates, "nearest_mode": nearest}


HALF_NAN = np.array([[1, 2], [np.nan, 3]], np.float32)
# operator, attributes, shape of x, the operator's other inputs by name, what the message holds
REFUSED = [
    ("LRN", {"size": 3}, IMAGE, {}, r"this operator is not supported; supported are Add, .*Squeeze"),
    ("Pow", {}, IMAGE, {"b": real(1)}, "it is not finite at -16"),
    ("Conv", {"group": 3}, IMAGE, {"w": real(4, 1, 3, 3)}, "4 outputs do not divide into 3 groups"),
    ("Conv", {"group": 2}, IMAGE, {"w": real(4, 1, 3, 3)}, "weights for 2 input channels, but there are 3"),
    ("Conv", {}, IMAGE, {"w": real(3, 3, 2)}, "expected two spatial axes"),
    ("Conv", {}, IMAGE, {"w": real(4, 2, 3, 3)}, "weights for 2 input channels, but there are 3"),
    ("Conv", {}, IMAGE, {"w": real(4, 3, 9, 9)}, "does not fit into 7 x 6"),
    ("Conv", {}, IMAGE, {"w": np.full((1, 3, 1, 1), np.inf, np.float32)}, "weights w must be finite"),
    ("Conv", {"auto_pad": "NEARLY"}, IMAGE, {"w": real(4, 3, 3, 3)}, "auto_pad must be .*, not NEARLY"),
    ("Conv", {}, IMAGE, {"w": real(4, 3, 3, 3), "b": real(3)}, r"a bias for each of 4 outputs, not \(3,\)"),
    ("Gemm", {}, (5,), {"w": real(5, 3), "b": real(2)}, r"a bias for each of 3 outputs, not \(2,\)"),
    ("Gemm", {}, (5,), {"w": real(5)}, r"expected weights of two axes, not \(5,\)"),
    ("BatchNormalization", {}, IMAGE, {name: 1 + real(2) ** 2 for name in "somv"}, "for each of 3 channels"),
    ("Gemm", {"transA": 1}, (5,), {"w": real(5, 3)}, "transA must be 0, not 1"),
    ("Gemm", {}, IMAGE, {"w": real(6, 3)}, r"expected \(batch, features\)"),
    ("Gemm", {}, (5,), {"w": real(6, 3)}, "weights for 6 input channels, but there are 5"),
    ("MatMul", {}, (2,), {"w": HALF_NAN}, "weights w must be finite, but hold NaN or infinity"),
    ("MatMul", {}, (2,), {"w": np.ones((2, 2), np.int32)}, "weights w must be real numbers, not int32"),
    ("MatMul", {}, (2,), {"w": np.full((2, 2), 1e300)}, "weights w must be finite"),
    ("MatMul", {}, IMAGE, {"w": real(6, 3)}, r"expected \(batch, features\) by"),
    ("MaxPool", {"kernel_shape": [2, 2], "storage_order": 1}, IMAGE, {}, "storage_order must be 0, not 1"),
    ("MaxPool", {"kernel_shape": [2, 2], "pads": [0, 2, 0, 0]}, IMAGE, {}, "padding must be smaller than the kernel"),
    ("AveragePool", REACHES_OUT, (3, 8, 8), {}, "ceil_mode=1 with padding that counts"),
    ("ReduceMean", {"axes": [1, 2]}, IMAGE, {}, r"axes of rows and columns, or of channels alone, are supported"),
    ("ReduceMean", {"axes": [0]}, IMAGE, {}, r"or of channels alone, are supported, not \(0,\)"),
    ("ReduceMax", {"axes": [1]}, IMAGE, {}, r"axes of rows and columns are supported, not \(1,\)"),
    ("ReduceMax", {"axes": [2], "keepdims": 0}, IMAGE, {}, "results of 3 axes are supported only where others"),
    ("Flatten", {"axis": 2}, IMAGE, {}, "axis must be 1, not 2"),
    ("Reshape", {}, IMAGE, {"to": np.array([0, 3, 42])}, r"only a reshape to \(batch, 126\)"),
    ("Reshape", {}, IMAGE, {"to": np.array([1, 126])}, r"only a reshape to \(batch, 126\) .* not to \(1, 126\)"),
    ("Reshape", {"allowzero": 1}, IMAGE, {"to": np.array([0, 126])}, r"only a reshape to \(batch, 126\)"),
    ("Squeeze", {}, IMAGE, {"axes": np.array([2, 3])}, r"axes \(2, 3\) of \(3, 7, 6\) are not all of one value"),
    ("Add", {}, IMAGE, {"c": real(3, 7, 6)}, "is not one number a channel"),
    ("Concat", {"axis": 2}, IMAGE, {}, "axis must be 1, the channels, not 2"),
    ("Clip", {}, IMAGE, {"low": np.array(np.nan, np.float32)}, "bounds must be numbers, not nan and None"),
    ("Clip", {}, IMAGE, {"low": real(2)}, r"input low must be one number, not \(2,\)"),
    ("Dropout", {}, IMAGE, {"ratio": np.float32(0.5), "training": np.array(True)}, "training_mode must be false"),
    ("BatchNormalization", {"training_mode": 1}, IMAGE, {name: real(3) for name in "somv"}, "training_mode must be 0"),
    (
        "BatchNormalization",
        {},
        IMAGE,
        {"s": real(3), "o": real(3), "m": real(3), "v": np.array([1, -1, 1], np.float32)},
        "variance plus epsilon must be positive",
    ),
    ("Resize", {"mode": "cubic"}, IMAGE, DOUBLED, "mode must be nearest or linear, not cubic"),
    ("Resize", {"mode": "linear"}, IMAGE, {"roi": real(0), "scales": TWICE**1.5}, "7 to 19 linearly: expected"),
    ("Resize", shifted("align_corners") | {"mode": "linear"}, IMAGE, DOUBLED, "does not take positions at equal dist"),
    ("Resize", {"mode": "linear"}, IMAGE, {"roi": real(0), "scales": TWICE**5}, "7 to 224 linearly"),
    ("Resize", {"mode": "linear"}, (3, 8, 9), {"roi": real(0), "scales": 1 / TWICE}, "8 x 9 to 4 x 4 linearly"),
    ("Resize", {}, IMAGE, {"roi": real(0), "scales": TWICE * 2}, "batch and channels must stay as they are"),
    ("Resize", {}, IMAGE, {"roi": real(0), "scales": TWICE**1.5}, "times whole numbers, not 7 x 6 to 19 x 16"),
    ("Resize", {}, IMAGE, {"roi": real(0), "scales": 1 / TWICE}, "times whole numbers, not 7 x 6 to 3 x 3"),
    ("Resize", {}, IMAGE, {"roi": real(0)}, "expected constant scales or sizes"),
    ("Resize", {}, IMAGE, {"roi": real(0), "scales": TWICE[::-1]}, "batch and channels must stay as they are"),
    ("Resize", {}, IMAGE, {"roi": real(0), "scales": TWICE[[2, 0, 2, 2]]}, "batch and channels must stay as they are"),
    ("Resize", shifted("align_corners", "floor"), IMAGE, DOUBLED, "does not repeat every value"),
    ("Resize", shifted("asymmetric", "ceil"), IMAGE, DOUBLED, "asymmetric with ceil does not"),
    ("Resize", shifted("asymmetric", "round_prefer_ceil"), IMAGE, DOUBLED, "does not repeat"),
    ("Resize", shifted("tf_crop_and_resize"), IMAGE, DOUBLED, "tf_crop_and_resize is not"),
]  # fmt: skip


@pytest.mark.parametrize(("operator", "attributes", "shape", "weights", "message"), REFUSED)
def test_refused_by_file_node_and_operator(operator, attributes, shape, weights, message, tmp_path):
    path = saved(tmp_path, model([(operator, ["x", *weights], "y", attributes)], shape, weights))
    with pytest.raises(InputError, match=message) as caught:
        read_onnx(path)
    assert str(caught.value).startswith(f"{path}: node {operator.lower()}_y ({operator}): ")
    assert "\n" not in str(caught.value)


def test_refused_operands(tmp_path):
    with pytest.raises(InputError, match="input x must be a constant"):
        read_onnx(saved(tmp_path, model([("MatMul", ["x", "x"], "y", {})], (5,))))
    nodes = [("GlobalAveragePool", ["x"], "a", {}), ("Add", ["x", "a"], "y", {})]
    with pytest.raises(InputError, match=r"shapes \(3, 7, 6\) and \(3, 1, 1\) differ"):
        read_onnx(saved(tmp_path, model(nodes, IMAGE)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shape": (3, "rows", 6)}, r"input x: declared \(batch, 3, rows, 6\): .* --input-shape 1,3,ROWS,6$"),
        ({"shape": (3, 7)}, r"input x: expected .* not \(batch, 3, 7\)"),
        ({"kind": TensorProto.DOUBLE}, "input x: expected FLOAT or UINT8, not DOUBLE"),
        ({"shape": (3, 1 << 20, 1 << 20)}, "input x: expected at most 67108864 values an image, not 3298534883328"),
    ],
)
def test_refused_inputs(changes, message, tmp_path):
    arguments = {"shape": (3, 7, 6)} | changes
    with pytest.raises(InputError, match=message):
        read_onnx(saved(tmp_path, model([("Relu", ["x"], "y", {})], **arguments)))


def test_refused_files(tmp_path):
    with pytest.raises(InputError, match="there is none"):
        read_onnx(tmp_path / "missing.onnx")
    whole = (DIGITS / "digits.onnx").read_bytes()
    for name, content in (("text", b"no model at all"), ("cut", whole[: len(whole) // 2]), ("empty", b"")):
        path = tmp_path / f"{name}.onnx"
        path.write_bytes(content)
        with pytest.raises(InputError, match="not a valid ONNX model") as caught:
            read_onnx(path)
        assert "\n" not in str(caught.value)


def test_names_of_several_lines_are_told_in_one(tmp_path):
    proto = model([("Sin", ["x"], "y", {})], IMAGE)
    proto.graph.node[0].name = "two\nlines"
    with pytest.raises(InputError, match=r"node two lines \(Sin\)"):
        read_onnx(saved(tmp_path, proto))


def test_two_inputs_are_refused(tmp_path):
    proto = model([("Add", ["x", "z"], "y", {})], IMAGE)
    proto.graph.input.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, ["batch", *IMAGE]))
    with pytest.raises(InputError, match="one input and at least one output, not 2 and 1"):
        read_onnx(saved(tmp_path, proto))


def test_the_newest_version_that_onnx_knows(tmp_path):
    """Which may be newer than what onnxruntime runs: against ONNX's own reference."""
    nodes = [
        ("Conv", ["x", "w"], "a", {"strides": [2, 2]}),
        ("Clip", ["a", "", "high"], "b", {}),
        ("GlobalAveragePool", ["b"], "c", {}),
        ("Flatten", ["c"], "y", {}),
    ]
    weights = {"w": real(4, 3, 2, 2), "high": np.float32(0.5)}
    proto = model(nodes, IMAGE, weights, opset=onnx.defs.onnx_opset_version())
    x = RNG.normal(size=(2, *IMAGE)).astype(np.float32)
    expected = ReferenceEvaluator(proto).run(None, {"x": x})[0]
    np.testing.assert_allclose(read_onnx(saved(tmp_path, proto)).run(x), expected, rtol=1e-4, atol=1e-4)


def test_functions_of_the_file_are_what_they_are_made_of(tmp_path):
    """Relu of a sum, as an operator that the file defines itself."""
    body = [helper.make_node("Add", ["a", "b"], ["c"]), helper.make_node("Relu", ["c"], ["d"])]
    function = helper.make_function("own", "AddRelu", ["a", "b"], ["d"], body, [helper.make_opsetid("", 17)])
    nodes = [("Relu", ["x"], "r", {}), ("own:AddRelu", ["x", "r"], "y", {})]
    proto = model(nodes, IMAGE, domains=["own"])
    proto.functions.append(function)
    assert [type(node) for node in check(tmp_path, proto, IMAGE).nodes] == [Relu, Add, Relu]


def test_weights_beside_the_file(tmp_path):
    proto = model([("Conv", ["x", "w"], "y", {})], IMAGE, {"w": real(8, 3, 3, 3)})
    expected = check(tmp_path, proto, IMAGE)
    path = tmp_path / "outside.onnx"
    onnx.save(proto, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    np.testing.assert_array_equal(read_onnx(path).nodes[0].weights, expected.nodes[0].weights)
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(InputError, match="not a valid ONNX model") as caught:
        read_onnx(path)
    assert "\n" not in str(caught.value)


def test_constants_under_other_names(tmp_path):
    """As the newer exporter shares weights."""
    nodes = [("Identity", ["w"], "v", {}), ("MatMul", ["x", "v"], "y", {})]
    check_folded(tmp_path, model(nodes, (5,), {"w": real(5, 2)}), (5,))


def test_operators_of_others_are_refused(tmp_path):
    proto = model([("com.example:Relu", ["x"], "y", {})], IMAGE, domains=["com.example"])
    with pytest.raises(InputError, match=r"node relu_y \(Relu\): operators of com.example are not supported"):
        read_onnx(saved(tmp_path, proto))


def test_outputs_that_are_no_results_are_refused(tmp_path):
    proto = model([("Relu", ["x"], "a", {}), ("Add", ["b", "b"], "y", {})], IMAGE, {"b": real(1)})
    with pytest.raises(InputError, match="output y does not depend on the input"):
        read_onnx(saved(tmp_path, proto))


def test_nodes_without_names_get_those_of_their_outputs(tmp_path):
    proto = model([("Relu", ["x"], "a", {}), ("Relu", ["a"], "y", {})], IMAGE)
    for node in proto.graph.node:
        node.name = ""
    assert [node.name for node in read_onnx(saved(tmp_path, proto)).nodes] == ["a", "y"]
    for node in proto.graph.node:
        node.name = "same"
    assert [node.name for node in read_onnx(saved(tmp_path, proto)).nodes] == ["same", "y"]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"pictures": np.zeros((2, 1, 8, 8))}, "expected an array named images"),
        ({"images": np.zeros((2, 8, 8))}, r"images: expected shape \(count, 1, 8, 8\), not \(2, 8, 8\)"),
        ({"images": np.zeros((0, 1, 8, 8))}, r"images: expected shape"),
        ({"images": np.full((2, 1, 8, 8), np.nan)}, "images: expected finite real numbers"),
        ({"images": np.full((2, 1, 8, 8), "a")}, "images: expected finite real numbers"),
        ({"images": np.zeros((2, 1, 8, 8)), "labels": np.zeros(3, int)}, "labels: expected 2 integers, not int64"),
        ({"images": np.zeros((2, 1, 8, 8)), "labels": np.zeros(2)}, "labels: expected 2 integers, not float64"),
    ],
)
def test_refused_images(arrays, message, tmp_path):
    path = tmp_path / "images.npz"
    np.savez(path, **arrays)
    with pytest.raises(InputError, match=message):
        load_images(path, read_onnx(DIGITS / "digits.onnx"))


def test_refused_image_files(tmp_path):
    graph = read_onnx(DIGITS / "digits.onnx")
    with pytest.raises(InputError, match="there is none"):
        load_images(tmp_path / "missing.npz", graph)
    for content in (b"", b"no archive", (DIGITS / "heldout.npz").read_bytes()[:2000]):
        path = tmp_path / "broken.npz"
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"not a valid \.npz file"):
            load_images(path, graph)
    np.save(tmp_path / "plain.npy", np.zeros(3))
    with pytest.raises(InputError, match=r"not a valid \.npz file"):
        load_images(tmp_path / "plain.npy", graph)


def test_labels_are_optional(tmp_path):
    path = tmp_path / "images.npz"
    np.savez(path, images=np.zeros((2, 1, 8, 8)))
    images = load_images(path, read_onnx(DIGITS / "digits.onnx"))
    assert images.labels is None
    with pytest.raises(InputError, match=r"images\.npz: expected an array named labels"):
        images.accuracy(np.zeros((2, 10)))


def test_accuracy_needs_a_score_for_every_label():
    images = Images(images=np.zeros((3, 4)), labels=np.array([0, 2, 1]), file="some.npz")
    assert images.accuracy(np.eye(3)) == pytest.approx(1 / 3)
    assert images.accuracy(np.zeros((3, 3))) == pytest.approx(1 / 3)  # a tie goes to the first
    with pytest.raises(InputError, match=r"some\.npz: labels: expected 0 to 1, not 0 to 2"):
        images.accuracy(np.zeros((3, 2)))
    with pytest.raises(InputError, match="one score a class, not results of"):
        images.accuracy(np.zeros((3, 8, 6, 6)))


def test_the_file_itself_is_valid():
    onnx.checker.check_model(onnx.load(DIGITS / "digits.onnx"), full_check=True)
