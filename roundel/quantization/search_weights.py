"""The joint search of (N_w, N_b, N_o) of one weighted module: every triple in the window [R]."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roundel.golden.formats import Format, align
from roundel.golden.network import MAX_SHIFT, grouped_matmul
from roundel.golden.rounding import Ints
from roundel.graph import Reals
from roundel.quantization.search import SUM_BITS, Errors, Goal, around, estimate

MOST_BIAS_BITS = SUM_BITS - 2  # of an aligned bias, beside its sign: products have as much room


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
        Inputs of the layer, (positions, taps * channels) integers of the format `x`.
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
    """

    columns: NDArray[np.signedinteger[Any]]
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
        table = np.stack([self._errors(n_w, biases, outputs) for n_w in weights])
        if self.goal.options.per_channel:
            pairs = table.min(axis=0).sum(axis=-1)
            n_b, n_o = np.unravel_index(np.argmin(pairs), pairs.shape)
            chosen = table[:, n_b, n_o].argmin(axis=0)
        else:
            triples = table.sum(axis=-1)
            first, n_b, n_o = np.unravel_index(np.argmin(triples), triples.shape)
            chosen = np.full(len(self.bias), first)
        n_w = weights[chosen, np.arange(len(chosen))]
        return self._triple(n_w, biases[n_b], outputs[n_o])

    def _triple(self, n_w: Ints, n_b: int, n_o: int) -> Triple:
        same = bool((n_w == n_w[0]).all())
        return Triple(
            weights=self._encode(n_w),
            w=Format(width=self.bits, signed=True, fraction=int(n_w.min())),
            b=self._bias_format(n_b),
            output=replace(self.goal.form, fraction=n_o),
            w_fractions=None if same else tuple(n_w.tolist()),
        )

    def _errors(self, n_w: Ints, biases: list[int], outputs: list[int]) -> Errors:
        """Errors of all candidates with those N_w, (N_b, N_o, channels)."""
        products = grouped_matmul(self.columns, self._encode(n_w), self.groups, self.taps)
        n_acc = self.x.fraction + n_w
        table = np.full((len(biases), len(outputs), len(n_w)), np.inf)
        seen: dict[bytes, Errors] = {}
        for row, (bias, possible) in zip(table, self._aligned(n_acc, biases), strict=True):
            if bias.tobytes() not in seen:  # else the same integers as with fewer fractional bits
                accumulators, fractions = self._summed(products + bias, n_acc)
                accumulators = _narrow(accumulators)
                seen[bias.tobytes()] = np.stack([self.goal.errors(accumulators, fractions, n) for n in outputs])
            row[:, possible] = seen[bias.tobytes()][:, possible]
        return table

    def _aligned(self, n_acc: Ints, biases: list[int]) -> Iterator[tuple[Ints, NDArray[np.bool_]]]:
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

    def _encode(self, n_w: Ints) -> Ints:
        """Integers of the weights with N_w of each output: as `Format.encode`, of which there is one for all."""
        if self.given is not None:
            return self.given[0]
        low, high = Format(width=self.bits, signed=True, fraction=0).limits
        return np.clip(np.rint(np.ldexp(self.weights.astype(np.float64), n_w)), low, high).astype(np.int64)

    def _summed_fractions(self, n_acc: Ints) -> Ints:
        """Fractional bits of what enters the requantizer."""
        return n_acc if self.residual is None else np.maximum(n_acc, self.residual[1].fraction)

    def _summed(self, accumulators: Ints, n_acc: Ints) -> tuple[Ints, Ints]:
        """Accumulators and residual on the finer of their two scales, and its fractional bits, by channel."""
        fractions = self._summed_fractions(n_acc)
        if self.residual is None:
            return accumulators, fractions
        residual, form = self.residual
        return (accumulators << fractions - n_acc) + (residual << fractions - form.fraction), fractions


def _narrow(accumulators: NDArray[Any]) -> NDArray[Any]:
    """Return integers of at most 31 bits as such of 32, which are rounded in half the time; others as they are."""
    most = 1 << 30
    fits = accumulators.min(initial=0) >= -most and accumulators.max(initial=0) < most
    return accumulators.astype(np.int32) if fits else accumulators
