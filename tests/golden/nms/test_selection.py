"""GreedyNMS block by block against torchvision's loop: the best box left is kept, all that it overlaps go."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from roundel.golden.nms import Detections, GreedyParams, greedy_nms, neighbours, selection
from roundel.golden.nms.neighbours import Neighbours
from tests.support.exact import overlap

THRESHOLDS = (0.0, 0.01, 0.3, 0.5, 0.9, 1.0)


def double_loop(boxes, scores, classes, threshold):
    """Keep what torchvision's C++ keeps, in its double loop, with `batched_nms` for classes; ties by index."""
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    gone, kept = np.zeros(len(boxes), bool), []
    for i in sorted(range(len(boxes)), key=lambda box: (-scores[box], box)):
        if gone[i]:
            continue
        kept.append(i)
        width = (np.minimum(boxes[i, 2], boxes[:, 2]) - np.maximum(boxes[i, 0], boxes[:, 0])).clip(0)
        height = (np.minimum(boxes[i, 3], boxes[:, 3]) - np.maximum(boxes[i, 1], boxes[:, 1])).clip(0)
        both = width * height
        gone |= (both / (areas[i] + areas - both) > threshold) & (classes == classes[i])
    return kept


def scene(rng, count, *, sizes, unit, classes):
    """Boxes of very different sizes, a third of them on one place, with few scores, so that ties happen."""
    low = rng.uniform(0, 400, (count, 2))
    low[: count // 3] = rng.uniform(200, 203, (count // 3, 2))
    side = np.exp(rng.uniform(0, sizes, (count, 2)))
    boxes = np.hstack([low, low + side]) * unit
    return boxes, rng.integers(0, 60, count), rng.integers(0, classes, count)


@pytest.mark.parametrize("threshold", THRESHOLDS)
@pytest.mark.parametrize(
    ("count", "sizes", "unit", "classes"),
    [(65, 2, 1, 1), (300, 6, 1, 2), (1500, 4, 1e-4, 1), (2300, 3, 1000, 40), (1200, 1, 1, 600)],
)
def test_blocks_keep_what_the_double_loop_keeps(count, sizes, unit, classes, threshold, seed):
    boxes, scores, labels = scene(np.random.default_rng([seed, count]), count, sizes=sizes, unit=unit, classes=classes)
    kept = greedy_nms(Detections(boxes=boxes, scores=scores, classes=labels), threshold)
    assert kept.tolist() == double_loop(boxes, scores, labels, threshold)


def test_batches_hold_whole_groups(monkeypatch, seed):
    """Many small images: the same as each alone."""
    monkeypatch.setattr(selection, "BATCH", 50)
    monkeypatch.setattr(selection, "BLOCK", 16)
    monkeypatch.setattr(selection, "FIRST", 4)
    monkeypatch.setattr(neighbours, "ALL", 0)
    boxes, scores, labels = scene(np.random.default_rng(seed), 900, sizes=5, unit=1, classes=30)
    parts = list(selection.batches(labels))
    assert np.sort(np.concatenate(parts)).tolist() == list(range(900))
    assert sum(len(np.unique(labels[part])) for part in parts) == 30
    assert len(parts) > 5
    kept = greedy_nms(Detections(boxes=boxes, scores=scores, classes=labels), 0.4)
    assert kept.tolist() == double_loop(boxes, scores, labels, 0.4)


@pytest.mark.parametrize("threshold", [0.1, 0.4, 0.45, 0.5, 1.0])
def test_integers_decide_as_fractions_do(threshold, seed):
    """The unit's decision, p/q for the threshold, in exact arithmetic, many boxes being exactly on it."""
    rng = np.random.default_rng(seed)
    low, side = rng.integers(0, 24, (150, 2)), rng.integers(1, 9, (150, 2))
    corners, scores = np.hstack([low, low + side]), rng.integers(0, 9, 150)
    labels, limit = rng.integers(0, 2, 150), Fraction(str(threshold))
    kept = []
    for i in sorted(range(150), key=lambda box: (-scores[box], box)):
        if all(labels[i] != labels[j] or overlap(corners[i].tolist(), corners[j].tolist()) <= limit for j in kept):
            kept.append(i)
    params = GreedyParams(format={"classes": 2}, threshold=threshold)
    assert params.compute(corners, scores, labels).kept.tolist() == kept


@pytest.fixture
def sought(monkeypatch):
    """No pairs that are given without a search."""
    monkeypatch.setattr(neighbours, "ALL", 0)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32), st.sampled_from(THRESHOLDS), st.sampled_from([1e-9, 1.0, 1e5]))
def test_neighbours_miss_no_pair(sought, number, threshold, unit):
    """Every pair above the threshold is among the candidates, once each way, whatever the sizes."""
    rng = np.random.default_rng(number)
    low = rng.integers(0, 40, (24, 2)) * rng.choice([1.0, 50.0])
    boxes = np.hstack([low, low + np.exp2(rng.integers(-3, 7, (24, 2)))]) * unit
    groups = rng.integers(0, 2, 24)
    near, rows = Neighbours(boxes, groups, threshold), np.arange(24)
    pairs = [pair for a, b in near.pairs(rows, rows, np.ones(24, bool)) for pair in zip(a, b, strict=True)]
    assert len(set(pairs)) == len(pairs)
    assert all(groups[a] == groups[b] for a, b in pairs)
    exact = [tuple(map(Fraction, box)) for box in boxes.tolist()]
    above = {(a, b) for a in rows for b in rows if groups[a] == groups[b] and overlap(exact[a], exact[b]) > threshold}
    assert above <= set(pairs)


@pytest.mark.parametrize("threshold", [0.0, 0.5])
def test_pairs_at_the_limit_meet(sought, threshold, seed):
    """Pairs of squares, of one size each, that overlap by just more than the threshold, wherever the cells end."""
    rng = np.random.default_rng(seed)
    side = 8 * rng.uniform(0.95, 1.1, 400)
    low = np.stack([40.0 * np.arange(400), np.zeros(400)], axis=1) + rng.uniform(0, 16, (400, 2))
    shift = side * (1 - 2 * threshold / (1 + threshold)) * (1 - 1e-9)  # the IoU is o / (2 - o) of an overlap of o
    squares = np.hstack([low, low + side[:, None]])
    boxes = np.concatenate([squares, squares + shift[:, None] * [1, 0, 1, 0]])
    kept = greedy_nms(Detections(boxes=boxes, scores=-np.arange(800)), threshold)
    assert kept.tolist() == list(range(400))


def test_progress_is_told(seed):
    boxes, scores, labels = scene(np.random.default_rng(seed), 3000, sizes=3, unit=1, classes=2)
    shares = []
    greedy_nms(Detections(boxes=boxes, scores=scores, classes=labels), 0.5, told=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert len(shares) == 6  # blocks of 64, 128 ... 1,024 and the rest
