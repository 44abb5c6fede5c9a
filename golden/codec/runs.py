"""Zero runs: between the non-zero codes of a piece of weights, and as the steps of those formats that write them."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from roundel.golden.codec.params import Codes
from roundel.golden.rounding import Ints


class Runs(NamedTuple):
    """(non-zeros,) codes, (non-zeros,) zeros before each, and the number of zeros after the last one."""

    codes: Codes
    zeros: Ints
    trailing: int


class Steps(NamedTuple):
    """A run cut into what is written at once.

    Attributes
    ----------
    zeros
        (steps,): zeros of each step; `span` of a step that only goes on.
    codes
        (steps,): the code after the zeros; 0 if none follows.
    """

    zeros: Ints
    codes: Codes


def zero_runs(codes: Codes) -> Runs:
    """Find the runs of zeros in `codes` (weights,)."""
    position = np.flatnonzero(codes != 0)
    edges = np.concatenate(([-1], position))
    return Runs(codes[position], np.diff(edges) - 1, len(codes) - 1 - int(edges[-1]))


def run_histograms(pieces: Iterable[Runs]) -> tuple[Ints, Ints]:
    """How often each number of zeros comes before a code, and at the end of a piece; indexed by the number."""
    inner, trailing = np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.int64)
    for runs in pieces:
        inner = _add(inner, np.bincount(runs.zeros))
        trailing = _add(trailing, np.bincount([runs.trailing]))
    return inner, trailing


def _add(counts: Ints, other: Ints) -> Ints:
    if len(counts) < len(other):
        counts, other = other, counts.copy()
    counts[: len(other)] += other
    return counts


def steps(runs: Runs, span: int) -> Steps:
    """Cut runs so that at most `span - 1` zeros come before a code: `span` zeros without one for each too many.

    Trailing zeros become steps of `span` zeros and one step of what is left, if anything is.
    """
    full = runs.zeros // span
    last = np.cumsum(full + 1) - 1
    count = len(last) + int(full.sum())
    tail, rest = divmod(runs.trailing, span)
    zeros = np.full(count + tail + (rest > 0), span, dtype=np.int64)
    codes = np.zeros(len(zeros), dtype=np.uint8)
    zeros[last] = runs.zeros - full * span
    codes[last] = runs.codes
    if rest:
        zeros[-1] = rest
    return Steps(zeros, codes)
