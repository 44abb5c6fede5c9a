"""Layers whose scales are no powers of two: against onnxruntime's QLinear operators and exact rational arithmetic."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto

from roundel.golden.formats import Format
from roundel.golden.network import Add, AveragePool, Concat, Requantized, Weighted, Window, steps, total_format
from roundel.golden.requant import Scheme
from roundel.golden.rounding import Rounding
from tests.golden.network.test_layers import channels_last, onnx, rounded
from tests.support.random_network import random_network
from tests.units.test_requant import gemmlowp

BIAS = Format(width=32, signed=True, fraction=0)
ROUNDINGS = {Scheme.FIXED32: Rounding.HALF_AWAY, Scheme.FLOAT32: Rounding.HALF_EVEN}
SCHEMES = [Scheme.FIXED8, Scheme.FIXED16, Scheme.FIXED32, Scheme.FLOAT32]


def scaled(scale, zero=0, signed=False):
    return Format.of_scale(width=8, signed=signed, scale=float(np.float32(scale)), zero=zero)


def how(scheme):
    """A requantizer and the rounding that goes with it."""
    return {"requant": scheme, "rounding": ROUNDINGS.get(scheme, Rounding.HALF_UP)}


def exact_scale(form):
    return Fraction(form.mantissa) / Fraction(2) ** form.fraction


def convolution(rng, scheme=Scheme.FLOAT32, *, x=None, scales=None, **changes):
    """A random scaled 3 x 3 convolution of 4 channels to 6 outputs, with a scale for each output's weights."""
    scales = rng.uniform(0.002, 0.01, 6).astype(np.float32) if scales is None else scales
    forms = [scaled(scale) for scale in scales]
    parameters = {
        "name": "conv",
        "sources": ("x",),
        "output": scaled(0.031, 17),
        "x": x or scaled(0.0213, 119),
        "w": Format(width=8, signed=True, fraction=0),
        "b": BIAS,
        "weights": rng.integers(-64, 64, (36, 6)),
        "bias": rng.integers(-20000, 20000, 6),
        "window": Window(kernel=(3, 3), pad=(1, 1, 1, 1)),
        "w_fractions": tuple(form.fraction for form in forms),
        "w_mantissas": tuple(form.mantissa for form in forms),
    }
    return Weighted(**parameters | how(scheme) | changes)


def test_float32_equals_onnxruntime():
    """QLinearConv: scales by channel, zero points of input and output, padding by the zero point, all bits."""
    rng = np.random.default_rng(1)
    layer = convolution(rng)
    x = rng.integers(0, 256, (2, 4, 6, 7)).astype(np.uint8)
    w = layer.weights.reshape(3, 3, 4, 6).transpose(3, 2, 0, 1).astype(np.int8)
    scales = np.ldexp(layer.weight_mantissas, -layer.weight_fractions).astype(np.float32)
    given = [x, np.array(layer.x.scale, np.float32), np.array(119, np.uint8), w, scales, np.zeros(6, np.int8)]
    given += [np.array(layer.output.scale, np.float32), np.array(17, np.uint8), layer.bias.astype(np.int32)]
    expected = onnx("QLinearConv", *given, output=TensorProto.UINT8, pads=[1, 1, 1, 1])
    result = layer.compute(channels_last(x)).outputs
    assert np.array_equal(result, channels_last(expected))
    assert len(np.unique(result)) > 100


def test_fixed32_is_tflite():
    """The multiplier by QuantizeMultiplier in exact arithmetic, the product by gemmlowp in unbounded integers."""
    rng = np.random.default_rng(2)
    layer = convolution(rng, Scheme.FIXED32, output=scaled(0.031, -7, signed=True))
    step = layer.compute(rng.integers(0, 256, (1, 4, 4, 4)))
    factors = [layer.x.mantissa * mantissa / layer.output.mantissa for mantissa in layer.w_mantissas]
    for j, (factor, fraction) in enumerate(zip(factors, layer.w_fractions, strict=True)):
        real = Fraction(factor) * Fraction(2) ** (layer.output.fraction - layer.x.fraction - fraction)
        exponent = 0
        while real < Fraction(1, 2):
            real, exponent = 2 * real, exponent + 1
        multiplier = int(real * 2**31 + Fraction(1, 2))
        expected = [gemmlowp(int(acc), multiplier, exponent, -7) for acc in step.accumulators[:, j]]
        assert step.outputs.reshape(-1, 6)[:, j].tolist() == np.clip(expected, -128, 127).tolist()


