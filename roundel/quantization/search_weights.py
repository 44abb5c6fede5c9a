"""The joint search of (N_w, N_b, N_o) of one weighted module: every triple in the window [R]."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roundel.golden.formats import Format, align
from roundel.golden.network import MAX_SHIFT, Products
from roundel.golden.rounding import Ints
from roundel.graph import Reals
from roundel.quantization.search import SUM_BITS, Errors, Goal, around, blocks, estimate

MOST_BIAS_BITS = SUM_BITS - 2  # of an aligned bias, beside its sign: products have as much room

TOLERANCE = 1e-9  # of sums that were formed in another order
PART = 1 << 20  # weights of the outputs that are searched at once, and sums of each of their candidates
MOST_EXPONENT = 100  # of a factor that keeps weights far from the ends of binary32


@dataclass(frozen=True, kw_only=True, eq=False)
class Triple:
    """The result of the search.

    Parameters
    ----------
    weights
        Integers, (reduction, outputs).
    w, b, output
        Formats of weights, bias and output.
    w_fractions
        N_w of each output where they differ, else None; `w` has the least of them.
    """

    weights: Ints
    w: Format
    b: Format
    output: Format
    w_fractions: tuple[int, ...] | None


@dataclass(frozen=True, kw_only=True, eq=False)
class WeightedSearch:
    """The joint search of one weighted module.

    Parameters
    ----------
    columns
        Inputs of the layer, (positions, taps * channels) whole numbers of the format `x`.
    weights, bias
        Real, (taps * channels / groups, outputs) and (outputs,).
    x
        Format of the input.
    groups, taps
        As in `roundel.golden.network.conv.grouped_matmul`.
    residual
        Integers (positions, outputs) that are added before the requantizer, and their format; None without any.
    bits
        Width of the weights.
    goal
        The real results to approximate, with the options of the search.
    given
        Integers to take for the weights, (taps * channels / groups, outputs), and N_w of each output; None searches.
    given_bias
        A format that holds the bias exactly; None searches.
    limits
        Least and greatest integer of the columns, 0 included, where they are known.
    """

    columns: NDArray[Any]
    weights: Reals
    bias: Reals
    x: Format
    groups: int
    taps: int
    residual: tuple[Ints, Format] | None
    bits: int
    goal: Goal
    given: tuple[Ints, Ints] | None = None
    given_bias: Format | None = None
    limits: tuple[int, int] | None = None

    def best(self) -> Triple:
        """Return the triple with the least error, by trying all; of equals the first in ascending (N_w, N_b, N_o).

        Per channel the error of a channel depends on its own N_w and the common N_b and N_o only: for each of those
        pairs, every channel takes its best N_w. The common N_w of all channels are among those tried, so the error is
        never greater than with one N_w.
        """
        weights = np.stack(self._weight_fractions())
        fractions = self._summed_fractions(self.x.fraction + weights)
        outputs = self.goal.fractions(np.unique(fractions).tolist())
        biases = self._bias_fractions(np.unique(self.x.fraction + weights).tolist())
        if self.goal.options.per_channel:
            table = np.concatenate(
                [part.errors(weights[:, place], biases, outputs) for place, part in self._parts()], -1
            )
            pairs = table.min(axis=0).sum(axis=-1)
            n_b, n_o = np.unravel_index(np.argmin(pairs), pairs.shape)
            chosen = table[:, n_b, n_o].argmin(axis=0)
        else:
            triples = self._totals(weights, biases, outputs)
            first, n_b, n_o = np.unravel_index(np.argmin(triples), triples.shape)
            chosen = np.full(len(self.bias), first)
        n_w = weights[chosen, np.arange(len(chosen))]
        return self._triple(n_w, biases[n_b], outputs[n_o])

    def _whole(self, n_w: Ints) -> Ints:
        """Return the integers of all weights, a few outputs at a time."""
        codes = np.empty(self.weights.shape, np.int64)
        for place, part in self._parts():
            codes[:, place] = part.encoded(n_w[place])
        return codes

    def _triple(self, n_w: Ints, n_b: int, n_o: int) -> Triple:
        same = bool((n_w == n_w[0]).all())
        return Triple(
            weights=self._whole(n_w),
            w=Format(width=self.bits, signed=True, fraction=int(n_w.min())),
            b=self._bias_format(n_b),
            output=replace(self.goal.form, fraction=n_o),
            w_fractions=None if same else tuple(n_w.tolist()),
        )

    def _parts(self) -> Iterator[tuple[slice, "WeightedSearch"]]:
        """Give the search of a few outputs at a time, of which all candidates' sums are held: whole groups of them."""
        each = len(self.bias) // self.groups if self.groups > 1 else 1
        held = self.columns.astype(np.float32) if self.groups == 1 else self.columns  # what BLAS multiplies
        most = min(PART // len(self.weights), PART // max(1, len(self.columns))) // each
        for first in range(0, len(self.bias) // each, step := max(1, most)):
            place = slice(first * each, min((first + step) * each, len(self.bias)))
            columns, groups = held, 1
            if self.groups > 1:
                grouped = columns.reshape(len(columns), self.taps, self.groups, -1)[:, :, first : first + step]
                columns, groups = grouped.reshape(len(columns), -1), grouped.shape[2]
            residual = None if self.residual is None else (self.residual[0][:, place], self.residual[1])
            given = None if self.given is None else (self.given[0][:, place], self.given[1][place])
            yield place, replace(
                self, columns=columns, weights=self.weights[:, place], bias=self.bias[place], groups=groups,
                residual=residual, goal=self.goal.part(slice(None), place), given=given, limits=self._limits,
            )  # fmt: skip

    @cached_property
    def _limits(self) -> tuple[int, int]:
        """Least and greatest integer of the input, 0 included."""
        return self.limits or (int(self.columns.min(initial=0)), int(self.columns.max(initial=0)))

    def errors(self, weights: Ints, biases: list[int], outputs: list[int]) -> Errors:
        """Return `||O - O_q||^2` of all candidates, (N_w, N_b, N_o, channels); infinite where one is not possible.

        Parameters
        ----------
        weights
            N_w of each candidate and channel.
        biases, outputs
            N_b and N_o of the candidates.
        """
        table = np.full((len(weights), len(biases), len(outputs), len(self.bias)), np.inf)
        for tried, n_w in zip(table, weights, strict=True):
            item = _Sums.of(self, n_w, biases)
            found = np.zeros((len(item.biases), len(outputs), len(self.bias)))
            for rows in blocks(len(self.columns), len(self.bias)):
                goal = self.goal.part(rows, slice(None))
                for row, bias in zip(found, item.biases, strict=True):
                    accumulators, fractions = self.summed(item, bias, rows)
                    row += [goal.errors(accumulators, fractions, n_o) for n_o in outputs]
            for row, number, possible in zip(tried, item.numbers, item.possible, strict=True):
                row[:, possible] = found[number][:, possible]
        return table

    def _totals(self, weights: Ints, biases: list[int], outputs: list[int]) -> Errors:
        """Return `||O - O_q||^2` of the candidates that may have the least, (N_w, N_b, N_o); of all others infinity.

        The candidate that is best at a few positions has some error at all of them. Whose error exceeds that already
        at some positions is not looked at any more: errors only grow.
        """
        shape = len(weights), len(biases), len(outputs)
        parts = list(self._parts())
        scan = _Scan(parts, weights, biases, outputs)
        first = scan.totals(np.zeros(shape), scan.blocks[:1])
        best = np.full(shape, inf)
        best.flat[np.argmin(first)] = first.min()
        bound = float(scan.totals(best, scan.blocks[1:]).min()) * (1 + TOLERANCE)
        return scan.totals(first, scan.blocks[1:], bound)

    def aligned(self, n_acc: Ints, biases: list[int]) -> Iterator[tuple[Ints, NDArray[np.bool_]]]:
        """Return the bias as it is added, with each N_b, and for which channels that is possible."""
        for n_b in biases:
            form = self._bias_format(n_b)
            left = n_acc - n_b
            possible = np.abs(left) <= MAX_SHIFT
            yield align(form.encode(self.bias), np.where(possible, left, 0), self.goal.way.rounding), possible

    def _weight_fractions(self) -> list[Ints]:
        """N_w of all channels to try: each common to all, and per channel also around each channel's own estimate.

        None is finer than a shift of `MAX_SHIFT` takes to the output's estimate, or than `MOST_BIAS_BITS` of the bias
        allow. That only matters to weights so small against bias or residual that they hardly count. The accumulator
        never needs more than `MAX_SHIFT` bits of alignment to a residual, either way, and is as fine as an output whose
        format is fixed.
        """
        outputs = len(self.bias)
        if self.given is not None:
            return [self.given[1]]
        window, form = self.goal.options.window, Format(width=self.bits, signed=True, fraction=0)
        low, high = self._weight_bounds()
        middle = estimate(self.weights, form)
        tries = around(middle, window, min(middle - window, high) if low is None else low, high)
        common = [np.full(outputs, n) for n in tries]
        if not self.goal.options.per_channel:
            return common
        own = np.asarray([estimate(column, form) if column.any() else middle for column in self.weights.T])
        return common + [np.clip(own + n, low, high) for n in range(-window, window + 1)]

    def _weight_bounds(self) -> tuple[int | None, int]:
        """Least N_w, if there is any, and greatest."""
        n_x, n_o = self.x.fraction, self.goal.form.fraction
        n_r = None if self.residual is None else self.residual[1].fraction
        lows, highs = [], [n_o + MAX_SHIFT - self.goal.activation.leak]
        if n_r is not None:
            lows.append(n_r - MAX_SHIFT)
            highs.append(n_r + MOST_BIAS_BITS - 9)  # an unsigned byte takes 9 bits
        if self.goal.fixed and (n_r is None or n_r < n_o):
            lows.append(n_o)
        if self.bias.any():
            finest = MOST_BIAS_BITS - 1 - int(np.frexp(np.abs(self.bias).max())[1])
            highs.append(max([finest, *lows]))
        return max(lows) - n_x if lows else None, min(highs) - n_x

    def _bias_format(self, n_b: int) -> Format:
        return self.given_bias or Format(width=self.goal.options.bias_bits, signed=True, fraction=n_b)

    def _bias_fractions(self, accumulator_fractions: list[int]) -> list[int]:
        if self.given_bias is not None:
            return [self.given_bias.fraction]
        form = self._bias_format(0)
        middle, window = estimate(self.bias, form), self.goal.options.window
        tries = (around(middle, window, n - MAX_SHIFT, n + MAX_SHIFT) for n in accumulator_fractions)
        return sorted(set().union(*tries))

    def encoded(self, n_w: Ints) -> NDArray[Any]:
        """Integers of the weights with N_w of each output: as `Format.encode`, of which there is one for all.

        Binary32, if the weights are that, multiplies by a power of two as exactly as binary64.
        """
        if self.given is not None:
            return self.given[0]
        kind = np.float32 if self.weights.dtype == np.float32 and np.abs(n_w).max() <= MOST_EXPONENT else np.float64
        with np.errstate(over="ignore"):  # an infinity is clamped
            codes = self.weights * np.ldexp(kind(1), n_w)
        np.rint(codes, out=codes)
        return np.clip(codes, *Format(width=self.bits, signed=True, fraction=0).limits, out=codes)

    def _summed_fractions(self, n_acc: Ints) -> Ints:
        """Fractional bits of what enters the requantizer."""
        return n_acc if self.residual is None else np.maximum(n_acc, self.residual[1].fraction)

    def summed(self, item: "_Sums", bias: Ints, rows: slice) -> tuple[Ints, Ints]:
        """Accumulators and residual at some positions, on the finer of their two scales, and its fractional bits."""
        accumulators, n_acc = item.sums[rows] + bias, item.fractions
        fractions = self._summed_fractions(n_acc)
        if self.residual is None:
            return _narrow(accumulators), fractions
        residual, form = self.residual
        summed = accumulators.astype(np.int64, copy=False) << fractions - n_acc
        return _narrow(summed + (residual[rows] << fractions - form.fraction)), fractions


@dataclass(eq=False)
class _Scan:
    """The errors of candidates, (N_w, N_b, N_o), summed up part by part and block by block.

    Attributes
    ----------
    parts
        Searches of some outputs each, and which outputs these are.
    weights, biases, outputs
        N_w of each candidate and channel, N_b, N_o.
    """

    parts: list[tuple[slice, WeightedSearch]]
    weights: Ints
    biases: list[int]
    outputs: list[int]
    _held: dict[int, "_Sums"] = field(default_factory=dict)
    _part: int = 0

    @cached_property
    def blocks(self) -> list[tuple[int, slice]]:
        """All blocks: the number of a part, and positions."""
        return [
            (number, rows)
            for number, (_, part) in enumerate(self.parts)
            for rows in blocks(len(part.columns), len(part.bias))
        ]

    def totals(self, totals: Errors, places: list[tuple[int, slice]], bound: float = inf) -> Errors:
        """Return errors with those in some blocks added; infinite of candidates that are not possible, or off.

        Parameters
        ----------
        totals
            The errors so far; infinite of candidates that are not to be looked at.
        places
            The blocks.
        bound
            The greatest error of interest.
        """
        totals = np.where(totals <= bound, totals, inf)
        for number, rows in places:
            part = self.parts[number][1]
            goal = part.goal.part(rows, slice(None))
            for candidate in np.flatnonzero((totals < inf).any(axis=(1, 2))).tolist():
                self._add(totals[candidate], self._sums(number, candidate), part, goal, rows)
            totals[totals > bound] = inf
        return totals

    def _add(self, totals: Errors, item: "_Sums", part: WeightedSearch, goal: Goal, rows: slice) -> None:
        """Add the errors at some positions of all candidates with one N_w, (N_b, N_o)."""
        totals[[not possible.all() for possible in item.possible]] = inf
        alive, numbers = totals < inf, np.asarray(item.numbers)
        for number, bias in enumerate(item.biases):
            same = numbers == number
            left = np.flatnonzero(alive[same].any(axis=0)).tolist()
            if not left:
                continue
            accumulators, fractions = part.summed(item, bias, rows)
            fraction = int(fractions[0]) if (fractions == fractions[0]).all() else None
            for n_o in left:
                if fraction is None:
                    error = goal.errors(accumulators, fractions, self.outputs[n_o]).sum()
                else:
                    error = goal.total(accumulators, fraction, self.outputs[n_o])
                totals[same, n_o] += error

    def _sums(self, number: int, candidate: int) -> "_Sums":
        """Return the sums of a part with the N_w of a candidate; those of one part are held."""
        if number != self._part:
            self._held.clear()
            self._part = number
        if candidate not in self._held:
            place, part = self.parts[number]
            self._held[candidate] = _Sums.of(part, self.weights[candidate, place], self.biases)
        return self._held[candidate]


@dataclass(frozen=True, eq=False)
class _Sums:
    """What one N_w of each channel makes of the inputs.

    Attributes
    ----------
    sums
        Products, (positions, channels) integers, of 32 bits where these hold them with any of the biases as well.
    fractions
        Their fractional bits, (channels,).
    biases
        All that is added for some N_b, in units of the products.
    numbers, possible
        Which of them that is for each N_b, and for which channels it is possible.
    """

    sums: Ints
    fractions: Ints
    biases: list[Ints]
    numbers: list[int]
    possible: list[NDArray[np.bool_]]

    @classmethod
    def of(cls, search: WeightedSearch, n_w: Ints, biases: list[int]) -> "_Sums":
        """Multiply inputs and weights, and align the biases; those with the same integers are one."""
        limits, groups = search.limits, search.groups
        assert limits is not None
        fractions = search.x.fraction + n_w
        products = Products.of(search.encoded(n_w), groups=groups, taps=search.taps, limits=limits)
        sums = products.compute(search.columns.reshape(len(search.columns), 1, 1, 1, search.taps, -1))
        tries = list(search.aligned(fractions, biases))
        distinct = {bias.tobytes(): bias for bias, _ in tries}
        numbers = {bias: number for number, bias in enumerate(distinct)}
        most = max(int(np.abs(bias).max(initial=0)) for bias in distinct.values())
        greatest = max(-float(sums.min(initial=0)), float(sums.max(initial=0)))
        kind = np.int32 if greatest + most < 1 << 30 else np.int64
        return cls(
            sums=sums.astype(kind, copy=False),
            fractions=fractions,
            biases=[bias.astype(kind) for bias in distinct.values()],
            numbers=[numbers[bias.tobytes()] for bias, _ in tries],
            possible=[possible for _, possible in tries],
        )


def _narrow(accumulators: NDArray[Any]) -> NDArray[Any]:
    """Return integers of at most 31 bits as such of 32, which are rounded in half the time; others as they are."""
    if accumulators.dtype == np.int32:
        return accumulators
    most = 1 << 30
    fits = accumulators.min(initial=0) >= -most and accumulators.max(initial=0) < most
    return accumulators.astype(np.int32) if fits else accumulators
