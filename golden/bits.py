"""Fields of bits in streams of 32-bit words: bit 0 of a stream is the least significant bit of its first word."""

import numpy as np
from numpy.typing import NDArray

from roundel.golden.rounding import Ints

Words = NDArray[np.uint32]
Windows = NDArray[np.uint64]

WORD = 32


def mask(width: int) -> int:
    """`width` ones."""
    return (1 << width) - 1


def words_for(bits: int) -> int:
    """How many words hold `bits` bits."""
    return -(-bits // WORD)


def pack(offsets: Ints, values: Ints, bits: int) -> Words:
    """Write fields into a stream of zeros.

    Parameters
    ----------
    offsets, values
        (fields,): first bit and content of each, at most 32 bits, non-negative; fields do not overlap. Any order.
    bits
        Length of the stream.

    Returns
    -------
    (ceil(bits / 32),) words.
    """
    count = words_for(bits)
    index = offsets >> 5
    shifted = values.astype(np.uint64) << (offsets & 31).astype(np.uint64)
    # Fields do not overlap, so that a sum is an OR; sums of parts of one word are exact in float64.
    low = np.bincount(index, weights=shifted & np.uint64(mask(WORD)), minlength=count)
    high = np.bincount(index + 1, weights=shifted >> np.uint64(WORD), minlength=count)
    return np.asarray((low[:count] + high[:count]).astype(np.uint32))


def windows(words: Words) -> Windows:
    """(words + 1,): each word with the next one above it, zeros after the end; what `peek` reads from."""
    wide = np.zeros(len(words) + 2, dtype=np.uint64)
    wide[:-2] = words
    return np.asarray(wide[:-1] | wide[1:] << np.uint64(WORD))


def peek(view: Windows, offsets: Ints, width: int) -> Ints:
    """Read fields of `width` (at most 32) bits that begin at `offsets`; what lies beyond the end reads as anything."""
    index = np.minimum(offsets >> 5, len(view) - 1)
    return np.asarray(((view[index] >> (offsets & 31).astype(np.uint64)) & np.uint64(mask(width))).astype(np.int64))
