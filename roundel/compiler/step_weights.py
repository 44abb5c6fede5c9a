"""The weights of steps: blocks of the array, and weights that are wider than the engine's in pieces that fit."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from roundel.compiler.refusal import WEIGHT_BITS, EngineError
from roundel.golden.engine import MOST_SCALE, EngineParams
from roundel.golden.rounding import Ints, limits

Weights = NDArray[np.int8]

MAX_PIECES = 16  # of a weight that is too wide, which add up to it


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
    """

    plane: Ints
    row: Ints
    byte: Ints
    weights: Weights
    scale: Ints

    def __len__(self) -> int:
        return len(self.plane)

    def kept(self) -> "Steps":
        """Without blocks that are all zero, but for one if there is nothing else."""
        keep = np.asarray(self.weights.any(axis=(1, 2)))
        if not keep.any():
            keep[0] = True
        return self if keep.all() else Steps(**{name: values[keep] for name, values in vars(self).items()})


def joined(parts: Sequence[Steps]) -> Steps:
    """Return the steps of one output block, part after part."""
    return Steps(**{name: np.concatenate([vars(part)[name] for part in parts]) for name in vars(parts[0])})


def kept_steps(blocks: Sequence[Steps]) -> dict[str, Any]:
    """Return what an operation says of its output blocks' steps: those `kept`, and how many there were."""
    return {"steps": tuple(block.kept() for block in blocks), "dense": sum(map(len, blocks))}


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
    """Weights as wide as the engine's that add up to `weights`: one set if these fit.

    Two sets are enough for 6 bits more, if the engine's weights have 7 or 8, and it scales.

    Raises
    ------
    InputError
        More than `MAX_PIECES` would be needed.
    """
    width = params.weight_width
    low, high = limits(width, True)
    if low <= weights.min() and weights.max() <= high:
        return [Piece(weights.astype(np.int8))]  # nearly always; some layers have 100 million
    narrow: list[Piece] = []
    while weights.any():
        if len(narrow) == MAX_PIECES:
            message = f"{layer}: weights do not fit into {MAX_PIECES} times {width} bits"
            wider = {"weight_width": width + 1} if width < WEIGHT_BITS else {}
            raise EngineError(message, wider if params.scales else wider | {"scales": True})
        part, scale = _upper(weights, low, high, MOST_SCALE * params.scales)
        narrow.append(Piece(part.astype(np.int8), scale))
        weights = weights - (part << 2 * scale)
    return narrow


def _upper(weights: Ints, low: int, high: int, most: int) -> tuple[Ints, int]:
    """Return what fits from `low` to `high` of wider weights at the smallest scale up to `most`, and that scale.

    What is left has the same sign, so that bounds of sums stay as they are, if it fits at once; else it is the least.
    """
    for scale in range(most + 1):
        unit = 1 << 2 * scale
        part = (weights + (np.where(weights < 0, unit - 1, 0) if unit - 1 <= high else unit >> 1)) >> 2 * scale
        if low <= part.min() and part.max() <= high:
            break
    if not part.any():
        scale -= 1
        part = weights >> 2 * scale
    return np.clip(part, low, high), scale
