"""Places of boxes in layers, every arrow from a layer to one below it, none through a box.

[P] Sugiyama's way: layers by the longest path, long arrows cut into pieces of a layer each, an order in each layer by
the mean of the neighbours' places, and then places as near to the neighbours as the order and the widths allow: the
least squares under that condition, an isotonic regression, layer by layer up and down.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

GAP, THREAD = 14.0, 10.0  # pixels between boxes, and the width of an arrow on its way through a layer
STRAIGHT = 6.0  # how much more than a box an arrow on its way counts, so that it stays straight
SWEEPS = 8
MOST = 40_000  # boxes and pieces of arrows: more is no picture


@dataclass(frozen=True)
class Layout:
    """Where boxes are.

    Attributes
    ----------
    layers
        Layer of each box, 0 at the top.
    centers
        Its middle, in pixels from the left.
    routes
        Of each arrow, the middles of its pieces in the layers between.
    width
        Of the whole, in pixels.
    """

    layers: tuple[int, ...]
    centers: tuple[float, ...]
    routes: tuple[tuple[float, ...], ...]
    width: float


def layout(widths: Sequence[float], edges: Sequence[tuple[int, int]]) -> Layout | None:
    """RunsOn boxes.

    Parameters
    ----------
    widths
        Of the boxes, in pixels; they are in dataflow order.
    edges
        Arrows from a box to a later one.

    Returns
    -------
    Layout or None
        None where the whole is too large for a picture.
    """
    layers = [0] * len(widths)
    for before, behind in edges:  # edges come in the order of the boxes that they lead to
        layers[behind] = max(layers[behind], layers[before] + 1)
    pieces = sum(layers[behind] - layers[before] - 1 for before, behind in edges)
    if len(widths) + pieces > MOST or not widths:
        return None
    items, sizes, neighbours, threads = _threaded(widths, edges, layers)
    rows: list[list[int]] = [[] for _ in range(max(layers) + 1)]
    for item, layer in enumerate(items):
        rows[layer].append(item)
    _order(rows, neighbours, items)
    centers = _centers(rows, sizes, neighbours, items, len(widths))
    left = min(center - size / 2 for center, size in zip(centers, sizes, strict=True))
    centers = [center - left for center in centers]
    return Layout(
        layers=tuple(layers),
        centers=tuple(centers[: len(widths)]),
        routes=tuple(tuple(centers[item] for item in thread) for thread in threads),
        width=max(center + size / 2 for center, size in zip(centers, sizes, strict=True)),
    )


def _threaded(
    widths: Sequence[float], edges: Sequence[tuple[int, int]], layers: Sequence[int]
) -> tuple[list[int], list[float], list[list[int]], list[list[int]]]:
    """Return layer, width and neighbours of all boxes and pieces of arrows, and the pieces of each arrow."""
    items, sizes, threads = list(layers), list(widths), []
    neighbours: list[list[int]] = [[] for _ in widths]
    for before, behind in edges:
        thread, last = [], before
        for layer in range(layers[before] + 1, layers[behind]):
            items.append(layer)
            sizes.append(THREAD)
            neighbours.append([])
            thread.append(len(items) - 1)
        for item in (*thread, behind):
            neighbours[last].append(item)
            neighbours[item].append(last)
            last = item
        threads.append(thread)
    return items, sizes, neighbours, threads


def _order(rows: list[list[int]], neighbours: list[list[int]], items: list[int]) -> None:
    """Sort each layer by the mean place of the neighbours above, then below, several times."""
    place = {item: float(index) for row in rows for index, item in enumerate(row)}
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        for row in rows[1:] if down else rows[-2::-1]:
            for item in row:
                known = [place[near] for near in neighbours[item] if (items[near] < items[item]) == down]
                place[item] = sum(known) / len(known) if known else place[item]
            row.sort(key=lambda item: place[item])
            place.update({item: float(index) for index, item in enumerate(row)})


def _centers(
    rows: list[list[int]], sizes: list[float], neighbours: list[list[int]], items: list[int], boxes: int
) -> list[float]:
    """Return the middle of every box and piece."""
    centers = [0.0] * len(items)
    weights = [1.0 if item < boxes else STRAIGHT for item in range(len(items))]
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        for row in rows if down else rows[::-1]:
            wanted = []
            for item in row:
                near = [other for other in neighbours[item] if (items[other] < items[item]) == down]
                wanted.append(sum(centers[other] for other in near) / len(near) if near else centers[item])
            for item, center in zip(row, _spaced(row, wanted, sizes, weights), strict=True):
                centers[item] = center
    return centers


def _spaced(row: list[int], wanted: list[float], sizes: list[float], weights: list[float]) -> list[float]:
    """Return the middles nearest to the wanted ones, by least squares, at which nothing of a layer overlaps."""
    offsets = [0.0]
    for left, right in pairwise(row):
        offsets.append(offsets[-1] + (sizes[left] + sizes[right]) / 2 + GAP)
    pools: list[tuple[float, float, int]] = []  # mean, weight, members: pools of equal values that rise
    for item, want, offset in zip(row, wanted, offsets, strict=True):
        mean, weight, count = want - offset, weights[item], 1
        while pools and pools[-1][0] >= mean:
            other, its, members = pools.pop()
            mean, weight, count = (mean * weight + other * its) / (weight + its), weight + its, count + members
        pools.append((mean, weight, count))
    values = [mean for mean, _, count in pools for _ in range(count)]
    return [value + offset for value, offset in zip(values, offsets, strict=True)]
