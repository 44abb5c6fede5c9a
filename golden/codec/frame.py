"""Segments: the pieces of a weight stream that can be decoded without the ones before them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from roundel.golden.bits import WORD, Words
from roundel.golden.codec.params import CodecError
from roundel.golden.rounding import Ints


@dataclass(frozen=True, kw_only=True)
class Segments:
    """Where segments lie in a stream.

    Attributes
    ----------
    starts, lengths
        (segments,): first word after the length, and how many there are.
    counts
        (segments,): dense weights.
    """

    starts: Ints
    lengths: Ints
    counts: Ints

    @property
    def ends(self) -> Ints:
        """(segments,): the bit after the last one of each."""
        return WORD * (self.starts + self.lengths)

    def __iter__(self) -> Iterator["Segments"]:
        for index in range(len(self.starts)):
            part = slice(index, index + 1)
            yield Segments(starts=self.starts[part], lengths=self.lengths[part], counts=self.counts[part])

    def faults(self, reached: Ints) -> list[CodecError]:
        """Return at most one error, given the bit at which the last field of each segment ends, (segments,)."""
        used = -(-reached // WORD) - self.starts
        for index in np.flatnonzero(used != self.lengths)[:1]:
            left = int(self.lengths[index] - used[index])
            if left < 0:
                return [CodecError(int(self.ends[index]), "the segment ends", "more of its weights")]
            at = WORD * int(self.starts[index] + used[index])
            return [CodecError(at, f"{left} more words in the segment", "its end, all its weights are complete")]
        return []


def read_frame(words: Words, start: int, count: int, segment: int) -> tuple[Segments, CodecError | None]:
    """Follow the lengths of the segments of `count` weights from word `start` to the end of the stream.

    Returns
    -------
    The segments as far as they are there, the last one cut where the stream ends; and what is wrong if it ends too
    early or too late.
    """
    starts, lengths, fault = [], [], None
    at, end = start, len(words)
    for first in range(0, count, segment):
        if at == end:
            fault = CodecError(WORD * end, "the stream ends", f"the length of segment {first // segment}")
            break
        starts.append(at + 1)
        lengths.append(min(int(words[at]), end - at - 1))
        if lengths[-1] < words[at]:
            fault = CodecError(WORD * end, "the stream ends", f"the end of segment {first // segment}")
            break
        at += 1 + lengths[-1]
    else:
        if at < end:
            fault = CodecError(WORD * at, f"{end - at} more words", "the end of the stream")
    counts = np.minimum(count - segment * np.arange(len(starts)), segment)
    segments = Segments(
        starts=np.array(starts, dtype=np.int64), lengths=np.array(lengths, dtype=np.int64), counts=counts
    )
    return segments, fault


def frame(payload: Words) -> list[Words]:
    """Return a segment's length word, and the segment."""
    return [np.array([len(payload)], dtype=np.uint32), payload]


def first_fault(faults: list[CodecError]) -> None:
    """Raise the one that comes first in the stream, if there is any."""
    if faults:
        raise min(faults, key=lambda fault: fault.bit)
