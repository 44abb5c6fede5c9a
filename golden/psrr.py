"""PSRR-MaxpoolNMS in floating point: relationship recovery, then a pyramid of pools that is a list of passes.

[P] Box coordinates are discretized, and local maxima of the scores are found by pooling: relationship recovery improves
the first, the pyramid of plain and shifted pools the second. The map of scores is never built: every pass notes the
best box of each window (scatter), and a box lives if its windows still name it (gather).
"""

import numpy as np

from golden.boxes import Detections, Floats, by_score, iou
from golden.psrr_params import Pass, PsrrParams, Semantics
from golden.rounding import Ints


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


def windows(recovered: tuple[Ints, Ints, Ints], params: PsrrParams, one: Pass) -> Ints:
    """The window of every box in one pass, (n,), apart for every group of channels.

    [R] A shifted grid begins with a window of `round(k/2)` cells, whole ones follow; the plain grid begins at cell 0.
    """
    cells, scale, ratio = recovered
    group = one.group_of(scale, ratio)
    kernels, leads = np.array(params.kernels(one)), np.array(params.leads(one))
    grids = np.array(params.grids(one))
    first = np.cumsum(grids.prod(axis=1)) - grids.prod(axis=1)
    x, y = ((cells + (kernels - leads)[group]) // kernels[group]).T
    key: Ints = first[group] + y * grids[group, 0] + x
    return key


def survivors(detections: Detections, alive: Ints, keys: Ints, guard: float | None) -> Ints:
    """Those of the boxes `alive` (indices, best score first) that one pass lets live, in the same order.

    [R] A box lives if it is the best of its window, of equal scores the one with the lower index. With the overlap
    guard it also lives if the best one overlaps it by no more than `guard`. `keys` number the windows, (n,).
    """
    # np.unique numbers the windows that are in use, so that a table's size depends on the boxes alone
    window = np.unique(keys[alive], return_inverse=True)[1]
    rank = np.arange(len(alive))
    table = np.full(len(alive), len(alive))
    np.minimum.at(table, window, rank)  # scatter
    winner = table[window]  # gather
    lives = winner == rank
    if guard is not None:
        lives = lives | (iou(detections.boxes[alive[winner]], detections.boxes[alive]) <= guard)
    kept: Ints = alive[lives]
    return kept


def psrr_nms(detections: Detections, params: PsrrParams) -> Ints:
    """Indices of the boxes kept, in rising order.

    Parameters
    ----------
    detections
        The boxes of one image; pools run apart for every class.
    params
        The pyramid and its image. With `parallel` semantics every pass sees all boxes, and a box must live in each;
        with `cascade` every pass sees the survivors of the one before.

    Raises
    ------
    InputError
        A box lies outside the image.
    """
    detections.check_inside(width=params.width, height=params.height)
    label = np.unique(detections.labels, return_inverse=True)[1]
    recovered = recover(detections.boxes, params)
    everything = by_score(detections.scores)
    alive = np.ones(len(detections), bool)
    for one in params.passes:
        keys = label * params.window_count(one) + windows(recovered, params, one)
        seen = everything[alive[everything]] if params.semantics is Semantics.CASCADE else everything
        lives = np.zeros(len(detections), bool)
        lives[survivors(detections, seen, keys, params.guard)] = True
        alive &= lives
    return np.flatnonzero(alive)
