"""Means of whole maps from sums that the operation before writes beside its results, row by row, in two digits."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from roundel.compiler.lowering.lowering import Lowering
from roundel.compiler.operation import Operation
from roundel.compiler.refusal import EngineError
from roundel.compiler.step_weights import Piece, pieces
from roundel.compiler.tensor import Storage, Tensor
from roundel.golden.engine import DIGIT_BITS, EngineParams
from roundel.golden.formats import Format
from roundel.golden.rounding import Ints

DIGIT = Format(width=8, signed=True, fraction=0)
DIGITS = 2  # planes of the sums for each plane of the map: lower digits, upper digits

Digits = list[tuple[list[Piece], int]]


def digit_weights(layer: str, weights: Ints, params: EngineParams) -> Digits | None:
    """Return the weights of lower and of upper digits, in pieces, each with its plane; None if they are too many."""
    try:
        return [(pieces(layer, weights << DIGIT_BITS * digit, params), digit) for digit in range(DIGITS)]
    except EngineError:
        return None


def maker(lowering: Lowering, source: Tensor, parts: Digits, plain: Sequence[Piece]) -> tuple[int, Operation] | None:
    """Return the operation that makes a map, with the sums of the map's rows beside it, and its number.

    None where several make it, one that cannot sum, or where the words of the map take fewer cycles than the digits.

    Parameters
    ----------
    lowering
        The network's.
    source
        The map.
    parts
        Weights of the digits.
    plain
        Weights of the map's words.
    """
    storage, params = source.storage, lowering.params
    makers = [index for index, made in enumerate(lowering.operations) if made.target.storage is storage]
    if not params.sums or len(makers) != 1:
        return None
    made = lowering.operations[makers[0]]
    if (made.phases, made.across) != (1, 1) or made.upsample or made.runs:
        return None
    sums = made.sums or _sums(source, params, made)
    count, words = sums.storage.columns, storage.rows * storage.columns
    waits = DIGITS * count if made.activation is None else 0
    digits = _beats(count, params) * sum(len(part) for part, _ in parts)
    return (makers[0], replace(made, sums=sums)) if digits + waits < _beats(words, params) * len(plain) else None


def _sums(source: Tensor, params: EngineParams, made: Operation) -> Tensor:
    """Return a tensor for the sums of a map: its planes have the rows of the first tile of each, then of the second."""
    storage = source.storage
    tiles = replace(made, sums=source).tiling(storage.rows, storage.columns, params).tiles_x
    held = Storage(
        name=f"{source.name}.sums", rows=1, columns=tiles * storage.rows, planes=DIGITS * storage.planes,
        lanes=storage.lanes,
    )  # fmt: skip
    return Tensor(name=held.name, form=DIGIT, storage=held, slots=np.arange(held.planes * held.lanes))


def _beats(words: int, params: EngineParams) -> int:
    """Beats in which words are added up."""
    return -(-words // params.taps) * params.taps