@given(seed=st.integers(0, 10**6), scheme=st.sampled_from(SCHEMES), leak=st.integers(0, 3))
def test_outputs_are_near_the_real_ones(seed, scheme, leak):
    """Half a unit, and what the multiplier's rounding moves an output of at most 255 units by."""
    rng = np.random.default_rng(seed)
    layer = convolution(rng, scheme, leak=leak, bounds=(3, 250))
    x = rng.integers(0, 256, (1, 3, 3, 4))
    step = layer.compute(x)
    slack = Fraction(1, 2) + 255 * {Scheme.FIXED8: Fraction(1, 2**8)}.get(scheme, Fraction(1, 2**15))
    for n, j in np.ndindex(9, 6):
        weight = Fraction(layer.w_mantissas[j]) / Fraction(2) ** layer.w_fractions[j]
        real = int(step.accumulators[n, j]) * exact_scale(layer.x) * weight / exact_scale(layer.output)
        units = real / 2**leak if real < 0 else real
        inside = min(max(units + 17, 3), 250)
        assert abs(step.outputs.reshape(-1, 6)[n, j] - inside) <= slack


def test_accumulators_are_sums_over_real_zeros():
    """With the zero point folded into the bias, raw inputs times weights give the accumulators, padding included."""
    rng = np.random.default_rng(3)
    layer = convolution(rng)
    x = rng.integers(0, 256, (1, 5, 5, 4))
    step = layer.compute(x)
    sums = onnx("ConvInteger", x.transpose(0, 3, 1, 2).astype(np.uint8),
                layer.weights.reshape(3, 3, 4, 6).transpose(3, 2, 0, 1).astype(np.int8), np.array(119, np.uint8),
                output=TensorProto.INT32, pads=[1, 1, 1, 1])  # fmt: skip
    assert np.array_equal(step.accumulators, channels_last(sums).reshape(-1, 6) + layer.bias)
    assert np.array_equal(step.accumulators, step.columns @ layer.weights + layer.aligned_bias)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_powers_of_two_are_exact_in_every_scheme(scheme):
    """All schemes differ by their ties alone; `fixed32` halves, ties up, before it divides by the rest, ties away."""
    rng = np.random.default_rng(4)
    plain = Format(width=8, signed=True, fraction=5)
    forms = {"x": plain, "output": plain, "w_fractions": (7,) * 6, "w_mantissas": None}
    layer = convolution(rng, scheme, **forms)
    step = layer.compute(rng.integers(-128, 128, (1, 5, 5, 4)))
    real = step.accumulators / 2.0**7
    halved = np.floor(step.accumulators / 2 + 0.5) / 2.0**6
    nearest = {Scheme.FIXED32: np.trunc(halved + np.copysign(0.5, halved)), Scheme.FLOAT32: np.rint(real)}
    expected = nearest.get(scheme, np.floor(real + 0.5))
    assert np.array_equal(step.outputs.reshape(-1, 6), np.clip(expected, -128, 127))


@pytest.mark.parametrize("rounding", Rounding)
@pytest.mark.parametrize("scheme", [Scheme.FIXED8, Scheme.FIXED16])
def test_factors_beyond_the_field_round_as_they_should(scheme, rounding):
    """A channel whose weights hardly count: 0, or below it where rounding goes down."""
    rng = np.random.default_rng(5)
    scales = np.array([2.0**-90, 1.7 * 2.0**-40, 1, 1, 1, 1], np.float32) * 0.004
    changes = {"rounding": rounding, "output": scaled(0.031, 100), "bias": np.zeros(6, np.int64)}
    layer = convolution(rng, scheme, scales=scales, **changes)
    step = layer.compute(rng.integers(0, 256, (1, 5, 5, 4)))
    for j in (0, 1):
        down = (step.accumulators[:, j] < 0) & (rounding is Rounding.FLOOR)
        assert step.outputs.reshape(-1, 6)[:, j].tolist() == (100 - down).tolist()
        assert (step.accumulators[:, j] < 0).any()


