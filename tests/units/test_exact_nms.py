"""The exact GreedyNMS of a box a cycle: RTL against golden, and the boxes that it takes in a cycle."""

import numpy as np
import pytest

from roundel.detection.scenes import KINDS, scenes
from roundel.golden.nms import ExactParams
from roundel.hw.units import UNITS
from roundel.sim.nms_run import run_images
from roundel.sim.stimuli import BoxImage, apart, clusters, one_place
from tests.support import rtl


@pytest.mark.parametrize("case", rtl.rtl_cases("exact_nms"))
def test_rtl_equals_golden(case, seed):
    rtl.check(case, seed)


def rate(params, images, seed):
    """Boxes a cycle, from the end of the first image to that of the last one."""
    run = run_images(UNITS["exact_nms"], params, images, seed=seed)
    last = run["arrivals"][run["ends"] - 1]
    return sum(len(image) for image in images[1:]) / (last[-1] - last[0])


@pytest.mark.parametrize("score_width", [8, 16])
def test_boxes_a_cycle(score_width, seed):
    """Clusters and scenes take little more than a cycle for a box; boxes that are all kept take passes."""
    rng = np.random.default_rng(seed)
    form = {"classes": 1, "score_width": score_width}
    params = ExactParams(format=form, capacity=1024)
    clustered = [clusters(rng, params.format, 1000, spread=0.08, boxes_each=18) for _ in range(2)]
    equal = one_place(rng, params.format, 1000, np.zeros(1000, np.int64))
    assert rate(params, [clustered[0], *clustered, clustered[0]], seed) > 0.9
    assert rate(params, [equal] * 3, seed) > 0.98
    assert rate(params, [apart(rng, params.format, 1000)] * 2, seed) > 0.1


def test_the_best_of_many_cost_nothing_where_all_fit(seed):
    """Images of as many boxes as take part, of 20 times as many that may come; and a flood, slower but exact."""
    rng = np.random.default_rng(seed)
    params = ExactParams(format={"classes": 1}, capacity=256, candidates=5120)
    equal = one_place(rng, params.format, 256, np.zeros(256, np.int64))
    assert rate(params, [equal] * 5, seed) > 0.95
    clustered = clusters(rng, params.format, 5120, spread=0.08, boxes_each=300)
    assert rate(params, [equal, clustered, clustered], seed) > 0.5


def test_scenes_as_they_come(seed):
    params = ExactParams(format={"classes": 3}, threshold=0.4)
    images = []
    for scene in scenes(KINDS["crowded"], 4, seed=seed):
        boxes, scores = params.format.encode(scene.detections)
        present = np.ones(len(boxes), bool)
        images.append(BoxImage(boxes=boxes, scores=scores, labels=scene.detections.labels, present=present))
    assert rate(params, [*images, images[0]], seed) > 0.85


def test_the_first_box_kept_comes_after_the_latency(seed):
    params = ExactParams(format={"classes": 1}, capacity=64)
    unit = UNITS["exact_nms"]
    image = one_place(np.random.default_rng(seed), params.format, 50, np.arange(50))
    run = run_images(unit, params, [image], seed=seed)
    assert len(run["kept"]) < 5
    assert run["arrivals"][0] == 50 + 49 + run["latency"]
