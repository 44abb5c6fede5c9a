"""`rice`: Golomb-Rice runs of zeros and levels, in slices that are decoded side by side.

`docs/codecs.md` says in which order the words of slices follow each other: a slice takes one when a symbol needs it.
"""

from typing import NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from roundel.golden.bits import WORD, Words, mask, pack, words_for
from roundel.golden.codec.frame import Segments
from roundel.golden.codec.params import RUN_LIMIT, CodecError, CodecParams, Codes
from roundel.golden.codec.rice_tables import NO_CODE, level_fields, level_table, run_fields, run_table
from roundel.golden.codec.runs import steps, zero_runs
from roundel.golden.rounding import Ints

Bools = NDArray[np.bool_]

DONE = 1 << 40  # the row of a slice that has no more symbols


def encode(codes: Codes, params: CodecParams) -> Words:
    """Pack the codes of a segment into words."""
    parts, keys = [], []
    for index in range(params.slices):
        words, beats, rounds = _encode_slice(codes[index :: params.slices], params)
        parts.append(words)
        keys.append(np.stack((np.full(len(words), index), rounds, beats)))
    return np.asarray(np.concatenate(parts)[np.lexsort(np.concatenate(keys, axis=1))])


def _encode_slice(codes: Codes, params: CodecParams) -> tuple[Words, Ints, Ints]:
    """Pack a slice into words; return them, and the beat and the round of the symbol that each is taken for."""
    zeros, code = steps(zero_runs(codes), RUN_LIMIT << params.run_bits)
    value, length = run_fields(zeros, params.run_bits)
    level_value, level_length = level_fields(params)
    value |= np.where(code > 0, level_value[code] << length, 0)
    length += np.where(code > 0, level_length[code], 0)
    ends = np.cumsum(length)
    bits = int(ends[-1]) if len(ends) else 0
    words = pack(ends - length, value, bits)

    beats = _beats(zeros, code, params)
    rounds = np.arange(len(beats)) - np.searchsorted(beats, beats)
    symbol = np.searchsorted(ends, WORD * np.arange(words_for(bits)), side="right")
    return words, beats[symbol], rounds[symbol]


