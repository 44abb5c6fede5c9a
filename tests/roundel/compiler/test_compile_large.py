"""Pools of whole maps larger than the memory, maxima of many taps, kernels of 7 x 7: golden's integers, and cycles."""

import numpy as np
import pytest

from roundel.compiler import compile_network
from roundel.golden.cycles import predict
from roundel.golden.engine import CONFIGS, EngineParams, Opcode
from roundel.golden.errors import InputError
from roundel.golden.formats import Format
from roundel.golden.network import AveragePool, MaxPool, Upsample, Window
from roundel.graph import AveragePool as Mean
from roundel.quantization import quantize
from roundel.quantization.means import MANY
from roundel.quantization.search import SUM_BITS
from tests.roundel.compiler.test_compile import check, engine
from tests.roundel.compiler.test_compile_layers import S8, U8, image_of, network, tasks_of, weighted
from tests.support.made_graphs import network as graph_of
from tests.support.made_graphs import node, refuses

MOVED = Format(width=8, signed=False, fraction=3, zero=77)
LARGE = [  # rows, columns, channels; engine, its memory; descriptors of the mean at least
    (20, 17, 9, "tiny", 2048, 3),  # each plane fits
    (20, 17, 9, "tiny", 1024, 9),  # none does
    (31, 30, 3, "tiny", 1024, 9),
    (40, 41, 9, "small", 4096, 6),
]


@pytest.mark.parametrize(("rows", "columns", "channels", "name", "memory", "least"), LARGE)
@pytest.mark.parametrize("form", [U8, S8, MOVED], ids=["unsigned", "signed", "moved"])
def test_pools_of_whole_maps_that_do_not_fit(rows, columns, channels, name, memory, least, form):
    params, window = engine(name, memory=memory), Window(kernel=(rows, columns))
    w = Format(width=12, signed=True, fraction=8 + int(np.log2(rows * columns)))
    mean = AveragePool(name="pool", sources=("image",), x=form, output=S8, w=w, window=window)
    greatest = MaxPool(name="pool", sources=("image",), output=form, window=window)
    image = image_of(rows, columns, channels, form=form)
    compiled = check(network(mean, form=form), image, params, trace=False)
    assert len(tasks_of(compiled, "pool")) >= least
    assert compiled.plan.streamed
    check(network(greatest, form=form), image, params, trace=False)


def test_a_mean_of_a_map_in_the_middle():
    """Between layers that are streamed, and with every layer's result stored."""
    window = Window(kernel=(40, 41))
    mean = AveragePool(
        name="mean", sources=("a",), x=U8, output=U8, w=Format(width=12, signed=True, fraction=18), window=window
    )
    layers = weighted("a", "image", 3, 12), mean, weighted("b", "mean", 12, 5, Window(kernel=(1, 1)))
    for trace in (False, True):
        check(network(*layers), image_of(40, 41, 3), engine("small", memory=4096), trace=trace)


def test_a_maximum_of_many_rows_of_one_value_copies_no_map():
    """Of 64 rows at once, then of those three: of a row there is nothing to choose from."""
    layer = MaxPool(name="pool", sources=("image",), output=S8, window=Window(kernel=(150, 1)))
    compiled = check(network(layer, form=S8), image_of(150, 1, 3, form=S8), engine("tiny"), trace=False)
    assert {task.steps[0] for task in tasks_of(compiled, "pool")} == {64, 3}


def test_more_rows_than_a_step_reaches():
    greatest = MaxPool(name="pool", sources=("image",), output=S8, window=Window(kernel=(150, 2)))
    check(network(greatest, form=S8), image_of(150, 2, 3, form=S8), engine("tiny"), trace=False)
    part = MaxPool(name="pool", sources=("image",), output=S8, window=Window(kernel=(149, 2)))
    with pytest.raises(InputError, match=r"^pool: a kernel reaches dy"):
        compile_network(network(part, form=S8), (150, 2, 3), engine("tiny"))