@given(
    seed=st.integers(0, 10**6),
    exponent=st.integers(-40, 0),
    scheme=st.sampled_from([Scheme.FIXED8, Scheme.FIXED16]),
    rounding=st.sampled_from(Rounding),
)
def test_narrow_accumulators_with_any_factor(seed, exponent, scheme, rounding):
    """16 bits, where the shift's field ends at 31: the definition in exact arithmetic, however small the factor."""
    rng = np.random.default_rng(seed)
    x = Format(width=8, signed=False, fraction=0)
    layer = Weighted(
        name="dense", sources=("x",), output=scaled(2.0**-exponent * rng.uniform(0.5, 2), -3, signed=True),
        x=x, w=Format(width=8, signed=True, fraction=0), b=BIAS, requant=scheme, rounding=rounding,
        weights=np.array([[-128, -1, 127]]), bias=np.zeros(3, np.int64),
    )  # fmt: skip
    assert layer.requantizer.acc_width == 16
    values = rng.integers(0, 256, (20, 1))
    bits = scheme.multiplier_width
    factor = Fraction(1 / layer.output.mantissa)  # in binary64, as the definition has it
    scale = Fraction(int(factor * 2**bits + Fraction(1, 2)), 2**bits) * Fraction(2) ** layer.output.fraction
    for value, outputs in zip(values, layer.compute(values).outputs, strict=True):
        exact = [int(value[0]) * weight * scale for weight in (-128, -1, 127)]
        assert outputs.tolist() == [min(max(rounded(number, rounding) - 3, -128), 127) for number in exact]


@pytest.mark.parametrize("scheme", [Scheme.FIXED8, Scheme.FIXED16])
def test_a_multiplier_that_rounds_up_to_a_power_of_two(scheme):
    """A factor just below 1 becomes 1, whose multiplier has its top bit set."""
    output = Format(width=8, signed=True, fraction=7, mantissa=1 + 2.0**-30)
    rng = np.random.default_rng(11)
    plain = Format(width=8, signed=False, fraction=0)
    layer = convolution(rng, scheme, x=plain, output=output, w_fractions=(7,) * 6, w_mantissas=None)
    assert layer.runtime()["multiplier"].tolist() == [2 ** (scheme.multiplier_width - 1)] * 6
    step = layer.compute(rng.integers(0, 2, (1, 4, 4, 4)))
    assert np.array_equal(step.outputs.reshape(-1, 6), np.clip(step.accumulators, -128, 127))


def test_binary32_factors_are_onnxruntimes():
    """Scales multiplied and divided in binary32, from left to right, as QLinearConv has them."""
    rng = np.random.default_rng(10)
    scales = rng.uniform(0.001, 0.1, 6).astype(np.float32)
    for _ in range(50):
        x, output = (scaled(scale) for scale in rng.uniform(0.001, 1, 2))
        layer = convolution(rng, x=x, output=output, scales=scales)
        expected = np.float32(x.scale) * scales / np.float32(output.scale)
        assert layer.runtime()["scale"].tolist() == expected.view(np.uint32).tolist()


def total_of(x, y, output, scheme, **fields):
    """A sum in the unit that `total_format` chooses."""
    total = total_format(x, y, output, scheme)
    return Add(name="add", sources=("x", "y"), output=output, x=x, y=y, total=total, **fields, **how(scheme))


def test_how_much_coarser_an_operand_may_be():
    """`fixed32` multiplies by less than 1: the coarser operand counts at most 8191 units."""

    def add(scale):
        x, output = scaled(scale), scaled(1.0)
        return total_of(x, output, output, Scheme.FIXED32)

    assert add(8100.0).compute(np.array([[1]]), np.array([[0]])).outputs.item() == 255
    with pytest.raises(ValueError, match=r"add: fixed32 multiplies by less than 2\*\*0"):
        add(8192.0)


def test_factors_too_small_for_fixed32_give_the_zero_point():
    rng = np.random.default_rng(6)
    scales = np.array([2.0**-90, 1, 1, 1, 1, 1], np.float32) * 0.004
    step = convolution(rng, Scheme.FIXED32, scales=scales).compute(rng.integers(0, 256, (1, 5, 5, 4)))
    assert (step.outputs[..., 0] == 17).all()


@given(
    seed=st.integers(0, 10**6),
    scheme=st.sampled_from(SCHEMES),
    scales=st.tuples(*[st.floats(0.3, 3)] * 3),
    leak=st.integers(0, 2),
)
def test_add_is_near_the_real_sum(seed, scheme, scales, leak):
    """Half a unit, and 1/64 of one that multipliers of 14 bits and the requantizer's own rounding may move it by.

    Those of a requantizer of 8 bits move a sum by 1/64 where there is a unit that suits, and else hardly more.
    """
    rng = np.random.default_rng(seed)
    zeros = rng.integers(0, 256, 3).tolist()
    x, y, output = (scaled(scale, zero) for scale, zero in zip(scales, zeros, strict=True))
    layer = total_of(x, y, output, scheme, leak=leak)
    assert max(layer.multipliers) < 1 << 13
    a, b = rng.integers(0, 256, (2, 1, 4, 4, 3))
    outputs = layer.compute(a, b).outputs
    slack = Fraction(1, 2) + Fraction(1, 64)
    for one, other, result in zip(a.ravel().tolist(), b.ravel().tolist(), outputs.ravel().tolist(), strict=True):
        real = (one - x.zero) * exact_scale(x) + (other - y.zero) * exact_scale(y)
        units = real / exact_scale(output) / (2**leak if real < 0 else 1)
        assert abs(result - min(max(units + output.zero, 0), 255)) <= slack


