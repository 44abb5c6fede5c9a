"""A decoder of weight streams, bit by bit: which weights a damaged stream still gives."""

from collections.abc import Callable

import numpy as np

from roundel.golden.bits import WORD, Words
from roundel.golden.codec import (
    RUN_LIMIT,
    CodecError,
    CodecParams,
    Levels,
    Packing,
    header_words,
    read_header,
)


class _EndError(Exception):
    """There is no such bit, or the codes are no weights."""


class _Bits:
    """Bits of words that are taken from a shared list when they are needed."""

    def __init__(self, words: list[int]):
        self.words, self.value, self.fill = words, 0, 0

    def take(self, count: int) -> int:
        while self.fill < count:
            if not self.words:
                raise _EndError
            self.value |= self.words.pop(0) << self.fill
            self.fill += WORD
        taken = self.value & ((1 << count) - 1)
        self.value, self.fill = self.value >> count, self.fill - count
        return taken

    def ones(self, limit: int) -> int:
        """Ones up to a zero, which is taken too, or up to `limit`."""
        for count in range(limit):
            if not self.take(1):
                return count
        return limit


def sound_weights(data: bytes) -> Levels:
    """Decode the weights before a stream's first fault, shape (weights,); none if the header is damaged."""
    words: Words = np.frombuffer(data[: len(data) & ~3], dtype="<u4")
    try:
        params, count = read_header(words)
    except CodecError:
        return np.zeros(0, dtype=np.int8)
    codes: list[int] = []
    left = words[header_words(len(params.levels or ())) :].tolist()
    try:
        for first in range(0, count, params.segment):
            length = left.pop(0) if left else 0
            payload, left = left[:length], left[length:]
            _FORMATS[params.packing](codes, payload, min(params.segment, count - first), params)
            if payload:
                break
    except _EndError:
        pass
    return params.level_of_code[np.array(codes, dtype=np.uint8)]


def _mask(codes: list[int], words: list[int], count: int, params: CodecParams) -> None:
    bits, end = _Bits(words), len(codes) + count
    while len(codes) < end:
        mask, lanes = bits.take(params.lanes), min(params.lanes, end - len(codes))
        if mask >> lanes:
            raise _EndError
        for lane in range(lanes):
            code = bits.take(params.width) if mask >> lane & 1 else 0
            if mask >> lane & 1 and not 0 < code < params.codes:
                raise _EndError
            codes.append(code)


def _relative(codes: list[int], words: list[int], count: int, params: CodecParams) -> None:
    bits, end = _Bits(words), len(codes) + count
    while len(codes) < end:
        run, code = bits.take(params.run_bits), bits.take(params.width)
        if code >= params.codes or len(codes) + run >= end:
            raise _EndError
        codes += [0] * run + [code]


def _rice(codes: list[int], words: list[int], count: int, params: CodecParams) -> None:
    slices, rows_a_beat = params.slices, params.lanes // params.slices
    sources = [_Bits(words) for _ in range(slices)]
    most = [len(range(index, count, slices)) for index in range(slices)]
    parts: list[list[int]] = [[] for _ in range(slices)]
    for beat in range(-(-count // params.lanes)):
        ends = [min((beat + 1) * rows_a_beat, rows) for rows in most]
        while any(len(part) < end for part, end in zip(parts, ends, strict=True)):
            for bits, part, end, rows in zip(sources, parts, ends, most, strict=True):
                if len(part) < end:
                    _symbol(bits, part, rows, params)
        last = min((beat + 1) * params.lanes, count)
        codes += [parts[index % slices][index // slices] for index in range(beat * params.lanes, last)]


def _symbol(bits: _Bits, part: list[int], rows: int, params: CodecParams) -> None:
    ones = bits.ones(RUN_LIMIT)
    run = ones << params.run_bits
    if ones < RUN_LIMIT:
        run += bits.take(params.run_bits)
    if len(part) + run > rows:
        raise _EndError
    part += [0] * run
    if ones == RUN_LIMIT or len(part) == rows:
        return
    ones = bits.ones(params.level_limit)
    rest = bits.take(params.level_extra if ones == params.level_limit else params.level_bits)
    rank = (ones << params.level_bits) + rest
    if rank >= len(params.code_of_rank) or params.code_of_rank[rank] < 0:
        raise _EndError
    part.append(int(params.code_of_rank[rank]))


_FORMATS: dict[Packing, Callable[[list[int], list[int], int, CodecParams], None]] = {
    Packing.MASK: _mask,
    Packing.RELATIVE: _relative,
    Packing.RICE: _rice,
}
