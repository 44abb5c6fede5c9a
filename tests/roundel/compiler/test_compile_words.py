"""Beats of several words: rows of depthwise kernels, and planes of which lanes select channels."""

from dataclasses import replace

import numpy as np
import pytest

from roundel.compiler import compile_network, layer_rows
from roundel.golden.engine import Opcode, WeightStep
from roundel.golden.errors import InputError
from roundel.golden.formats import Format
from roundel.golden.network import AveragePool, Weighted, Window
from roundel.runtime.random_networks import engine_network
from tests.roundel.compiler.test_compile import check, engine
from tests.roundel.compiler.test_compile_layers import S8, U8, image_of, network, tasks_of, weighted

POINT = Window(kernel=(1, 1))
ROWS = {"taps": 16, "beat_words": 4}  # of `medium`
SELECT = {"select": True, "beat_words": 8, "banks": 8}


def computes(compiled):
    return [descriptor for descriptor in compiled.program.descriptors if descriptor.opcode is Opcode.COMPUTE]


def steps_of(compiled, task):
    """All steps of a COMPUTE, unpacked from its parameter stream."""
    params = compiled.params
    descriptor = compiled.program.descriptors[[item is task for item in compiled.tasks].index(True)]
    stream = compiled.image[descriptor.parameters_offset :][: descriptor.parameters_bytes]
    found, at = [], 0
    for _ in range(descriptor.blocks):
        at += 8 * params.columns
        while True:
            found.append(WeightStep.unpack(stream[at : at + 16], params.lanes))
            at += 16
            if found[-1].last:
                break
    assert at == len(stream)
    return found


