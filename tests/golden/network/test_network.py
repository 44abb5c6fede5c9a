"""Integer layers and networks, against exact rational arithmetic in plain Python."""

from dataclasses import replace
from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roundel.golden.formats import Format, accumulator_width, align, signed_width
from roundel.golden.network import Add, AveragePool, Flatten, MaxPool, Network, Weighted, Window, outputs, run, steps
from roundel.golden.rounding import Rounding

I8, U8 = Format(width=8, signed=True, fraction=4), Format(width=8, signed=False, fraction=5)


def half_up(value, form):
    """A rational number as an integer of `form`: nearest, ties up, clamped."""
    return min(max(floor(value * Fraction(2) ** form.fraction + Fraction(1, 2)), form.limits[0]), form.limits[1])


def real(integers, form):
    """Integers of `form` as exact rational numbers."""
    return [Fraction(int(i)) / Fraction(2) ** form.fraction for i in np.ravel(integers)]


def dense(rng, **changes):
    """A random dense layer, 6 features to 3 outputs."""
    w, b = Format(width=5, signed=True, fraction=3), Format(width=8, signed=True, fraction=6)
    parameters = {
        "name": "dense",
        "sources": ("x",),
        "output": I8,
        "weights": rng.integers(-16, 16, (6, 3)),
        "bias": rng.integers(-128, 128, 3),
        "x": U8,
        "w": w,
        "b": b,
    }
    return Weighted(**parameters | changes)


@given(st.integers(0, 10**6), st.integers(-3, 8), st.booleans())
def test_weighted_layer_is_its_definition(seed, n_o, signed):
    rng = np.random.default_rng(seed)
    layer = dense(rng, output=Format(width=6, signed=signed, fraction=n_o))
    x = rng.integers(0, 256, (4, 6))
    step = layer.compute(x)
    weights, bias = np.reshape(real(layer.weights, layer.w), (6, 3)), real(layer.bias, layer.b)
    for row, result in zip(x, step.outputs, strict=True):
        sums = [sum(a * b for a, b in zip(real(row, U8), weights[:, j], strict=True)) + bias[j] for j in range(3)]
        assert result.tolist() == [half_up(value, layer.output) for value in sums]
    assert np.array_equal(step.columns, x)
    assert layer.shift == 8 - n_o


@given(st.integers(0, 10**6), st.integers(0, 14))
def test_residual_is_added_before_the_one_rounding(seed, fraction):
    """`fraction` goes from coarser to finer than the accumulator's 8 fractional bits."""
    rng = np.random.default_rng(seed)
    residual = Format(width=8, signed=True, fraction=fraction)
    layer = dense(rng, sources=("x", "r"), residual=residual)
    x, r = rng.integers(0, 256, (4, 6)), rng.integers(-128, 128, (4, 3))
    weights, bias = np.reshape(real(layer.weights, layer.w), (6, 3)), real(layer.bias, layer.b)
    step = layer.compute(x, r)
    for n, j in np.ndindex(4, 3):
        total = sum(a * b for a, b in zip(real(x[n], U8), weights[:, j], strict=True)) + bias[j]
        assert step.outputs[n, j] == half_up(total + real(r[n, j], residual)[0], I8)


@given(st.integers(0, 10**6), st.integers(-4, 6), st.integers(-4, 6))
def test_add_is_exact_up_to_its_rounding(seed, n_x, n_y):
    rng = np.random.default_rng(seed)
    x_form, y_form = Format(width=8, signed=True, fraction=n_x), Format(width=8, signed=False, fraction=n_y)
    output = Format(width=8, signed=False, fraction=max(n_x, n_y) - 2)
    layer = Add(name="add", sources=("x", "y"), output=output, x=x_form, y=y_form)
    x, y = rng.integers(-128, 128, (2, 3, 3, 2)), rng.integers(0, 256, (2, 3, 3, 2))
    sums = [a + b for a, b in zip(real(x, x_form), real(y, y_form), strict=True)]
    assert layer.compute(x, y).outputs.ravel().tolist() == [half_up(value, output) for value in sums]


@pytest.mark.parametrize(("kernel", "fraction", "multiplier"), [((2, 2), 2, 1), ((3, 3), 9, 57)])
def test_average_pool(kernel, fraction, multiplier):
    """A power of two is exact; 1/9 is 57/512 in eight bits (64/9 = 7.1 would leave five)."""
    rng = np.random.default_rng(3)
    w = Format(width=8, signed=True, fraction=fraction)
    layer = AveragePool(name="pool", sources=("x",), output=U8, x=U8, w=w, window=Window(kernel=kernel))
    assert layer.multiplier == multiplier
    x = rng.integers(0, 256, (2, 3, 3, 2))
    step = layer.compute(x)
    for n, row, column, channel in np.ndindex(step.outputs.shape):
        inside = x[n, row : row + kernel[0], column : column + kernel[1], channel]
        mean = sum(real(inside, U8)) * Fraction(multiplier, 2**fraction)
        assert step.outputs[n, row, column, channel] == half_up(mean, U8)


