"""Layers that move values on the engine: what they cost, and that results lie where they should."""

from dataclasses import replace

import numpy as np
import pytest

from roundel.compiler import compile_network
from roundel.compiler.lowering import lower_network
from roundel.golden.engine import Opcode
from roundel.golden.errors import InputError
from roundel.golden.network import Add, Concat, DepthToSpace, MaxPool, Network, Select, Window
from tests.roundel.compiler.test_compile import check, engine
from tests.roundel.compiler.test_compile_layers import S8, SAME, U8, image_of, network, tasks_of, weighted

POINT = Window(kernel=(1, 1))


def select(name, source, channels, form=U8):
    return Select(name=name, sources=(source,), output=form, channels=tuple(channels))


def pixels(name, source, factor, *, by_channel=False, form=U8):
    return DepthToSpace(name=name, sources=(source,), output=form, factor=factor, by_channel=by_channel)


@pytest.mark.parametrize("factor", [(2, 2), (1, 3), (3, 1), (2, 4)])
@pytest.mark.parametrize("by_channel", [False, True])
@pytest.mark.parametrize(("name", "memory"), [("small", 1 << 17), ("tiny", 2048)])
def test_results_of_a_convolution_become_pixels(factor, by_channel, name, memory):
    """No step more than the convolution has with its outputs in planes of their own; nothing is copied."""
    params, down, across = engine(name, memory=memory), *factor
    outputs = down * across * params.lanes
    layers = weighted("conv", "image", 9, outputs), pixels("big", "conv", factor, by_channel=by_channel)
    made = network(*layers, weighted("next", "big", params.lanes, 5))
    compiled = check(made, image_of(7, 9, 9), params)
    assert {task.values["skip"] for task in tasks_of(compiled, "conv")} == {across - 1}
    assert not tasks_of(compiled, "big")
    assert sum(task.macs for task in tasks_of(compiled, "conv")) == 7 * 9 * 9 * 9 * outputs
    if memory > 4096:
        once = check(made, image_of(7, 9, 9), params, trace=False)
        steps = 9 * -(-9 // params.lanes) * down * across
        assert sum(task.steps[0] for task in tasks_of(once, "conv")) % steps == 0
        assert {sum(task.steps[0] for task in tasks_of(once, "conv")) // steps} <= {1, 2}  # bands of the image


@pytest.mark.parametrize("times", [1, 2])
def test_depthwise_results_become_pixels(times):
    window = Window(kernel=(3, 2), pad=(1, 1, 1, 0))
    layers = (
        weighted("conv", "image", 9, 9 * 4 * times, window, groups=9),
        pixels("big", "conv", (2, 2), by_channel=True),
        MaxPool(name="max", sources=("big",), output=U8, window=Window(kernel=(2, 2), stride=(2, 2))),
    )
    compiled = check(network(*layers), image_of(5, 6, 9), engine("small"))
    assert {task.values["depthwise"] for task in tasks_of(compiled, "conv")} == {1}
    assert not tasks_of(compiled, "big")


@pytest.mark.parametrize("name", ["tiny", "medium"])
def test_pixels_of_what_others_read_too_are_a_copy(name):
    layers = weighted("conv", "image", 9, 12), pixels("big", "conv", (2, 2)), weighted("other", "conv", 12, 4)
    layers += (weighted("next", "big", 3, 4),)
    made = Network(source="image", input=U8, layers=layers, results=("conv", "big", "other", "next"))
    compiled = check(made, image_of(5, 6, 9), engine(name), trace=False)
    assert tasks_of(compiled, "big")
    assert sum(task.macs for task in tasks_of(compiled, "big")) == 0


@pytest.mark.parametrize("by_channel", [False, True])
def test_the_host_makes_pixels_of_a_result(by_channel):
    """Blocks of the engine hold channels of several pixels then: nothing is computed for lanes that stay empty."""
    params = engine("small")
    layers = weighted("conv", "image", 9, 64), pixels("big", "conv", (8, 8), by_channel=by_channel)
    compiled = check(network(*layers), image_of(5, 6, 9), params, trace=False)
    assert compiled.tensors["big"].shape == (40, 48, 1)
    assert sum(task.steps[0] for task in tasks_of(compiled, "conv")) % (9 * 2 * 64 // params.lanes) == 0
    assert {task.values["skip"] for task in tasks_of(compiled, "conv")} == {0}
    check(network(*layers), image_of(5, 6, 9), params)


def test_more_pixels_side_by_side_than_the_engine_makes():
    for factor in ((2, 5), (1, 8)):
        layers = weighted("conv", "image", 9, 80), pixels("big", "conv", factor)
        made = network(*layers, weighted("next", "big", 80 // (factor[0] * factor[1]), 3))
        with pytest.raises(
            InputError, match=f"^big: the engine makes at most 4 pixels of one in a row, not {factor[1]}"
        ):
            compile_network(made, (5, 6, 9), engine("tiny"))


@pytest.mark.parametrize("name", ["tiny", "small", "medium"])
def test_channels_are_read_where_they_are(name):
    """Halves of a map, and shuffled channels, cost no copy; nor do planes that nobody selects."""
    lanes = engine(name).lanes
    half, whole = range(lanes, 2 * lanes), 2 * lanes
    shuffled = np.arange(whole).reshape(2, lanes).T.ravel().tolist()
    layers = (
        weighted("conv", "image", 5, whole),
        select("half", "conv", half),
        select("shuffled", "conv", shuffled),
        weighted("a", "half", lanes, 6),
        weighted("b", "shuffled", whole, whole, groups=whole),
        weighted("c", "shuffled", whole, 6, POINT),
        MaxPool(name="d", sources=("half",), output=U8, window=SAME),
        Add(name="e", sources=("half", "d"), output=U8, x=U8, y=U8),
    )
    made = Network(source="image", input=U8, layers=layers, results=("half", "a", "b", "c", "d", "e"))
    for memory in (1 << 17, 1 << 12):
        compiled = check(made, image_of(6, 7, 5), engine(name, memory=memory), trace=False)
        assert {task.layer for task in compiled.tasks if task.opcode is Opcode.COMPUTE} <= {"conv", *"abcde", ""}
        assert sum(task.steps[0] for task in tasks_of(compiled, "a")) in (9, *range(18, 99, 9))


@pytest.mark.parametrize("name", ["tiny", "small"])
def test_shuffled_channels_of_groups_are_copied_where_that_saves_steps(name):
    """Groups of neighbours read few planes, shuffled channels lie in all of them: many outputs are worth a copy."""
    order = np.arange(48).reshape(3, 16).T.ravel().tolist()
    layers = (
        weighted("a", "image", 5, 48, POINT),
        select("s", "a", order),
        weighted("few", "s", 48, 6, POINT, groups=3),
        weighted("many", "s", 48, 96, POINT, groups=3),
    )
    made = Network(source="image", input=U8, layers=layers, results=("few", "many"))
    check(made, image_of(6, 7, 5), engine(name), trace=False)
    lowered = lower_network(made, (6, 7, 5), engine(name))
    assert [operation.layer for operation in lowered.operations] == ["a", "few", "many", "many"]
    gathered, product = lowered.operations[2:]
    lanes = engine(name).lanes
    assert product.kept == 96 // lanes * 16 // lanes
    assert gathered.kept + product.kept < 96 // lanes * 48 // lanes


@pytest.mark.parametrize(("channels", "order"), [(32, "ab"), (24, "ba"), (12, "ab"), (6, "bca")])
@pytest.mark.parametrize("name", ["tiny", "small"])
def test_halves_of_a_map_go_into_a_concatenation_without_a_copy(name, channels, order):
    """Both halves of a split map, one of them convolved as well, and what that gives: as in YOLOv8's blocks."""
    half = channels // 2
    layers = (
        weighted("conv", "image", 5, channels),
        select("a", "conv", range(half)),
        select("b", "conv", range(half, channels)),
        weighted("c", "b", half, half, POINT),
        Concat(name="all", sources=tuple(order), inputs=(U8,) * len(order), output=U8),
        weighted("next", "all", half * len(order), 7, POINT),
    )
    made = Network(source="image", input=U8, layers=layers, results=("next", "c"))
    for memory in (1 << 17, 1 << 12):
        compiled = check(made, image_of(6, 7, 5), engine(name, memory=memory), trace=False)
        assert not tasks_of(compiled, "all")


def test_one_half_in_a_concatenation_is_a_copy():
    layers = (
        weighted("conv", "image", 5, 32),
        select("a", "conv", range(16)),
        Concat(name="all", sources=("a", "a"), inputs=(U8, U8), output=U8),
        Concat(name="more", sources=("conv", "all", "a"), inputs=(U8,) * 3, output=U8),
    )
    check(Network(source="image", input=U8, layers=layers), image_of(6, 7, 5), engine("small"))


def test_selected_channels_of_an_image_and_in_a_concatenation():
    layers = (
        select("first", "image", (3, 1)),
        weighted("a", "first", 2, 7),
        select("few", "a", (6, 2, 5)),
        Concat(name="all", sources=("few", "a", "first"), inputs=(U8,) * 3, output=U8),
        weighted("b", "all", 12, 3, output=S8),
    )
    for name in ("tiny", "small"):
        check(network(*layers), image_of(6, 7, 5), engine(name))
        check(network(*layers[:2], replace(layers[4], x=U8, sources=("image",), weights=layers[4].weights[:45])),
              image_of(6, 7, 5), engine(name))  # fmt: skip
