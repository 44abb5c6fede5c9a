"""Products by floating-point BLAS at the ends of what it does exactly; blocks and integers of any size."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roundel.golden.formats import Format
from roundel.golden.network import AveragePool, Network, Weighted, Window, blocks, outputs, save, steps
from roundel.golden.network.products import Products
from roundel.golden.requant import Scheme
from roundel.golden.rounding import Rounding, limits, round_shift
from tests.support import network_reference as reference
from tests.support.random_network import random_network

U8, I8 = Format(width=8, signed=False, fraction=0), Format(width=8, signed=True, fraction=0)
U16, I16 = Format(width=16, signed=False, fraction=0), Format(width=16, signed=True, fraction=0)


def dense(weights, x, **changes):
    """A matrix product whose integers leave as they are, cut to 16 bits."""
    fields = {"x": x, "w": Format(width=32, signed=True, fraction=0), "b": Format(width=32, signed=True, fraction=0)}
    return Weighted(
        name="dense", sources=("x",), output=I16, weights=weights, bias=np.zeros(weights.shape[1], np.int64),
        **fields | changes,
    )  # fmt: skip


def in_python(x, weights):
    """The matrix product in unbounded integers."""
    x, weights = x.tolist(), weights.T.tolist()
    return [[sum(a * b for a, b in zip(row, column, strict=True)) for column in weights] for row in x]


@pytest.mark.parametrize(
    ("form", "positive", "negative", "expected"),
    [
        (U8, 65793, 0, np.float32),  # 255 * 65793 = 2^24 - 1
        (U8, 65794, 0, np.float64),
        (U8, 65793, 65793, np.float32),  # of inputs that are never negative, positive and negative parts stand alone
        (U8, 65793, 65794, np.float64),
        (I8, 131072, 0, np.float32),  # 128 * 131072 = 2^24
        (I8, 131073, 0, np.float64),
        (I8, 71540, 60000, np.float32),  # of others they add up: 128 * 71540 + 127 * 60000 = 2^24 - 96
        (I8, 71541, 60000, np.float64),
        (U16, 256, 0, np.float32),
        (U16, 257, 0, np.float64),
    ],
)
def test_binary32_ends_at_its_bound(form, positive, negative, expected, seed):
    """Inputs that bring partial sums in any order of the weights to the bound, and odd ones just below it."""
    rng = np.random.default_rng(seed)
    third = positive // 3
    parts = [positive - third - 1, third, 1, *([1 - negative, -1] if negative else [0, 0])]
    weights = np.array([rng.permutation(parts) for _ in range(8)]).T
    layer = dense(weights, form)
    assert layer.products.total == expected
    low, high = form.limits
    ends = np.concatenate([np.where(weights.T > 0, high, low), np.where(weights.T > 0, low, high)])
    x = np.concatenate([ends, ends - (ends == high) * rng.integers(0, 2, ends.shape)])
    sums = layer.compute(x).accumulators
    assert np.array_equal(sums, in_python(x, weights))
    assert np.abs(sums).max() == max(positive * high - negative * low, negative * high - positive * low)


def test_a_sum_that_binary32_would_round(seed):
    """2^24 + 1 is no binary32 number, though the sum of all products is small."""
    weights = np.array([[65794], [1], [-65700]])
    x = np.array([[255, 1, 255], [254, 255, 255], [255, 255, 254]])
    layer = dense(weights, U8)
    assert layer.products.total == np.float64
    assert layer.compute(x).accumulators.tolist() == in_python(x, weights)


@pytest.mark.parametrize(("form", "reach"), [(U8, 127), (I8, 400), (I8, 2000)])
@pytest.mark.parametrize("groups", [1, 2])
def test_long_sums_are_cut_into_parts_that_binary32_holds(form, reach, groups, seed):
    """Weights of one sign and inputs at the ends of their range: parts are near their bound, sums beyond 2^24."""
    rng = np.random.default_rng(seed)
    weights = rng.integers(reach - 20, reach + 1, (1000, 4))
    weights[:, 1] *= rng.choice([-1, 1], 1000)
    products = Products.of(weights, groups=groups, taps=1, limits=form.limits)
    assert (products.weights.dtype, products.total) == (np.float32, np.float64)
    assert [*range(1000)] == [row for piece in products.pieces for row in range(1000)[piece]]
    most = max(map(abs, form.limits))
    assert all(np.abs(weights[piece]).sum(axis=0).max() * most <= 1 << 24 for piece in products.pieces)
    x = rng.choice([form.limits[0], form.limits[1], form.limits[1] - 1], (5, groups * 1000))
    sums = products.compute(x.reshape(5, 1, 1, 1, 1, -1))
    parts = [
        in_python(x[:, g * 1000 :][:, :1000], weights[:, g * 4 // groups :][:, : 4 // groups]) for g in range(groups)
    ]
    assert sums.tolist() == np.concatenate(parts, axis=1).tolist()
    assert np.abs(sums).max() > 1 << 24


@pytest.mark.parametrize(("bits", "expected"), [(4, np.float32), (9, np.float64), (33, np.float64), (39, np.int64)])
def test_each_type_of_wide_sums(bits, expected, seed):
    """Past 2^53 it is integers that multiply."""
    rng = np.random.default_rng(seed)
    weights = rng.integers(-(1 << bits) + 1, 1 << bits, (5, 3))
    products = Products.of(weights, groups=1, taps=1, limits=U16.limits)
    assert products.total == expected
    x = rng.integers(65000, 65536, (7, 5))
    assert products.compute(x.reshape(7, 1, 1, 1, 1, 5)).astype(np.int64).tolist() == in_python(x, weights)


@pytest.mark.parametrize(
    ("form", "weight", "products", "total"),
    [
        (U8, -128, np.int16, np.int32),
        (U8, 129, np.int32, np.int32),
        (I8, 255, np.int16, np.int32),
        (I8, -256, np.int32, np.int32),
        (U16, 32767, np.int32, np.int32),
        (U16, 32769, np.int64, np.int64),
    ],
)
def test_depthwise_types_end_at_their_bounds(form, weight, products, total, seed):
    """A kernel of 3 x 1 on three channels, its other taps 0: products and sums at the ends of their types."""
    weights = np.zeros((3, 3), np.int64)
    weights[1] = weight
    made = Products.of(weights, groups=3, taps=3, limits=form.limits)
    assert (made.weights.dtype, made.total) == (products, total)
    x = np.array([*product(form.limits, (form.limits[1] - 1, 0), (1, form.limits[1]))])
    windows = np.repeat(x[:, np.newaxis], 3, axis=1).reshape(len(x), 1, 1, 3, 1, 3)
    assert made.compute(windows).tolist() == (x * weight).tolist()


@pytest.mark.parametrize("size", [1, 40, 300])
@pytest.mark.parametrize("scheme", [Scheme.SHIFT, Scheme.FIXED16])
def test_blocks_of_any_size(scheme, size, seed, tmp_path, monkeypatch):
    """Every layer of every kind gives the integers of a plain Python reader, whatever is worked on at once."""
    monkeypatch.setattr(blocks, "BLOCK", size)
    network, images = random_network(seed, scheme)
    save(network, tmp_path / "network.npz")
    expected = reference.run(
        reference.read(tmp_path / "network.npz"), reference.Tensor(images.shape, images.ravel().tolist())
    )
    for name, values in outputs(network, images).items():
        assert values.dtype == np.int64
        assert values.ravel().tolist() == expected[name].values


@given(st.integers(0, 10**6))
def test_a_convolution_by_bands_is_its_definition(case):
    """Random shapes, groups, formats, roundings and residuals, against loops over 64-bit integers."""
    rng = np.random.default_rng(case)
    groups, per_group, per_output = (int(rng.integers(1, most)) for most in (4, 4, 4))
    kernel, stride, dilation = (tuple(rng.integers(1, 4, 2).tolist()) for _ in range(3))
    window = Window(kernel=kernel, stride=stride, dilation=dilation, pad=tuple(rng.integers(0, 3, 4).tolist()))
    signed, wide = map(bool, rng.integers(0, 2, 2))
    x_form = Format(width=int(rng.integers(2, 17)), signed=signed, fraction=0)
    w_form = Format(width=int(rng.integers(9, 17)) if wide else 8, signed=True, fraction=int(rng.integers(0, 9)))
    rows, count = window.taps * per_group, groups * per_output
    x = rng.choice([*x_form.limits, x_form.limits[1] - 1, 0, 1], (2, 9, 10, groups * per_group))
    weights = rng.choice([*w_form.limits, 1, -1, 0, w_form.limits[1]], (rows, count))
    form = Format(width=8, signed=True, fraction=int(rng.integers(0, 9))) if rng.integers(2) else None
    layer = Weighted(
        name="conv", sources=("x", "r")[: 1 + (form is not None)], weights=weights, window=window, groups=groups,
        bias=rng.integers(-128, 128, count), x=x_form, w=w_form, b=w_form, residual=form,
        output=Format(width=int(rng.integers(2, 17)), signed=bool(rng.integers(2)), fraction=-int(rng.integers(0, 9))),
        rounding=list(Rounding)[rng.integers(4)], leak=int(rng.integers(0, 3)),
    )  # fmt: skip
    height, width = window.output_size(9, 10)
    residual = rng.integers(-128, 128, (2, height, width, count))
    step = layer.compute(x, *([residual] if form else []))
    wider = np.pad(x, ((0, 0), window.pad[::2], window.pad[1::2], (0, 0)))
    for n, y, z, output in zip(*(rng.integers(0, size, 20) for size in step.outputs.shape), strict=True):
        first = output // per_output * per_group
        total = int(layer.aligned_bias[output])
        for index, (i, j) in enumerate(np.ndindex(kernel)):
            values = wider[n, y * stride[0] + i * dilation[0], z * stride[1] + j * dilation[1]].tolist()
            held = weights[index * per_group : (index + 1) * per_group, output].tolist()
            total += sum(a * b for a, b in zip(values[first : first + per_group], held, strict=True))
        if form:
            most = max(w_form.fraction, form.fraction)
            total = (total << most - w_form.fraction) + (int(residual[n, y, z, output]) << most - form.fraction)
        assert step.accumulators.reshape(step.outputs.shape)[n, y, z, output] == total
        how = {"rounding": layer.rounding.value}
        low, high = layer.output.limits
        rounded = reference.round_(how, total, layer.shift + (layer.leak if total < 0 else 0))
        assert step.outputs[n, y, z, output] == min(max(rounded, low), high)


@pytest.mark.parametrize("beyond", [256, -1, 2**31, -(2**31), 2**40])
def test_integers_that_a_format_does_not_hold(beyond):
    """They are computed all the same, exactly."""
    x = np.array([[[[beyond], [3]], [[5], [beyond]]]])
    layer = dense(np.array([[3, -100]]), U8, window=Window(kernel=(1, 1)))
    assert layer.compute(x).accumulators.tolist() == [[3 * value, -100 * value] for value in x.ravel().tolist()]
    pool = AveragePool(name="mean", sources=("x",), output=I16, x=U8, w=I8, window=Window(kernel=(2, 2)))
    assert pool.multiplier == 0
    pool = AveragePool(
        name="mean", sources=("x",), output=I16, x=U8, w=Format(width=8, signed=True, fraction=2),
        window=Window(kernel=(2, 2)),
    )  # fmt: skip
    assert pool.compute(x).accumulators.tolist() == [[2 * beyond + 8]]


@pytest.mark.parametrize("rounding", Rounding)
def test_shifts_of_32_bits_are_those_of_64(rounding, seed):
    rng = np.random.default_rng(seed)
    low, high = limits(31, True)
    values = np.concatenate([rng.integers(low, high, 99), rng.integers(-40, 40, 99), [low, high, -1, 0, 1]])
    shifts = np.arange(32)[:, np.newaxis]
    narrow = round_shift(values.astype(np.int32), shifts, rounding)
    assert narrow.dtype == np.int32
    assert np.array_equal(narrow, round_shift(values, shifts, rounding))


def test_maps_are_narrow_and_leave_when_nobody_reads_them(seed):
    network, images = random_network(seed)
    for step in steps(network, images):
        assert step.results.dtype.itemsize == 1
        assert step.outputs.dtype == np.int64
        assert np.array_equal(step.results, step.outputs)
    one = Network(source="x", input=U8, layers=(dense(np.ones((2, 1), np.int64), U8),))
    (step,) = steps(one, np.array([[255, 255]]))
    assert step.inputs[0].dtype == np.uint8
    assert step.outputs.tolist() == [[510]]


@pytest.mark.parametrize("batch", [1, 2, 256])
def test_large_images_run_a_few_at_a_time(batch, monkeypatch, seed):
    network, images = random_network(seed)
    expected = outputs(network, images)
    monkeypatch.setattr("roundel.golden.network.network.AT_ONCE", images[0].size)
    for name, values in outputs(network, images, batch=batch).items():
        assert np.array_equal(values, expected[name])
