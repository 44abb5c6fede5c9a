"""Groups, shifts by channel, bounds, leaks, joins and pools, against onnxruntime and exact rational arithmetic."""

from fractions import Fraction
from math import floor

import numpy as np
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from roundel.golden.formats import Format, signed_width
from roundel.golden.network import Add, AveragePool, Concat, Upsample, Weighted, Window, grouped_matmul
from roundel.golden.rounding import Rounding

TYPES = {
    "uint8": TensorProto.UINT8,
    "int8": TensorProto.INT8,
    "int32": TensorProto.INT32,
    "float32": TensorProto.FLOAT,
}
U8 = Format(width=8, signed=False, fraction=5)
I16 = Format(width=16, signed=True, fraction=0)


def onnx(operator, *inputs, opset=17, domain="", output=TensorProto.FLOAT, **attributes):
    """The result of one ONNX operator as onnxruntime computes it; maps are (batch, channels, rows, columns)."""
    names = [f"x{index}" for index in range(len(inputs))]
    node = helper.make_node(operator, names, ["y"], domain=domain, **attributes)
    tensors = [
        helper.make_tensor_value_info(name, TYPES[value.dtype.name], list(value.shape))
        for name, value in zip(names, inputs, strict=True)
    ]
    graph = helper.make_graph([node], "g", tensors, [helper.make_tensor_value_info("y", output, None)])
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(None, dict(zip(names, inputs, strict=True)))[0]


def channels_last(x):
    return x.transpose(0, 2, 3, 1).astype(np.int64)


def exact(values, form):
    """Integers of a plain format as rational numbers, flat."""
    return [Fraction(int(value)) / Fraction(2) ** form.fraction for value in np.ravel(values)]


def rounded(value, rounding):
    """A rational number to an integer."""
    match rounding:
        case Rounding.FLOOR:
            return floor(value)
        case Rounding.HALF_UP:
            return floor(value + Fraction(1, 2))
        case Rounding.HALF_AWAY:
            return floor(abs(value) + Fraction(1, 2)) * (1 if value > 0 else -1)
    return round(value)


def stored(value, form, rounding, bounds=(-(2**40), 2**40)):
    """A rational number as an integer of a plain format."""
    integer = rounded(value * Fraction(2) ** form.fraction, rounding)
    return min(max(integer, form.limits[0], bounds[0]), form.limits[1], bounds[1])


