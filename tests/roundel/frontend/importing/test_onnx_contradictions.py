"""Files that say two things: onnxruntime's reading where there is one, a refusal by name where there is none."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from roundel.frontend import read_onnx
from roundel.golden.errors import InputError
from tests.support.onnx_models import check, model, reference, saved

IMAGE = (3, 8, 8)
PADS = {"kernel_shape": [3, 3], "pads": [1, 2, 2, 1]}


def real(*shape):
    return np.random.default_rng(12).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("operator", ["MaxPool", "AveragePool"])
@pytest.mark.parametrize("mode", ["VALID", "SAME_UPPER", "SAME_LOWER"])
@pytest.mark.parametrize("strides", [[1, 1], [2, 3]])
def test_pads_beside_auto_pad_say_nothing(operator, mode, strides, tmp_path):
    attributes = PADS | {"auto_pad": mode, "strides": strides}
    check(tmp_path, model([(operator, ["x"], "y", attributes)], IMAGE), IMAGE)


def test_pads_of_a_convolution_beside_auto_pad_say_nothing(tmp_path):
    """onnxruntime refuses such a file; ONNX's own reference reads it."""
    weights, x = {"w": real(2, 3, 3, 3)}, real(2, *IMAGE)
    proto = model([("Conv", ["x", "w"], "y", PADS | {"auto_pad": "VALID"})], IMAGE, weights)
    expected = ReferenceEvaluator(proto).run(None, {"x": x})[0]
    assert expected.shape == (2, 2, 6, 6)
    np.testing.assert_allclose(read_onnx(saved(tmp_path, proto)).run(x), expected, rtol=1e-4, atol=1e-4)


DIFFERENT = [
    ("MaxPool", {"auto_pad": "SAME_UPPER", "dilations": [2, 1]}, "has no agreed meaning: expected pads"),
    ("AveragePool", {"auto_pad": "SAME_LOWER", "strides": [4, 4], "kernel_shape": [1, 1]}, "has no agreed meaning"),
    (
        "MaxPool",
        {"kernel_shape": [2, 1], "pads": [1, 0, 1, 0], "dilations": [3, 1]},
        "leaves windows of .* nothing else",
    ),
]


@pytest.mark.parametrize(("operator", "attributes", "message"), DIFFERENT)
def test_what_onnx_and_onnxruntime_pad_differently_is_refused(operator, attributes, message, tmp_path):
    attributes = {"kernel_shape": [3, 3]} | attributes
    with pytest.raises(InputError, match=message):
        read_onnx(saved(tmp_path, model([(operator, ["x"], "y", attributes)], (3, 2, 8))))


def test_scales_beside_sizes_are_refused(tmp_path):
    weights = {"s": np.array([1, 1, 2, 2], np.float32), "t": np.array([1, 3, 24, 24])}
    with pytest.raises(InputError, match=r"node resize_y \(Resize\): expected constant scales or sizes, and not both"):
        read_onnx(saved(tmp_path, model([("Resize", ["x", "", "s", "t"], "y", {})], IMAGE, weights)))


def declared(what, name, kind, shape):
    """A convolution to 2 x 6 x 6 and a Relu, and what the file says of `name` besides."""
    proto = model([("Conv", ["x", "w"], "a", {}), ("Relu", ["a"], "y", {})], IMAGE, {"w": real(2, 3, 3, 3)})
    items = getattr(proto.graph, what)
    if what == "output":
        del items[:]
    items.append(helper.make_tensor_value_info(name, kind, shape))
    return proto


