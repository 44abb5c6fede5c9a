"""The fit of a table: knots by weighted least squares, and the error of what the unit then gives, over all inputs."""

import math
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from roundel.golden.activation import arithmetic
from roundel.golden.activation.functions import Function
from roundel.golden.activation.params import ActivationParams
from roundel.golden.activation.table import ActivationTable, Fold
from roundel.golden.formats import Format
from roundel.golden.rounding import Ints

Reals = NDArray[np.float64]

POINTS = 9
"""Reals between a word and the next one, both ends included, at which the error is taken."""
DENSE = 4097
"""Reals of the first and the last word among which its extremes are looked for."""
ROUNDS = 8
"""How often weights are moved towards the greatest errors, at most."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Fitted:
    """A table with its error.

    Attributes
    ----------
    table
        What the layer loads.
    word
        The format of words: those that a requantizer must give, rounding down.
    max_error, mean_error
        Between result and float function of the unrounded input, in units of the output (ULP): the greatest at any
        input, the ends of a saturated word included; the mean by the weights.
    worst
        An input at which the greatest error is.
    """

    table: ActivationTable
    word: Format
    max_error: float
    mean_error: float
    worst: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Goal:
    """What a table is fitted to: a function at all inputs of a word format, in the units of its output.

    Parameters
    ----------
    params
        The unit.
    function
        The function.
    low, high
        Ends of the inputs that can come, as reals.
    word, output
        Formats of a word and of the output, whose zero point is kept.
    histogram
        How often inputs come: (bins,) counts and (bins + 1,) ascending edges, as `numpy.histogram` gives them; None:
        all inputs within `low` and `high` alike.
    """

    params: ActivationParams
    function: Function
    low: float
    high: float
    word: Format
    output: Format
    histogram: tuple[ArrayLike, ArrayLike] | None = None

    words: Ints = field(init=False)
    points: Reals = field(init=False)
    targets: Reals = field(init=False)
    inside: NDArray[np.bool_] = field(init=False)
    spans: Reals = field(init=False)
    shares: Reals = field(init=False)

    def __post_init__(self) -> None:
        words = np.arange(self.word.limits[0], self.word.limits[1] + 1, dtype=np.int64)
        edges = np.append(words, words[-1] + 1) * self.word.scale
        inside = (edges[1:] > self.low) & (edges[:-1] < self.high)
        # The first and the last word stand for all that lies beyond.
        edges[0], edges[-1] = min(self.low, edges[0]), max(self.high, edges[-1])
        points = edges[:-1, np.newaxis] + np.diff(edges)[:, np.newaxis] * np.linspace(0, 1, POINTS)
        points = np.clip(points, self.low, self.high)
        for row in (0, -1):
            points[row, 1:3] = self._extremes(points[row, 0], points[row, -1])
        targets = self.function(points) / self.output.scale + self.output.zero
        shares = self._shares(edges, inside)
        for name, values in (("words", words), ("points", points), ("targets", targets)):
            object.__setattr__(self, name, values)
        object.__setattr__(self, "spans", targets.max(axis=1) - targets.min(axis=1))
        object.__setattr__(self, "inside", inside)
        object.__setattr__(self, "shares", shares)

    def _extremes(self, first: float, last: float) -> Reals:
        """Return where the function is least and greatest in a long word: nowhere in it is a result farther off."""
        dense = np.linspace(first, last, DENSE)
        values = self.function(dense)
        return dense[[int(values.argmin()), int(values.argmax())]]

    def _shares(self, edges: Reals, inside: NDArray[np.bool_]) -> Reals:
        """Weights of all words, which sum to 1, with a little for every word that can come."""
        widths = np.diff(np.clip(edges, self.low, self.high))
        even = widths / widths.sum()
        if self.histogram is None:
            return np.asarray(even)
        counts, bounds = (np.asarray(part, dtype=np.float64) for part in self.histogram)
        if bounds.shape != (len(counts) + 1,) or np.any(np.diff(bounds) <= 0) or not np.all(counts >= 0):
            raise ValueError("a histogram must be counts from 0 on, and one more ascending edge than counts")
        below = np.interp(edges, bounds, np.append(0, np.cumsum(counts)))
        given = np.diff(below) * inside
        return np.asarray(0.99 * given / given.sum() + 0.01 * even) if given.sum() > 0 else np.asarray(even)

    @property
    def least_error(self) -> float:
        """What no table gets below: half of what the function moves by within a word."""
        return float((self.spans * self.inside).max(initial=0)) / 2

    def errors(self, table: ActivationTable) -> Reals:
        """Return the error of the unit's result at each of `points`, in ULP."""
        results = self.params.compute(self.words, table)
        return np.asarray(np.abs(results[:, np.newaxis] - self.targets) * self.inside[:, np.newaxis])


