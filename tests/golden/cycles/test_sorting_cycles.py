"""Cycles of the sorters that keep the best boxes, against the RTL."""

import numpy as np
import pytest

from roundel.golden.cycles import sorting_cycles
from roundel.golden.nms import TopKParams
from roundel.hw.units import UNITS
from roundel.sim.nms_run import run_images
from roundel.sim.stimuli import one_place

CAPACITY = 50
ORDERS = {"any": lambda scores: scores, "rising": np.sort, "falling": lambda scores: np.sort(scores)[::-1]}


@pytest.mark.parametrize("width", [8, 16, 20])
def test_images_that_fit_take_what_is_told(width, seed):
    rng = np.random.default_rng(seed)
    params = TopKParams(format={"classes": 1, "score_width": width}, capacity=CAPACITY)
    image = one_place(rng, params.format, params.held, rng.integers(0, 1 << width, params.held))
    run = run_images(UNITS["topk"], params, [image], seed=seed)
    taken, first = sorting_cycles(params, image.scores)
    assert (taken, first) == (params.held, run["arrivals"][0])


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("width", [8, 16])
def test_floods_take_what_is_told_within_a_per_cent(width, order, seed):
    rng = np.random.default_rng(seed)
    params = TopKParams(format={"classes": 1, "score_width": width}, capacity=CAPACITY)
    scores = ORDERS[order](rng.integers(0, 1 << width, 20 * CAPACITY))
    image = one_place(rng, params.format, len(scores), scores)
    run = run_images(UNITS["topk"], params, [image], seed=seed)
    assert sorting_cycles(params, scores)[1] == pytest.approx(run["arrivals"][0], rel=0.01)
