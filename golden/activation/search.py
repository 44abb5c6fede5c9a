"""The choice of a table: word format, fold, core and linear part, by the error that remains."""

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from roundel.golden.activation.fit import ROUNDS, Fitted, Goal, design_of, estimate, fit_table
from roundel.golden.activation.functions import Function
from roundel.golden.activation.params import ActivationParams
from roundel.golden.activation.table import ActivationTable, Fold
from roundel.golden.formats import Format

GOOD = 1.0  # ULP: of tables with no greater error, the one with the least mean error is taken
ENTRANTS = 8  # shapes of which a table is made, of all whose least squares were solved


def best_table(
    params: ActivationParams,
    function: Function,
    *,
    low: float,
    high: float,
    output: Format,
    histogram: tuple[ArrayLike, ArrayLike] | None = None,
    limit: float = 2.0,
    finest: int | None = None,
) -> Fitted:
    """Return the best table of a function, with the word format that it needs.

    Of the tables whose greatest error is at most 1 ULP, else at most `limit`, that with the least mean error.

    Parameters
    ----------
    params
        The unit.
    function
        The function.
    low, high
        Ends of the inputs that can come, `low` below `high`.
    output
        Format of the output, of 8 bits.
    histogram
        How often inputs come, as `numpy.histogram` gives it; None: all alike.
    limit
        Greatest error that is allowed, in ULP.
    finest
        Most fractional bits that a word may have; None: any.

    Raises
    ------
    ValueError
        The function is not finite or not continuous there, or no table gets within `limit`: the message has the least
        error, and where it is.
    """
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ValueError(f"inputs must go from a number to a greater one, not from {low} to {high}")
    if output.width != params.OUT_WIDTH:
        raise ValueError(f"an activation gives {params.OUT_WIDTH} bits, not {output.width}")
    function.check(low, high, output.scale)
    goals: dict[Format, Goal] = {}

    def goal(word: Format) -> Goal:
        if word not in goals:
            goals[word] = Goal(
                params=params, function=function, low=low, high=high, word=word, output=output, histogram=histogram
            )
        return goals[word]

    shapes = [
        (*estimate(goal(word), shape), goal(word), shape)
        for word, shift in _formats(params, low, high, output)
        if finest is None or word.fraction <= finest
        if goal(word).least_error + 0.25 < limit
        for shape in _shapes(goal(word), shift, limit)
    ]
    best = _best([(goal, shape) for *_, goal, shape in _nearest(shapes, limit)], limit)
    if best is None:
        raise ValueError(
            f"{function.name} from {low:g} to {high:g} has no table within {limit:g} ULP of {output.scale:g}"
        )
    if best.max_error > limit:
        raise ValueError(
            f"{function.name} from {low:g} to {high:g} is off by {best.max_error:.2f} ULP of {output.scale:g} "
            f"at {best.worst:g}, more than {limit:g}"
        )
    return best


Estimate = tuple[float, float, Goal, ActivationTable]
"""Greatest and mean error of the least squares of a shape, before knots are rounded."""


def _key(greatest: float, mean: float, limit: float) -> tuple[bool, bool, float]:
    return greatest > limit, greatest > GOOD, greatest if greatest > limit else mean


def _nearest(shapes: list[Estimate], limit: float) -> list[Estimate]:
    """Return the shapes to make tables of: half of them for the best estimate, the others for the least maximum."""
    by_key = sorted(shapes, key=lambda item: _key(item[0], item[1], limit))[: ENTRANTS // 2]
    by_greatest = sorted(shapes, key=lambda item: item[:2])[: ENTRANTS // 2]
    return by_key + [item for item in by_greatest if not any(item is other for other in by_key)]


def _best(entrants: list[tuple[Goal, ActivationTable]], limit: float) -> Fitted | None:
    """Return the best table of some shapes: by least squares if that is good enough, else with weights that move."""
    best: Fitted | None = None
    for rounds in (0, ROUNDS):
        for goal, shape in entrants:
            fitted = fit_table(goal, shape, bound=GOOD, rounds=rounds)
            if fitted is not None and (best is None or _rank(fitted, limit) < _rank(best, limit)):
                best = fitted
        if best is not None and best.max_error <= GOOD:
            break
    return best


def _rank(fitted: Fitted, limit: float) -> tuple[bool, bool, float]:
    return _key(fitted.max_error, fitted.mean_error, limit)


def _formats(params: ActivationParams, low: float, high: float, output: Format) -> Iterator[tuple[Format, int | None]]:
    """Word formats to try, each with the shift of its linear part; None: without one."""
    word = replace(output, width=params.in_width, signed=True, zero=0)
    for shift in (0, 2):
        yield replace(word, fraction=output.fraction + params.fraction - shift), shift
    # From the format that holds all inputs to such as saturate in ever more of them.
    most = math.frexp(max(abs(low), abs(high)) / output.mantissa)[1]
    for fewer in range(9):
        yield replace(word, fraction=params.in_width - 1 - most + fewer), None


def _shapes(goal: Goal, shift: int | None, limit: float) -> Iterator[ActivationTable]:
    """Tables without knots: folds that the curve beside the linear part allows, and all cores."""
    blank = ActivationTable(
        knots=(0,) * (goal.params.segments + 1),
        linear=shift is not None,
        linear_shift=shift or 0,
        unsigned=not goal.output.signed,
    )
    curve, both = design_of(goal, blank)[1], goal.inside & goal.inside[::-1]
    above = curve[(goal.words >= 0) & goal.inside]
    misses = {
        Fold.NONE: 0.0,
        Fold.EVEN: float(np.abs((curve - curve[::-1]) * both).max()) / 2,
        Fold.ODD: float(np.abs((curve + curve[::-1]) * both).max()) / 2,
        Fold.NEGATIVE: float(np.ptp(above)) / 2 if above.size else 0.0,
    }
    for fold, missed in misses.items():
        if missed + 0.25 < limit:
            for core in range(goal.params.greatest_core + (fold is Fold.NONE)):
                yield replace(blank, fold=fold, core=core)