@pytest.mark.parametrize(
    ("kernel", "stride", "dilation", "steps"),
    [(3, 1, 1, 1), (3, 2, 1, 1), (5, 1, 1, 3), (5, 2, 1, 3), (7, 1, 1, 4), (3, 1, 3, 2), (2, 2, 1, 1)],
)
def test_rows_of_a_depthwise_kernel_in_a_beat(kernel, stride, dilation, steps):
    """Of four words with four taps each, or two with eight."""
    window = Window(kernel=(kernel,) * 2, stride=(stride,) * 2, dilation=(dilation,) * 2, pad=(kernel // 2,) * 4)
    layer = weighted("depth", "image", 20, 20, window, groups=20)
    compiled = check(network(layer), image_of(17, 18, 20), engine("medium", **ROWS))
    assert {task.steps for task in tasks_of(compiled, "depth")} == {(2 * steps, 2 * steps)}
    for descriptor in computes(compiled):
        assert descriptor.split > 0
        assert descriptor.word_step % 2 == 1
        assert descriptor.word_rows == dilation


def test_rows_that_lie_in_few_banks_take_beats_of_their_own():
    """Words an even number of rows apart."""
    window = Window(kernel=(3, 3), dilation=(2, 2), pad=(2, 2, 2, 2))
    compiled = check(
        network(weighted("depth", "image", 20, 20, window, groups=20)), image_of(7, 9, 20), engine("medium", **ROWS)
    )
    assert {descriptor.split for descriptor in computes(compiled)} == {0}


def test_kernels_that_are_not_square(seed):
    """Also where the padding differs, and each column of a kernel takes beats of its own."""
    rng = np.random.default_rng(seed)
    for _ in range(6):
        kernel = tuple(int(size) for size in rng.integers(1, 8, 2))
        stride = tuple(int(size) for size in rng.integers(1, 5, 2))
        pad = tuple(int(rng.integers(0, size)) for size in (*kernel, *kernel))
        layer = weighted("depth", "image", 9, 9, Window(kernel=kernel, stride=stride, pad=pad), groups=9)
        check(network(layer), image_of(11, 13, 9), engine("small", taps=8, beat_words=4))


@pytest.mark.parametrize(
    ("name", "fields"),
    [("small", {"taps": 8, "beat_words": 4}), ("tiny", {"taps": 4, "beat_words": 2}), ("medium", ROWS),
     ("tiny", {"taps": 4, "beat_words": 4, "memory": 2048, "weight_width": 4})],
)  # fmt: skip
def test_random_networks(name, fields, seed):
    """On chip and in bands and strips; means of windows go the same way."""
    wide = 0
    for offset in range(6):
        compiled = check(*engine_network(100 * seed + offset, size=20, channels=5), engine(name, **fields))
        wide += sum(descriptor.split > 0 for descriptor in computes(compiled))
    assert wide > 3


def test_a_map_that_a_mean_reads_as_it_lies_keeps_its_rows():
    """Its rows follow one another without gaps: where they have an even number of words, beats have one."""
    mean = AveragePool(
        name="mean", sources=("image",), x=U8, output=S8, window=Window(kernel=(4, 6)),
        w=Format(width=8, signed=True, fraction=10),
    )  # fmt: skip
    depth = weighted("depth", "image", 20, 20, groups=20)
    for columns, split in ((6, 0), (7, 2)):
        layers = network(depth, replace(mean, window=Window(kernel=(4, columns))))
        compiled = check(layers, image_of(4, columns, 20), engine("medium", **ROWS, sums=False))
        assert {task.values.get("split", 0) for task in tasks_of(compiled, "depth")} == {split}


def sparse(rng, shape, *, split, kept, more=0.0):
    """Weights (taps, channels, outputs) of which a block keeps `kept` of eight channels; now and then one more."""
    taps, channels, outputs, lanes = *shape, 16
    weights = rng.integers(-127, 128, shape)
    words, side = 1 << split, 8 >> split
    for tap in range(taps):
        for first in range(0, channels, words * lanes):
            for lane in range(0, lanes, side):
                choice = [first + word * lanes + lane + near for word in range(words) for near in range(side)]
                for block in range(0, outputs, lanes):
                    alive = rng.permutation(8)[: kept + (rng.random() < more)]
                    dead = [place for number, place in enumerate(choice) if number not in alive and place < channels]
                    weights[tap, dead, block : block + lanes] = 0
    return weights.reshape(taps * channels, outputs)


@pytest.mark.parametrize(("split", "kept"), [(1, 4), (2, 2), (3, 1)])
@pytest.mark.parametrize("channels", [128, 112])
def test_patterns_take_one_step_for_several_planes(split, kept, channels, seed):
    """With a residual beside, and results that are stored; 112 channels leave a part of the last words out."""
    rng = np.random.default_rng(seed)
    weights = sparse(rng, (9, channels, 32), split=split, kept=kept)
    first = weighted("conv", "image", channels, 32, weights=weights, output=S8)
    residual = weighted("sum", "image", channels, 32, POINT, output=S8, seed=7)
    layers = network(residual, replace(first, sources=("image", "sum"), residual=S8))
    compiled = check(layers, image_of(6, 5, channels), engine("medium", **SELECT))
    words = 1 << split
    groups, planes = -(-channels // (16 * words)), -(-channels // 16)
    for task in tasks_of(compiled, "conv"):
        assert task.steps == (9 * groups * 2, 9 * planes * 2)
        assert (task.values["split"], task.values["wide_steps"], task.values["word_step"] % 2) == (split, 1, 1)
        assert task.further == 0
        for step in steps_of(compiled, task):
            side = 8 >> split
            choice, lane = np.array(step.selector), np.arange(16) % side
            assert ((choice % side == lane) | (choice >= side)).all()
            assert (np.diff(np.sort(choice.reshape(-1, side), axis=1), axis=1) > 0).all()


def test_weights_that_break_a_pattern_take_further_steps(seed):
    """As many as they need, at most one for each plane; they are counted, and nothing is wrong."""
    rng = np.random.default_rng(seed)
    weights = sparse(rng, (4, 64, 16), split=2, kept=2, more=0.05)
    window = Window(kernel=(2, 2))
    compiled = check(network(weighted("conv", "image", 64, 16, window, weights=weights)), image_of(5, 6, 64),
                     engine("medium", **SELECT))  # fmt: skip
    held = weights.reshape(4, 4, 8, 2, 16).any(axis=4).sum(axis=(1, 3))  # (taps, choices)
    expected = np.ceil(held.max(axis=1) / 2).sum()
    (row,) = layer_rows(compiled)
    assert row["steps"] == expected * row["computes"]
    assert row["steps_further"] == (expected - 4) * row["computes"] > 0


def test_what_banks_leave_room_for():
    """Four words of four banks leave residuals and stores nothing: two planes in a step at most there."""
    weights = sparse(np.random.default_rng(1), (1, 64, 16), split=2, kept=2)
    layers = network(weighted("conv", "image", 64, 16, POINT, weights=weights))
    for fields, steps in (({"banks": 8, "beat_words": 4}, 1), ({"banks": 4, "beat_words": 4}, 2)):
        compiled = check(layers, image_of(3, 4, 64), engine("medium", select=True, **fields))
        assert {task.steps for task in tasks_of(compiled, "conv")} == {(steps, 4)}


@pytest.mark.parametrize("memory", [None, 2048])
def test_random_sparse_networks(memory, seed):
    """Weights that are 0 anywhere; every layer is right whatever pattern it has."""
    rng, wide = np.random.default_rng(seed), 0
    for offset in range(8):
        made, image = engine_network(100 * seed + offset, size=10, channels=20)
        layers = tuple(
            replace(layer, weights=layer.weights * (rng.random(layer.weights.shape) < 0.15))
            if isinstance(layer, Weighted) else layer for layer in made.layers
        )  # fmt: skip
        fields = SELECT | {"taps": 4} | ({} if memory is None else {"memory": memory})
        try:
            compiled = check(replace(made, layers=layers), image, engine("tiny", **fields))
        except InputError as error:
            if "does not fit into" not in str(error):
                raise
            continue
        wide += sum(descriptor.wide_steps for descriptor in computes(compiled))
    assert wide > 3


def test_an_engine_without_words_has_programs_as_they_were(seed):
    made, image = engine_network(seed, size=12, channels=9)
    compiled = compile_network(made, image.shape, engine("tiny"))
    assert not any(item.split or item.wide_steps or item.word_step for item in computes(compiled))