@pytest.mark.parametrize("scheme", SCHEMES)
def test_sums_of_powers_of_two_are_exact(scheme, seed):
    """Scales that are powers of two apart, as they are behind shifts: one rounding, and nothing before it."""
    rng = np.random.default_rng(seed)
    for _ in range(20):
        ups, zeros = rng.integers(0, 6, 2), rng.integers(0, 256, 3).tolist()
        x, y = (scaled(2.0 ** -int(up), zero) for up, zero in zip(ups, zeros, strict=False))
        layer = total_of(x, y, scaled(1.0, zeros[2]), scheme)
        a, b = rng.integers(0, 256, (2, 1, 30, 2))
        sums = (a - x.zero) * Fraction(1, 2 ** int(ups[0])) + (b - y.zero) * Fraction(1, 2 ** int(ups[1]))
        expected = [min(max(rounded(total, layer.rounding) + zeros[2], 0), 255) for total in sums.ravel()]
        assert layer.compute(a, b).outputs.ravel().tolist() == expected


def test_sums_that_need_few_steps_get_them():
    """Equal scales: one multiplier; a ratio of small numbers: two of 8 bits; none of these: up to 14 bits."""
    output = scaled(0.05, 3)

    def multipliers(x, y):
        return total_of(scaled(x, 9), scaled(y, 200), output, Scheme.FIXED16).multipliers

    assert len(set(multipliers(0.03, 0.03))) == 1
    first, second = multipliers(0.03, 0.04)
    assert max(first, second) < 128
    assert 4 * first == 3 * second
    assert max(multipliers(0.03, 0.0301)) > 127


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"total": None}, "add: total must be given where requant is not shift, and only there"),
        (
            {"requant": Scheme.SHIFT, "total": scaled(1.0)},
            "add: total must be given where requant is not shift, and only there",
        ),
        ({"total": scaled(1 / 9000, signed=True)}, "add: multipliers must be 0 to 8191, not 9000"),
        ({"total": scaled(1 / 8000, signed=True)}, "add: sums of 23 bits do not fit into the 8 of total"),
        ({"total": scaled(1.0)}, "add: total must be signed and without a zero point"),
        ({"total": scaled(1.0, 1, signed=True)}, "add: total must be signed and without a zero point"),
    ],
)
def test_units_that_are_none(changes, message):
    form = scaled(1.0)
    fields = {"x": form, "y": form, "output": form, "total": None} | how(Scheme.FIXED16) | changes
    with pytest.raises(ValueError, match=message):
        Add(name="add", sources=("x", "y"), **fields)


def test_add_against_onnxruntime():
    """QLinearAdd adds in binary32 and rounds once, ours adds integers and rounds once: they differ at ties."""
    rng = np.random.default_rng(7)
    x, y, output = scaled(0.021, 100), scaled(0.034, 130), scaled(0.043, 118)
    layer = total_of(x, y, output, Scheme.FLOAT32)
    a, b = rng.integers(0, 256, (2, 1, 50, 50, 4)).astype(np.uint8)
    inputs = [value for form, tensor in ((x, a), (y, b)) for value in (tensor, *scale_and_zero(form))]
    expected = onnx("QLinearAdd", *inputs, *scale_and_zero(output), domain="com.microsoft", output=TensorProto.UINT8)
    result = layer.compute(a.astype(np.int64), b.astype(np.int64)).outputs
    difference = np.abs(result - expected.astype(np.int64))
    assert difference.max() <= 1
    assert difference.mean() < 0.001


def scale_and_zero(form):
    return np.array(form.scale, np.float32), np.array(form.zero, np.uint8)


@pytest.mark.parametrize("scheme", [*SCHEMES, Scheme.SHIFT])
def test_the_requantizer_that_hardware_has_gives_the_outputs(scheme, seed):
    """`roundel.golden.requant` with the parameters that a layer names, negative ones apart, then its clamp."""
    network, images = random_network(seed, scheme)
    seen = set()
    for step in steps(network, images):
        layer = step.layer
        if isinstance(layer, Requantized):
            acc = step.accumulators
            plain = layer.requantizer.compute(acc, layer.runtime())
            leaked = layer.requantizer.compute(acc, layer.runtime(negative=True))
            results = np.clip(np.where(acc < 0, leaked, plain), *layer.limits)
            assert np.array_equal(results, step.outputs.reshape(acc.shape))
            assert np.abs(acc).max() < 1 << layer.requantizer_width - 1
            seen.add(type(layer))
    assert seen == {Weighted, Add, AveragePool}


