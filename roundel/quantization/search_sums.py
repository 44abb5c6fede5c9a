"""What candidates of the joint search make of a module's inputs, and their errors, block by block."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roundel.golden.formats import Format, align
from roundel.golden.network import MAX_SHIFT, Products
from roundel.golden.rounding import Ints
from roundel.graph import Reals
from roundel.quantization.search import Errors, Goal, blocks

MOST_EXPONENT = 100  # of a factor that keeps weights far from the ends of binary32


@dataclass(frozen=True, kw_only=True, eq=False)
class WeightedPart:
    """A weighted module, or some of its outputs, for which formats are searched.

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

    @cached_property
    def reach(self) -> tuple[int, int]:
        """Least and greatest integer of the input, 0 included."""
        return self.limits or (int(self.columns.min(initial=0)), int(self.columns.max(initial=0)))

    def bias_format(self, n_b: int) -> Format:
        """Return the format of the bias with N_b, or the one that is given."""
        return self.given_bias or Format(width=self.goal.options.bias_bits, signed=True, fraction=n_b)

    def aligned(self, n_acc: Ints, biases: list[int]) -> Iterator[tuple[Ints, NDArray[np.bool_]]]:
        """Return the bias as it is added, with each N_b, and for which channels that is possible."""
        for n_b in biases:
            form = self.bias_format(n_b)
            left = n_acc - n_b
            possible = np.abs(left) <= MAX_SHIFT
            yield align(form.encode(self.bias), np.where(possible, left, 0), self.goal.way.rounding), possible

    def encoded(self, n_w: Ints) -> NDArray[Any]:
        """Integers of the weights with N_w of each output: as `Format.encode`, within what digits of the array reach.

        Binary32, if the weights are that, multiplies by a power of two as exactly as binary64.
        """
        if self.given is not None:
            return self.given[0]
        kind = np.float32 if self.weights.dtype == np.float32 and np.abs(n_w).max() <= MOST_EXPONENT else np.float64
        with np.errstate(over="ignore"):  # an infinity is clamped
            codes = self.weights * np.ldexp(kind(1), n_w)
        np.rint(codes, out=codes)
        return np.clip(codes, *self.goal.options.weight_limits(self.bits), out=codes)

    def summed_fractions(self, n_acc: Ints) -> Ints:
        """Fractional bits of what enters the requantizer."""
        return n_acc if self.residual is None else np.maximum(n_acc, self.residual[1].fraction)

    def summed(self, item: "Sums", bias: Ints, rows: slice) -> tuple[Ints, Ints]:
        """Accumulators and residual at some positions, on the finer of their two scales, and its fractional bits."""
        accumulators, n_acc = item.sums[rows] + bias, item.fractions
        fractions = self.summed_fractions(n_acc)
        if self.residual is None:
            return _narrow(accumulators), fractions
        residual, form = self.residual
        summed = accumulators.astype(np.int64, copy=False) << fractions - n_acc
        return _narrow(summed + (residual[rows] << fractions - form.fraction)), fractions


@dataclass(frozen=True, eq=False)
class Sums:
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
    def of(cls, search: WeightedPart, n_w: Ints, biases: list[int]) -> "Sums":
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


@dataclass(eq=False)
class Scan:
    """The errors of candidates, (N_w, N_b, N_o), summed up part by part and block by block.

    Attributes
    ----------
    parts
        Searches of some outputs each, and which outputs these are.
    weights, biases, outputs
        N_w of each candidate and channel, N_b, N_o.
    """

    parts: Sequence[tuple[slice, WeightedPart]]
    weights: Ints
    biases: list[int]
    outputs: list[int]
    _held: dict[int, "Sums"] = field(default_factory=dict)
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

    def _add(self, totals: Errors, item: "Sums", part: WeightedPart, goal: Goal, rows: slice) -> None:
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

    def _sums(self, number: int, candidate: int) -> "Sums":
        """Return the sums of a part with the N_w of a candidate; those of one part are held."""
        if number != self._part:
            self._held.clear()
            self._part = number
        if candidate not in self._held:
            place, part = self.parts[number]
            self._held[candidate] = Sums.of(part, self.weights[candidate, place], self.biases)
        return self._held[candidate]


def _narrow(accumulators: NDArray[Any]) -> NDArray[Any]:
    """Return integers of at most 31 bits as such of 32, which are rounded in half the time; others as they are."""
    if accumulators.dtype == np.int32:
        return accumulators
    most = 1 << 30
    fits = accumulators.min(initial=0) >= -most and accumulators.max(initial=0) < most
    return accumulators.astype(np.int32) if fits else accumulators
