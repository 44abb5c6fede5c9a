"""Tables of activations: fitted once for a function and a format, with the error on a layer's own inputs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from math import ceil, log2

import numpy as np
from numpy.typing import NDArray

from roundel.golden.activation import WORDS, ActivationTable, Fitted, Fold, Function, Goal, best_table, slope_table
from roundel.golden.errors import InputError
from roundel.golden.formats import Format
from roundel.golden.network import Activated
from roundel.graph import Formula, Reals, function_of
from roundel.quantization.search import estimate

LIKELY = (8.0, 4.0, 16.0, 32.0)  # ends of inputs that layers have, the most likely first
GOOD = 1.0  # ULP: of a table that layers share, above which a layer gets one of its own if that is better
SHARED_LIMIT = 4.0
PLACES = 1 << 12  # at which a function is looked at
LEAST, MOST = -40, 40  # binary logarithms of the ends of inputs
BINS = 256  # of the histogram of a layer's inputs


class NoTable(ValueError):
    """No table of a function is good enough."""


class Untabled(InputError):
    """Functions that the activation unit cannot do in a layer.

    Attributes
    ----------
    nodes
        Why, by the names of their nodes.
    """

    def __init__(self, message: str, nodes: Mapping[str, str]) -> None:
        super().__init__(message)
        self.nodes = nodes


@dataclass(frozen=True, kw_only=True)
class FunctionRow:
    """The activation of a layer, for the report.

    Attributes
    ----------
    layer, function
        Their names.
    fold
        How words find their segment.
    word
        Fractional bits of a word.
    n_o
        Fractional bits of the output.
    greatest, mean
        Error in steps of the output (ULP) on inputs between those that calibration showed: between the unit's result
        and the float function of the unrounded sum, the greatest at any and the mean over all of them as they came.
    """

    layer: str
    function: str
    fold: str
    word: int
    n_o: int
    greatest: float
    mean: float


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What a function gets: ends of its inputs, and how often they come.

    Attributes
    ----------
    low, high
        Ends.
    lows
        The least known input of each channel, at most 0: slopes differ by channel.
    counts, edges
        As `numpy.histogram` gives them.
    """

    low: float
    high: float
    lows: NDArray[np.float64]
    counts: NDArray[np.float64]
    edges: NDArray[np.float64]

    @classmethod
    def of(cls, values: Reals, ends: tuple[float, float]) -> "Inputs":
        """Return the inputs of a function from some of them, (positions, channels), and from the ends of all."""
        low, high = min(float(values.min()), ends[0]), max(float(values.max()), ends[1])
        if low >= high:  # all are one number
            low, high = low - max(abs(low), 1) / 8, high + max(abs(high), 1) / 8
        counts, edges = np.histogram(values, BINS, (low, high))
        lows = np.clip(values.min(axis=0).astype(np.float64), low, 0)
        return cls(low=low, high=high, lows=lows, counts=counts.astype(np.float64), edges=edges)

    @property
    def wide(self) -> tuple[float, float]:
        """Ends as far from 0 as the next power of two, so that layers share tables."""
        most = 2.0 ** min(MOST, max(LEAST, ceil(log2(max(abs(self.low), abs(self.high))))))
        return -most, most


def covered(function: Function, ends: tuple[float, float], output: Format) -> tuple[float, float]:
    """Return the part of the inputs from one end to the other whose results an output holds."""
    low, high = ends
    places = np.linspace(low, high, PLACES)
    units = function(places) / output.scale
    least, most = output.limits
    held = np.flatnonzero((units >= least - 1) & (units <= most + 1))
    if len(held) < 2:
        return low, high
    return float(places[held[0]]), float(places[held[-1]])


@lru_cache(maxsize=1 << 10)
def function_table(
    formula: Formula, output: Format, ends: tuple[float, float], finest: int | None, limit: float
) -> Fitted:
    """Return the best table of a function for all layers with these ends and this output.

    Parameters
    ----------
    formula
        The function.
    output
        Format of the result.
    ends
        Of the inputs.
    finest
        Most fractional bits that words may have; None: any.
    limit
        Greatest error that is allowed, ULP.

    Raises
    ------
    ValueError
        There is no table within the limit.
    """
    function = function_of(formula)
    low, high = covered(function, ends, output)
    edges = np.linspace(low, high, BINS + 1)
    return best_table(
        WORDS, function, low=low, high=high, output=output, histogram=(_shares(edges), edges), limit=limit,
        finest=finest,
    )  # fmt: skip


