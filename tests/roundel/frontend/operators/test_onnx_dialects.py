"""Quantized networks as input: QDQ against onnxruntime, QONNX against its definition written out by hand."""

from decimal import (
    ROUND_CEILING,
    ROUND_DOWN,
    ROUND_FLOOR,
    ROUND_HALF_DOWN,
    ROUND_HALF_EVEN,
    ROUND_HALF_UP,
    ROUND_UP,
    Decimal,
)

import ml_dtypes
import numpy as np
import pytest
from onnx import TensorProto

from roundel.frontend import read_onnx
from roundel.golden.errors import InputError
from roundel.graph import Conv, Dense, HostOperator, Quantize
from tests.support.onnx_models import NEWEST, check, model, reference, saved

IMAGE = (4, 5, 6)
QONNX = "qonnx.custom_op.general"


def pair(x, y, scale, zero=None, **attributes):
    """QuantizeLinear and DequantizeLinear from tensor `x` to `y`."""
    more = [] if zero is None else [zero]
    return [
        ("QuantizeLinear", [x, scale, *more], f"{y}_codes", attributes),
        ("DequantizeLinear", [f"{y}_codes", scale, *more], y, attributes),
    ]


@pytest.mark.parametrize("opset", [11, 13, NEWEST])
@pytest.mark.parametrize("kind", [np.int8, np.uint8, None])
def test_activations_equal_onnxruntime(kind, opset, tmp_path, seed):
    """Exactly, ties and saturation included; without a zero point the integers are uint8."""
    scale, zero = np.float32(0.25), None if kind is None else kind(3)
    constants = {"s": scale} | ({} if zero is None else {"z": zero})
    proto = model(pair("x", "y", "s", None if zero is None else "z"), IMAGE, constants, opset=opset)
    graph = read_onnx(saved(tmp_path, proto))
    assert [type(node) for node in graph.nodes] == [Quantize]
    x = np.random.default_rng(seed).integers(-400, 400, (2, *IMAGE)).astype(np.float32) / 8
    np.testing.assert_array_equal(graph.run(x), reference(proto, x)[0])
    assert len(np.unique(graph.run(x))) > 80


@pytest.mark.parametrize("kind", ["int4", "uint4", "int8", "uint8", "int16", "uint16"])
@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("turned", [True, False])
def test_weights_equal_onnxruntime(kind, per_channel, turned, tmp_path, seed):
    """A matrix product, its weights by outputs or by inputs, any zero points."""
    rng, form = np.random.default_rng(seed), np.dtype(getattr(ml_dtypes, kind, kind))
    low, high = (0, 15) if kind == "uint4" else (-8, 7) if kind == "int4" else (np.iinfo(form).min, np.iinfo(form).max)
    codes = rng.integers(low, high + 1, (7, 4) if turned else (4, 7))
    count = codes.shape[0 if turned else 1] if per_channel else 1
    scale, zero = rng.uniform(0.001, 0.01, count).astype(np.float32), rng.integers(low, high + 1, count)
    if not per_channel:
        scale, zero = scale[0], zero[0]
    constants = {"c": codes.astype(form), "s": scale, "z": np.asarray(zero).astype(form)}
    nodes = [
        ("DequantizeLinear", ["c", "s", "z"], "w", {"axis": 0 if turned else 1}),
        ("Gemm", ["x", "w"], "y", {"transB": int(turned), "alpha": 0.5}),
    ]
    [dense] = check(tmp_path, model(nodes, (4,), constants, opset=NEWEST), (4,)).nodes
    assert isinstance(dense, Dense)
    integers = (codes - (zero[:, None] if turned and per_channel else zero)).T if turned else codes - zero
    np.testing.assert_allclose(dense.weights, integers * dense.step, rtol=1e-6)
    np.testing.assert_allclose(dense.step, scale * 0.5, rtol=1e-6)
    assert -(2 ** (dense.code_width - 1)) <= integers.min()
    assert integers.max() < 2 ** (dense.code_width - 1)
    assert dense.code_width == 2 or max(-integers.min() - 1, integers.max()) >= 2 ** (dense.code_width - 2)