@pytest.mark.parametrize("size", [(3, 3), (60, 60), (112, 112), (130, 130), (131, 137), (224, 224), (9, 2000)])
def test_sums_of_means_fit_the_array(size):
    """Of quantized networks, whatever the map: 12 bits of multiplier are for few values."""
    images = np.random.default_rng(1).uniform(0, 1, (1, 2, *size)).astype(np.float32)

    made = quantize(graph_of((2, *size), node(Mean, "x", "y", window=None)), images)
    [layer] = made.network.layers
    for name in CONFIGS if layer.window.taps > MANY else ["medium"]:
        compile_network(made.network, (*size, 2), engine(name))
    off = abs(layer.multiplier / 2.0**layer.w.fraction * layer.window.taps - 1)
    assert off < 0.008
    assert [f"is off by {off:.2%}" in note for note in made.notes] == [True] * (off > 1 / 256)


def test_a_mean_that_would_be_wrong_is_refused():
    images = np.random.default_rng(1).uniform(0, 1, (1, 1, 700, 1000)).astype(np.float32)
    graph = graph_of((1, 700, 1000), node(Mean, "x", "y", window=None))
    refuses(graph, images, r"a mean of 700000 values is off by 33\.24%, as sums of 30 bits .* --outputs")


def test_sums_of_the_named_engines():
    assert {EngineParams.named(name).mac.acc_width for name in CONFIGS} == {SUM_BITS}


@pytest.mark.parametrize(
    "window",
    [
        Window(kernel=(5, 5), pad=(2, 2, 2, 2)),
        Window(kernel=(9, 13), pad=(4, 6, 4, 6)),
        Window(kernel=(7, 6), pad=(2, 0, 5, 3), stride=(1, 2), dilation=(1, 2)),
        Window(kernel=(7, 7), pad=(2, 3, 3, 2), stride=(2, 2)),
    ],
)
@pytest.mark.parametrize("name", ["tiny", "small"])
def test_maxima_of_many_taps(window, name):
    """As a row's and then a column's where that takes half the beats; padding of any side never wins."""
    for form in (U8, S8):
        layer = MaxPool(name="pool", sources=("image",), output=form, window=window)
        compiled = check(network(layer, form=form), image_of(14, 13, 9, form=form), engine(name), trace=False)
        steps = {task.steps[0] // task.values["blocks"] for task in tasks_of(compiled, "pool")}
        apart = set(window.kernel)
        assert steps in (apart, {window.taps})
        assert steps == apart or window.stride != (1, 1)


@pytest.mark.parametrize("factor", [3, 6])
@pytest.mark.parametrize(("name", "memory"), [("tiny", 1 << 17), ("tiny", 1024), ("medium", 1 << 19)])
def test_values_repeated_three_times(factor, name, memory):
    for form in (U8, S8, MOVED):
        layer = Upsample(name="up", sources=("image",), output=form, factor=factor)
        made = network(layer, form=form)
        check(made, image_of(3, 4, 9, form=form), engine(name, memory=memory), trace=False)


@pytest.mark.parametrize("groups", [1, 9])
@pytest.mark.parametrize("name", ["tiny", "small", "medium"])
def test_kernels_of_7_padded_as_tensorflow_exports_them(groups, name):
    for stride, pad in (((2, 2), (2, 2, 3, 3)), ((1, 1), (3, 3, 3, 3)), ((2, 1), (3, 2, 2, 4))):
        window = Window(kernel=(7, 7), stride=stride, pad=pad)
        layer = weighted("conv", "image", 9, 9, window, groups=groups)
        check(network(layer), image_of(15, 14, 9), engine(name), trace=False)
    first = weighted("conv", "image", 3, 5, Window(kernel=(7, 7), stride=(2, 2), pad=(2, 2, 3, 3)))
    check(network(first), image_of(18, 16, 3), engine(name), trace=False)


def test_maxima_of_13_by_13_take_two_rows_of_13_steps():
    """As in the spatial pyramids of YOLO: 26 beats a word instead of 169."""
    layer = MaxPool(name="pool", sources=("image",), output=U8, window=Window(kernel=(13, 13), pad=(6,) * 4))
    compiled = compile_network(network(layer), (20, 20, 16), engine("medium"))
    rows, _ = predict(compiled.params, np.frombuffer(compiled.image, np.uint8))
    cycles = sum(row.end - row.start for row in rows if row.opcode is Opcode.COMPUTE)
    assert cycles <= 1.1 * 26 * 20 * 20