FLOAT = TensorProto.FLOAT
CONTRADICTIONS = [
    ("output", "y", FLOAT, ["n", 2, 7, 6], r"output y: declared \(n, 2, 7, 6\), but it is \(batch, 2, 6, 6\)"),
    ("output", "y", FLOAT, ["n", 72], r"output y: declared \(n, 72\), but it is \(batch, 2, 6, 6\)"),
    ("output", "y", TensorProto.INT64, ["n", 2, 6, 6], "output y: declared INT64, but it is FLOAT"),
    ("value_info", "a", FLOAT, ["n", 2, "rows", 5], r"tensor a: declared \(n, 2, rows, 5\), but it is"),
    ("value_info", "a", TensorProto.FLOAT16, ["n", 2, 6, 6], "tensor a: declared FLOAT16, but it is FLOAT"),
    ("input", "w", FLOAT, [2, 3, 3, 5], r"input w: declared \(2, 3, 3, 5\), but it is \(2, 3, 3, 3\)"),
]


@pytest.mark.parametrize(("what", "name", "kind", "shape", "message"), CONTRADICTIONS)
def test_declared_types_and_shapes_that_the_import_contradicts(what, name, kind, shape, message, tmp_path):
    with pytest.raises(InputError, match=rf"model\.onnx: {message}") as caught:
        read_onnx(saved(tmp_path, declared(what, name, kind, shape)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("what", "name", "shape"),
    [
        ("output", "y", ["n", 2, 6, 6]),
        ("output", "y", ["n", "channels", "rows", 6]),
        ("value_info", "a", ["n", 2, 6, "columns"]),
        ("value_info", "a", [1, 2, 6, 6]),  # as tools leave it that only change the batch of the input
        ("input", "w", [2, 3, 3, 3]),
    ],
)
def test_declared_shapes_that_agree_or_leave_sizes_open(what, name, shape, tmp_path):
    check(tmp_path, declared(what, name, FLOAT, shape), IMAGE)


def test_batches_of_input_and_output_agree(tmp_path):
    proto = model([("Relu", ["x"], "y", {})], IMAGE, batch=4)
    proto.graph.output[0].type.tensor_type.shape.dim[0].dim_value = 5
    with pytest.raises(InputError, match=r"output y: declared \(5, 3, 8, 8\), but it is \(4, 3, 8, 8\)"):
        read_onnx(saved(tmp_path, proto))


def test_a_last_window_that_old_definitions_count(tmp_path):
    """ONNX's own inference declares a row that no runtime computes: one whose window starts behind the map."""
    attributes = {"kernel_shape": [2, 2], "strides": [2, 2], "pads": [0, 0, 1, 1], "ceil_mode": 1}
    proto = model([("MaxPool", ["x"], "a", attributes), ("Relu", ["a"], "y", {})], (3, 6, 6), opset=11)
    assert proto.graph.output[0].type.tensor_type.shape.dim[2].dim_value == 4
    check(tmp_path, proto, (3, 6, 6))


def test_names_and_attributes_that_are_there_twice(tmp_path):
    proto = model([("Conv", ["x", "w"], "y", {"pads": [1, 1, 1, 1]})], IMAGE, {"w": real(2, 3, 3, 3)})
    twice = onnx.ModelProto.FromString(proto.SerializeToString())
    twice.graph.initializer.append(numpy_helper.from_array(real(2, 3, 5, 5), "w"))
    with pytest.raises(InputError, match=r"model\.onnx: not a valid ONNX model: w initializer name is not unique"):
        read_onnx(saved(tmp_path, twice))
    twice = onnx.ModelProto.FromString(proto.SerializeToString())
    twice.graph.node[0].attribute.append(helper.make_attribute("pads", [0, 0, 0, 0]))
    with pytest.raises(InputError, match=r"model\.onnx: .* Attribute 'pads' appeared multiple times"):
        read_onnx(saved(tmp_path, twice))
    proto.opset_import.append(helper.make_opsetid("ai.onnx", 11))
    with pytest.raises(InputError, match="expected one version of the operators of ONNX, not 11, 17"):
        read_onnx(saved(tmp_path, proto))


def test_the_size_of_the_batch_is_no_number(tmp_path):
    """It is moved around as a place holder, which must not get into a bound or pick from a table."""
    shape = [("Shape", ["x"], "s", {}), ("Gather", ["s", "zero"], "b", {})]
    bound = [*shape, ("Cast", ["b"], "low", {"to": FLOAT}), ("Clip", ["x", "low"], "y", {})]
    table = [*shape, ("Gather", ["table", "b"], "to", {}), ("Reshape", ["x", "to"], "y", {})]
    small = [*shape, ("Cast", ["b"], "c", {"to": TensorProto.INT16}), ("Reshape", ["x", "c"], "y", {})]
    weights = {"zero": np.array(0), "table": np.array([[0, -1]] * 4)}
    for nodes in (bound, table, small):
        with pytest.raises(InputError, match="it computes with the size of the batch, which may be any"):
            read_onnx(saved(tmp_path, model(nodes, IMAGE, weights)))


def enlarged(scales, coordinates, nearest):
    attributes = {"coordinate_transformation_mode": coordinates, "nearest_mode": nearest}
    return model([("Resize", ["x", "", "s"], "y", attributes)], IMAGE, {"s": np.array(scales, np.float32)})


@pytest.mark.parametrize(
    ("scales", "coordinates", "nearest"),
    [
        ([1, 1, 2.1, 2.1], "asymmetric", "floor"),
        ([1, 1, 2.12, 2.12], "half_pixel", "round_prefer_floor"),
        ([1, 1, 2.0, 2.12], "asymmetric", "floor"),
        ([1, 1, 3.12, 3.12], "half_pixel", "round_prefer_ceil"),
    ],
)
def test_scales_that_are_not_the_sizes_after_by_before(scales, coordinates, nearest, tmp_path):
    """Sizes are those of a whole factor, values are not: taken for that factor, onnxruntime's differ."""
    proto, x = enlarged(scales, coordinates, nearest), real(2, *IMAGE)
    expected, factor = reference(proto, x)[0], int(scales[2])
    repeated = x.repeat(factor, axis=2).repeat(factor, axis=3)
    assert expected.shape == repeated.shape
    assert (expected != repeated).any()
    with pytest.raises(InputError, match=rf"{coordinates} with {nearest} does not repeat every value {factor} times"):
        read_onnx(saved(tmp_path, proto))


@pytest.mark.parametrize("scale", [2.001, 2.03, 2.06])
def test_scales_that_only_repeat_although_they_are_no_whole_numbers(scale, tmp_path):
    check(tmp_path, enlarged([1, 1, scale, scale], "half_pixel", "round_prefer_floor"), IMAGE)


@pytest.mark.parametrize(
    ("scales", "message"),
    [
        ([1, 1.1, 2, 2], "batch and channels must stay as they are"),  # 3 channels by 1.1 are 3, but others
        ([1, 1, np.nan, 2], "scales must be positive numbers, not nan"),
        ([1, 1, 0, 2], "scales must be positive numbers, not 0"),
        ([1, 1, 1000, 1000], "rows and columns times at most 64, not 1000"),
        ([1, 1, 2, 5], "rows and columns times at most 4 where they differ, not 2 and 5"),
        ([1, 1, 2], "a scale or size for each of 4 axes, not 3"),
        ([1, 1, 2, 2, 2], "a scale or size for each of 4 axes, not 5"),
    ],
)
def test_scales_that_are_refused(scales, message, tmp_path):
    attributes = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    proto = model([("Resize", ["x", "", "s"], "y", attributes)], IMAGE, {"s": np.ones(4, np.float32)})
    proto.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.array(scales, np.float32), "s"))
    with pytest.raises(InputError, match=message):
        read_onnx(saved(tmp_path, proto))


@pytest.mark.parametrize("axes", [[2, 2], [2, 7]])
def test_axes_that_are_the_same_or_not_there(axes, tmp_path):
    proto = model([("Resize", ["x", "", "s"], "y", {"axes": [2, 3]})], IMAGE, {"s": np.ones(2, np.float32)}, opset=18)
    proto.graph.node[0].attribute[0].CopyFrom(helper.make_attribute("axes", axes))
    with pytest.raises(InputError, match="axes must be different ones of the 4 that there are"):
        read_onnx(saved(tmp_path, proto))
