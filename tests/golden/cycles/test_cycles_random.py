"""The cycle model against the RTL on layers of every kind, drawn at random, beside memories of every latency."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from roundel.benchmarks.shapes import Builder
from roundel.golden.engine import CONFIGS, EngineParams
from tests.golden.cycles.test_cycles import Both
from tests.support.cycle_layers import drawn_layers

SMALL = EngineParams(**CONFIGS["small"])
ENGINES = {
    "tiny": EngineParams(**CONFIGS["tiny"]),
    "small": SMALL,
    "wide": replace(SMALL, bus=128, nms=None),
}
DELAYS = (1, 2, 7, 20, 50, 100)
LEAST = 2  # cycles of latency of the simulated memory
LAYERS = 6  # of each network: 72 in all
NETWORKS = {
    ("tiny", 0): {"conv_0": -1, "waiting_weights": -1, "cycles": -1, "rows": 18},
    ("tiny", 1): {"conv_0": -11, "cycles": -11, "rows": 36},
    ("small", 2): {"waiting_weights": -1, "rows": 1},
    ("small", 3): {"rows": 1},
    ("small", 4): {"conv_0": 2, "cycles": 2, "rows": 29},
    ("small", 5): {
        "conv_0": 1,
        "conv_1": 1,
        "conv_3": 1,
        "conv_4": -1,
        "waiting_weights": -1,
        "waiting_parameters": 13,
        "cycles": 2,
        "rows": 54,
    },
    ("small", 6): {},
    ("small", 7): {},
    ("wide", 8): {},
    ("wide", 9): {"conv_0": -6, "cycles": -6, "rows": 19},
    ("wide", 10): {"rows": 5},
    ("wide", 11): {"upsample_4": 1, "conv_5": -5, "waiting_weights": 9, "waiting_parameters": -16, "rows": 8},
}
"""What the model misses, by engine and seed: see `Both.misses`. It knows all else exactly."""


@pytest.mark.parametrize(("engine", "seed"), NETWORKS)
def test_layers_of_every_kind_take_as_many_cycles_as_predicted(engine, seed):
    network, shape, _ = drawn_layers(seed, LAYERS)
    image = np.random.default_rng(seed).integers(0, 256, shape)
    delay = max(LEAST, DELAYS[seed % len(DELAYS)])
    result = Both(ENGINES[engine], network, image, delay=delay)
    result.assert_close()
    assert result.misses == NETWORKS[engine, seed]


def test_the_layers_are_of_every_kind():
    kinds = Counter(kind for _, seed in NETWORKS for kind in drawn_layers(seed, LAYERS)[2].values())
    assert kinds.total() >= 60
    assert min(kinds[kind] for kind in ("first", "dense", "depthwise", "residual", "pool", "upsample")) >= 3


def test_a_first_layer_with_all_maps_stored_uses_more_than_half_of_the_array():
    """9 products in two beats of 8 lanes: 0.5625 is the bound."""
    builder = Builder(shape=(96, 96, 1))
    builder.conv("image", 32, 3)
    image = np.random.default_rng(1).integers(0, 256, (96, 96, 1))
    result = Both(SMALL, builder.network(), image)
    assert result.misses == {"rows": 12}
    assert 96 * 96 * 9 * 32 / (SMALL.lanes * SMALL.columns) / result.cycles >= 0.55
