"""GreedyNMS over any number of images and classes at once: what it keeps one after the other, block by block."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from roundel.golden.nms.detections import Numbers
from roundel.golden.nms.neighbours import Neighbours
from roundel.golden.rounding import Ints

Bools = NDArray[np.bool_]
Exceeds = Callable[[Ints, Ints], Bools]
Share = Callable[[float], None]
"""Called with the share of the boxes that are settled, 0 to 1."""

BLOCK = 1024  # boxes that are settled together at most: all of their pairs fit into memory
FIRST = 64  # boxes of the first block; the best of a crowd make what follows short
BATCH = 1 << 14  # boxes of small groups that are gone through together


def unheard(share: float) -> None:
    """Tell nobody."""


def select(
    order: Ints, boxes: Numbers, groups: Ints, threshold: float, exceeds: Exceeds, told: Share = unheard
) -> Ints:
    """Keep the first of `order`, drop those of its group that overlap it too much, go on with the first that is left.

    Parameters
    ----------
    order
        Indices of boxes, the best first, (n,).
    boxes
        Corners, (m, 4), in any unit.
    groups
        Integers, (m,): the class, or the image and the class. Boxes of different groups never meet.
    threshold
        What `exceeds` compares with, 0 to 1.
    exceeds
        Whether the IoU of two boxes is above the threshold, for two arrays of indices. Of pairs that are clearly below
        it, it may be asked or not.
    told
        Is told of the progress.

    Returns
    -------
    Indices of the boxes kept, in the order in which they came, (k,).
    """
    kept, settled = np.zeros(len(order), bool), 0
    for places in batches(groups[order]):
        batch = Batch(order[places], boxes, groups, threshold, exceeds)
        for block in blocks(len(places)):
            batch.settle(block)
            settled += len(block)
            told(settled / len(order))
        kept[places[batch.kept]] = True
    return order[kept]


def batches(groups: Ints) -> Iterator[Ints]:
    """Give rising places of whole groups, `BATCH` of them and what the last group has besides."""
    by_group = np.argsort(groups, kind="stable")
    ends = np.flatnonzero(groups[by_group[1:]] != groups[by_group[:-1]]) + 1
    start = 0
    while start < len(groups):
        later = ends[np.searchsorted(ends, start + BATCH) :]
        stop = int(later[0]) if later.size else len(groups)
        yield np.sort(by_group[start:stop])
        start = stop


def blocks(count: int) -> Iterator[Ints]:
    """Split the places 0 to `count - 1`, each block twice the one before, up to `BLOCK`."""
    start, size = 0, FIRST
    while start < count:
        yield np.arange(start, min(start + size, count))
        start, size = start + size, min(2 * size, BLOCK)


class Batch:
    """Boxes of some groups, the best first, of which block after block is settled.

    Parameters
    ----------
    rows
        Their indices, for `boxes`, `groups` and `exceeds`; what follows counts places in `rows`.
    boxes, groups, threshold, exceeds
        As `select` has them.

    Attributes
    ----------
    kept
        Places of the boxes kept so far, rising.
    """

    def __init__(self, rows: Ints, boxes: Numbers, groups: Ints, threshold: float, exceeds: Exceeds):
        self._rows, self._exceeds = rows, exceeds
        self._near = Neighbours(boxes[rows], np.unique(groups[rows], return_inverse=True)[1], threshold)
        self.kept = np.zeros(0, np.int64)

    def settle(self, block: Ints) -> None:
        """Keep of the next boxes those that none kept before and none kept of them suppresses."""
        if self.kept.size:
            block = block[self._spared(block)]
        self.kept = np.concatenate([self.kept, block[self._alive(block)]])

    def _spared(self, block: Ints) -> Bools:
        """Which boxes no box kept before suppresses, (n,)."""
        spared = np.ones(len(block), bool)
        for place, member in self._near.pairs(block, self.kept, spared):
            spared[place[self._exceeds(self._rows[self.kept[member]], self._rows[block[place]])]] = False
        return spared

    def _alive(self, block: Ints) -> Bools:
        """Which boxes are kept, as far as the block alone says, (n,)."""
        alive = np.ones(len(block), bool)
        winner, loser = self._suppressions(block)
        starts = np.flatnonzero(np.diff(winner, prepend=-1))
        stops = [*starts[1:].tolist(), len(winner)]
        for start, stop in zip(starts.tolist(), stops, strict=False):
            if alive[winner[start]]:
                alive[loser[start:stop]] = False
        return alive

    def _suppressions(self, block: Ints) -> tuple[Ints, Ints]:
        """Places in the block of boxes and of worse ones that they overlap too much, by the better one, (p,) each."""
        parts = [np.zeros((2, 0), np.int64)]
        for better, worse in self._ordered(block):
            hits = self._exceeds(self._rows[block[better]], self._rows[block[worse]])
            parts.append(np.stack([better[hits], worse[hits]]))
        pairs = np.concatenate(parts, axis=1)
        winner, loser = pairs[:, np.argsort(pairs[0], kind="stable")]
        return winner, loser

    def _ordered(self, block: Ints) -> Iterator[tuple[Ints, Ints]]:
        """Pairs of places in the block that may overlap too much, the better one first."""
        for place, member in self._near.pairs(block, block, np.ones(len(block), bool)):
            first = member < place
            yield member[first], place[first]
