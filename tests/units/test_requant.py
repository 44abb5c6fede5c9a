"""Requantizers: golden against outside definitions, then RTL against golden.

Where each rounding of docs/requantizers.md is tested: floor (NE16) `test_ne16`, half up (ITA) `test_ita`, half away
from zero (NVDLA) `test_nvdla`, half to even (Gemmini) `test_gemmini`, double rounding (TFLite) `test_gemmlowp_*`.
"""

import math
from fractions import Fraction

import numpy as np
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from roundel.golden.requant import RequantParams, Scheme, nearest_boundaries
from roundel.golden.rounding import limits
from roundel.sim.verify import Case
from tests.golden.test_rounding import exact
from tests.support.rtl import check, rtl_cases

INT32 = st.integers(*limits(32, True))
CORNERS32 = [-(2**31), -(2**31) + 1, -(2**30), -1, 0, 1, 2**30, 2**31 - 1]


def clamp(value: int, low: int, high: int) -> int:
    return max(low, min(high, value))


# Shift family ---------------------------------------------------------------------------------------------------------


@given(
    acc=st.integers(*limits(48, True)),
    shift=st.integers(0, 63),
    out_width=st.integers(2, 16),
    out_signed=st.booleans(),
    relu=st.booleans(),
    rounding=st.sampled_from(["floor", "half_up", "half_away", "half_even"]),
)
def test_shift_against_fractions(acc, shift, out_width, out_signed, relu, rounding):
    common = {"acc_width": 48, "out_width": out_width, "out_signed": out_signed, "relu": relu, "rounding": rounding}
    params = RequantParams(scheme="shift", **common)
    low, high = limits(out_width, out_signed)
    expected = clamp(exact(acc, shift, params.rounding), 0 if relu else low, high)
    assert params.compute(acc, {"shift": shift}) == expected
    assert RequantParams(scheme="shift_const", shift=shift, **common).compute(acc) == expected


