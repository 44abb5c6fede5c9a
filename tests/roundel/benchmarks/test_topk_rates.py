"""Boxes a cycle of top-k: what is sent, and what is made of the cycles."""

import numpy as np
import pytest

from roundel.benchmarks import exact_nms
from roundel.benchmarks.exact_nms import FITS, ORDERS, TopKRate
from roundel.benchmarks.show import tables
from roundel.golden.nms import TopKParams


@pytest.fixture
def asked(monkeypatch):
    """Images of up to 60 boxes, of which each takes 90 cycles. What was asked for."""
    seen = []

    def run_images(unit, params, images, *, seed):
        seen.append((unit.name, params, images, seed))
        ends = np.arange(3, 3 * len(images) + 1, 3)
        return {"arrivals": 500 + 30 * np.arange(ends[-1]), "ends": ends}

    monkeypatch.setattr(exact_nms, "run_images", run_images)
    monkeypatch.setattr(exact_nms, "KEPT", 6)
    monkeypatch.setattr(exact_nms, "FLOOD", 10)
    return seen


@pytest.mark.parametrize("stimulus", [FITS, *ORDERS])
def test_rates(stimulus, asked):
    (speed,) = TopKRate(stimulus, 16).rows(7)
    ((unit, params, images, seed),) = asked
    count = 6 if stimulus == FITS else 60
    assert (speed["name"], speed["value"]) == ("topk.boxes_per_cycle", pytest.approx(2 * count / 180))
    assert (unit, seed, params.capacity) == ("topk", 7, 6)
    assert isinstance(params, TopKParams)
    steps = [np.diff(image.scores) for image in images]
    assert all(len(image) == count for image in images)
    assert all((step >= 0).all() for step in steps) == (stimulus == "rising")
    assert all((step <= 0).all() for step in steps) == (stimulus == "falling")
    ((title, heads, cells),) = tables([speed])
    assert title == "Top-k"
    assert (heads[0], cells[0][0], cells[0][2]) == ("stimulus", stimulus, str(count))
