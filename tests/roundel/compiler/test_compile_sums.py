"""Means from sums of rows, which the operation before writes beside its results, on the golden engine."""

from dataclasses import replace

import numpy as np
import pytest

from roundel.benchmarks.shapes import Builder
from roundel.compiler import compile_network
from roundel.golden.engine import Opcode
from roundel.golden.formats import Format
from roundel.golden.network import AveragePool, Window
from tests.roundel.compiler.test_compile import check, engine


def image(shape, seed=1):
    return np.random.default_rng(seed).integers(0, 256, shape)


def summed(compiled):
    """Layers whose COMPUTEs write sums."""
    tasks = [task for task in compiled.tasks if task.opcode is Opcode.COMPUTE]
    return {task.layer for task in tasks if task.values.get("has_sums")}


def means(shape, *, linear, width=8, **conv):
    """A convolution and the mean of its map, whose multiplier has some bits."""
    builder = Builder(shape=shape)
    x = builder.conv("image", 10, linear=linear, **conv)
    mean = builder.mean(x)
    rows, columns, _ = builder.shapes[x]
    own = builder.layers[-1]
    fraction = (rows * columns).bit_length() + width - 3
    builder.layers[-1] = replace(own, w=Format(width=width, signed=True, fraction=fraction))
    builder.conv(mean, 5, linear=True)
    return builder.network()


@pytest.mark.parametrize("linear", [True, False], ids=["signed", "unsigned"])
@pytest.mark.parametrize(
    ("shape", "fields"),
    [
        ((7, 7, 4), {}),
        ((5, 64, 3), {}),  # as wide as a sum is
        ((3, 65, 3), {}),  # two tiles side by side
        ((6, 150, 2), {}),  # three
        ((20, 17, 4), {"depth": 32}),  # tiles of a row
        ((9, 20, 4), {"depth": 8}),
        ((40, 21, 8), {"memory": 2048}),  # bands
    ],
)
def test_a_mean_reads_sums(shape, linear, fields):
    network = means(shape, linear=linear)
    params = engine("tiny", sums=True, **fields)
    compiled = check(network, image(shape), params)
    assert summed(compiled) == {"conv_0"}
    assert (len(compiled.plan.streamed) > 0) == ("memory" in fields)
    words = {task.layer: task.steps[0] for task in compiled.tasks if task.opcode is Opcode.COMPUTE}
    before = compile_network(network, shape, engine("tiny", **fields)).tasks
    assert words["mean_1"] < sum(task.steps[0] for task in before if task.layer == "mean_1")


@pytest.mark.parametrize("width", [4, 8, 9, 12])
def test_multipliers_of_any_width(width):
    """Of 12 bits too, where the map is large enough for the upper digit's many pieces."""
    network = means((24, 50, 4), linear=False, width=width)
    assert summed(check(network, image((24, 50, 4)), engine("tiny", sums=True))) == {"conv_0"}


def test_extreme_sums():
    """All bytes are the least, or the greatest."""
    for value in (0, 255):
        network = means((4, 64, 3), linear=True)
        layer = network.layers[0]
        weights = np.full_like(layer.weights, -128 if value else 127)
        bias = np.full_like(layer.bias, 30000 if not value else -30000)
        first = replace(layer, weights=weights, bias=bias)
        network = replace(network, layers=(first, *network.layers[1:]))
        check(network, np.full((4, 64, 3), value), engine("tiny", sums=True))


def test_maps_without_sums():
    """What many operations make, narrow maps, an engine without the unit, or without scales."""
    params = engine("tiny", sums=True)
    narrow = means((60, 1, 4), linear=True)
    assert not summed(check(narrow, image((60, 1, 4)), params))
    wide = means((9, 9, 4), linear=True)
    assert not summed(check(wide, image((9, 9, 4)), engine("tiny")))
    assert not summed(check(wide, image((9, 9, 4)), replace(params, scales=False)))
    builder = Builder(shape=(9, 9, 4))
    builder.mean(builder.upsample("image"))
    assert not summed(check(builder.network(), image((9, 9, 4)), params))
    builder = Builder(shape=(9, 9, 4))
    builder.mean("image")
    assert not summed(check(builder.network(), image((9, 9, 4)), params))


def test_digits_that_do_not_fit_the_accumulator_are_not_read():
    """The digits' range is wider than what they hold; the map's own words do fit."""
    network, shape = means((30, 8, 3), linear=True), (30, 8, 3)
    for reduction, fits in ((128, False), (256, True)):
        params = engine("tiny", sums=True, reduction=reduction, bias_width=18)
        assert (summed(check(network, image(shape), params)) == {"conv_0"}) == fits


def test_two_means_of_one_map_read_the_same_sums():
    builder = Builder(shape=(9, 9, 4))
    x = builder.conv("image", 6)
    first, second = builder.mean(x), builder.mean(x)
    builder.conv(first, 5), builder.conv(second, 5)
    compiled = check(builder.network(), image((9, 9, 4)), engine("tiny", sums=True))
    assert summed(compiled) == {"conv_0"}


def test_means_of_windows_have_no_sums():
    builder = Builder(shape=(8, 8, 4))
    x = builder.conv("image", 6)
    form = builder.formats[x]
    part = AveragePool(
        name="part", sources=(x,), x=form, output=form, window=Window(kernel=(4, 4)),
        w=Format(width=8, signed=True, fraction=10),
    )  # fmt: skip
    network = replace(builder.network(), layers=(*builder.layers, part), results=("part",))
    assert not summed(check(network, image((8, 8, 4)), engine("tiny", sums=True)))


def test_a_memory_that_has_no_room_for_sums_is_used_without_them():
    """Rows of 150 words in bands: strips of them fit, whole rows do not."""
    network, shape = means((6, 150, 30), linear=True, kernel=3), (6, 150, 30)
    compiled = check(network, image(shape), engine("tiny", sums=True, memory=1024))
    assert not summed(compiled)


def test_the_fingerprint_tells_such_engines():
    assert engine("tiny").contract().keys() ^ engine("tiny", sums=True).contract().keys() == {"sums"}