def fit_table(goal: Goal, shape: ActivationTable, *, bound: float = 0.0, rounds: int = ROUNDS) -> Fitted | None:
    """Fit the knots of a table whose other fields are given.

    Knots come from weighted least squares against the mean of the function over each word. Where the greatest error is
    above `bound`, weights move towards great errors round by round [S: Lawson's algorithm], and the table with the
    least greatest error is kept.

    Parameters
    ----------
    goal
        What to fit to.
    shape
        Fold, core and linear part; its knots are not looked at.
    bound
        The greatest error that is good enough, ULP.
    rounds
        How often weights may move.

    Returns
    -------
    Fitted or None
        None where no knots that the unit can hold make such a table.
    """
    design, target = design_of(goal, shape)
    weights = goal.shares
    best: Fitted | None = None
    for _ in range(rounds + 1):
        knots = _held(goal.params, _solve(design, target, weights))
        if knots is None:
            return best
        table = replace(shape, knots=tuple(int(knot) for knot in knots))
        errors = goal.errors(table)
        place = np.unravel_index(int(errors.argmax()), errors.shape)
        if best is None or errors[place] < best.max_error:
            best = Fitted(
                table=table,
                word=goal.word,
                max_error=float(errors[place]),
                mean_error=float((errors.mean(axis=1) * goal.shares).sum()),
                worst=float(goal.points[place]),
            )
        if best.max_error <= bound:
            break
        weights = weights * (0.5 + errors.max(axis=1)) ** 2
        weights = weights / weights.sum()
    return best


def estimate(goal: Goal, shape: ActivationTable) -> tuple[float, float]:
    """Return about what errors a table of a shape would have, greatest and mean, in ULP, knots not rounded."""
    design, target = design_of(goal, shape)
    knots = _held(goal.params, _solve(design, target, goal.shares))
    if knots is None:
        return math.inf, math.inf
    missed = np.abs(design @ (knots / (1 << goal.params.fraction)) - target)
    greatest = float(((missed + goal.spans / 2) * goal.inside).max()) + 0.5
    # A result off by less than half an ULP is rounded to the same integer as often as not.
    return greatest, float((np.maximum(missed, 0.25) * goal.shares).sum())


def design_of(goal: Goal, shape: ActivationTable) -> tuple[Reals, Reals]:
    """Return the matrix from knots to curves, one row a word, and the curve that is wanted, in ULP."""
    params = goal.params
    unit = 1 << (params.fraction + params.step_bits)
    linear = arithmetic.linear_part(goal.words, shape.linear_shift, params.step_bits) / unit if shape.linear else 0.0
    least = -(1 << (params.OUT_WIDTH - 1)) if shape.unsigned else 0
    return _matrix(params, shape.fold, shape.core), goal.targets.mean(axis=1) + least - linear


@lru_cache(maxsize=64)
def _matrix(params: ActivationParams, fold: Fold, core: int) -> Reals:
    """Return (words, knots): what part each knot has in each word's curve."""
    words = np.arange(-(1 << (params.in_width - 1)), 1 << (params.in_width - 1), dtype=np.int64)
    position = arithmetic.positions(
        words, fold=fold, core=core, segment_bits=params.segment_bits, step_bits=params.step_bits
    )
    even, odd, steps = arithmetic.ends_and_steps(position, params.step_bits)
    matrix = np.zeros((len(words), params.segments + 1))
    rows, part = np.arange(len(words)), steps / (1 << params.step_bits)
    matrix[rows, even] = 1 - part
    matrix[rows, odd] = part
    if fold is Fold.ODD:
        matrix[words < 0] *= -1
    matrix.setflags(write=False)
    return matrix


def _solve(design: Reals, target: Reals, weights: Reals) -> Reals:
    """Weighted least squares; a trace of smoothness decides knots that no word sees."""
    weighted = design * weights[:, np.newaxis]
    smooth = np.diff(np.eye(design.shape[1]), axis=0)
    normal = design.T @ weighted + 1e-9 * smooth.T @ smooth + 1e-12 * np.eye(design.shape[1])
    return np.asarray(np.linalg.solve(normal, weighted.T @ target))


def _held(params: ActivationParams, knots: Reals) -> Ints | None:
    """Round knots to what the unit holds, odd ones no farther from both even neighbours than a step may be.

    None where even neighbours are farther apart than two steps.
    """
    limit = 1 << (params.knot_width - 1)
    scaled = np.clip(np.rint(knots * (1 << params.fraction)), -limit, limit - 1).astype(np.int64)
    least, greatest = params.step_limits
    low = np.maximum(scaled[:-1:2], scaled[2::2]) + least
    high = np.minimum(scaled[:-1:2], scaled[2::2]) + greatest
    if np.any(low > high):
        return None
    scaled[1::2] = np.clip(scaled[1::2], low, high)
    return scaled
