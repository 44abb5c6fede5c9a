"""Boxes a cycle of the exact GreedyNMS: what is sent, and what is made of the cycles."""

import numpy as np
import pytest

from roundel.benchmarks import exact_nms
from roundel.benchmarks.exact_nms import FIRINGS, STIMULI, ExactRate
from roundel.golden.nms import ExactParams


@pytest.fixture
def asked(monkeypatch):
    """Images of 60 boxes, of which each takes 90 cycles; the first ends in cycle 500. What was asked for."""
    seen = []

    def run_images(unit, params, images, *, seed):
        seen.append((unit.name, params, images, seed))
        ends = np.arange(10, 10 * len(images) + 1, 10)
        return {"kept": np.arange(ends[-1]), "arrivals": 500 + 9 * np.arange(-9, ends[-1] - 9), "ends": ends}

    monkeypatch.setattr(exact_nms, "run_images", run_images)
    monkeypatch.setattr(exact_nms, "BOXES", 60)
    monkeypatch.setattr(exact_nms, "IMAGES", 3)
    return seen


@pytest.mark.parametrize("stimulus", [*FIRINGS, *STIMULI])
def test_rates(stimulus, asked):
    speed, kept = ExactRate(stimulus, 8, 4).rows(7)
    assert (speed["name"], speed["value"]) == ("exact_nms.boxes_per_cycle", pytest.approx(sum_of(asked) / 180))
    assert (kept["name"], kept["value"]) == ("exact_nms.kept", 10)
    ((unit, params, images, seed),) = asked
    assert (unit, len(images), seed) == ("exact_nms", 3, 7)
    assert isinstance(params, ExactParams)
    assert (params.threshold, params.format.score_width) == (0.4 if stimulus in FIRINGS else 0.5, 8)
    for image in images:
        assert not params.format.malformed(image.boxes, image.labels).any()
        assert (image.scores.min() >= 0, image.scores.max() <= 255) == (True, True)
    assert speed["params"]["boxes"] == len(images[0]) >= 49


def test_scenes_of_many_classes(asked):
    speed, _ = ExactRate("crowded", 16, classes=80, max_detections=20).rows(7)
    assert speed["params"]["stimulus"] == "crowded, 80 classes, 20 kept"
    ((_, params, images, _),) = asked
    assert (params.format.classes, params.max_detections) == (80, 20)
    assert max(image.labels.max() for image in images) > 40


def sum_of(asked):
    """Boxes of all images but the first."""
    return sum(len(image) for image in asked[0][2][1:])


def test_the_worst_images_are_what_they_are_called(asked):
    rng, form = np.random.default_rng(1), exact_nms.FORMAT
    params = ExactParams(format=form)
    made = {name: maker(rng, form) for name, maker in STIMULI.items()}
    kept = {name: params.compute(image.boxes, image.scores, image.labels).kept for name, image in made.items()}
    assert len(kept["disjoint boxes"]) == len(made["disjoint boxes"])
    assert len(kept["equal boxes and scores"]) == 1
    assert len(set(made["clusters, equal scores"].scores.tolist())) == 1
    centres = made["one cell, all sizes"].boxes.reshape(-1, 2, 2).mean(axis=1)
    assert np.ptp(centres, axis=0).max() <= 9
    assert {name for name, image in made.items() if image.labels.any()} == {"disjoint boxes"}
