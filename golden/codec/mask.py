"""`mask`: for each beat of `lanes` weights a mask of the non-zero ones, then their codes."""

import numpy as np

from roundel.golden.bits import WORD, Words, pack, peek, windows
from roundel.golden.codec.frame import Segments, first_fault
from roundel.golden.codec.params import CodecError, CodecParams, Codes


def encode(codes: Codes, params: CodecParams) -> Words:
    """Pack the codes of a segment into words."""
    lanes, width = params.lanes, params.width
    beats = -(-len(codes) // lanes)
    flags = np.zeros((beats, lanes // 4, 4), dtype=np.uint8)
    flags.reshape(-1)[: len(codes)] = codes != 0
    nibbles = flags @ np.array([1, 2, 4, 8], dtype=np.uint8)
    masks = nibbles.astype(np.int64) @ (1 << 4 * np.arange(lanes // 4))
    count = np.bitwise_count(masks).astype(np.int64)
    position = np.flatnonzero(codes)
    mask_at = lanes * np.arange(beats) + width * (np.cumsum(count) - count)
    code_at = lanes * (position // lanes + 1) + width * np.arange(len(position))
    bits = lanes * beats + width * len(position)
    return pack(np.concatenate((mask_at, code_at)), np.concatenate((masks, codes[position])), bits)


def decode(words: Words, segments: Segments, params: CodecParams) -> Codes:
    """Unpack the codes of all segments.

    Where a beat begins depends on how many codes the beats before it have: segments are followed side by side.
    """
    lanes, width = params.lanes, params.width
    view = windows(words)
    # No more beats than can begin in a segment: a count that is too large ends the loop early.
    beats = np.minimum(-(-segments.counts // lanes), WORD * segments.lengths // lanes + 1)
    masks = np.zeros((int(beats.max(initial=0)), len(beats)), dtype=np.int64)
    starts = np.zeros_like(masks)
    at = WORD * segments.starts
    for beat, row in enumerate(masks):
        going = beat < beats
        starts[beat] = at
        row[:] = np.where(going, peek(view, at, lanes), 0)
        at = at + np.where(going, lanes + width * np.bitwise_count(row).astype(np.int64), 0)
    used = np.arange(len(masks)) < beats[:, None]
    masks, starts = masks.T[used], starts.T[used]

    flags = (masks[:, None] >> np.arange(0, lanes, 8)).astype(np.uint8)
    position = np.flatnonzero(np.unpackbits(flags, axis=1, count=lanes, bitorder="little"))
    number = np.bitwise_count(masks).astype(np.int64)
    before = np.cumsum(number) - number
    code_at = np.repeat(starts + lanes - width * before, number) + width * np.arange(len(position))
    codes = peek(view, code_at, width).astype(np.uint8)

    inside = code_at + width <= np.repeat(np.repeat(segments.ends, beats), number)
    faults = segments.faults(at)
    for index in np.flatnonzero(inside & ((codes == 0) | (codes >= params.codes)))[:1]:
        faults.append(CodecError(int(code_at[index]), f"code {codes[index]}", f"1 to {params.codes - 1}"))
    over = int(-segments.counts[-1] % lanes) if len(beats) else 0
    if over and masks[-1] >> (lanes - over) and starts[-1] + lanes <= segments.ends[-1]:
        faults.append(CodecError(int(starts[-1]), "a mask with weights past the last", f"{over} zeros at its top"))
    first_fault(faults)
    result = np.zeros(lanes * len(masks), dtype=np.uint8)
    result[position] = codes
    return result[: segments.counts.sum()]