def convolution(rng, *, channels, outputs, groups, **changes):
    """A random 3 x 3 convolution with shifts."""
    b = Format(width=8, signed=True, fraction=9)
    parameters = {
        "name": "conv",
        "sources": ("x",),
        "output": Format(width=8, signed=True, fraction=2),
        "x": U8,
        "w": Format(width=8, signed=True, fraction=7),
        "b": b,
        "weights": rng.integers(-128, 128, (9 * max(1, channels // groups), outputs)),
        "bias": rng.integers(-128, 128, outputs),
        "window": Window(kernel=(3, 3), stride=(2, 1), pad=(1, 1, 1, 1)),
        "groups": groups,
    }
    return Weighted(**parameters | changes)


@pytest.mark.parametrize(("channels", "outputs", "groups"), [(4, 6, 1), (4, 6, 2), (6, 6, 6), (6, 12, 6), (8, 4, 4)])
def test_groups_equal_onnxruntime(channels, outputs, groups):
    """Depthwise too, with one and with two outputs for a channel."""
    rng = np.random.default_rng(channels * outputs * groups)
    layer = convolution(rng, channels=channels, outputs=outputs, groups=groups)
    x = rng.integers(0, 256, (2, channels, 7, 6)).astype(np.uint8)
    per_group = channels // groups
    w = layer.weights.reshape(3, 3, per_group, outputs).transpose(3, 2, 0, 1).astype(np.int8)
    attributes = {"strides": [2, 1], "pads": [1, 1, 1, 1], "group": groups}
    sums = onnx("ConvInteger", x, w, output=TensorProto.INT32, **attributes)
    step = layer.compute(channels_last(x))
    expected = channels_last(sums).reshape(-1, outputs) + layer.aligned_bias
    assert np.array_equal(step.accumulators, expected)
    assert np.array_equal(step.columns @ layer.dense_weights + layer.aligned_bias, expected)
    assert step.outputs.shape == (2, 4, 6, outputs)


@given(st.integers(0, 10**6), st.sampled_from([(1, 1), (2, 3), (3, 1)]), st.sampled_from([4, 11, 28]))
def test_grouped_matmul_is_exact_on_every_path(seed, shape, bits):
    """Past 2^24 and past 2^53 as well, in unbounded integers."""
    per_group, per_output = shape
    rng = np.random.default_rng(seed)
    a = rng.integers(-(1 << bits), 1 << bits, (3, 2 * 4 * per_group))
    b = rng.integers(-(1 << bits), 1 << bits, (2 * per_group, 4 * per_output))
    result = grouped_matmul(a, b, 4, 2)
    for row, output in np.ndindex(3, 4 * per_output):
        first = output // per_output * per_group
        pairs = [(tap * 4 * per_group + first + c, tap * per_group + c) for tap in range(2) for c in range(per_group)]
        assert result[row, output] == sum(int(a[row, i]) * int(b[j, output]) for i, j in pairs)


def test_grouped_matmul_refuses_what_64_bits_cannot_hold():
    with pytest.raises(OverflowError, match="does not fit into 64 bits"):
        grouped_matmul(np.full((1, 2), 2**40), np.full((1, 2), 2**40), 2, 1)


@given(
    seed=st.integers(0, 10**6),
    fractions=st.lists(st.integers(2, 9), min_size=3, max_size=3),
    residual=st.none() | st.integers(3, 16),
    rounding=st.sampled_from(Rounding),
    bounds=st.none() | st.just((-50, 60)),
    leak=st.integers(0, 3),
    n_o=st.sampled_from([3, 7]),
)
def test_weighted_layer_by_channel_is_its_definition(seed, fractions, residual, rounding, bounds, leak, n_o):
    """Fractional bits of weights by channel, a residual finer or coarser than some of them, a leak, a clamp."""
    rng = np.random.default_rng(seed)
    r = residual and Format(width=8, signed=True, fraction=residual)
    layer = Weighted(
        name="dense", sources=("x", "r")[: 2 if r else 1], output=Format(width=8, signed=True, fraction=n_o),
        x=U8, w=Format(width=8, signed=True, fraction=0), b=Format(width=8, signed=True, fraction=6), residual=r,
        weights=rng.integers(-128, 128, (5, 3)), bias=rng.integers(-128, 128, 3),
        w_fractions=tuple(fractions), rounding=rounding, bounds=bounds, leak=leak,
    )  # fmt: skip
    x, second = rng.integers(0, 256, (4, 5)), rng.integers(-128, 128, (4, 3))
    outputs = layer.compute(x, *([second] if r else [])).outputs
    for n, j in np.ndindex(4, 3):
        w = Format(width=8, signed=True, fraction=fractions[j])
        fine = Fraction(2) ** (U8.fraction + w.fraction)
        bias = Fraction(rounded(exact(layer.bias[j], layer.b)[0] * fine, rounding)) / fine
        total = sum(a * b for a, b in zip(exact(x[n], U8), exact(layer.weights[:, j], w), strict=True)) + bias
        total += exact(second[n, j], r)[0] if r else 0
        value = total / 2**leak if total < 0 else total
        assert outputs[n, j] == stored(value, layer.output, rounding, bounds or (-128, 127))
    finest = np.maximum(5 + np.array(fractions), residual or 0)
    assert layer.shifts.tolist() == (finest - n_o).tolist()


def test_one_shift_where_channels_agree_and_none_where_they_differ():
    rng = np.random.default_rng(1)
    assert convolution(rng, channels=2, outputs=2, groups=1, w_fractions=(7, 7)).shift == 10
    layer = convolution(rng, channels=2, outputs=2, groups=1, w_fractions=(7, 6))
    with pytest.raises(ValueError, match="conv: shift differs between channels"):
        _ = layer.shift


def test_leak_equals_onnxruntime():
    """LeakyRelu in binary32 on integers it holds exactly, then the division, half up."""
    rng = np.random.default_rng(2)
    layer = convolution(rng, channels=4, outputs=4, groups=1, leak=3)
    step = layer.compute(rng.integers(0, 256, (2, 5, 5, 4)))
    leaky = onnx("LeakyRelu", step.accumulators.astype(np.float32), alpha=2.0**-3).astype(np.float64)
    expected = np.clip(np.floor(leaky / 2**layer.shift + 0.5), -128, 127)
    assert np.array_equal(step.outputs.reshape(expected.shape), expected)
    assert (step.accumulators < 0).any()


def test_leak_begins_below_zero():
    """Halves of -3 to 1 where the sum is negative, ties up."""
    plain = Format(width=8, signed=True, fraction=0)
    layer = Add(name="add", sources=("x", "y"), output=plain, x=plain, y=plain, leak=1)
    result = layer.compute(np.array([[-3, -2, -1, 0, 1]]), np.zeros((1, 5), np.int64)).outputs
    assert result.tolist() == [[-1, -1, 0, 0, 1]]


def test_bounds_are_a_clip():
    """ReLU6 at 4 fractional bits ends at 96."""
    rng = np.random.default_rng(3)
    output = Format(width=8, signed=False, fraction=4)
    free = convolution(rng, channels=4, outputs=4, groups=1, output=output)
    x = rng.integers(0, 256, (2, 5, 5, 4))
    bound = convolution(np.random.default_rng(3), channels=4, outputs=4, groups=1, output=output, bounds=(0, 96))
    expected = onnx(
        "Clip", free.compute(x).outputs.astype(np.float32), np.array(0, np.float32), np.array(96, np.float32)
    )
    assert np.array_equal(bound.compute(x).outputs, expected)
    assert (expected == 96).any()


@pytest.mark.parametrize("factor", [2, 3])
def test_upsample_equals_onnxruntime(factor):
    x = np.random.default_rng(4).integers(0, 256, (2, 3, 4, 5))
    scales = np.array([1, 1, factor, factor], np.float32)
    node = {"mode": "nearest", "nearest_mode": "floor", "coordinate_transformation_mode": "asymmetric"}
    expected = onnx("Resize", x.astype(np.float32), np.zeros(0, np.float32), scales, **node)
    layer = Upsample(name="up", sources=("x",), output=U8, factor=factor)
    assert np.array_equal(layer.compute(channels_last(x)).outputs, channels_last(expected))


@pytest.mark.parametrize("count_padding", [False, True])
def test_average_pool_equals_onnxruntime(count_padding):
    """Windows of 1, 2 and 4 taps in the map: multipliers are exact, and 16 bits leave nothing to round."""
    x = np.random.default_rng(5).integers(0, 256, (2, 3, 5, 6))
    node = {"kernel_shape": [2, 2], "strides": [1, 2], "pads": [1, 1, 1, 0], "count_include_pad": int(count_padding)}
    expected = onnx("AveragePool", x.astype(np.float32), **node)
    plain, w = Format(width=8, signed=False, fraction=0), Format(width=4, signed=True, fraction=2)
    window = Window(kernel=(2, 2), stride=(1, 2), pad=(1, 1, 1, 0))
    layer = AveragePool(
        name="pool", sources=("x",), output=Format(width=16, signed=False, fraction=2),
        x=plain, w=w, window=window, count_padding=count_padding,
    )  # fmt: skip
    result = layer.compute(channels_last(x)).outputs
    assert np.array_equal(result, channels_last(expected * 4))


def test_average_pool_without_padding_counts_taps():
    """Nine taps within, six at edges, four at corners: each multiplier is the nearest in 10 bits."""
    w = Format(width=11, signed=True, fraction=10)
    layer = AveragePool(
        name="pool", sources=("x",), output=U8, x=U8, w=w,
        window=Window(kernel=(3, 3), pad=(1, 1, 1, 1)), count_padding=False,
    )  # fmt: skip
    x = np.random.default_rng(6).integers(0, 256, (1, 4, 5, 2))
    outputs = layer.compute(x).outputs
    for row, column, channel in np.ndindex(4, 5, 2):
        values = x[0, max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2, channel]
        mean = Fraction(int(values.sum()) * round(Fraction(1024, values.size)), 1024)
        assert outputs[0, row, column, channel] == min(floor(mean + Fraction(1, 2)), 255)


@given(
    seed=st.integers(0, 10**6),
    fractions=st.lists(st.integers(-3, 9), min_size=1, max_size=3),
    n_o=st.integers(-2, 6),
    rounding=st.sampled_from(Rounding),
)
def test_concat_is_its_definition(seed, fractions, n_o, rounding):
    rng = np.random.default_rng(seed)
    forms = tuple(Format(width=8, signed=index % 2 == 1, fraction=n) for index, n in enumerate(fractions))
    sources = tuple("abc"[: len(forms)])
    output = Format(width=6, signed=True, fraction=n_o)
    layer = Concat(name="cat", sources=sources, output=output, inputs=forms, rounding=rounding)
    parts = [rng.integers(*form.limits, (2, 3, 2, 1 + index)) for index, form in enumerate(forms)]
    result = layer.compute(*parts).outputs
    assert result.shape == (2, 3, 2, sum(range(1, len(forms) + 1)))
    for index, (part, form) in enumerate(zip(parts, forms, strict=True)):
        first = sum(range(1, index + 1))
        own = result[..., first : first + 1 + index].ravel().tolist()
        assert own == [stored(value, output, rounding) for value in exact(part, form)]


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("zero", [0, 100])
def test_widths_of_sums_and_means_hold_their_extremes(signed, zero):
    """And one bit less does not."""
    x = Format(width=8, signed=signed, fraction=3, zero=zero)
    y = Format(width=8, signed=True, fraction=5)
    total = Add(name="add", sources=("x", "y"), output=Format(width=8, signed=True, fraction=3), x=x, y=y)
    ends = [4 * (a - zero) + b for a, b in zip(x.limits, y.limits, strict=True)]
    assert total.requantizer_width == signed_width(*ends)
    w, window = Format(width=6, signed=True, fraction=7), Window(kernel=(3, 3))
    mean = AveragePool(name="mean", sources=("x",), output=y, x=x, w=w, window=window)
    assert mean.requantizer_width == signed_width(*(9 * 14 * (a - zero) for a in x.limits))
    extremes = [mean.compute(np.full((1, 3, 3, 1), a)).accumulators.item() for a in x.limits]
    assert extremes == [9 * 14 * (a - zero) for a in x.limits]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"groups": 4}, "conv: 6 outputs are no multiple of 4 groups"),
        ({"groups": 7}, "conv: groups must be 1 to 6, not 7"),
        ({"w_fractions": (7,)}, "conv: w_fractions must be 6, one for each output, not 1"),
        ({"w_fractions": (7,) * 5 + (2001,)}, "conv: w_fractions must be -2000 to 2000, not 2001"),
        ({"w_fractions": (7,) * 5 + (-4,)}, "conv: shift must be 0 to 31, not -1"),
        ({"leak": 22}, "conv: shift and leak must be at most 31, not 32"),
        ({"leak": -1}, "conv: leak must be 0 to 31, not -1"),
        ({"bounds": (np.int64(0), 3)}, r"conv: bounds must be an integer, not np.int64\(0\)"),
        ({"bounds": (0, 1 << 31)}, "conv: bounds must be -2147483648 to 2147483647, not 2147483648"),
        ({"bounds": (200, 300)}, r"conv: bounds \(200, 300\) leave nothing of \(-128, 127\)"),
    ],
)
def test_layers_validate_themselves(changes, message):
    with pytest.raises(ValueError, match=message):
        convolution(np.random.default_rng(0), channels=4, outputs=6, **{"groups": 2} | changes)


