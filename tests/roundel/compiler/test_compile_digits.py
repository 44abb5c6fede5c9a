"""Weights wider than the array's as signed digits: one network gives the same integers on arrays of any width."""

import numpy as np
import pytest

from roundel.compiler import compile_network, layer_rows
from roundel.compiler.step_weights import pieces
from roundel.golden.errors import InputError
from roundel.golden.formats import Format, digits_reach
from roundel.golden.network import AveragePool, MaxPool, Window, outputs
from roundel.golden.requant import Scheme
from roundel.runtime import run_frames, tensor_differences
from roundel.runtime.random_networks import engine_network
from tests.roundel.compiler.test_compile import check, engine
from tests.roundel.compiler.test_compile_layers import S8, U8, image_of, network, weighted
from tests.roundel.compiler.test_compile_scaled import drawn, requantizer

POINT = Window(kernel=(1, 1))


def digits(weight, width, count):
    """Signed digits of `width` bits of a weight by long division, the lowest first; the last one takes what is left."""
    found, base = [], 1 << width
    for _ in range(count - 1):
        digit = (weight + base // 2) % base - base // 2
        found.append(digit)
        weight = (weight - digit) // base
    return [*found, weight]


@pytest.mark.parametrize(("width", "count", "reach"), [(4, 2, 119), (2, 4, 85)])
def test_weights_are_their_signed_digits(width, count, reach):
    """Every weight of 8 bits; those beyond the reach have a further digit of the highest place."""
    weights = np.arange(-128, 128)
    parts = pieces("layer", weights, engine("tiny", weight_width=width))
    low, high = -(1 << width - 1), (1 << width - 1) - 1
    assert len(parts) == count + 1
    expected = np.array([digits(weight, width, count) for weight in weights.tolist()]).T[::-1]
    top = parts[0].weights.astype(int) + parts[1].weights
    assert np.array_equal(top, expected[0])
    assert np.array_equal(parts[0].weights, np.clip(expected[0], low, high))
    assert np.array_equal(np.array([part.weights for part in parts[2:]]), expected[1:])
    assert np.array_equal(parts[1].weights != 0, weights > reach)
    assert [part.scale * 2 for part in parts[1:]] == [width * place for place in reversed(range(count))]


@pytest.mark.parametrize("width", range(2, 8))
def test_random_networks_are_the_same_on_narrow_arrays(width, seed):
    """Convolutions, depthwise ones and means too; `check` compares every layer with the integer network."""
    for offset in range(4):
        check(
            *engine_network(100 * seed + offset, size=12, channels=9 if offset % 2 else 3),
            engine("tiny", weight_width=width),
        )


@pytest.mark.parametrize("scheme", [Scheme.FIXED16, Scheme.FIXED32, Scheme.FLOAT32])
def test_scales_that_are_multiplied(scheme, seed):
    """Sums, whose factors have up to 13 bits, and means whose multiplier has 16."""
    check(*drawn(seed, scheme, 5, 4, 6), engine("tiny", weight_width=5, **requantizer(scheme)))


@pytest.mark.parametrize(("width", "count"), [(4, 2), (2, 4)])
def test_only_blocks_beyond_the_reach_take_a_further_step(width, count):
    """Of 2 x 3 blocks of a layer one has a weight of 127, another one of -128."""
    weights = np.random.default_rng(1).integers(-85, 86, (3 * 4, 2 * 4))
    base = check(network(weighted("conv", "image", 12, 8, POINT, weights=weights)), image_of(3, 3, 12), engine("tiny"))
    weights[5, 2], weights[0, 7] = 127, -128
    layers = network(weighted("conv", "image", 12, 8, POINT, weights=weights))
    compiled = check(layers, image_of(3, 3, 12), engine("tiny", weight_width=width))
    (dense,), (row,) = layer_rows(base), layer_rows(compiled)
    assert dense["steps"] == dense["steps_dense"] == 6 * dense["computes"]
    assert row["steps"] == row["steps_dense"] == (6 * count + 1) * row["computes"]
    assert row["steps_further"] == row["computes"]


@pytest.mark.parametrize(
    ("width", "bits", "reach"),
    [(4, 8, (-128, 119)), (2, 8, (-128, 85)), (2, 6, (-32, 21)), (2, 4, (-8, 5)), (4, 7, (-64, 63)),
     (3, 8, (-128, 127)), (5, 8, (-128, 127)), (6, 8, (-128, 127)), (8, 8, (-128, 127)), (4, 4, (-8, 7)),
     (2, 2, (-2, 1)), (8, 4, (-8, 7))],
)  # fmt: skip
def test_what_the_usual_digits_reach(width, bits, reach):
    """All weights within take as many sets of weights as one at the end does, those beyond one more."""
    params = engine("tiny", weight_width=width)
    assert digits_reach(width, bits) == reach
    least, most = -(1 << bits - 1), (1 << bits - 1) - 1
    count = len(pieces("layer", np.arange(reach[0], reach[1] + 1), params))
    assert len(pieces("layer", np.arange(least, most + 1), params)) == count + (reach != (least, most))


def test_upper_digits_that_are_zero_take_no_step():
    """The first block of channels has weights of 4 bits, and no upper digit."""
    weights = np.random.default_rng(2).integers(-8, 8, (12, 4))
    weights[4:] *= 15
    layers = network(weighted("conv", "image", 12, 4, POINT, weights=weights))
    (row,) = layer_rows(check(layers, image_of(2, 2, 12), engine("tiny", weight_width=4)))
    assert (row["steps"], row["steps_dense"]) == (5 * row["computes"], 6 * row["computes"])


def test_sums_that_fit_an_array_fit_narrower_ones():
    """The bound of a sum is that of the weights, not of their digits, whose signs differ: 8 is 16 - 8."""
    for count in (32, 33):  # sums of -128 * 8 * count: 16 bits hold -32768
        weights = np.full((count, 4), 8)
        layer = weighted("conv", "image", count, 4, POINT, weights=weights, bias=np.zeros(4, int), x=S8)
        layers, image = network(layer, form=S8), image_of(2, 2, count, form=S8)
        for width in (8, 4):
            params = engine("tiny", weight_width=width, reduction=1, bias_width=14)
            assert params.mac.acc_width == 16
            if count == 32:
                check(layers, image, params)
            else:
                with pytest.raises(InputError, match=r"^conv: sums need 17 bits"):
                    compile_network(layers, image.shape, params)


def test_means_and_maxima_on_two_bits(seed):
    pool = MaxPool(name="max", sources=("image",), window=Window(kernel=(2, 2)), output=U8)
    mean = AveragePool(
        name="mean", sources=("max",), x=U8, output=S8, window=Window(kernel=(3, 3)), count_padding=False,
        w=Format(width=8, signed=True, fraction=10),
    )  # fmt: skip
    check(network(pool, mean), image_of(6, 6, 5), engine("tiny", weight_width=2))


def test_a_maximum_that_needs_a_wider_weight_is_refused():
    """The multiplier of fixed32 halves, so that weights are 2 or 4."""
    form = Format.of_scale(width=8, signed=False, scale=0.05, zero=3)
    how = requantizer(Scheme.FIXED32)
    pool = MaxPool(name="max", sources=("image",), window=Window(kernel=(2, 2)), output=form)
    params = engine("tiny", weight_width=2, scales=False, **how)
    with pytest.raises(InputError, match=r"^max: a maximum needs weights of 4.*--set scales=True"):
        compile_network(network(pool, form=form), (4, 4, 4), params)
    check(network(pool, form=form), image_of(4, 4, 4, form=form), engine("tiny", weight_width=2, **how))


@pytest.mark.parametrize("width", [4, 2])
def test_the_same_integers_on_rtl(width):
    """A convolution, a depthwise one and a mean, of weights of 8 bits, on the RTL of a narrow array."""
    mean = AveragePool(
        name="mean", sources=("depth",), x=U8, output=S8, window=Window(kernel=(3, 2)),
        w=Format(width=8, signed=True, fraction=9),
    )  # fmt: skip
    made = network(weighted("conv", "image", 3, 6), weighted("depth", "conv", 6, 6, groups=6), mean)
    image = image_of(4, 3, 3)[np.newaxis]
    params = engine("tiny", weight_width=width, memory=4096, nms=None)
    compiled = compile_network(made, image.shape[1:], params)
    frames = run_frames(compiled, image)
    assert list(tensor_differences(compiled, frames, outputs(made, image))) == []
