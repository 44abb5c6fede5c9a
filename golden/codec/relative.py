"""`relative`: for each non-zero weight the number of zeros before it and its code; code 0 lets a run go on."""

from collections.abc import Iterable

import numpy as np

from roundel.golden.bits import WORD, Windows, Words, mask, pack, peek, windows
from roundel.golden.codec.frame import Segments, first_fault
from roundel.golden.codec.params import CodecError, CodecParams, Codes
from roundel.golden.codec.runs import Runs, run_histograms, steps, zero_runs

RELATIVE_RUN_BITS = 8


def encode(codes: Codes, params: CodecParams) -> Words:
    """Pack the codes of a segment into words."""
    zeros, code = steps(zero_runs(codes), 1 << params.run_bits)
    # A step without a code covers its last zero with code 0.
    entries = (zeros - (code == 0)) | code.astype(np.int64) << params.run_bits
    size = params.run_bits + params.width
    return pack(size * np.arange(len(entries)), entries, size * len(entries))


def decode(words: Words, segments: Segments, params: CodecParams) -> Codes:
    """Unpack the codes of all segments."""
    view = windows(words)
    parts = [_decode_one(view, segment, params) for segment in segments]
    return np.concatenate([np.zeros(0, dtype=np.uint8), *parts])


def _decode_one(view: Windows, segment: Segments, params: CodecParams) -> Codes:
    """Unpack the codes of a segment; `view` is what `peek` reads from."""
    size = params.run_bits + params.width
    count = int(segment.counts[0])
    most = min(WORD * int(segment.lengths[0]) // size, count)
    at = WORD * int(segment.starts[0]) + size * np.arange(most)
    entries = peek(view, at, size)
    ends = np.cumsum((entries & mask(params.run_bits)) + 1)
    used = int(np.searchsorted(ends, count)) + 1  # the first entry that reaches the end, or one that is not there
    codes = (entries[:used] >> params.run_bits).astype(np.uint8)
    faults = segment.faults(np.array([WORD * int(segment.starts[0]) + size * used]))
    for index in np.flatnonzero(codes >= params.codes)[:1]:
        faults.append(CodecError(int(at[index]), f"code {codes[index]}", f"0 to {params.codes - 1}"))
    if used <= most and ends[used - 1] > count:
        over = int(ends[used - 1]) - count
        faults.append(CodecError(int(at[used - 1]), f"a run {over} past the last weight", "one within the segment"))
    first_fault(faults)
    result = np.zeros(count, dtype=np.uint8)
    result[ends[:used] - 1] = codes
    return result


def best_run_bits(pieces: Iterable[Runs], width: int) -> int:
    """Find the `run_bits` that makes the shortest stream."""
    inner, trailing = run_histograms(pieces)

    def size(run_bits: int) -> int:
        entries = inner @ ((np.arange(len(inner)) >> run_bits) + 1)
        entries += trailing @ -(-np.arange(len(trailing)) >> run_bits)
        return int(entries) * (run_bits + width)

    return min(range(RELATIVE_RUN_BITS + 1), key=size)
