"""PSRR-MaxpoolNMS in floating point: relationship recovery, then a pyramid of pools that is a list of passes.

[P] Box coordinates are discretized, and local maxima of the scores are found by pooling: relationship recovery improves
the first, the pyramid of plain and shifted pools the second. The map of scores is never built: every pass notes the
best box of each window (scatter), and a box lives if its windows still name it (gather).
"""

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from roundel.golden.nms.detections import Detections, Floats, by_score, iou
from roundel.golden.nms.psrr_params import Pass, PsrrParams, Semantics
from roundel.golden.rounding import Ints

Bools = NDArray[np.bool_]


def recover(boxes: Floats, params: PsrrParams) -> tuple[Ints, Ints, Ints]:
    """Relationship recovery: cells (x, y), (n, 2), scale, (n,), and ratio, (n,), of boxes (n, 4).

    [S] A box belongs to the cell of its centre and to the channel nearest to it in `(area - A)^2 + (h/w - rho)^2`, of
    two equally near ones the lower. The sum is separable: areas and ratios are compared with thresholds halfway between
    neighbours, and a box on a threshold is below it. No division: `h <= threshold * w`.
    """
    cells = ((boxes[:, :2] + boxes[:, 2:]) / 2 // params.stride).astype(np.int64)
    width, height = (boxes[:, 2:] - boxes[:, :2]).T
    scale = (width * height > np.array(params.area_thresholds)[:, None]).sum(axis=0)
    ratio = (height > np.array(params.ratio_thresholds)[:, None] * width).sum(axis=0)
    return cells, scale, ratio


def windows(recovered: tuple[Ints, Ints, Ints], params: PsrrParams, level: Pass) -> Ints:
    """Return the window of every box in one pass, (n,), apart for every group of channels.

    [R] A shifted grid begins with a window of `round(k/2)` cells, whole ones follow; the plain grid begins at cell 0.

    Parameters
    ----------
    recovered
        Of every box: cells x and y, (n, 2), scale and ratio, (n,).
    params
        The pyramid.
    level
        The pass, one of its `passes`.
    """
    cells, scale, ratio = recovered
    group = level.group_of(scale, ratio)
    kernels, leads = np.array(params.kernels(level)), np.array(params.leads(level))
    grids = np.array(params.grids(level))
    first = np.cumsum(grids.prod(axis=1)) - grids.prod(axis=1)
    x, y = ((cells + (kernels - leads)[group]) // kernels[group]).T
    key: Ints = first[group] + y * grids[group, 0] + x
    return key


def pools(
    order: Ints,
    keys: Iterable[Ints],
    semantics: Semantics,
    spared: Callable[[Ints, Ints], Bools] | None = None,
) -> Bools:
    """Which boxes live through all passes, (n,).

    [R] A box lives through a pass if it is the best of its window, of equal scores the one with the lower index. With
    the overlap guard it also lives if the best one hardly overlaps it. With `parallel` semantics every pass sees all
    boxes, and a box must live in each; with `cascade` every pass sees the survivors of the one before.

    Parameters
    ----------
    order
        Indices of the boxes, best score first, (n,).
    keys
        For each pass the numbers of the boxes' windows, (n,).
    spared
        The overlap guard: given indices of winners and of boxes in their windows, whether each box is spared.
    """
    alive = np.ones(len(order), bool)
    for key in keys:
        seen = order[alive[order]] if semantics is Semantics.CASCADE else order
        # np.unique numbers the windows that are in use, so that a table's size depends on the boxes alone
        used, window = np.unique(key, return_inverse=True)
        table = np.empty(len(used), np.int64)
        table[window[seen[::-1]]] = seen[::-1]  # scatter, worst first: the last to write a window is its best
        # gather, for boxes that still live: what became of the others is settled
        box = np.flatnonzero(alive)
        winner = table[window[box]]
        lost = box != winner
        if spared is not None:
            losers = np.flatnonzero(lost)
            lost[losers] = ~spared(winner[losers], box[losers])
        alive[box[lost]] = False
    return alive


def psrr_nms(detections: Detections, params: PsrrParams) -> Ints:
    """Return the indices of the boxes kept, in rising order.

    Parameters
    ----------
    detections
        The boxes of one image; pools run apart for every class.
    params
        The pyramid and its image.

    Raises
    ------
    InputError
        A box lies outside the image.
    """
    detections.check_inside(width=params.width, height=params.height)
    boxes, guard = detections.boxes, params.guard
    label = np.unique(detections.labels, return_inverse=True)[1]
    recovered = recover(boxes, params)
    keys = (label * params.window_count(level) + windows(recovered, params, level) for level in params.passes)

    def spared(winner: Ints, box: Ints) -> Bools:
        assert guard is not None
        return iou(boxes[winner], boxes[box]) <= guard

    alive = pools(by_score(detections.scores), keys, params.semantics, spared if guard is not None else None)
    return np.flatnonzero(alive)