@pytest.mark.parametrize("scheme", [*SCHEMES, Scheme.SHIFT])
def test_concat_moves_every_source(scheme):
    """A source of the output's format stays as it is; another is rescaled to within half a unit and the multiplier."""
    rng = np.random.default_rng(8)
    same = scaled(0.04, 100)
    other = same if scheme is Scheme.SHIFT else scaled(0.03, 10)
    layer = Concat(name="cat", sources=("x", "y"), output=same, inputs=(same, other), **how(scheme))
    a, b = rng.integers(0, 256, (2, 1, 8, 8, 3))
    result = layer.compute(a, b).outputs
    assert np.array_equal(result[..., :3], a)
    real = np.clip((b - other.zero) * other.scale / same.scale + 100, 0, 255)
    assert np.abs(result[..., 3:] - real).max() <= 0.5 + (1 if scheme is Scheme.FIXED8 else 2**-6)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_average_pool_against_onnxruntime(scheme):
    rng = np.random.default_rng(9)
    x, output = scaled(0.02, 40), scaled(0.017, 60)
    w, window = Format(width=16, signed=True, fraction=16), Window(kernel=(3, 3), pad=(1, 1, 1, 1))
    layer = AveragePool(
        name="mean", sources=("x",), output=output, x=x, w=w, window=window, count_padding=False, **how(scheme)
    )
    a = rng.integers(0, 256, (1, 4, 8, 8)).astype(np.uint8)
    real = onnx("AveragePool", ((a.astype(np.float32) - 40) * np.float32(0.02)), kernel_shape=[3, 3], pads=[1] * 4)
    expected = np.clip(real.transpose(0, 2, 3, 1) / 0.017 + 60, 0, 255)
    result = layer.compute(channels_last(a)).outputs
    assert np.abs(result - expected).max() <= 0.5 + (1 if scheme is Scheme.FIXED8 else 0.01)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"requant": Scheme.SHIFT}, "conv: mantissas must be 1"),
        ({"residual": scaled(0.3), "sources": ("x", "r")}, "conv: only shifts take a residual; an Add layer"),
        ({"b": Format(width=32, signed=True, fraction=3)}, "conv: b must have no fraction and mantissa where"),
        ({"w": Format(width=8, signed=True, fraction=0, zero=3)}, "conv: weights and bias have no zero point, not 3"),
        ({"w_mantissas": (2.0,) * 6}, "conv: w_mantissas must be at least 1 and below 2"),
        ({"rounding": Rounding.FLOOR}, "conv: rounding cannot be set for scheme float32"),
        ({"requant": Scheme.THRESHOLD}, "conv: requant must be one of .*, not Scheme.THRESHOLD"),
        ({"output": scaled(1e-9), "requant": Scheme.FIXED32, "rounding": Rounding.HALF_AWAY},
         r"conv: fixed32 multiplies by less than 2\*\*0, not by 2\*\*1[78] or more"),
        ({"output": scaled(1e-14), "requant": Scheme.FIXED16, "rounding": Rounding.HALF_UP},
         r"conv: fixed16 multiplies by less than 2\*\*16, not by 2\*\*3[45] or more"),
        ({"output": Format(width=8, signed=True, fraction=200)}, "conv: scale must be the bits of a finite binary32"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        convolution(np.random.default_rng(0), **changes)


def test_shifts_refuse_what_they_cannot_do():
    plain = Format(width=8, signed=True, fraction=2)
    with pytest.raises(
        ValueError, match=r"add: mantissas of input and output must agree to be shifted, not be \[1.0, 1.2"
    ):
        Add(name="add", sources=("x", "y"), output=plain, x=plain, y=scaled(0.3))
    with pytest.raises(ValueError, match="add: a shift has no zero point, but the output's is 3"):
        Add(name="add", sources=("x", "y"), output=Format(width=8, signed=True, fraction=2, zero=3), x=plain, y=plain)
    with pytest.raises(ValueError, match="cat: mantissas of input and output must agree"):
        Concat(name="cat", sources=("x",), output=plain, inputs=(scaled(0.3),))
    with pytest.raises(ValueError, match="cat: fixed32 multiplies by less than"):
        Concat(name="cat", sources=("x",), output=scaled(0.3), inputs=(scaled(20.0),), **how(Scheme.FIXED32))
