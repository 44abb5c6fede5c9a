"""The weights of steps: blocks of the array, and weights that are wider than the engine's in pieces that fit."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from roundel.compiler.refusal import WEIGHT_BITS, EngineError
from roundel.golden.engine import MOST_SCALE, EngineParams
from roundel.golden.rounding import Ints, limits

Weights = NDArray[np.int8]

MOST_SETS, MOST_SETS_UNSCALED = 64, 16  # of weights that add up to wider ones; of an engine without scales


@dataclass(frozen=True, kw_only=True, eq=False)
class Steps:
    """The weight blocks of one output block, in order.

    Parameters
    ----------
    plane
        (steps,): plane of the source that each step reads.
    row, byte
        (steps,): rows and bytes of a row from output position (0, 0) to the first beat's lane 0.
    weights
        (steps, columns, lanes); of a depthwise operation (steps, columns, taps and zeros behind them).
    scale
        (steps,): the weights count 4**scale times.
    words
        (steps,): words of the memory that a beat reads; 1 if left out.
    selector
        (steps, lanes): which of eight bytes of these words each lane takes; (steps, 0), as if left out: its own.
    breaking
        (steps,): whether the step holds weights that break the layer's pattern.
    """

    plane: Ints
    row: Ints
    byte: Ints
    weights: Weights
    scale: Ints
    words: Ints = None  # type: ignore[assignment]  # filled in
    selector: Ints = None  # type: ignore[assignment]  # filled in
    breaking: NDArray[np.bool_] = None  # type: ignore[assignment]  # filled in

    def __post_init__(self) -> None:
        if self.words is None:
            object.__setattr__(self, "words", np.ones(len(self), dtype=np.int64))
        if self.selector is None:
            object.__setattr__(self, "selector", np.zeros((len(self), 0), dtype=np.int64))
        if self.breaking is None:
            object.__setattr__(self, "breaking", np.zeros(len(self), dtype=bool))

    def __len__(self) -> int:
        return len(self.plane)

    @cached_property
    def place(self) -> Ints:
        """(steps,): a number for each place that steps read; digits of the same weights have the same."""
        read = np.column_stack([self.plane, self.row, self.byte, self.words, self.selector])
        return np.asarray(np.unique(read, axis=0, return_inverse=True)[1].ravel())

    @cached_property
    def repetition(self) -> Ints:
        """(steps,): how many earlier steps have the same place and scale, as they could not hold the weights' digit."""
        read, times = self.place * (MOST_SCALE + 1) + self.scale, Counter[int]()
        found = np.zeros(len(read), dtype=np.int64)
        for number, key in enumerate(read.tolist()):
            found[number] = times[key]
            times[key] += 1
        return found

    @property
    def further(self) -> NDArray[np.bool_]:
        """(steps,): whether usual digits, or the layer's pattern, do not hold the weights."""
        return (self.repetition > 0) | self.breaking

    def totals(self) -> Ints:
        """Return the weights of each place that steps read, (places, columns, lanes), their digits added up."""
        total = np.zeros((int(self.place.max()) + 1, *self.weights.shape[1:]), dtype=np.int64)
        np.add.at(total, self.place, self.weights.astype(np.int64) << 2 * self.scale[:, None, None])
        return total

    def kept(self) -> "Steps":
        """Without blocks that are all zero, but for one if there is nothing else."""
        keep = np.asarray(self.weights.any(axis=(1, 2)))
        if not keep.any():
            keep[0] = True
        return self if keep.all() else Steps(**{name: getattr(self, name)[keep] for name in AXES})


AXES = tuple(axis.name for axis in fields(Steps))


def joined(parts: Sequence[Steps]) -> Steps:
    """Return the steps of one output block, part after part."""
    return Steps(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in AXES})


def kept_steps(blocks: Sequence[Steps]) -> dict[str, Any]:
    """Return what an operation says of its output blocks' steps: those `kept`, and how many there were.

    Further digits that are zero do not count.
    """
    kept = tuple(block.kept() for block in blocks)
    unused = sum(int((block.further & ~block.weights.any(axis=(1, 2))).sum()) for block in blocks)
    return {"steps": kept, "dense": sum(map(len, blocks)) - unused}