def test_float_weights_between_a_pair_are_quantized_at_once(tmp_path, seed):
    """As tools for training write them: the file keeps the real numbers, and the integers are worked out here."""
    rng = np.random.default_rng(seed)
    weights = (2 * rng.normal(size=(6, 4, 3, 3))).astype(np.float32)
    constants = {"w": weights, "s": rng.uniform(0.01, 0.02, 6).astype(np.float32), "z": np.zeros(6, np.int8)}
    constants |= {"b": rng.integers(-99, 99, 6).astype(np.int32), "t": np.float32(0.125)}
    nodes = [
        *pair("w", "v", "s", "z", axis=0),
        ("DequantizeLinear", ["b", "t"], "c", {}),
        ("Conv", ["x", "v", "c"], "y", {}),
    ]
    [conv] = check(tmp_path, model(nodes, IMAGE, constants), IMAGE).nodes
    assert isinstance(conv, Conv)
    np.testing.assert_array_equal(conv.step, constants["s"])
    np.testing.assert_array_equal(conv.bias, constants["b"] / 8)
    assert conv.code_width == 8
    assert np.abs(weights).max() > 127 * 0.02  # some were clamped


def biased(axis):
    """A convolution whose bias has a scale for each output, with or without an axis."""
    rng = np.random.default_rng(11)
    constants = {"q": rng.integers(-127, 128, (4, 4, 1, 1)).astype(np.int8), "b": rng.integers(-999, 999, 4)}
    constants |= {"s": rng.uniform(0.001, 0.01, 4).astype(np.float32), "t": rng.uniform(0.1, 1, 4).astype(np.float32)}
    constants["b"] = constants["b"].astype(np.int32)
    nodes = [
        ("DequantizeLinear", ["q", "s"], "w", {"axis": 0}),
        ("DequantizeLinear", ["b", "t"], "c", axis),
        ("Conv", ["x", "w", "c"], "y", {}),
    ]
    return model(nodes, IMAGE, constants)


def test_a_bias_with_a_scale_per_channel_needs_no_axis(tmp_path):
    """Its only one is meant; onnxruntime wants it said."""
    graph, x = read_onnx(saved(tmp_path, biased({}))), np.ones((1, *IMAGE), np.float32)
    np.testing.assert_allclose(graph.run(x), reference(biased({"axis": 0}), x)[0], rtol=1e-5)
    check(tmp_path, biased({"axis": -1}), IMAGE)
    with pytest.raises(InputError, match=r"node dequantizelinear_c .*: axis must be -1 to 0, .* shape \(4,\), not 1"):
        read_onnx(saved(tmp_path, biased({"axis": 1})))


def test_scales_of_fewer_axes_belong_to_the_last_ones(tmp_path):
    """As everywhere in ONNX: these are steps of the inputs, though there are as many outputs."""
    constants = {"w": np.ones((4, 4, 1, 1), np.float32), "s": np.full((4, 1, 1), 0.5, np.float32)}
    constants |= {"z": np.float32(0), "n": np.float32(8)}
    nodes = [(f"{QONNX}:Quant", ["w", "s", "z", "n"], "v", {}), ("Conv", ["x", "v"], "y", {})]
    with pytest.raises(InputError, match=r"expected a step per output \(axis 0\), not axis 1"):
        read_onnx(saved(tmp_path, model(nodes, IMAGE, constants, domains=[QONNX])))
    constants["s"] = np.full(3, 0.5, np.float32)
    with pytest.raises(InputError, match=r"scales .* of \(1, 1, 1, 3\) do not fit a constant of \(4, 4, 1, 1\)"):
        read_onnx(saved(tmp_path, model(nodes, IMAGE, constants, domains=[QONNX])))


def test_weights_that_are_turned_keep_their_steps(tmp_path, seed):
    """As torch writes a quantized matrix product."""
    codes = np.random.default_rng(seed).integers(-127, 128, (3, 5)).astype(np.int8)
    constants = {"c": codes, "s": np.array([0.5, 1, 2], np.float32), "z": np.zeros(3, np.int8)}
    nodes = [
        ("DequantizeLinear", ["c", "s", "z"], "v", {"axis": 0}),
        ("Transpose", ["v"], "w", {"perm": [1, 0]}),
        ("MatMul", ["x", "w"], "y", {}),
    ]
    [dense] = check(tmp_path, model(nodes, (5,), constants), (5,)).nodes
    np.testing.assert_array_equal(dense.step, constants["s"])