@given(acc=INT32, shift=st.integers(0, 31))
def test_ne16(acc, shift):
    """NE16 shifts arithmetically and clips to unsigned 8 bits."""
    params = RequantParams(rounding="floor", out_signed=False)
    assert params.compute(acc, {"shift": shift}) == clamp(acc // 2**shift, 0, 255)


@given(acc=INT32, shift=st.integers(0, 31))
def test_nvdla(acc, shift):
    """NVDLA rounds the magnitude: add half, truncate, put the sign back; then saturate."""
    size = (abs(acc) + (2**shift >> 1)) // 2**shift
    params = RequantParams(rounding="half_away")
    assert params.compute(acc, {"shift": shift}) == clamp(size if acc >= 0 else -size, -128, 127)


@given(acc=INT32, shift=st.integers(0, 31))
def test_gemmini(acc, shift):
    """Gemmini: add 1 when the bit shifted out last is set and a lower one is or the result is odd."""
    point_five = (acc >> (shift - 1)) & 1 if shift else 0
    zeros = (acc & (2 ** (shift - 1) - 1)) != 0 if shift > 1 else False
    rounded = (acc >> shift) + (point_five & (zeros | ((acc >> shift) & 1)))
    assert RequantParams(rounding="half_even").compute(acc, {"shift": shift}) == clamp(rounded, -128, 127)


@given(acc=st.integers(*limits(26, True)), multiplier=st.integers(0, 255), shift=st.integers(1, 33))
def test_ita(acc, multiplier, shift):
    """ITA: an 8-bit multiplier, a shift, half up by the bit shifted out last, an offset, saturation."""
    product = acc * multiplier
    rounded = (product >> shift) + ((product >> (shift - 1)) & 1)
    params = RequantParams(scheme="fixed8", acc_width=26)
    runtime = {"multiplier": multiplier, "shift": shift, "zero_point": 5}
    assert params.compute(acc, runtime) == clamp(rounded + 5, -128, 127)


@given(
    acc=st.integers(*limits(48, True)),
    multiplier=st.integers(0, 65535),
    shift=st.integers(0, 63),
    zero_point=st.integers(-128, 127),
    relu=st.booleans(),
    rounding=st.sampled_from(["floor", "half_up", "half_away", "half_even"]),
)
def test_fixed16_against_fractions(acc, multiplier, shift, zero_point, relu, rounding):
    params = RequantParams(scheme="fixed16", acc_width=48, relu=relu, rounding=rounding)
    expected = exact(acc * multiplier, shift, params.rounding) + zero_point
    runtime = {"multiplier": multiplier, "shift": shift, "zero_point": zero_point}
    assert params.compute(acc, runtime) == clamp(expected, zero_point if relu else -128, 127)


# gemmlowp -------------------------------------------------------------------------------------------------------------


def doubling_high_mul(a: int, b: int) -> int:
    """SaturatingRoundingDoublingHighMul in unbounded integers: nudge by sign, divide towards zero, as gemmlowp does."""
    if a == b == -(2**31):
        return 2**31 - 1
    product = a * b
    nudged = product + (2**30 if product >= 0 else 1 - 2**30)
    return int(math.copysign(1, nudged)) * (abs(nudged) // 2**31)


def divide_by_pot(x: int, exponent: int) -> int:
    """RoundingDivideByPOT in unbounded integers: threshold on the remainder, raised by one for negative numbers."""
    mask = 2**exponent - 1
    threshold = (mask >> 1) + (1 if x < 0 else 0)
    return (x >> exponent) + (1 if (x & mask) > threshold else 0)


def gemmlowp(acc: int, multiplier: int, exponent: int, zero_point: int) -> int:
    return clamp(divide_by_pot(doubling_high_mul(acc, multiplier), exponent) + zero_point, -32768, 32767)


FIXED32 = RequantParams(scheme="fixed32", out_width=16)


@given(acc=INT32, multiplier=INT32, exponent=st.integers(0, 31), zero_point=st.integers(-32768, 32767))
def test_gemmlowp_against_unbounded_integers(acc, multiplier, exponent, zero_point):
    runtime = {"multiplier": multiplier, "shift": exponent, "zero_point": zero_point}
    assert FIXED32.compute(acc, runtime) == gemmlowp(acc, multiplier, exponent, zero_point)


@pytest.mark.parametrize("acc", CORNERS32)
@pytest.mark.parametrize("multiplier", CORNERS32)
@pytest.mark.parametrize("exponent", [0, 1, 16, 30, 31])
def test_gemmlowp_corners(acc, multiplier, exponent):
    runtime = {"multiplier": multiplier, "shift": exponent, "zero_point": 0}
    assert FIXED32.compute(acc, runtime) == gemmlowp(acc, multiplier, exponent, 0)


@pytest.mark.parametrize(
    ("acc", "multiplier", "exponent", "expected"),
    [
        # Published: both operands most negative saturate to 2**31 - 1; / 2**16 rounds up to 2**15, clamped to 16 bits.
        (-(2**31), -(2**31), 16, 2**15 - 1),
        (-(2**31), -(2**31), 17, 2**14),
        # First step, ties go up: 1 * 0.5 = 0.5 -> 1, -1 * 0.5 = -0.5 -> 0, -3 * 0.5 = -1.5 -> -1.
        (1, 2**30, 0, 1),
        (-1, 2**30, 0, 0),
        (-3, 2**30, 0, -1),
        # Second step, ties go away from zero: 12 * 0.5 / 4 = 1.5 -> 2, -12 * 0.5 / 4 = -1.5 -> -2.
        (12, 2**30, 2, 2),
        (-12, 2**30, 2, -2),
        # Both steps round: 5 * 0.5 = 2.5 -> 3 -> 1.5 -> 2, where one rounding of 1.25 would give 1.
        (5, 2**30, 1, 2),
    ],
)
def test_gemmlowp_ties(acc, multiplier, exponent, expected):
    runtime = {"multiplier": multiplier, "shift": exponent, "zero_point": 0}
    assert FIXED32.compute(acc, runtime) == expected


# onnxruntime ----------------------------------------------------------------------------------------------------------


def run_onnx(
    node: str, types: list[tuple[str, int, list[int]]], feeds: dict[str, np.ndarray], **attributes
) -> np.ndarray:
    names = [name for name, _, _ in types]
    graph = helper.make_graph(
        [helper.make_node(node, names, ["y"], **attributes)],
        "g",
        [helper.make_tensor_value_info(name, kind, shape) for name, kind, shape in types],
        [helper.make_tensor_value_info("y", TensorProto.UINT8, None)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, feeds)[0]


def quantized(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.integers(0, 256, shape).astype(np.uint8)


def scales(rng: np.random.Generator, magnitude: float) -> tuple[np.float32, np.float32, np.float32, np.int64]:
    """Scales of both operands and of the result, and the bits of the one scale they make in binary32."""
    a, b, y = (np.float32(rng.uniform(0.01, 0.1)), np.float32(rng.uniform(0.01, 0.1)), np.float32(magnitude))
    return a, b, y, np.int64((a * b / y).view(np.uint32))


U8, F32 = TensorProto.UINT8, TensorProto.FLOAT


@pytest.mark.parametrize("magnitude", [0.1, 1.0, 5.0, 20.0])
def test_float32_against_qlinearmatmul(magnitude, seed):
    rng = np.random.default_rng([seed, int(magnitude * 1000)])
    a, b = quantized(rng, (64, 300)), quantized(rng, (300, 48))
    a_scale, b_scale, y_scale, bits = scales(rng, magnitude)
    feeds = {"a": a, "as": a_scale, "az": np.uint8(7), "b": b, "bs": b_scale, "bz": np.uint8(131), "ys": y_scale}
    feeds = {name: np.asarray(value) for name, value in (feeds | {"yz": np.uint8(100)}).items()}
    types = [("a", U8, [64, 300]), ("as", F32, []), ("az", U8, []), ("b", U8, [300, 48]), ("bs", F32, [])]
    types += [("bz", U8, []), ("ys", F32, []), ("yz", U8, [])]
    expected = run_onnx("QLinearMatMul", types, feeds)
    acc = (a.astype(np.int64) - 7) @ (b.astype(np.int64) - 131)
    params = RequantParams(scheme="float32", out_signed=False)
    assert np.array_equal(params.compute(acc, {"scale": bits, "zero_point": 100}), expected)
    assert len(np.unique(expected)) > 2


@pytest.mark.parametrize("magnitude", [0.01, 0.3])
def test_float32_per_channel_against_qlinearconv(magnitude, seed):
    rng = np.random.default_rng([seed, int(magnitude * 1000)])
    x, w = quantized(rng, (1, 20, 12, 12)), quantized(rng, (10, 20, 1, 1)).astype(np.int16) - 128
    w = w.astype(np.int8) // 2  # 7 bits: some x86 kernels saturate pairs of full 8-bit products
    w_scale = rng.uniform(0.01, 0.1, 10).astype(np.float32)
    x_scale, y_scale = np.float32(0.037), np.float32(magnitude)
    bias = rng.integers(-5000, 5000, 10).astype(np.int32)
    feeds = {"x": x, "xs": x_scale, "xz": np.uint8(9), "w": w, "ws": w_scale, "wz": np.zeros(10, np.int8)}
    feeds = {
        name: np.asarray(value) for name, value in (feeds | {"ys": y_scale, "yz": np.uint8(128), "b": bias}).items()
    }
    types = [("x", U8, [1, 20, 12, 12]), ("xs", F32, []), ("xz", U8, []), ("w", TensorProto.INT8, [10, 20, 1, 1])]
    types += [("ws", F32, [10]), ("wz", TensorProto.INT8, [10]), ("ys", F32, []), ("yz", U8, [])]
    expected = run_onnx("QLinearConv", [*types, ("b", TensorProto.INT32, [10])], feeds)
    acc = np.einsum("ncij,oc->nijo", x.astype(np.int64) - 9, w[:, :, 0, 0].astype(np.int64)) + bias
    bits = (x_scale * w_scale / y_scale).view(np.uint32)
    result = RequantParams(scheme="float32", out_signed=False).compute(acc, {"scale": bits, "zero_point": 128})
    assert np.array_equal(result.transpose(0, 3, 1, 2), expected)
    assert len(np.unique(expected)) > 2


def nearest_binary32(value: Fraction) -> Fraction:
    """The binary32 nearest to a number that is neither subnormal nor infinite, ties to even."""
    if value == 0:
        return Fraction(0)
    exponent = math.floor(math.log2(abs(value)))
    while Fraction(2) ** exponent > abs(value):
        exponent -= 1
    while Fraction(2) ** (exponent + 1) <= abs(value):
        exponent += 1
    unit = Fraction(2) ** (exponent - 23)
    return round(value / unit) * unit


@given(acc=st.integers(*limits(48, True)), scale=st.floats(2.0**-60, 2.0**20, width=32), negative=st.booleans())
def test_float32_against_fractions(acc, scale, negative):
    factor = np.float32(-scale if negative else scale)
    product = nearest_binary32(nearest_binary32(Fraction(acc)) * Fraction(float(factor)))
    params = RequantParams(scheme="float32", acc_width=48, out_width=16)
    runtime = {"scale": int(factor.view(np.uint32)), "zero_point": -3}
    assert params.compute(acc, runtime) == clamp(round(product) - 3, -32768, 32767)


# Tables ---------------------------------------------------------------------------------------------------------------


@given(acc=st.integers(-1000, 1000), levels=st.lists(st.integers(-900, 900), min_size=16, max_size=16, unique=True))
def test_codebook_picks_the_nearest_level(acc, levels):
    levels = sorted(levels)
    params = RequantParams(scheme="codebook", out_width=16)
    runtime = {"boundaries": nearest_boundaries(np.array(levels)), "levels": levels}
    nearest = min(range(16), key=lambda index: (abs(acc - levels[index]), index))
    assert params.compute_index(acc, runtime) == nearest
    assert params.compute(acc, runtime) == levels[nearest]


@given(acc=st.integers(-100, 100), thresholds=st.lists(st.integers(-90, 90), min_size=15, max_size=15))
def test_threshold_counts(acc, thresholds):
    runtime = {"thresholds": sorted(thresholds)}
    count = sum(threshold <= acc for threshold in thresholds)
    assert RequantParams(scheme="threshold", out_width=4, out_signed=False).compute(acc, runtime) == count
    assert RequantParams(scheme="threshold", out_width=4).compute(acc, runtime) == count - 8


# Parameters -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"scheme": "magic"}, "scheme must be one of shift_const, shift, fixed8, .* not 'magic'"),
        ({"acc_width": 15}, "acc_width must be 16 to 48, not 15"),
        ({"acc_width": 49}, "acc_width must be 16 to 48, not 49"),
        ({"out_width": 1}, "out_width must be 2 to 16, not 1"),
        ({"out_width": 17}, "out_width must be 2 to 16, not 17"),
        ({"scheme": "threshold", "out_width": 9}, "out_width must be 2 to 8, not 9"),
        ({"scheme": "shift_const"}, "scheme shift_const needs shift"),
        ({"shift": 3}, "shift can only be set for scheme shift_const, not shift"),
        ({"scheme": "shift_const", "shift": 64}, "shift must be 0 to 63, not 64"),
        ({"scheme": "fixed32", "rounding": "floor"}, "rounding cannot be set for scheme fixed32"),
        ({"rounding": "up"}, "rounding must be one of floor, half_up, half_away, half_even, not 'up'"),
        ({"scheme": "codebook", "relu": True}, "relu cannot be set for scheme codebook"),
        ({"pipeline": True}, "pipeline cannot be set for scheme shift"),
        ({"index_width": 3}, "index_width can only be set for scheme codebook, not shift"),
    ],
)
def test_bad_parameters(keywords, message):
    with pytest.raises(ValueError, match=message):
        RequantParams(**keywords)


@pytest.mark.parametrize("keywords", [{"acc_width": 32.0}, {"relu": 1}, {"out_width": True}])
def test_parameters_of_the_wrong_kind(keywords):
    with pytest.raises(TypeError, match="must be"):
        RequantParams(**keywords)


@pytest.mark.parametrize(
    ("scheme", "runtime", "error", "message"),
    [
        ("shift", {}, TypeError, r"takes \['shift'\], not \[\]"),
        ("shift", {"shift": 32}, ValueError, "shift must be 0 to 31, not 32"),
        ("fixed8", {"multiplier": [-1, 5], "shift": 0, "zero_point": 0}, ValueError, "0 to 255, not -1 to 5"),
        ("fixed32", {"multiplier": 1, "shift": 32, "zero_point": 0}, ValueError, "shift must be 0 to 31, not 32"),
        ("fixed8", {"multiplier": 256, "shift": 0, "zero_point": 0}, ValueError, "multiplier must be 0 to 255"),
        ("float32", {"scale": 0x7F800000, "zero_point": 0}, ValueError, "finite"),
        ("threshold", {"thresholds": [3, 2, 1]}, ValueError, "ascend"),
        ("threshold", {"thresholds": [1, 2]}, ValueError, "axis of 3"),
    ],
)
def test_bad_runtime_parameters(scheme, runtime, error, message):
    params = RequantParams(scheme=scheme, out_width=2 if scheme == "threshold" else 8)
    with pytest.raises(error, match=message):
        params.compute(0, runtime)


def test_accumulator_beyond_its_width():
    with pytest.raises(ValueError, match="accumulators must have 16 bits, not be 0 to 32768"):
        RequantParams(acc_width=16).compute([0, 32768], {"shift": 0})


def test_parameters_per_channel_broadcast():
    acc = np.array([[1000, 1000, 1000], [-8, -8, -8]])
    assert RequantParams().compute(acc, {"shift": [3, 4, 20]}).tolist() == [[125, 63, 0], [-1, 0, 0]]


@pytest.mark.parametrize("scheme", Scheme)
def test_round_trip_through_plain_values(scheme):
    params = RequantParams(scheme=scheme, shift=3 if scheme is Scheme.SHIFT_CONST else None)
    assert RequantParams(**params.as_dict()) == params


# RTL ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", rtl_cases("requant"))
def test_rtl_equals_golden(case: Case, seed: int):
    check(case, seed)
