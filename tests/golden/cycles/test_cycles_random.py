"""The cycle model against the RTL on layers of every kind, drawn at random, beside memories of every latency."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from roundel.benchmarks.shapes import Builder
from roundel.golden.engine import CONFIGS, EngineParams
from tests.golden.cycles.test_cycles import PART, assert_close, both
from tests.support.cycle_layers import drawn_layers

SMALL = EngineParams(**CONFIGS["small"])
ENGINES = {
    "tiny": EngineParams(**CONFIGS["tiny"]),
    "small": SMALL,
    "wide": replace(SMALL, bus=128, nms=None),
}
DELAYS = (1, 2, 7, 20, 50, 100)
LEAST = 2  # cycles of latency of the simulated memory
NETWORKS = [*(("tiny", seed) for seed in range(2)), *(("small", seed) for seed in range(2, 8))]
NETWORKS += [("wide", seed) for seed in range(8, 12)]
LAYERS = 6  # of each network: 72 in all


@pytest.mark.parametrize(("engine", "seed"), NETWORKS)
def test_layers_of_every_kind_take_as_many_cycles_as_predicted(engine, seed):
    network, shape, _ = drawn_layers(seed, LAYERS)
    image = np.random.default_rng(seed).integers(0, 256, shape)
    delay = max(LEAST, DELAYS[seed % len(DELAYS)])
    modelled, measured, (total, cycles) = both(ENGINES[engine], network, image, delay=delay)
    assert_close(modelled, measured)
    assert total == pytest.approx(cycles, rel=PART, abs=20)


def test_the_layers_are_of_every_kind():
    kinds = Counter(kind for _, seed in NETWORKS for kind in drawn_layers(seed, LAYERS)[2].values())
    assert kinds.total() >= 60
    assert min(kinds[kind] for kind in ("first", "dense", "depthwise", "residual", "pool", "upsample")) >= 3


def test_a_first_layer_with_all_maps_stored_uses_more_than_half_of_the_array():
    """9 products in two beats of 8 lanes: 0.5625 is the bound."""
    builder = Builder(shape=(96, 96, 1))
    builder.conv("image", 32, 3)
    image = np.random.default_rng(1).integers(0, 256, (96, 96, 1))
    modelled, measured, (total, cycles) = both(SMALL, builder.network(), image)
    assert_close(modelled, measured)
    assert abs(total - cycles) <= PART * cycles
    assert 96 * 96 * 9 * 32 / (SMALL.lanes * SMALL.columns) / cycles >= 0.55