@pytest.mark.parametrize(("codes", "width"), [([0, 0], 2), ([1, -2], 2), ([2, 0], 3), ([0, -5], 4), ([127, 0], 8)])
def test_width_is_the_least_that_holds_the_integers(codes, width, tmp_path):
    constants = {"c": np.array([codes], np.int8), "s": np.float32(0.5)}
    nodes = [("DequantizeLinear", ["c", "s"], "w", {}), ("MatMul", ["x", "w"], "y", {})]
    [dense] = check(tmp_path, model(nodes, (1,), constants), (1,)).nodes
    assert dense.code_width == width


def test_integers_that_are_read_twice_are_quantized_once(tmp_path):
    first, second = pair("x", "a", "s")
    again = ("DequantizeLinear", ["a_codes", "s"], "b", {})
    nodes = [first, second, again, ("Add", ["a", "b"], "y", {})]
    graph = check(tmp_path, model(nodes, IMAGE, {"s": np.float32(0.1)}), IMAGE)
    assert [node.inputs for node in graph.nodes] == [("x",), ("a", "a")]


def test_types_of_the_newest_versions(tmp_path, seed):
    """An attribute that says what the integers are, and onnxruntime's domain for types that ONNX did not have yet."""
    proto = model(pair("x", "y", "s"), IMAGE, {"s": np.float32(0.5)}, opset=NEWEST)
    for item in proto.graph.node:
        del item.attribute[:]
    proto.graph.node[0].attribute.add(name="output_dtype", type=2, i=TensorProto.INT4)
    [node] = check(tmp_path, proto, IMAGE).nodes
    assert (node.low, node.high) == (-8, 7)
    nodes = [(f"com.microsoft:{operator}", *row) for operator, *row in pair("x", "y", "s", "z")]
    proto = model(nodes, IMAGE, {"s": np.float32(0.001), "z": np.uint16(700)}, opset=13, domains=["com.microsoft"])
    [node] = check(tmp_path, proto, IMAGE).nodes
    assert (node.low, node.high, node.zero_point) == (0, 65535, 700)


def test_integers_may_be_clipped(tmp_path):
    """As widths are written that a version of ONNX does not have: weights of 3 bits, activations of 5."""
    first, last = pair("x", "a", "s", "z")
    constants = {"s": np.float32(0.125), "z": np.int8(-2), "low": np.int8(-16), "high": np.int8(15)}
    constants |= {"c": np.array([[-9, 2, 7]] * 4, np.int8), "least": np.int8(-4), "most": np.int8(3)}
    nodes = [
        first,
        ("Clip", ["a_codes", "low", "high"], "clipped", {}),
        ("DequantizeLinear", ["clipped", *last[1][1:]], "a", {}),
        ("Clip", ["c", "least", "most"], "d", {}),
        ("DequantizeLinear", ["d", "s"], "w", {}),
        ("MatMul", ["a", "w"], "y", {}),
    ]
    quantize, dense = check(tmp_path, model(nodes, (4,), constants), (4,)).nodes
    assert (quantize.low, quantize.high) == (-16, 15)
    assert dense.code_width == 3
    nodes[1] = ("Clip", ["a_codes", "", "high"], "clipped", {})
    quantize = check(tmp_path, model(nodes, (4,), constants), (4,)).nodes[0]
    assert (quantize.low, quantize.high) == (-128, 15)


def test_what_the_host_computes_may_be_quantized_after(tmp_path):
    nodes = [("Sigmoid", ["x"], "a", {}), *pair("a", "y", "s")]
    graph = read_onnx(saved(tmp_path, model(nodes, IMAGE, {"s": np.float32(1 / 255)})))
    assert graph.host == (HostOperator(name="sigmoid_a", operator="Sigmoid", tensor="x"),)


MODES = {
    "ROUND": ROUND_HALF_EVEN,
    "half_even": ROUND_HALF_EVEN,
    "FLOOR": ROUND_FLOOR,
    "CEIL": ROUND_CEILING,
    "ROUND_TO_ZERO": ROUND_DOWN,
    "DOWN": ROUND_DOWN,
    "UP": ROUND_UP,
    "HALF_UP": ROUND_HALF_UP,
    "HALF_DOWN": ROUND_HALF_DOWN,
}


