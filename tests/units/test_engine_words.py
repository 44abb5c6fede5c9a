"""Beats of several words on RTL: drawn programs, and layers whose cycles the model knows."""

from dataclasses import replace

import numpy as np
import pytest

import roundel
from roundel.benchmarks.shapes import Builder
from roundel.compiler import compile_network
from roundel.golden.engine import Descriptor, EngineParams, Opcode
from roundel.golden.network import Window
from roundel.runtime.programs import differences, draw_batch
from tests.golden.cycles.test_cycles import Both
from tests.roundel.compiler.test_compile_layers import S8, image_of, network, weighted
from tests.roundel.compression.patterns.test_patterns_option import compressed, images

SMALLEST = EngineParams(lanes=4, columns=4, memory=1 << 12, depth=64, banks=8, beat_words=4, select=True)
ENGINES = {
    "four words": SMALLEST,
    "two words, pairs, gates": replace(
        SMALLEST, memory=1 << 10, banks=4, beat_words=2, taps=3, structure="pairs", gates=True
    ),
}
STALLS = 60  # of 256 cycles of each channel of the bus


def descriptors(program):
    for at in range(64, len(program.image), 128):
        if program.image[at] & 15 == Opcode.END:
            return
        yield Descriptor.unpack(program.image[at : at + 128])


@pytest.mark.parametrize("name", ENGINES)
def test_drawn_programs(name, seed):
    """Rows of depthwise layers and lanes that select, beside residuals, STORE and borders; after damaged ones, too."""
    params = ENGINES[name]
    programs = draw_batch(params, seed, sound=16, broken=4)
    layers = [item for program in programs[:16] for item in descriptors(program) if item.opcode is Opcode.COMPUTE]
    assert any(layer.depthwise and layer.split for layer in layers)
    assert any(layer.wide_steps for layer in layers)
    assert not differences(params, programs, settings={"stalls": STALLS, "delay": 20}, seed=seed)


@pytest.mark.parametrize(("kind", "misses"), [("rows", {}), ("planes", {"rows": 1})])
def test_the_model_knows_their_cycles(kind, misses, seed):
    """Exactly; of the descriptors one begins or ends in another cycle."""
    rng, window = np.random.default_rng(seed), Window(kernel=(3, 3), pad=(1, 1, 1, 1))
    if kind == "rows":
        layer = weighted("main", "image", 16, 16, window, groups=16, output=S8)
    else:
        weights = rng.integers(-99, 100, (9, 16, 16)) * (np.arange(16) % 4 == 1)[:, None]
        layer = weighted("main", "image", 16, 16, window, weights=weights.reshape(144, 16), output=S8)
    result = Both(SMALLEST, network(layer), image_of(8, 8, 16))
    result.assert_close()
    assert result.misses == misses


@pytest.mark.parametrize("patterns", ["4:8", "2:8"])
def test_networks_compressed_to_patterns(patterns, seed):
    """From floats to RTL: every value of every layer is golden's, in fewer cycles than without."""
    cycles = {}
    for name, options in (("dense", {"sparsity": 0.0}), (patterns, {})):
        made = compressed(seed, name, engine=SMALLEST, **options)
        ran = roundel.run(made, {"images": images(seed, 1)}, on="rtl", engine=SMALLEST)
        assert ran.differences == []
        cycles[name] = sum(ran.figures["cycles"])
    assert cycles[patterns] < 0.75 * cycles["dense"]


def test_the_model_of_a_network(seed):
    """A first layer, an inverted residual, stride 2, a mean and a classifier, within 1 % of every layer's cycles."""
    builder = Builder(shape=(13, 12, 3), seed=seed)
    first = builder.conv("image", 8, 3, 2)
    wide = builder.conv(builder.conv(first, 16), 16, 3, groups=16)
    kept = builder.conv(wide, 8, linear=True, residual=first)
    deep = builder.conv(builder.conv(kept, 24), 24, 3, 2, groups=24)
    builder.dense(builder.mean(builder.conv(deep, 12)), 10)
    made = builder.network()
    compiled = compile_network(made, builder.shape, SMALLEST)
    assert compiled.source.storage.overlap
    assert sum(task.values.get("split", 0) > 0 for task in compiled.tasks) >= 2
    Both(SMALLEST, made, image_of(*builder.shape)).assert_close()
