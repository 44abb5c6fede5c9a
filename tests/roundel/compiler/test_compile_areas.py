"""Results whose weights differ along the map's borders: an operation for each area, on engines of every layout."""

import pytest

from roundel.compiler import compile_network
from roundel.golden.errors import InputError
from roundel.golden.formats import Format
from roundel.golden.network import AveragePool, Concat, Interpolate, Network, Window
from tests.roundel.compiler.test_compile import check, engine
from tests.roundel.compiler.test_compile_layers import S8, U8, image_of, network, tasks_of, weighted

MOVED = Format(width=8, signed=False, fraction=3, zero=77)
ENGINES = [("tiny", 1 << 17), ("small", 1 << 17), ("medium", 1 << 19), ("tiny", 1024), ("small", 2048)]
WINDOWS = [
    (Window(kernel=(3, 3), pad=(1, 1, 1, 1)), 9),
    (Window(kernel=(3, 3), pad=(0, 0, 1, 1), stride=(2, 2)), 4),  # as TensorFlow pads
    (Window(kernel=(2, 5), pad=(1, 2, 0, 3), stride=(1, 2)), 8),
    (Window(kernel=(7, 1), pad=(3, 0, 3, 0)), 7),
]


def mean(window, *, x=U8, source="image"):
    w = Format(width=12, signed=True, fraction=11)
    return AveragePool(
        name="mean", sources=(source,), x=x, output=S8, window=window, w=w, count_padding=False
    )  # fmt: skip


@pytest.mark.parametrize(("window", "areas"), WINDOWS)
@pytest.mark.parametrize(("name", "memory"), ENGINES)
def test_means_of_what_lies_in_the_map(window, areas, name, memory):
    for form, channels in ((U8, 3), (S8, 9), (MOVED, 5)):
        made = network(mean(window, x=form), form=form)
        compiled = check(made, image_of(8, 10, channels, form=form), engine(name, memory=memory), trace=False)
        if memory > 4096:
            assert len(tasks_of(compiled, "mean")) >= areas


@pytest.mark.parametrize("factor", [(2, 2), (4, 4), (1, 2), (2, 1)])
@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize(("name", "memory"), ENGINES)
def test_interpolation(factor, centred, name, memory):
    """Between the middles of pixels (`half_pixel`), or from corners (`asymmetric`)."""
    offset = tuple(1 - one if centred else 0 for one in factor)
    for form, channels in ((U8, 1), (S8, 9), (MOVED, 3))[sum(factor) % 3 :][:2]:
        layer = Interpolate(name="large", sources=("image",), x=form, output=S8, factor=factor, offset=offset)
        check(network(layer, form=form), image_of(4, 5, channels, form=form), engine(name, memory=memory), trace=False)


@pytest.mark.parametrize("factor", [(8, 8), (2, 16), (16, 4)])
@pytest.mark.parametrize("inner", [True, False])
@pytest.mark.parametrize("name", ["tiny", "small", "medium"])
def test_interpolation_by_more_columns_than_a_pixel_becomes(factor, inner, name):
    """A copy makes the last columns, or the host where nothing on the engine reads the map."""
    check(enlarged(factor, inner), image_of(3, 4, 9), engine(name, memory=1 << 19), trace=False)


def enlarged(factor, inner):
    """A network that enlarges its image of 9 channels, with a convolution behind or without."""
    layer = Interpolate(name="large", sources=("image",), x=U8, output=S8, factor=factor, offset=(1 - factor[0], 0))
    window = Window(kernel=(3, 3), pad=(1, 1, 1, 1))
    layers = (layer, *([weighted("c", "large", 9, 5, window, x=S8)] if inner else []))
    return Network(source="image", input=U8, layers=layers, results=(layers[-1].name,))


@pytest.mark.parametrize(("factor", "copies"), [((8, 8), 2), ((8, 4), 0), ((2, 16), 4)])
def test_only_more_than_four_columns_that_others_read_take_a_copy(factor, copies):
    """Of as many tasks as a column becomes columns."""
    inner, last = (
        compile_network(enlarged(factor, inner), (3, 4, 9), engine("medium", memory=1 << 19)) for inner in (True, False)
    )
    assert len(tasks_of(inner, "large")) - len(tasks_of(last, "large")) == copies


def test_more_columns_than_two_steps_make_are_refused():
    with pytest.raises(InputError, match=r"^large: the engine makes at most 4 pixels of one in a row, not 8"):
        compile_network(enlarged((2, 32), inner=True), (3, 4, 9), engine("medium", memory=1 << 19))


@pytest.mark.parametrize("memory", [1 << 17, 4096])
def test_areas_within_a_concatenation(memory):
    """Their map is a part of a larger one, without a copy, and others read it."""
    enlarged = Interpolate(name="large", sources=("a",), x=U8, output=U8, factor=(2, 2), offset=(-1, -1))
    layers = (
        weighted("a", "image", 3, 16, Window(kernel=(3, 3), stride=(2, 2), pad=(1, 1, 1, 1))), enlarged,
        weighted("b", "image", 3, 8),
        Concat(name="both", sources=("b", "large"), inputs=(U8, U8), output=U8),
        mean(WINDOWS[0][0], source="both"), weighted("c", "large", 16, 4), weighted("d", "mean", 24, 5, x=S8),
    )  # fmt: skip
    made = Network(source="image", input=U8, layers=layers, results=("c", "d"))
    compiled = check(made, image_of(12, 10, 3), engine("small", memory=memory), trace=False)
    assert not tasks_of(compiled, "both")
    check(made, image_of(12, 10, 3), engine("small", memory=memory))