def quant_by_hand(x, scale, zero, bits, signed, narrow, mode):
    """One number through QONNX's Quant, in exact decimal arithmetic."""
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    low, high = (low + (1 if signed else 0), high - (0 if signed else 1)) if narrow else (low, high)
    code = (Decimal(float(x)) / Decimal(float(scale)) + zero).quantize(Decimal(1), MODES[mode])
    return float((min(max(code, low), high) - zero) * Decimal(float(scale)))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("signed", "narrow"), [(1, 1), (1, 0), (0, 1), (0, 0)])
@pytest.mark.parametrize(
    "operator", ["qonnx.custom_op.general:Quant", "onnx.brevitas:Quant", "qonnx.custom_op.general:IntQuant"]
)
def test_qonnx_is_what_it_says(operator, signed, narrow, mode, tmp_path, seed):
    """Activations, and weights with a scale per output and zero points; halves among both."""
    rng, attributes = np.random.default_rng(seed), {"signed": signed, "narrow": narrow, "rounding_mode": mode}
    weights = rng.integers(-30, 30, (3, 4, 1, 1)).astype(np.float32) / 8
    scale, zero = np.array([0.25, 0.5, 1], np.float32).reshape(3, 1, 1, 1), np.float32(1 - signed)
    constants = {"s": np.float32(0.5), "0": np.float32(0), "3": np.float32(3)}
    constants |= {"w": weights, "t": scale, "z": zero, "4": np.array([4], np.float32)}
    nodes = [
        (operator, ["x", "s", "0", "3"], "a", attributes),
        (operator, ["w", "t", "z", "4"], "v", attributes),
        ("Conv", ["a", "v"], "y", {}),
    ]
    proto = model(nodes, IMAGE, constants, domains=[operator.split(":")[0]])
    quantize, conv = read_onnx(saved(tmp_path, proto)).nodes
    x = rng.integers(-20, 20, (1, *IMAGE)).astype(np.float32) / 4
    expected = np.vectorize(lambda value: quant_by_hand(value, 0.5, 0, 3, signed, narrow, mode))(x)
    np.testing.assert_array_equal(quantize.compute(x), expected)
    by_hand = np.vectorize(lambda value, step: quant_by_hand(value, step, int(zero), 4, signed, narrow, mode))
    np.testing.assert_array_equal(conv.weights, by_hand(weights, scale))
    np.testing.assert_array_equal(conv.step, [0.25, 0.5, 1])
    assert conv.code_width <= (4 if signed else 5)
    assert len(np.unique(expected)) > 4


@pytest.mark.parametrize("mode", ["ROUND", "FLOOR", "CEIL", "ROUND_TO_ZERO", "UP", "HALF_UP", "HALF_DOWN"])
@pytest.mark.parametrize(("zero", "signed"), [(1, 0), (4, 0), (2, 1), (3, 1)])
def test_a_zero_point_is_added_before_qonnx_rounds(zero, signed, mode, tmp_path, seed):
    """So that halves go to even integers, zero point included; unsigned ones never turn round at 0."""
    constants = {"s": np.float32(0.5), "z": np.float32(zero), "n": np.float32(4)}
    nodes = [(f"{QONNX}:Quant", ["x", "s", "z", "n"], "y", {"signed": signed, "rounding_mode": mode})]
    path = saved(tmp_path, model(nodes, IMAGE, constants, domains=[QONNX]))
    if signed and mode not in ("ROUND", "FLOOR", "CEIL"):
        with pytest.raises(InputError, match=f"a zero point of {zero} with rounding_mode {mode}, which turns round"):
            read_onnx(path)
        return
    x = np.random.default_rng(seed).integers(-40, 40, (1, *IMAGE)).astype(np.float32) / 8
    by_hand = np.vectorize(lambda value: quant_by_hand(value, 0.5, zero, 4, signed, 0, mode))
    np.testing.assert_array_equal(read_onnx(path).run(x), by_hand(x))