def test_max_pool_padding_never_wins():
    layer = MaxPool(name="pool", sources=("x",), output=I8, window=Window(kernel=(3, 3), pad=(1, 1, 1, 1)))
    x = np.full((1, 2, 2, 1), -100)
    assert (layer.compute(x).outputs == -100).all()


@pytest.mark.parametrize("rounding", Rounding)
def test_align_moves_left_exactly_and_right_with_rounding(rounding):
    values = np.array([-5, 5, 6])
    assert align(values, 2, rounding).tolist() == [-20, 20, 24]
    expected = {"floor": [-3, 2, 3], "half_up": [-2, 3, 3], "half_away": [-3, 3, 3], "half_even": [-2, 2, 3]}
    assert align(values, -1, rounding).tolist() == expected[rounding.value]


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(("bits", "w_bits", "reduction"), [(2, 2, 1), (2, 3, 5), (4, 4, 9), (8, 8, 288), (8, 8, 4608)])
def test_accumulator_width_is_enough_and_not_too_much(bits, w_bits, signed, reduction):
    """The extreme sums, tried one by one, fit into the width; one bit less does not hold them."""
    x, w = Format(width=bits, signed=signed, fraction=0), Format(width=w_bits, signed=True, fraction=0)
    for bias in (0, 1, 12345):
        ends = [reduction * a * b for a in x.limits for b in w.limits] + [0]
        ends = [end + sign * bias for end in ends for sign in (-1, 1)]
        width = accumulator_width(reduction, x, w, bias)
        assert all(-(2 ** (width - 1)) <= end < 2 ** (width - 1) for end in ends)
        assert not all(-(2 ** (width - 2)) <= end < 2 ** (width - 2) for end in ends)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("fraction", [-6, 4, 8, 12])
@pytest.mark.parametrize("zero", [0, 120])
def test_requantizer_width_holds_sum_and_residual(fraction, signed, zero):
    """The array's accumulator at its extremes plus the residual at its own, in units of the finer of the two."""
    residual = Format(width=8, signed=signed, fraction=fraction, zero=zero)
    layer = dense(np.random.default_rng(0), residual=residual)
    half = 1 << (layer.accumulator_width - 1)
    unit = max(8, fraction)
    additions = [(r - zero) * 2 ** (unit - fraction) for r in residual.limits]
    ends = [a * 2 ** (unit - 8) + r for a in (-half, half - 1) for r in additions]
    limit = 1 << (layer.requantizer_width - 1)
    assert all(-limit <= end < limit for end in ends)
    assert layer.requantizer_width <= signed_width(min(ends), max(ends)) + 1


@pytest.mark.parametrize(
    ("least", "greatest", "width"),
    [(0, 0, 1), (-1, 0, 1), (0, 1, 2), (-2, 1, 2), (-3, 1, 3), (-128, 127, 8), (0, 128, 9)],
)
def test_signed_width(least, greatest, width):
    assert signed_width(least, greatest) == width


@given(st.floats(-1e6, 1e6), st.integers(-8, 20), st.booleans())
def test_format_encodes_to_the_nearest_and_clamps(value, fraction, signed):
    form = Format(width=8, signed=signed, fraction=fraction)
    encoded = form.encode(np.array(value)).item()
    low, high = form.limits
    exact = Fraction(value) * Fraction(2) ** fraction
    assert encoded == min(max(round(exact), low), high)  # Python rounds ties to even
    assert form.decode(np.array(encoded)).item() == Fraction(encoded) / Fraction(2) ** fraction


def small_network(rng):
    """Convolution, max pooling, a residual convolution, flattening and a dense layer."""
    x, w = Format(width=5, signed=False, fraction=0), Format(width=4, signed=True, fraction=3)
    b, mid = Format(width=8, signed=True, fraction=3), Format(width=6, signed=False, fraction=1)
    window = Window(kernel=(3, 3), pad=(1, 1, 1, 1))
    common = {"w": w, "b": b}
    one = Weighted(
        name="one", sources=("image",), output=mid, x=x, window=window,
        weights=rng.integers(-8, 8, (9, 4)), bias=rng.integers(-99, 99, 4), **common,
    )  # fmt: skip
    pool = MaxPool(name="pool", sources=("one",), output=mid, window=Window(kernel=(2, 2), stride=(2, 2)))
    two = Weighted(
        name="two", sources=("pool", "pool"), output=mid, x=mid, window=window, residual=mid,
        weights=rng.integers(-8, 8, (36, 4)), bias=rng.integers(-99, 99, 4), **common,
    )  # fmt: skip
    flat = Flatten(name="flat", sources=("two",), output=mid)
    last = Weighted(
        name="last", sources=("flat",), output=I8, x=mid,
        weights=rng.integers(-8, 8, (16, 3)), bias=rng.integers(-99, 99, 3), **common,
    )  # fmt: skip
    return Network(source="image", input=x, layers=(one, pool, two, flat, last))