def _beats(zeros: Ints, code: Codes, params: CodecParams) -> Ints:
    """Return the beat that each symbol of a slice begins in."""
    covered = zeros + (code > 0)
    return np.asarray((np.cumsum(covered) - covered) // (params.lanes // params.slices))


def rounds(codes: Codes, params: CodecParams) -> Ints:
    """(beats,): how many rounds each beat of a segment has; 0 if no symbol begins in it."""
    count = np.zeros((params.slices, -(-len(codes) // params.lanes)), dtype=np.int64)
    for index, row in enumerate(count):
        beats = _beats(*steps(zero_runs(codes[index :: params.slices]), RUN_LIMIT << params.run_bits), params)
        row[:] = np.bincount(beats, minlength=len(row))
    return np.asarray(count.max(axis=0))


def cycles(codes: Codes, params: CodecParams) -> Ints:
    """(beats,): what each beat takes if a cycle hands out one word: its rounds, and their words beyond the first."""
    count = np.maximum(rounds(codes, params), 1)
    first = np.cumsum(count) - count
    words = np.zeros(int(count.sum()), dtype=np.int64)
    for index in range(params.slices):
        _, beats, number = _encode_slice(codes[index :: params.slices], params)
        words += np.bincount(first[beats] + number, minlength=len(words))
    return np.asarray(np.add.reduceat(np.maximum(words, 1), first))


def decode(words: Words, segments: Segments, params: CodecParams) -> Codes:
    """Unpack the codes of all segments, which are followed side by side, a round at a time."""
    tracks = _Tracks(words, segments, params)
    result = np.zeros(int(segments.counts.sum()), dtype=np.uint8)
    while tracks.advance(result):
        pass
    faults = segments.faults(WORD * tracks.next)
    if faults:
        raise faults[0]
    return result


class _Symbols(NamedTuple):
    """What the next bits of some slices say: (slices,) each; `coded` is 1 if `code` follows the zeros, else 0."""

    zeros: Ints
    coded: Ints
    code: Ints
    length: Ints


class _Tracks:
    """Where each slice of each segment stands; arrays are (segments * slices,), of words (segments,)."""

    def __init__(self, words: Words, segments: Segments, params: CodecParams):
        self.slices = params.slices
        self.words = np.append(words, np.uint32(0)).astype(np.int64)
        self.runs, self.run_mask = run_table(params.run_bits), mask(RUN_LIMIT + params.run_bits)
        self.levels = level_table(params)
        self.beat_shift = (params.lanes // params.slices).bit_length() - 1
        self.next, self.ends = segments.starts.copy(), segments.starts + segments.lengths
        index = np.arange(params.slices)
        self.rows = ((segments.counts[:, None] - index + params.slices - 1) // params.slices).reshape(-1)
        self.origin = (np.cumsum(segments.counts) - segments.counts)[:, None] + index
        self.origin = self.origin.reshape(-1)
        self.row = np.where(self.rows > 0, 0, DONE)
        self.buffer, self.fill = np.zeros_like(self.rows), np.zeros_like(self.rows)

    def advance(self, result: Codes) -> bool:
        """One round: a symbol of each slice that has one in the segment's beat. False if nothing is left."""
        beat = (self.row >> self.beat_shift).reshape(-1, self.slices)
        current = beat.min(axis=1)
        current[current == DONE >> self.beat_shift] = -1
        active = (beat == current[:, None]).reshape(-1).nonzero()[0]
        if not len(active):
            return False
        buffer, fill, start, rows = self.buffer[active], self.fill[active], self.row[active], self.rows[active]

        symbols = self._parse(buffer, rows - start)
        need = (symbols.length > fill).nonzero()[0]
        of = active[need] // self.slices
        at = self.next[of] + np.arange(len(of)) - np.searchsorted(of, of)
        buffer[need] |= self.words[np.minimum(at, len(self.words) - 1)] << fill[need]
        fill[need] += WORD
        for whole, late in zip(symbols, self._parse(buffer[need], (rows - start)[need]), strict=True):
            whole[need] = late
        row = start + symbols.zeros
        wrong = (row > rows) | (symbols.code == NO_CODE)
        lacking = at >= self.ends[of]
        if wrong.any() or lacking.any():
            self._refuse(active, wrong, row - rows, need[lacking])
        self.next += np.bincount(of, minlength=len(self.next))

        coded = symbols.coded.nonzero()[0]
        result[self.origin[active[coded]] + row[coded] * self.slices] = symbols.code[coded]
        row += symbols.coded
        self.row[active] = np.where(row == rows, DONE, row)
        self.buffer[active] = buffer >> symbols.length
        self.fill[active] = fill - symbols.length
        return True

    def _parse(self, buffer: Ints, left: Ints) -> _Symbols:
        """Read buffers with zeros above what they hold: a symbol that is longer than that is not complete."""
        run = self.runs[buffer & self.run_mask]
        zeros, length = run >> 6, run & 31
        coded = (run >> 5 & 1) & (zeros != left)
        level = self.levels[(buffer >> length) & (len(self.levels) - 1)] * coded
        return _Symbols(zeros, coded, level >> 5, length + (level & 31))

    def _refuse(self, active: Ints, wrong: Bools, over: Ints, lacking: Ints) -> NoReturn:
        """Raise the round's first fault: `lacking` are those of the active slices that got no word."""
        at = int(min(np.append(np.flatnonzero(wrong), lacking)))
        segment, index = divmod(int(active[at]), self.slices)
        if at in lacking:
            raise CodecError(WORD * int(self.ends[segment]), "the segment ends", f"a word of slice {index}")
        bit = WORD * int(self.next[segment])
        if over[at] > 0:
            raise CodecError(bit, f"a run {over[at]} past the last weight of slice {index}", "one within the segment")
        raise CodecError(bit, f"a level of slice {index} that is outside the codebook", "a code of the codebook")
