"""Damaged and hostile files: one line, at once, and no memory taken for what is only claimed."""

import tracemalloc

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from roundel.frontend import read_onnx
from roundel.frontend.model import limits
from roundel.golden.errors import InputError
from roundel.graph import fold
from tests.support.onnx_models import model

IMAGE = (1, 8, 8)
FLOAT = TensorProto.FLOAT


def real(*shape):
    return np.random.default_rng(12).normal(size=shape).astype(np.float32)


def refused(proto, message, most=64 << 20):
    """`proto` is refused in one line, before `most` bytes are taken."""
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=message) as caught:
            read_onnx(proto)
        assert tracemalloc.get_traced_memory()[1] < most
    finally:
        tracemalloc.stop()
    assert "\n" not in str(caught.value)


def chain(count):
    """`count` operators, one after the other."""
    nodes = [("Relu", ["x" if index == 0 else f"t{index - 1}"], f"t{index}", {}) for index in range(count)]
    return model(nodes, IMAGE, outputs=(f"t{count - 1}",))


def test_operators_are_counted():
    refused(chain(20_000), "model: expected at most 10000 operators, not 20000")


def nested(depth, calls):
    """A function that calls another `calls` times, and so on, `depth` deep; the last is a Relu."""
    functions = []
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    for level in range(depth):
        kind, domain = ("Relu", "") if level == 0 else (f"f{level - 1}", "own")
        body = [helper.make_node(kind, [f"t{call}"], [f"t{call + 1}"], domain=domain) for call in range(calls)]
        functions.append(helper.make_function("own", f"f{level}", ["t0"], [f"t{calls}"], body, opsets))
    proto = model([(f"own:f{depth - 1}", ["x"], "y", {})], IMAGE, domains=["own"])
    proto.functions.extend(functions)
    return proto


def test_operators_of_functions_are_counted_before_they_are_expanded():
    refused(nested(24, 2), "model: expected at most 10000 operators, not 16384")
    refused(nested(1000, 1), "model: expected functions that call at most 64 others, one in the other")
    assert len(read_onnx(nested(5, 2)).nodes) == 32


def test_functions_that_call_themselves():
    proto = nested(2, 1)
    proto.functions[0].node[0].CopyFrom(helper.make_node("f1", ["t0"], ["t1"], domain="own"))
    refused(proto, "model: expected functions that call at most 64 others")


WIDE = {"pads": [1000] * 4}
TWICE = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}


@pytest.mark.parametrize(
    ("nodes", "weights", "message"),
    [
        ([("Conv", ["x", "w"], "y", WIDE)], {"w": real(2, 1, 3, 3)}, "pads must be at most 256, not 1000"),
        (
            [("Resize", ["x", "", "s"], "y", TWICE)],
            {"s": np.array([1, 1, 1000, 1000], np.float32)},
            "times at most 64, not 1000",
        ),
        (
            [("Resize", ["x", "", "s"], "a", TWICE), ("Resize", ["a", "", "s"], "y", TWICE)],
            {"s": np.array([1, 1, 64, 64], np.float32)},
            "node resize_y .*: expected at most 67108864 values an image, not 1073741824",
        ),
        (
            [("MaxPool", ["x"], "y", {"kernel_shape": [4000, 4000], "pads": [255] * 4})],
            {},
            "does not fit into 8 x 8 padded",
        ),
        (
            [("Resize", ["x", "", "s"], "a", TWICE), ("MaxPool", ["a"], "y", {"kernel_shape": [300, 300]})],
            {"s": np.array([1, 1, 64, 64], np.float32)},
            "expected at most 1073741824 values in all windows of an image",
        ),
        (
            [("Concat", [f"c{index}"] * 40, f"c{index + 1}", {"axis": 0}) for index in range(7)]
            + [("Add", ["x", "c7"], "y", {})],
            {"c0": real(1)},
            "node concat_c5 .*: expected a constant of at most 67108864 values, not 102400000",
        ),
        (
            [("Mul", ["c", "d"], "e", {}), ("Add", ["x", "e"], "y", {})],
            {"c": real(30_000, 1), "d": real(1, 30_000)},
            "expected a constant of at most 67108864 values, not 900000000",
        ),
    ],
    ids=["pads", "resize", "resize twice", "kernel", "windows", "concat", "product"],
)
def test_sizes_are_bounded_before_they_are_computed(nodes, weights, message):
    refused(model(nodes, IMAGE, weights), message, most=320 << 20)


def test_all_tensors_together_are_bounded(monkeypatch):
    monkeypatch.setattr("roundel.frontend.importing.importer.MOST_IN_ALL", 5 * 64)
    assert len(read_onnx(chain(4)).nodes) == 4
    refused(chain(5), "node relu_t4 .*: expected at most 320 values an image in all tensors up to here, not 384")
    nodes = [("Ceil", ["c"], f"c{index}", {}) for index in range(6)] + [("Relu", ["x"], "y", {})]
    refused(model(nodes, IMAGE, {"c": real(64)}), "expected at most 320 values in all constants, not 384")


def initializer(change):
    """A convolution whose weights `change` has damaged."""
    proto = model([("Conv", ["x", "w"], "y", {})], IMAGE, {"w": real(2, 1, 3, 3)})
    change(proto.graph.initializer[0])
    return proto


def longer(tensor):
    tensor.raw_data += b"\0" * 40


def shorter(tensor):
    tensor.raw_data = tensor.raw_data[:-1]


def unknown(tensor):
    tensor.data_type = 99


def huge(tensor):
    tensor.dims[0] = 1 << 60


def negative(tensor):
    tensor.dims[0] = -2


