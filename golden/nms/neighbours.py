"""Boxes in cells, so that those which may overlap a box by more than a threshold are seen without looking at all."""

from collections.abc import Iterator
from math import ceil, log2

import numpy as np
from numpy.typing import NDArray

from roundel.golden.nms.detections import Numbers
from roundel.golden.rounding import Ints

PAIRS = 1 << 19  # in a piece, which bounds the memory: about 100 bytes a pair
ALL = 1 << 13  # pairs that cost less than the search for those that count
SLACK = 1 + 2**-10  # of sizes, far above what rounding of a double does
FINEST = 2**-4  # of a level's side, the smallest cell
DEEPEST = 40  # levels below the highest one that are told apart
KEY_BITS = 62


class Neighbours:
    """Candidates for an IoU above a threshold, by level and cell.

    IoU > t needs an overlap above `t max(w_a, w_b)` in x, and likewise in y. [R] So the longer sides of the two are
    within a factor of 1/t, and their centres less than `(1 - t) max(s_a, s_b)` apart in x and in y, s being the longer
    side. A box is of level l if s is at most `2**l`; a pair meets at the higher of its two levels, in cells of
    `(1 - t) 2**l` or a little more, where its cells are equal or touch.

    Parameters
    ----------
    boxes
        Corners, (n, 4), in any unit.
    groups
        Numbers from 0, (n,); boxes of different groups never meet.
    threshold
        t, 0 to 1.
    """

    def __init__(self, boxes: Numbers, groups: Ints, threshold: float):
        corners = boxes.astype(np.float64)
        sides = (corners[:, 2:] - corners[:, :2]).max(axis=1) * SLACK
        centres = (corners[:, :2] + corners[:, 2:]) / 2
        centres -= centres.min(axis=0)
        cell = max(1 - threshold, FINEST)
        bits = (KEY_BITS - int(2 * 64 * (groups.max() + 1)).bit_length()) // 2  # of a cell's number in x, and in y
        levels = np.frexp(sides)[1]
        lowest = ceil(log2(max(centres.max() / cell, 2.0**-1000))) - bits + 2
        levels = np.maximum(levels, max(lowest, levels.max() - DEEPEST))
        self._first = int(levels.min())
        self._levels: Ints = levels.astype(np.int64) - self._first
        self._highest = int(self._levels.max())
        reach = self._highest if threshold == 0 else floor_log2(1 / threshold) + 1
        self._reach = min(reach, self._highest)
        self._present = np.bincount(self._levels, minlength=self._highest + self._reach + 1) > 0
        self._groups, self._centres, self._cell, self._bits = groups, centres, cell, bits

    def pairs(self, boxes: Ints, members: Ints, wanted: NDArray[np.bool_]) -> Iterator[tuple[Ints, Ints]]:
        """Give places in `boxes` and in `members` of all pairs that may overlap by more than the threshold.

        Parameters
        ----------
        boxes, members
            Indices of boxes.
        wanted
            Which places of `boxes` are looked up still, (n,); the caller may clear some between two pieces.
        """
        if len(boxes) * len(members) <= ALL:
            place, member = np.divmod(np.arange(len(boxes) * len(members)), max(1, len(members)))
            alike = self._groups[boxes[place]] == self._groups[members[member]]
            yield place[alike], member[alike]
            return
        keys, places = self._table(members)
        for lift in range(self._reach + 1):
            for own in (True, False) if lift == 0 else (True,):
                for row in (0, -1, 1):
                    looked = np.flatnonzero(wanted & self._present[self._levels[boxes] + lift])
                    key = self._keys(boxes[looked], lift, own=own) + (row << self._bits)
                    low, high = np.searchsorted(keys, key - 1), np.searchsorted(keys, key + 1, side="right")
                    yield from pieces(looked, low, high - low, places)

    def _table(self, members: Ints) -> tuple[Ints, Ints]:
        """Sorted keys, and the place in `members` of each: at the own level, and at those above for smaller members."""
        parts, places = [self._keys(members, 0, own=True)], [np.arange(len(members))]
        for lift in range(1, self._reach + 1):
            lifted = np.flatnonzero(self._present[self._levels[members] + lift])
            parts.append(self._keys(members[lifted], lift, own=False))
            places.append(lifted)
        keys = np.concatenate(parts)
        order = np.argsort(keys)
        return keys[order], np.concatenate(places)[order]

    def _keys(self, boxes: Ints, lift: int, *, own: bool) -> Ints:
        """Return the numbers of the cells of boxes at the level `lift` above their own; neighbours in x follow."""
        levels = self._levels[boxes] + lift
        cells = np.ldexp(self._centres[boxes] / self._cell, -(levels + self._first)[:, None]).astype(np.int64) + 1
        table = (self._groups[boxes] * 2 + own) * 64 + levels
        keys: Ints = (((table << self._bits) + cells[:, 1]) << self._bits) + cells[:, 0]
        return keys


def pieces(looked: Ints, low: Ints, counts: Ints, places: Ints) -> Iterator[tuple[Ints, Ints]]:
    """Give every one of `looked` with the `counts` members from `low` on, in pieces of at most `PAIRS` and one box."""
    seen = np.flatnonzero(counts)
    ends = np.cumsum(counts[seen])
    start = 0
    while start < len(seen):
        before = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + PAIRS, side="right")))
        some = seen[start:stop]
        several = counts[some]
        offsets = np.arange(several.sum()) - np.repeat(np.cumsum(several) - several, several)
        yield np.repeat(looked[some], several), places[np.repeat(low[some], several) + offsets]
        start = stop


def floor_log2(value: float) -> int:
    """Return the logarithm, rounded down, a little more for a value that is nearly a power of two."""
    return int(log2(value) + 1e-6)
