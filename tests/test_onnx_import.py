"""ONNX import and float execution, against onnxruntime: each operator alone, and the digits network."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from golden.errors import InputError
from roundel.images import load_images
from roundel.modules import fold
from roundel.onnx_import import import_onnx

DIGITS = Path(__file__).parent.parent / "examples" / "digits"
RNG = np.random.default_rng(11)


def real(*shape):
    """Random weights."""
    return RNG.normal(size=shape).astype(np.float32)


def model(nodes, shape, weights=None, output="y", batch="batch", kind=TensorProto.FLOAT):
    """An ONNX model of input `x` (batch, *shape) from (operator, inputs, output, attributes) rows."""
    protos = [
        helper.make_node(operator, inputs, [out], name=f"{operator.lower()}_{out}", **attributes)
        for operator, inputs, out, attributes in nodes
    ]
    x = helper.make_tensor_value_info("x", kind, [batch, *shape])
    y = helper.make_tensor_value_info(output, kind, None)
    initializers = [numpy_helper.from_array(np.asarray(value), name) for name, value in (weights or {}).items()]
    graph = helper.make_graph(protos, "g", [x], [y], initializers)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    proto.graph.output[0].CopyFrom(onnx.shape_inference.infer_shapes(proto).graph.output[0])
    proto.graph.output[0].type.tensor_type.shape.SetInParent()  # the checker wants one, even for a faulty network
    return proto


def saved(tmp_path, proto):
    """The path of `proto` as a file."""
    path = tmp_path / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    return path


def check(tmp_path, proto, shape, folded=True):
    """Import, and compare with onnxruntime on three random images, before and after folding."""
    graph = import_onnx(saved(tmp_path, proto))
    x = np.random.default_rng(12).normal(size=(3, *shape)).astype(np.float32)
    expected = onnxruntime.InferenceSession(proto.SerializeToString()).run(None, {"x": x})[0]
    assert graph.shapes[graph.result] == expected.shape[1:]
    np.testing.assert_allclose(graph.run(x), expected, rtol=1e-4, atol=1e-4)
    if folded:
        np.testing.assert_allclose(fold(graph).run(x), expected, rtol=1e-4, atol=1e-4)
    return graph


CONV = {"w": real(4, 3, 3, 2), "b": real(4)}
IMAGE = (3, 7, 6)
OPERATORS = {
    "conv": ([("Conv", ["x", "w", "b"], "y", {"pads": [1, 0, 2, 1], "strides": [2, 1]})], IMAGE, CONV),
    "conv without bias": ([("Conv", ["x", "w"], "y", {"kernel_shape": [3, 2]})], IMAGE, CONV),
    "dilated conv": ([("Conv", ["x", "w"], "y", {"dilations": [2, 3]})], IMAGE, CONV),
    "conv same upper": ([("Conv", ["x", "w"], "y", {"auto_pad": "SAME_UPPER", "strides": [2, 2]})], IMAGE, CONV),
    "conv same lower": ([("Conv", ["x", "w"], "y", {"auto_pad": "SAME_LOWER"})], IMAGE, CONV),
    "conv valid": ([("Conv", ["x", "w"], "y", {"auto_pad": "VALID"})], IMAGE, CONV),
    "gemm": ([("Gemm", ["x", "w", "b"], "y", {"alpha": 0.5, "beta": 2.0})], (5,), {"w": real(5, 3), "b": real(3)}),
    "gemm transposed": ([("Gemm", ["x", "w"], "y", {"transB": 1})], (5,), {"w": real(3, 5)}),
    "gemm with one bias": ([("Gemm", ["x", "w", "b"], "y", {})], (5,), {"w": real(5, 3), "b": real(1)}),
    "matmul and constant": (
        [("MatMul", ["x", "w"], "a", {}), ("Add", ["b", "a"], "y", {})],
        (5,),
        {"w": real(5, 3), "b": real(3)},
    ),
    "relu": ([("Relu", ["x"], "y", {})], IMAGE, None),
    "max pool": (
        [("MaxPool", ["x"], "y", {"kernel_shape": [3, 2], "strides": [2, 2], "pads": [1, 0, 1, 1]})],
        IMAGE,
        None,
    ),
    "average pool": ([("AveragePool", ["x"], "y", {"kernel_shape": [3, 2], "strides": [2, 1]})], IMAGE, None),
    "average pool with padding": (
        [("AveragePool", ["x"], "y", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1})],
        IMAGE,
        None,
    ),
    "global average pool": ([("GlobalAveragePool", ["x"], "y", {})], IMAGE, None),
    "flatten": ([("Flatten", ["x"], "y", {})], IMAGE, None),
    "reshape": ([("Reshape", ["x", "to"], "y", {})], IMAGE, {"to": np.array([0, -1])}),
    "add": ([("Relu", ["x"], "a", {}), ("Add", ["x", "a"], "y", {})], IMAGE, None),
    "batch normalization of a conv": (
        [("Conv", ["x", "w", "b"], "a", {}), ("BatchNormalization", ["a", "s", "o", "m", "v"], "y", {"epsilon": 1e-3})],
        IMAGE,
        {**CONV, "s": real(4), "o": real(4), "m": real(4), "v": np.exp(real(4))},
    ),
    "identity and dropout": (
        [("Identity", ["x"], "a", {}), ("Relu", ["a"], "b", {}), ("Dropout", ["b"], "y", {})],
        IMAGE,
        None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", OPERATORS)
def test_operator_equals_onnxruntime(name, tmp_path):
    nodes, shape, weights = OPERATORS[name]
    check(tmp_path, model(nodes, shape, weights), shape)


def test_constant_nodes_are_constants(tmp_path):
    proto = model([("MatMul", ["x", "c"], "y", {})], (5,))
    proto.graph.node.insert(0, helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(real(5, 2))))
    check(tmp_path, proto, (5,))


def test_batch_normalization_alone_runs_but_does_not_fold(tmp_path):
    weights = {"s": real(3), "o": real(3), "m": real(3), "v": np.exp(real(3))}
    proto = model([("BatchNormalization", ["x", "s", "o", "m", "v"], "y", {})], IMAGE, weights)
    graph = check(tmp_path, proto, IMAGE, folded=False)
    with pytest.raises(InputError, match="batchnormalization_y: no convolution or matrix product to fold it into"):
        fold(graph)


def test_what_the_result_does_not_need_is_dropped(tmp_path):
    proto = model([("Relu", ["x"], "y", {}), ("Flatten", ["x"], "unused", {})], IMAGE)
    assert [node.output for node in fold(check(tmp_path, proto, IMAGE)).nodes] == ["y"]


def test_digits_equals_onnxruntime():
    path = DIGITS / "digits.onnx"
    graph = import_onnx(path)
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
    held_out, calibration = (np.load(DIGITS / f"{name}.npz")["images"] for name in ("heldout", "calibration"))
    seen = {image.tobytes() for image in calibration}
    assert not any(image.tobytes() in seen for image in held_out)


PADDED_MEAN = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
HALF_NAN = np.array([[1, 2], [np.nan, 3]], np.float32)
# operator, attributes, shape of x, the operator's other inputs by name, what the message holds
REFUSED = [
    ("Sigmoid", {}, IMAGE, {}, r"this operator is not supported; supported are Add, .*Reshape"),
    ("Conv", {"group": 3}, IMAGE, {"w": real(3, 1, 3, 3)}, "group must be 1, not 3"),
    ("Conv", {}, IMAGE, {"w": real(3, 3, 2)}, "expected two spatial axes"),
    ("Conv", {}, IMAGE, {"w": real(4, 2, 3, 3)}, "weights for 2 input channels, but there are 3"),
    ("Conv", {}, IMAGE, {"w": real(4, 3, 9, 9)}, "does not fit into 7 x 6"),
    ("Conv", {}, IMAGE, {"w": np.full((1, 3, 1, 1), np.inf, np.float32)}, "weights w must be finite"),
    ("Conv", {"auto_pad": "NEARLY"}, IMAGE, {"w": real(4, 3, 3, 3)}, "auto_pad must be .*, not NEARLY"),
    ("Gemm", {"transA": 1}, (5,), {"w": real(5, 3)}, "transA must be 0, not 1"),
    ("Gemm", {}, IMAGE, {"w": real(6, 3)}, r"expected \(batch, features\)"),
    ("Gemm", {}, (5,), {"w": real(6, 3)}, "weights for 6 input channels, but there are 5"),
    ("MatMul", {}, (2,), {"w": HALF_NAN}, "weights w must be finite, but hold NaN or infinity"),
    ("MatMul", {}, (2,), {"w": np.ones((2, 2), np.int32)}, "weights w must be real numbers, not int32"),
    ("MatMul", {}, IMAGE, {"w": real(6, 3)}, r"expected \(batch, features\) by"),
    ("MaxPool", {"kernel_shape": [2, 2], "ceil_mode": 1}, IMAGE, {}, "ceil_mode must be 0, not 1"),
    ("AveragePool", PADDED_MEAN, IMAGE, {}, "count_include_pad=1"),
    ("Flatten", {"axis": 2}, IMAGE, {}, "axis must be 1, not 2"),
    ("Reshape", {}, IMAGE, {"to": np.array([0, 3, 42])}, r"only a reshape to \(batch, 126\)"),
    ("Add", {}, IMAGE, {"c": real(3, 7, 6)}, "is no offset per channel"),
    (
        "BatchNormalization",
        {},
        IMAGE,
        {"s": real(3), "o": real(3), "m": real(3), "v": np.array([1, -1, 1], np.float32)},
        "variance plus epsilon must be positive",
    ),
    ("MatMul", {}, (2,), {"w": np.full((2, 2), 1e300)}, "weights w must be finite"),
]


@pytest.mark.parametrize(("operator", "attributes", "shape", "weights", "message"), REFUSED)
def test_refused_by_file_node_and_operator(operator, attributes, shape, weights, message, tmp_path):
    path = saved(tmp_path, model([(operator, ["x", *weights], "y", attributes)], shape, weights))
    with pytest.raises(InputError, match=message) as caught:
        import_onnx(path)
    assert str(caught.value).startswith(f"{path}: node {operator.lower()}_y ({operator}): ")
    assert "\n" not in str(caught.value)


def test_refused_operands(tmp_path):
    with pytest.raises(InputError, match="input x must be a constant"):
        import_onnx(saved(tmp_path, model([("MatMul", ["x", "x"], "y", {})], (5,))))
    nodes = [("GlobalAveragePool", ["x"], "a", {}), ("Add", ["x", "a"], "y", {})]
    with pytest.raises(InputError, match=r"shapes \(3, 7, 6\) and \(3, 1, 1\) differ"):
        import_onnx(saved(tmp_path, model(nodes, IMAGE)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shape": (3, "rows", 6)}, r"input x: expected .* not \(batch, 3, rows, 6\)"),
        ({"shape": (3, 7)}, r"input x: expected .* not \(batch, 3, 7\)"),
        ({"kind": TensorProto.DOUBLE}, "input x: expected FLOAT, not DOUBLE"),
        ({"shape": (3, 1 << 20, 1 << 20)}, "input x: expected at most 67108864 values an image, not 3298534883328"),
    ],
)
def test_refused_inputs(changes, message, tmp_path):
    arguments = {"shape": (3, 7, 6)} | changes
    with pytest.raises(InputError, match=message):
        import_onnx(saved(tmp_path, model([("Relu", ["x"], "y", {})], **arguments)))


def test_refused_files(tmp_path):
    with pytest.raises(InputError, match="there is none"):
        import_onnx(tmp_path / "missing.onnx")
    whole = (DIGITS / "digits.onnx").read_bytes()
    for name, content in (("text", b"no model at all"), ("cut", whole[: len(whole) // 2]), ("empty", b"")):
        path = tmp_path / f"{name}.onnx"
        path.write_bytes(content)
        with pytest.raises(InputError, match="not a valid ONNX model") as caught:
            import_onnx(path)
        assert "\n" not in str(caught.value)


def test_two_inputs_are_refused(tmp_path):
    proto = model([("Add", ["x", "z"], "y", {})], IMAGE)
    proto.graph.input.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, ["batch", *IMAGE]))
    with pytest.raises(InputError, match="one input and one output, not 2 and 1"):
        import_onnx(saved(tmp_path, proto))


def test_nodes_without_names_get_those_of_their_outputs(tmp_path):
    proto = model([("Relu", ["x"], "a", {}), ("Relu", ["a"], "y", {})], IMAGE)
    for node in proto.graph.node:
        node.name = ""
    assert [node.name for node in import_onnx(saved(tmp_path, proto)).nodes] == ["a", "y"]
    for node in proto.graph.node:
        node.name = "same"
    assert [node.name for node in import_onnx(saved(tmp_path, proto)).nodes] == ["same", "y"]


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
        load_images(path, import_onnx(DIGITS / "digits.onnx"))


def test_refused_image_files(tmp_path):
    graph = import_onnx(DIGITS / "digits.onnx")
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
    images = load_images(path, import_onnx(DIGITS / "digits.onnx"))
    assert images.labels is None
    with pytest.raises(InputError, match="expected labels"):
        images.accuracy(np.zeros((2, 10)))


def test_the_file_itself_is_valid():
    onnx.checker.check_model(onnx.load(DIGITS / "digits.onnx"), full_check=True)
