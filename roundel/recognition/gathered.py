"""Boxes that a tail makes behind its selection, of the locations that it chose.

With all scores held still the choice is always the same, so that a row behind the selection belongs to one location and
can be taken like any other. Held scores fall from prior to prior of a location, and from one random location to the
next, of one grid after the other: a selection that keeps the best takes some of every grid, and priors in their order.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from roundel.recognition.box_fit import Attempt, fit_box
from roundel.recognition.constants import FittedPrior
from roundel.recognition.locating import Grid, locate, tables
from roundel.recognition.samples import Samples, draw_samples, groups_of
from roundel.recognition.score_fit import Scores
from roundel.recognition.tail import NotRecognised, Tail, TailModel, told

HIGHEST, LOWEST, NONE = 4.0, -4.0, -9.0
"""Logits of the best box that is held, of the last one, and of all other classes."""
MOST_TENSORS = 256
SHOWN = 3  # forms that a message lists

Scored = tuple[Samples, int, Scores]
"""A box of the locations of a group, and its scores."""


def gathered(tail: Tail, scored: Sequence[Scored], rng: np.random.Generator) -> tuple[list[FittedPrior], TailModel]:
    """Fit boxes behind the selection of a tail.

    Parameters
    ----------
    tail
        The tail.
    scored
        The scores before it, of every box.
    rng
        Source of raw values.

    Returns
    -------
    tuple
        All boxes, and the tail with scores held still.

    Raises
    ------
    NotRecognised
        No four numbers behind it are a box, or of fewer boxes than there are scores.
    """
    best = _best_groups(scored)
    names = list(_behind(tail))[:MOST_TENSORS]
    model = tail.model(names).holding(_held(tail, best, rng))
    made = tables(tail, locate(tail, model, rng))
    samples = draw_samples(tail, model, groups_of(tail, made), rng)
    found, attempts = [], list[Attempt]()
    for grid, items in best.items():
        fitted: list[FittedPrior] = []
        for part in samples:
            if part.grid == grid and part.boxes == len(items) and not fitted:
                fitted = _fitted(part, items, attempts)
        if not fitted:
            forms = ", ".join(f"{item.form} off by {item.apart:.2g}" for item in sorted(attempts, key=_apart)[:3])
            raise NotRecognised(
                f"{grid[0]} x {grid[1]} locations have {len(items)} boxes with scores, but nothing behind "
                f"{told(tail.selects)} is a box of one location"
                + (f": {forms} (of the largest value)" if forms else "")
            )
        found += fitted
    return found, model


def _apart(attempt: Attempt) -> float:
    return attempt.apart


def _best_groups(scored: Sequence[Scored]) -> dict[Grid, list[Scored]]:
    """Return the boxes of each grid, of the tensors whose rows have most classes."""
    found: dict[Grid, list[Scored]] = {}
    for grid in dict.fromkeys(part.grid for part, _, _ in scored):
        own = [item for item in scored if item[0].grid == grid]
        most = max(own, key=lambda item: len(item[2].classes))
        found[grid] = [item for item in own if item[0] is most[0]]
    return found


def _behind(tail: Tail) -> Iterator[str]:
    """Give the tensors that a selection gave, or what comes from them."""
    for item in tail.operators:
        yield from (name for name in item.makes if name in tail.selected)


def _held(tail: Tail, best: dict[Grid, list[Scored]], rng: np.random.Generator) -> dict[tuple[int, int], np.ndarray]:
    """Return values to hold, by map and channel."""
    held: dict[tuple[int, int], np.ndarray] = {}
    ranks = {grid: rng.permutation(grid[0] * grid[1]).reshape(grid) for grid in best}
    count = max(grid[0] * grid[1] for grid in best) * len(best) * max(map(len, best.values()))
    for number, (grid, items) in enumerate(best.items()):
        for prior, (part, _, scores) in enumerate(items):
            place = (ranks[grid] * len(best) + number) * max(map(len, best.values())) + prior
            falling = HIGHEST + (LOWEST - HIGHEST) * place / count
            for channel in scores.classes:
                held[_owner(part, channel)] = np.full(grid, NONE)
            if scores.background is not None:
                held[_owner(part, scores.background)] = np.zeros(grid)
            if scores.objectness is not None:
                held[_owner(part, scores.objectness)] = np.full(grid, HIGHEST)
            held[_owner(part, scores.classes[0])] = falling
    return {key: values.astype(np.float32) for key, values in held.items()}


def _owner(part: Samples, channel: int) -> tuple[int, int]:
    """Return the map of a channel of a grid, and the channel there."""
    place, inner = part.group.owners[channel]
    return int(place), int(inner)


def _fitted(part: Samples, items: Sequence[Scored], attempts: list[Attempt]) -> list[FittedPrior]:
    """Return the boxes of all priors that samples behind the selection are; none where one of them is none."""
    made = []
    for number, (before, box, scores) in enumerate(items):
        moving = np.nan_to_num(np.abs(part.moves[:, :, number])).max(axis=(0, 1)) > 0
        for tensor in dict.fromkeys(name for name, _ in part.columns):
            own = [column for column in part.tensor_columns(tensor) if moving[column]][:4]
            if len(own) < 4:
                continue
            fitted, tried = fit_box(part, number, own)
            attempts += tried
            if fitted is not None:
                made.append(FittedPrior(before.group, box, fitted, scores, behind=(part.group, number)))
                break
    return made if len(made) == len(items) else []
