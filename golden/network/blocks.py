"""Blocks of maps: what is worked on at once, so that it stays in the processor's cache and memory is bounded.

Results do not depend on them.
"""

from collections.abc import Iterator
from math import prod
from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]

BLOCK = 1 << 19
"""Values of a block. Fewer make too many small products of matrices, more fall out of the cache."""


def image_blocks(x: Array) -> Iterator[slice]:
    """Give a few images at a time, of maps (batch, ...), as many as make a block and at least one."""
    count = max(1, BLOCK // max(1, prod(x.shape[1:])))
    for first in range(0, len(x), count):
        yield slice(first, first + count)


def window_blocks(windows: Array, outputs: int) -> Iterator[tuple[slice, slice]]:
    """Give a few images, or a few rows of one, whose windows and outputs make a block.

    Parameters
    ----------
    windows
        As `patches` gives them.
    outputs
        Of a position.

    Yields
    ------
    tuple
        Which images, and which of their rows.
    """
    batch, rows, columns = windows.shape[:3]
    values = columns * max(prod(windows.shape[3:]), outputs)
    band = max(1, BLOCK // values)
    if band >= rows:
        images = max(1, BLOCK // (rows * values))
        yield from ((slice(first, first + images), slice(None)) for first in range(0, batch, images))
    else:
        yield from ((slice(n, n + 1), slice(top, top + band)) for n in range(batch) for top in range(0, rows, band))