def test_steps_give_what_the_array_sees():
    """Columns times weights plus bias are the accumulators, and shifting them gives the outputs."""
    rng = np.random.default_rng(5)
    network = small_network(rng)
    images = rng.integers(0, 32, (3, 4, 4, 1))
    trace = list(steps(network, images))
    assert [step.layer.name for step in trace] == ["one", "pool", "two", "flat", "last"]
    assert [step.outputs.shape for step in trace] == [(3, 4, 4, 4), (3, 2, 2, 4), (3, 2, 2, 4), (3, 16), (3, 3)]
    for step in trace:
        layer = step.layer
        if not isinstance(layer, Weighted):
            assert step.columns is None
            continue
        low, high = -(1 << (layer.accumulator_width - 1)), (1 << (layer.accumulator_width - 1)) - 1
        sums = step.columns @ layer.weights + layer.aligned_bias
        assert low <= sums.min()
        assert sums.max() <= high
        if layer.residual is None:
            assert np.array_equal(step.accumulators, sums)
        shifted = np.floor(step.accumulators / 2.0**layer.shift + 0.5) if layer.shift else step.accumulators
        assert np.array_equal(step.outputs.ravel(), np.clip(shifted, *layer.output.limits).ravel())


def test_run_does_not_depend_on_the_batch():
    rng = np.random.default_rng(6)
    network = small_network(rng)
    images = rng.integers(0, 32, (5, 4, 4, 1))
    whole = run(network, images)
    assert np.array_equal(whole, run(network, images, batch=2))
    assert len(np.unique(whole)) > 1


def test_several_results():
    """In the order that they are named in; `run` gives the last, and without any named, the last layer's."""
    rng = np.random.default_rng(7)
    network = small_network(rng)
    images = rng.integers(0, 32, (5, 4, 4, 1))
    every = {step.layer.name: step.outputs for step in steps(network, images)}
    assert list(outputs(network, images)) == ["last"]
    heads = replace(network, results=("flat", "one"))
    found = outputs(heads, images, batch=2)
    assert list(found) == ["flat", "one"]
    for name, values in found.items():
        assert np.array_equal(values, every[name])
    assert np.array_equal(run(heads, images), every["one"])
    assert heads.output == heads.layers[0].output


@pytest.mark.parametrize("results", [("none",), ("last", "last"), ("image",)])
def test_results_must_be_layers(results):
    with pytest.raises(ValueError, match="results must name layers, each once, not"):
        replace(small_network(np.random.default_rng(8)), results=results)


def test_encode_puts_the_channel_last():
    network = Network(source="image", input=Format(width=8, signed=False, fraction=1), layers=())
    images = np.arange(2 * 3 * 2 * 2).reshape(2, 3, 2, 2)
    encoded = network.encode(images)
    assert encoded.shape == (2, 2, 2, 3)
    assert encoded[1, 0, 1, 2] == 2 * images[1, 2, 0, 1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bias": np.zeros(4, np.int64)}, r"dense: bias \(4,\) does not fit weights \(6, 3\)"),
        ({"weights": np.full((6, 3), 16)}, r"dense: weights must be -16 to 15"),
        ({"output": Format(width=8, signed=True, fraction=9)}, r"dense: shift must be 0 to 31, not -1"),
        ({"output": Format(width=8, signed=True, fraction=-24)}, r"dense: shift must be 0 to 31, not 32"),
        ({"window": Window(kernel=(2, 2))}, r"dense: 6 weight rows are no multiple of 4"),
        ({"b": Format(width=8, signed=True, fraction=-24)}, r"dense: summands are 32 bits apart, more than 31"),
        ({"residual": Format(width=8, signed=True, fraction=40)}, r"dense: summands are 32 bits apart, more than 31"),
    ],
)
def test_layers_validate_themselves(changes, message):
    with pytest.raises(ValueError, match=message):
        dense(np.random.default_rng(0), **changes)


def test_summands_far_apart_are_refused():
    near, far = (Format(width=8, signed=True, fraction=n) for n in (0, 32))
    with pytest.raises(ValueError, match="add: summands are 32 bits apart"):
        Add(name="add", sources=("x", "y"), output=near, x=near, y=far)


def test_networks_validate_themselves():
    layer = dense(np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"dense: reads \['x'\] too early"):
        Network(source="y", input=U8, layers=(layer,))
    with pytest.raises(ValueError, match="dense: made for inputs of"):
        Network(source="x", input=I8, layers=(layer,))
    with pytest.raises(ValueError, match="its name is taken"):
        Network(source="x", input=U8, layers=(layer, layer))
    wide = Format(width=17, signed=True, fraction=0)
    with pytest.raises(ValueError, match="x: activations have at most 16 bits, not 17"):
        Network(source="x", input=wide, layers=())
    with pytest.raises(ValueError, match="width must be 2 to 32 bits, not 1"):
        Format(width=1, signed=True, fraction=0)