def refused_qdq(scale=0.1, zero=None, again=None, **attributes):
    """A pair with a fault."""
    nodes = pair("x", "y", "s", None if zero is None else "z", **attributes)
    constants = {"s": np.asarray(scale, np.float32)} | ({} if zero is None else {"z": zero})
    if again is not None:  # another scale, and no zero point
        nodes[1] = ("DequantizeLinear", ["y_codes", "t"], "y", {})
        constants["t"] = np.float32(again)
    return nodes, constants


def refused_quant(bits=4.0, zero=0.0, scale=0.5, **attributes):
    """A Quant of an activation with a fault."""
    constants = {"s": np.asarray(scale, np.float32), "z": np.float32(zero), "b": np.float32(bits)}
    return [(f"{QONNX}:Quant", ["x", "s", "z", "b"], "y", attributes)], constants


def refused_weights(scale_axis=1, scales=4):
    """Weights with a step for each input channel."""
    constants = {"w": np.zeros((2, 4, 1, 1), np.int8), "s": np.full(scales, 0.5, np.float32)}
    constants["z"] = np.zeros(scales, np.int8)
    return [("DequantizeLinear", ["w", "s", "z"], "v", {"axis": scale_axis}), ("Conv", ["x", "v"], "y", {})], constants


REFUSED = {
    "scale per channel": (refused_qdq(scale=[0.1] * 4, zero=np.zeros(4, np.int8)), "scale or zero point per channel"),
    "scale of 0": (refused_qdq(scale=0.0), "scales must be positive"),
    "another scale": (refused_qdq(again=0.2), "must be those of quantizelinear_y_codes, 0.1 and 0"),
    "another zero point": (refused_qdq(zero=np.uint8(1), again=np.float32(0.1)), "must be those of .*, 0.1 and 1"),
    "floating point": (refused_qdq(zero=np.zeros((), ml_dtypes.float8_e4m3fn)), "only integers .*, not float8"),
    "another number of scales": (refused_weights(scales=3), r"or 4 along axis 1, not \(3,\)"),
    "step per input": (refused_weights(), r"expected a step per output \(axis 0\), not axis 1"),
    "bits": (refused_quant(bits=3.5), "bitwidth must be a whole number of 2 to 32 bits, not 3.5"),
    "one bit": (refused_quant(bits=1), "bitwidth must be a whole number of 2 to 32 bits, not 1.0"),
    "zero point": (refused_quant(zero=1.5), "zeropt must be whole numbers"),
    "zero point to turn round at": (refused_quant(zero=1, rounding_mode="DOWN"), "of 1 with .* turns round"),
    "rounding": (refused_quant(rounding_mode="RANDOM"), "rounding_mode must be ROUND, .*, not RANDOM"),
    "scales": (refused_quant(scale=np.full((1, 4, 1, 1), 0.5)), "scale or zero point per channel is not supported"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name, tmp_path):
    (nodes, constants), message = REFUSED[name]
    path = saved(tmp_path, model(nodes, IMAGE, constants, opset=19, domains=[QONNX]))
    with pytest.raises(InputError, match=message) as caught:
        read_onnx(path)
    assert str(caught.value).startswith(f"{path}: node ")
    assert "\n" not in str(caught.value)


def test_integers_are_read_by_dequantizers_only(tmp_path):
    proto = model([("QuantizeLinear", ["x", "s"], "y", {})], IMAGE, {"s": np.float32(0.5)})
    with pytest.raises(InputError, match="output y holds integers: expected DequantizeLinear before it"):
        read_onnx(saved(tmp_path, proto))
    nodes = [("QuantizeLinear", ["x", "s"], "a", {}), ("Flatten", ["a"], "y", {})]
    with pytest.raises(InputError, match=r"node flatten_y \(Flatten\): input a holds integers"):
        read_onnx(saved(tmp_path, model(nodes, IMAGE, {"s": np.float32(0.5)})))


def test_blocks_of_weights_are_refused(tmp_path):
    constants = {"c": np.zeros((4, 6), np.int8), "s": np.full((2, 6), 0.5, np.float32)}
    nodes = [("DequantizeLinear", ["c", "s"], "w", {"axis": 0, "block_size": 2}), ("MatMul", ["x", "w"], "y", {})]
    with pytest.raises(InputError, match="block_size must be 0, not 2"):
        read_onnx(saved(tmp_path, model(nodes, (4,), constants, opset=NEWEST)))