def _shares(edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how often inputs come: normally distributed, the farther end three deviations from 0."""
    middles = (edges[1:] + edges[:-1]) / 2
    return np.asarray(np.exp(-0.5 * np.square(middles / max(abs(edges[0]), abs(edges[-1])) * 3)))


def fitted_activation(formula: Formula, output: Format, inputs: Inputs, finest: int, limit: float) -> Fitted:
    """Return the table of a function for a layer, with its error there: one that layers share, if it is good enough.

    Raises
    ------
    ValueError
        There is no table within the limit; the message has the least error.
    """
    function = function_of(formula)
    low, high = covered(function, (inputs.low, inputs.high), output)
    shared = _shared(formula, output, inputs, finest)
    if shared is not None:
        shared = _on_inputs(shared, Goal(
            params=WORDS, function=function, low=low, high=high, word=shared.word, output=output,
            histogram=(inputs.counts, inputs.edges),
        ))  # fmt: skip
        if shared.max_error <= min(GOOD, limit):
            return shared
    try:
        own = best_table(
            WORDS, function, low=low, high=high, output=output, histogram=(inputs.counts, inputs.edges), limit=limit,
            finest=finest,
        )  # fmt: skip
    except ValueError:
        if shared is None or shared.max_error > limit:
            raise
        return shared
    return own if shared is None or own.max_error < shared.max_error else shared


def _shared(formula: Formula, output: Format, inputs: Inputs, finest: int) -> Fitted | None:
    """Return a table for all inputs of such ends; None where none holds them."""
    for most in (None, finest):
        try:
            fitted = function_table(formula, output, inputs.wide, most, SHARED_LIMIT)
        except ValueError:
            return None
        if fitted.word.fraction <= finest:
            return fitted
    return None


def _on_inputs(fitted: Fitted, goal: Goal) -> Fitted:
    """Return a table with its error on other inputs."""
    errors = goal.errors(fitted.table)
    place = np.unravel_index(int(errors.argmax()), errors.shape)
    return replace(
        fitted,
        max_error=float(errors[place]),
        mean_error=float((errors.mean(axis=1) * goal.shares).sum()),
        worst=float(goal.points[place]),
    )


def fitted_slopes(slopes: Reals, output: Format, inputs: Inputs, finest: int, limit: float) -> tuple[Activated, Fitted]:
    """Return a slope for negative words of each column, with its error.

    Steep slopes cost reach: words of the table for them end at half of the least one. So slopes that are a little too
    steep for the other tables are tried as the steepest that those have, too; the least of the greatest errors decides.

    Parameters
    ----------
    slopes
        (columns,).
    output, inputs, finest, limit
        As in `fitted_activation`.

    Raises
    ------
    ValueError
        A slope is too steep, or the error above the limit.
    """
    best: tuple[Activated, Fitted] | None = None
    for shift in (0, 2):
        word = replace(output, width=WORDS.in_width, signed=True, fraction=output.fraction + WORDS.fraction - shift)
        if word.fraction > finest:
            continue
        for table, codes in _slope_tables(slopes, shift):
            table = replace(table, unsigned=not output.signed)
            activated = Activated(table=table, word=word, slopes=tuple(int(code) for code in codes))
            fitted = _slopes_error(slopes, table, codes, word, output, inputs)
            if best is None or fitted.max_error < best[1].max_error:
                best = activated, fitted
    if best is None:
        raise ValueError(f"words need at least {output.fraction + 1} fractional bits, but sums have {finest}")
    if best[1].max_error > limit:
        fitted = best[1]
        raise ValueError(
            f"PRelu from {inputs.lows.min():g} to {inputs.high:g} is off by {fitted.max_error:.2f} ULP of "
            f"{output.scale:g} at {fitted.worst:g}, more than {limit:g}"
        )
    return best


def _slope_tables(slopes: Reals, shift: int) -> Iterator[tuple[ActivationTable, NDArray[np.int64]]]:
    """Give the table of slopes, and one for each finer step, whose steepest slopes stand for steeper ones.

    Raises
    ------
    ValueError
        No table without a shift has a slope as steep.
    """
    made: set[int] = set()
    for core in WORDS.slope_cores[::-1]:
        most = WORDS.steepest(core, shift)
        if core == WORDS.slope_cores[-1] and shift == 0:
            table, codes = slope_table(WORDS, slopes)
        else:
            table, codes = slope_table(WORDS, np.clip(slopes, -most, most), linear_shift=shift)
        if table.core not in made:
            made.add(table.core)
            yield table, np.asarray(codes)


def _slopes_error(
    slopes: Reals, table: ActivationTable, codes: NDArray[np.int64], word: Format, output: Format, inputs: Inputs
) -> Fitted:
    """Return the error of slopes between the ends of each channel's inputs whose results the output holds."""
    points = np.linspace(inputs.lows, max(inputs.high, 0.0), PLACES)
    words = np.clip(np.floor(points / word.scale), *word.limits).astype(np.int64)
    results = WORDS.compute(words, table, slopes=codes)
    wanted = np.clip(np.where(points < 0, points * slopes, points) / output.scale, *output.limits)
    errors = np.abs(results - wanted)
    shares = np.interp(points, (inputs.edges[1:] + inputs.edges[:-1]) / 2, inputs.counts)
    mean = float((errors * shares).sum() / shares.sum()) if shares.any() else float(errors.mean())
    worst = float(points[np.unravel_index(int(errors.argmax()), errors.shape)])
    return Fitted(table=table, word=word, max_error=float(errors.max()), mean_error=mean, worst=worst)


def untabled(formula: Formula, limit: float) -> str | None:
    """Return why no table holds a function, whatever its inputs are likely to be; None where one does.

    Parameters
    ----------
    formula
        The function.
    limit
        Greatest error that is allowed, ULP of the best format of the results or a neighbour of it.
    """
    why = None
    for end in LIKELY:
        results = function_of(formula)(np.linspace(-end, end, PLACES))
        if not np.isfinite(results).all():
            continue
        form = Format(width=WORDS.OUT_WIDTH, signed=bool(results.min() < 0), fraction=0)
        fraction = estimate(results, form)
        for more in (0, -1, 1):
            try:
                function_table(formula, replace(form, fraction=fraction + more), (-end, end), None, limit)
            except ValueError as error:
                why = why or str(error)
            else:
                return None
    return why or "it is not finite"


def row_of(layer: str, name: str, fitted: Fitted, output: Format) -> FunctionRow:
    """Return what the report says of a layer's activation."""
    return FunctionRow(
        layer=layer,
        function=name,
        fold=Fold(fitted.table.fold).value,
        word=fitted.word.fraction,
        n_o=output.fraction,
        greatest=fitted.max_error,
        mean=fitted.mean_error,
    )
