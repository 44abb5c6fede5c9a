"""Top-k: RTL against golden, and the boxes that it takes in a cycle when many more come than are kept."""

from itertools import product

import numpy as np
import pytest

from roundel.golden.nms import TopKParams
from roundel.hw.units import UNITS
from roundel.sim.nms_run import run_images
from roundel.sim.stimuli import BoxImage, clusters, one_place
from tests.support import rtl

KEPT = 100


@pytest.mark.parametrize("case", rtl.rtl_cases("topk"))
def test_rtl_equals_golden(case, seed):
    rtl.check(case, seed)


def rate(params, images, seed):
    """Boxes a cycle, from the end of the first image to that of the last one."""
    run = run_images(UNITS["topk"], params, images, seed=seed)
    last = run["arrivals"][run["ends"] - 1]
    return sum(len(image) for image in images[1:]) / (last[-1] - last[0])


@pytest.mark.parametrize(("score_width", "worst"), [(8, 0.25), (16, 0.15)])
def test_boxes_a_cycle(score_width, worst, seed):
    """An image that fits costs nothing more; a flood in any order little, and one in rising order the most."""
    rng = np.random.default_rng(seed)
    params = TopKParams(format={"classes": 1, "score_width": score_width}, capacity=KEPT)
    top = (1 << score_width) - 1
    fits = [clusters(rng, params.format, params.held) for _ in range(4)]
    assert rate(params, fits, seed) > 0.95
    flood = [one_place(rng, params.format, 20 * KEPT, rng.integers(0, top + 1, 20 * KEPT)) for _ in range(2)]
    assert rate(params, [fits[0], *flood, fits[1]], seed) > 0.5
    rising = np.sort(rng.integers(0, top + 1, 20 * KEPT))
    assert rate(params, [fits[0], one_place(rng, params.format, 20 * KEPT, rising)], seed) > worst
    falling = one_place(rng, params.format, 20 * KEPT, rising[::-1])
    assert rate(params, [fits[0], falling, falling], seed) > 0.75


@pytest.mark.parametrize("capacity", [1, 2])
def test_all_small_images(capacity, seed):
    """Every image of up to five boxes with scores of two bits, back to back: sorted up to four times, ties included."""
    params = TopKParams(format={"width": 8, "height": 8, "classes": 1, "score_width": 2}, capacity=capacity)
    images = [
        BoxImage(
            boxes=np.tile([0, 0, 8, 8], (count, 1)),
            scores=np.array(scores),
            labels=np.zeros(count, np.int64),
            present=np.ones(count, bool),
        )
        for count in range(1, 6)
        for scores in product(range(4), repeat=count)
    ]
    run = run_images(UNITS["topk"], params, images, seed=seed)
    starts = np.cumsum([0, *map(len, images)])
    expected = [
        start + place
        for start, image in zip(starts, images, strict=False)
        for place in sorted(range(len(image)), key=lambda n, scores=image.scores: (-scores[n], n))[:capacity]
    ]
    assert run["kept"].tolist() == expected


def test_the_best_box_comes_after_the_latency(seed):
    params = TopKParams(format={"classes": 1}, capacity=64)
    image = one_place(np.random.default_rng(seed), params.format, 50, np.arange(50))
    run = run_images(UNITS["topk"], params, [image], seed=seed)
    assert run["arrivals"][0] == 50 + 49 + run["latency"]