def fields(tensor):
    tensor.ClearField("raw_data")
    tensor.float_data.extend([1.0] * 19)


def nibbles(tensor):
    tensor.data_type = TensorProto.INT4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (longer, r"initializer w: expected 72 bytes of FLOAT for shape \(2, 1, 3, 3\), not 112"),
        (shorter, r"not a valid ONNX model: .*w.* raw_data size \(71 bytes\) is too small"),
        (unknown, "initializer w: expected a type of ONNX, not data_type 99|not a valid ONNX model"),
        (huge, "not a valid ONNX model: Tensor dimension product overflow"),
        (negative, r"initializer w: expected sizes of at least 0, not \(-2, 1, 3, 3\)|not a valid ONNX model"),
        (fields, r"initializer w: expected 18 entries of FLOAT for shape \(2, 1, 3, 3\), not 19"),
        (nibbles, r"initializer w: expected 9 bytes of INT4 for shape \(2, 1, 3, 3\), not 72"),
    ],
)
def test_initializers_whose_data_does_not_fill_their_shape(change, message):
    refused(initializer(change), message)


def test_constants_whose_data_does_not_fill_their_shape():
    value = numpy_helper.from_array(real(3), "v")
    value.raw_data += b"\0"
    proto = model([("Constant", [], "c", {"value": value}), ("Add", ["x", "c"], "y", {})], IMAGE)
    refused(proto, r"node constant_c \(Constant\): expected 12 bytes of FLOAT for shape \(3,\), not 13")


def test_types_that_onnx_does_not_have():
    proto = model([("Relu", ["x"], "y", {})], IMAGE)
    proto.graph.input[0].type.tensor_type.elem_type = 99
    refused(proto, "input x: expected FLOAT or UINT8, not type 99")
    proto = model([("Relu", ["x"], "y", {})], IMAGE)
    proto.graph.output[0].type.tensor_type.elem_type = 99
    refused(proto, "output y: declared type 99, but it is FLOAT")


@pytest.mark.parametrize("size", [-8, 1 << 40])
def test_sizes_of_the_input(size):
    proto = model([("Relu", ["x"], "y", {})], IMAGE)
    proto.graph.input[0].type.tensor_type.shape.dim[2].dim_value = size
    refused(proto, "input x: expected (sizes of at least 1|at most 67108864 values)")


def test_nodes_of_others_that_lack_everything():
    """The checker knows nothing of other domains' operators."""
    for attributes, inputs in (({}, []), ({"rounding_mode": 3}, ["x", "s", "z", "b"])):
        node = helper.make_node("Quant", inputs, ["y"], domain="qonnx.custom_op.general", **attributes)
        weights = {"s": np.float32(1), "z": np.float32(0), "b": np.float32(4)}
        proto = model([("Relu", ["x"], "y", {})], IMAGE, weights, domains=["qonnx.custom_op.general"])
        proto.graph.node[0].CopyFrom(node)
        refused(proto, "Quant")
        proto.graph.node[0].ClearField("output")
        refused(proto, "model")


def test_external_data_that_is_longer_than_its_shape(tmp_path):
    path = tmp_path / "outside.onnx"
    proto = model([("Conv", ["x", "w"], "y", {})], IMAGE, {"w": real(8, 1, 3, 3)})
    onnx.save(proto, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    outside = onnx.load(path, load_external_data=False)
    for entry in outside.graph.initializer[0].external_data:
        if entry.key == "length":
            entry.value = str(8 * 9 * 4 + 4)
    path.write_bytes(outside.SerializeToString())
    with open(tmp_path / "weights.bin", "ab") as file:
        file.write(b"\0" * 100)
    with pytest.raises(InputError, match=r"outside\.onnx: initializer w: expected 288 bytes of FLOAT .* not 292"):
        read_onnx(path)


def test_the_limits_leave_room_for_real_networks():
    """VGG-16 at 224 x 224: its widest tensors, windows and all of its values."""
    assert limits.MOST_VALUES > 64 * 224 * 224 * 10
    assert limits.MOST_IN_WINDOWS > 64 * 9 * 224 * 224 * 10
    assert limits.MOST_IN_ALL > 28_000_000 * 5


def normalized(scale):
    """A convolution and a batch normalization whose factors are `scale`."""
    nodes = [("Conv", ["x", "w"], "a", {}), ("BatchNormalization", ["a", "s", "o", "o", "v"], "y", {"epsilon": 0.0})]
    weights = {"s": np.array([scale], np.float32), "o": np.zeros(1, np.float32), "v": np.array([1e-30], np.float32)}
    return model(nodes, IMAGE, weights | {"w": np.full((1, 1, 1, 1), 1e10, np.float32)})


def test_products_beyond_float32():
    refused(
        normalized(1e30), "node batchnormalization_y .*: its factors, weights or bias are beyond the range of float32"
    )
    nodes = [("Flatten", ["x"], "a", {}), ("Gemm", ["a", "w"], "y", {"alpha": 1e30})]
    proto = model(nodes, IMAGE, {"w": np.full((64, 2), 1e30, np.float32)})
    refused(proto, "node gemm_y .*: its factors, weights or bias are beyond the range of float32")
    graph = read_onnx(normalized(1e20))
    with pytest.raises(InputError, match=r"node batchnormalization_y: folded into conv_a, it is beyond the range"):
        fold(graph)


def test_a_sum_of_many_tensors():
    proto = model([("Sum", ["x", "x"], "y", {})], IMAGE)
    proto.graph.node[0].input.extend(["x"] * 30_000)
    refused(proto, r"node sum_y \(Sum\): expected at most 20000 layers up to here, not 30002")
