"""Candidates of a search against all pairs: none that counts is missing, and few others are looked at."""

from collections import Counter

import numpy as np
import pytest

from roundel.golden.nms import neighbours
from roundel.golden.nms.neighbours import Neighbours, floor_log2, pieces


def found(boxes, groups, threshold, looked=None, members=None):
    """How often each pair of indices comes."""
    everything = np.arange(len(boxes))
    looked, members = (everything if some is None else some for some in (looked, members))
    search = Neighbours(boxes, groups, threshold).pairs(looked, members, np.ones(len(looked), bool))
    return Counter(
        (int(looked[place]), int(members[member])) for some in search for place, member in zip(*some, strict=True)
    )


def overlapping(boxes, groups, threshold):
    """All pairs of a group whose IoU is above the threshold."""
    low, high = boxes[:, None, :2], boxes[:, None, 2:]
    both = (np.minimum(high, boxes[:, 2:]) - np.maximum(low, boxes[:, :2])).clip(0).prod(axis=2)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    above = (both / (areas[:, None] + areas - both) > threshold) & (groups[:, None] == groups)
    return {(int(i), int(j)) for i, j in np.argwhere(above)}


def test_boxes_of_one_size_meet_in_nine_cells(monkeypatch, seed):
    """Sides just below 4 and a threshold of 1/2: cells of 2, from the least centre on; by their numbers alone."""
    monkeypatch.setattr(neighbours, "ALL", 0)
    rng = np.random.default_rng(seed)
    centres = rng.uniform(0, 60, (400, 2))
    boxes, groups = np.hstack([centres - 1.95, centres + 1.95]), rng.integers(0, 3, 400)
    cells = np.floor((centres - centres.min(axis=0)) / 2)
    near = (np.abs(cells[:, None] - cells) <= 1).all(axis=2) & (groups[:, None] == groups)
    assert found(boxes, groups, 0.5) == Counter({(int(i), int(j)): 1 for i, j in np.argwhere(near)})


@pytest.mark.parametrize("threshold", [0.0, 0.1, 0.4, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("unit", [1, 1e-5, 1e9])
def test_no_pair_is_missing_or_comes_twice(threshold, unit, monkeypatch, seed):
    monkeypatch.setattr(neighbours, "ALL", 0)
    rng = np.random.default_rng([seed, int(10 * threshold)])
    low, sides = rng.uniform(0, 60, (300, 2)), np.exp(rng.uniform(-2, 4, (300, 2)))
    boxes, groups = np.hstack([low, low + sides]) * unit, rng.integers(0, 2, 300)
    pairs = found(boxes, groups, threshold)
    assert set(pairs.values()) == {1}
    assert overlapping(boxes, groups, threshold) <= set(pairs)
    if threshold >= 0.4:  # most are not looked at
        assert len(pairs) < 300 * 300 / 4


def test_few_pairs_are_given_whole(seed):
    """Below `ALL` pairs no cells are made; only groups count."""
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, 1000, (90, 2))
    boxes, groups = np.hstack([low, low + 1]), rng.integers(0, 2, 90)
    some, others = np.arange(60), np.arange(30, 90)
    alike = {(int(i), int(j)) for i in some for j in others if groups[i] == groups[j]}
    assert set(found(boxes, groups, 0.5, some, others)) == alike
    assert found(boxes, groups, 0.5, some, others[:0]) == Counter()


@pytest.mark.parametrize("most", [1, 7, 1000])
def test_pieces_hold_at_most_so_many_pairs_and_one_box(most, monkeypatch, seed):
    monkeypatch.setattr(neighbours, "PAIRS", most)
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 6, 40)
    low, places = rng.integers(0, 50, 40), rng.permutation(60)
    looked = np.arange(100, 140)
    wanted = [(100 + k, int(places[low[k] + j])) for k in range(40) for j in range(counts[k])]
    given, sizes = [], []
    for boxes, members in pieces(looked, low, counts, places):
        given += list(zip(boxes.tolist(), members.tolist(), strict=True))
        sizes.append((len(boxes), len(set(boxes.tolist()))))
    assert given == wanted
    assert all(pairs <= most or several == 1 for pairs, several in sizes)
    assert len(sizes) <= -(-len(wanted) // max(1, most - 5)) + 1 or most == 1


def test_logarithms_of_nearly_powers_of_two_round_up():
    assert [floor_log2(value) for value in (1, 1.9, 2, 7.9, 8 * (1 - 1e-9), 8, 1000)] == [0, 0, 1, 2, 3, 3, 9]