def test_input_channels_must_fit():
    layer = convolution(np.random.default_rng(0), channels=4, outputs=6, groups=2)
    with pytest.raises(ValueError, match="conv: expected 4 input channels, not 6"):
        layer.compute(np.zeros((1, 5, 5, 6), np.int64))


def summed(x, y):
    """A sum of two sources with these fractional bits."""
    forms = [Format(width=8, signed=True, fraction=fraction) for fraction in (x, y)]
    output = Format(width=8, signed=True, fraction=max(x, y))
    return Add(name="add", sources=("x", "y"), output=output, x=forms[0], y=forms[1])


def test_summands_may_be_31_bits_apart():
    """However many fractional bits both have: 1 + 2^-31 in units of 2^-31 saturates, 2^-20 + 2^-20 is two units."""
    assert summed(0, 31).compute(np.array([[1]]), np.array([[1]])).accumulators.tolist() == [[2**31 + 1]]
    assert summed(20, 20).compute(np.array([[1]]), np.array([[1]])).outputs.tolist() == [[2]]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Upsample(name="up", sources=("x",), output=U8, factor=0), "up: factor must be 1 to 64, not 0"),
        (lambda: Concat(name="cat", sources=("x",), output=U8, inputs=(U8, U8)), "cat: 2 formats for 1 sources"),
        (lambda: Concat(name="cat", sources=("x",), output=I16, inputs=(Format(width=8, signed=True, fraction=32),)),
         "cat: shift must be -31 to 31, not 32"),
        (lambda: AveragePool(name="mean", sources=("x",), output=U8, x=U8, w=I16, window=Window(kernel=(2048, 1024))),
         "mean: a mean is of at most 1048576 taps, not 2097152"),
        (lambda: summed(17, -15), "add: summands are 32 bits apart, more than 31"),
        (lambda: summed(-15, 17), "add: summands are 32 bits apart, more than 31"),
    ],
)  # fmt: skip
def test_joins_and_pools_validate_themselves(make, message):
    with pytest.raises(ValueError, match=message):
        make()