def chunks(places: Collection[int], most: int, apart: int = 1) -> list[list[int]]:
    """Cut places into groups that reach over at most `most` of those `apart` from each other."""
    found: list[list[int]] = []
    for place in sorted(places):
        if found and place - found[-1][0] < most * apart:
            found[-1].append(place)
        else:
            found.append([place])
    return found


def repeats(weights: Weights, before: Weights | None = None) -> NDArray[np.bool_]:
    """Whether weight blocks, (blocks, columns, lanes), are those of the block before each of them: a step keeps them.

    Parameters
    ----------
    weights
        The blocks.
    before
        The one before the first; None if there is none.
    """
    same = np.zeros(len(weights), dtype=bool)
    same[1:] = (weights[1:, 0] == weights[:-1, 0]).all(axis=1)  # of most blocks the first column tells
    places = np.flatnonzero(same)
    same[places] = (weights[places] == weights[places - 1]).all(axis=(1, 2))
    same[0] = before is not None and np.array_equal(before, weights[0])
    return same


class Piece(NamedTuple):
    """Narrow weights, which count 4**scale times."""

    weights: Weights
    scale: int = 0


def pieces(layer: str, weights: Ints, params: EngineParams) -> list[Piece]:
    """Weights as wide as the engine's that add up to `weights`, signed digits of them: one set if these fit.

    An array of 4 bits takes two sets for weights of -136 to 119, one of 2 bits four for -170 to 85. What lies beyond
    takes further sets, whose blocks without any such weight are zero.

    Raises
    ------
    InputError
        More than `MOST_SETS` would be needed.
    """
    sets = MOST_SETS if params.scales else MOST_SETS_UNSCALED
    low, high = limits(params.weight_width, True)
    least, most = int(weights.min()), int(weights.max())
    if low <= least and most <= high:
        return [Piece(weights.astype(np.int8))]  # nearly always; some layers have 100 million
    scales = _digit_scales(least, most, _even_bits(weights) // 2, params)
    units = [1 << 2 * scale for scale in scales]
    narrow: list[Piece] = []
    for place in reversed(range(len(scales))):
        below = sum(units[:place])
        digits = _nearest_zero(weights, units[place], (low * below, high * below))
        while digits.any():
            if len(narrow) == sets:
                message = f"{layer}: weights do not fit into {sets} times {params.weight_width} bits"
                wider = {"weight_width": params.weight_width + 1} if params.weight_width < WEIGHT_BITS else {}
                raise EngineError(message, wider if params.scales else wider | {"scales": True})
            part = np.clip(digits, low, high)
            narrow.append(Piece(part.astype(np.int8), scales[place]))
            weights, digits = weights - part * units[place], digits - part
    return narrow


def _digit_scales(least: int, most: int, even: int, params: EngineParams) -> tuple[int, ...]:
    """Scales of the digits of weights from `least` to `most`, the lowest first: those that take the fewest sets.

    Each digit begins where those below leave no gap. All weights are multiples of `4**even`.
    """
    low, high = limits(params.weight_width, True)
    found: dict[tuple[int, int], tuple[int, ...]] = {}
    for choice in range(1, 1 << (MOST_SCALE * params.scales + 1)):
        scales = tuple(scale for scale in range(MOST_SCALE + 1) if choice >> scale & 1)
        units = [1 << 2 * scale for scale in scales]
        spans = [units[0] + (high - low) * sum(units[:place]) for place in range(len(units))]
        if scales[0] <= even and all(unit <= span for unit, span in zip(units, spans, strict=True)):
            whole, top = sum(units), units[-1]
            further = max(-(-(most - high * whole) // (high * top)), -(-(least - low * whole) // (low * top)), 0)
            found.setdefault((len(scales) + further, len(scales)), scales)
    return found[min(found)]


def _even_bits(weights: Ints) -> int:
    """Bits that are 0 at the end of every weight; some weight is not 0."""
    held = int(np.bitwise_or.reduce(weights, axis=None))
    return (held & -held).bit_length() - 1


def _nearest_zero(weights: Ints, unit: int, below: tuple[int, int]) -> Ints:
    """Return the digits, multiples of `unit`, that leave of weights what is within `below`: those nearest to 0."""
    low, high = below
    up, down = -((high - weights) // unit), (weights - low) // unit
    return np.asarray(np.where(weights > high, up, np.where(weights < low, down, 0)))
