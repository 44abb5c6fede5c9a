"""The joint search of (N_w, N_b, N_o) of one weighted module: every triple in the window [R]."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import inf

import numpy as np

from roundel.golden.formats import Format
from roundel.golden.network import MAX_SHIFT
from roundel.golden.rounding import Ints
from roundel.quantization.search import SUM_BITS, Errors, around, blocks, estimate
from roundel.quantization.search_sums import Scan, Sums, WeightedPart

MOST_BIAS_BITS = SUM_BITS - 2  # of an aligned bias, beside its sign: products have as much room

TOLERANCE = 1e-9  # of sums that were formed in another order
PART = 1 << 20  # weights of the outputs that are searched at once, and sums of each of their candidates


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
    error
        `||O - O_q||^2` at the positions that were compared.
    """

    weights: Ints
    w: Format
    b: Format
    output: Format
    w_fractions: tuple[int, ...] | None
    error: float

    @property
    def fractions(self) -> Ints:
        """N_w of each output."""
        return np.asarray(self.w_fractions or [self.w.fraction] * self.weights.shape[1])


class WeightedSearch(WeightedPart):
    """The joint search of one weighted module."""

    def best(self) -> Triple:
        """Return the triple with the least error, by trying all; of equals the first in ascending (N_w, N_b, N_o).

        Per channel the error of a channel depends on its own N_w and the common N_b and N_o only: for each of those
        pairs, every channel takes its best N_w. The common N_w of all channels are among those tried, so the error is
        never greater than with one N_w.
        """
        weights = np.stack(self._weight_fractions())
        fractions = self.summed_fractions(self.x.fraction + weights)
        outputs = self.goal.fractions(np.unique(fractions).tolist())
        biases = self._bias_fractions(np.unique(self.x.fraction + weights).tolist())
        if self.goal.options.per_channel:
            table = np.concatenate(
                [part.errors(weights[:, place], biases, outputs) for place, part in self._parts()], -1
            )
            pairs = table.min(axis=0).sum(axis=-1)
            n_b, n_o = np.unravel_index(np.argmin(pairs), pairs.shape)
            chosen, error = table[:, n_b, n_o].argmin(axis=0), float(pairs[n_b, n_o])
        else:
            triples = self._totals(weights, biases, outputs)
            first, n_b, n_o = np.unravel_index(np.argmin(triples), triples.shape)
            chosen, error = np.full(len(self.bias), first), float(triples[first, n_b, n_o])
        n_w = weights[chosen, np.arange(len(chosen))]
        return self._triple(n_w, biases[n_b], outputs[n_o], error)

    def _whole(self, n_w: Ints) -> Ints:
        """Return the integers of all weights, a few outputs at a time."""
        codes = np.empty(self.weights.shape, np.int64)
        for place, part in self._parts():
            codes[:, place] = part.encoded(n_w[place])
        return codes

    def _triple(self, n_w: Ints, n_b: int, n_o: int, error: float) -> Triple:
        same = bool((n_w == n_w[0]).all())
        return Triple(
            weights=self._whole(n_w),
            w=Format(width=self.bits, signed=True, fraction=int(n_w.min())),
            b=self.bias_format(n_b),
            output=replace(self.goal.form, fraction=n_o),
            w_fractions=None if same else tuple(n_w.tolist()),
            error=error,
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
                residual=residual, goal=self.goal.part(slice(None), place), given=given, limits=self.reach,
            )  # fmt: skip

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
            item = Sums.of(self, n_w, biases)
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
        scan = Scan(parts, weights, biases, outputs)
        first = scan.totals(np.zeros(shape), scan.blocks[:1])
        best = np.full(shape, inf)
        best.flat[np.argmin(first)] = first.min()
        bound = float(scan.totals(best, scan.blocks[1:]).min()) * (1 + TOLERANCE)
        return scan.totals(first, scan.blocks[1:], bound)

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

    def _bias_fractions(self, accumulator_fractions: list[int]) -> list[int]:
        if self.given_bias is not None:
            return [self.given_bias.fraction]
        form = self.bias_format(0)
        middle, window = estimate(self.bias, form), self.goal.options.window
        tries = (around(middle, window, n - MAX_SHIFT, n + MAX_SHIFT) for n in accumulator_fractions)
        return sorted(set().union(*tries))
