"""Weight streams for the benches of decoders: sound ones of every kind, damaged ones, and foreign ones."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from roundel.golden.bits import WORD, Words
from roundel.golden.codec import (
    MAX_LEVEL_BITS,
    MAX_LEVEL_EXTRA,
    MAX_LEVEL_LIMIT,
    RICE_RUN_BITS,
    RUN_LIMIT,
    CodecError,
    CodecParams,
    DecoderParams,
    Levels,
    Packing,
    encode,
    fit,
    header_words,
    level_fields,
    read_header,
    write,
)
from roundel.golden.rounding import Ints

COUNTS = (0, 1, 2, 7, 8, 31, 33, 63, 64, 65, 128, 200, 300)
FIELDS = range(4, 20)  # bytes of a header before its levels
EDGES = (*range(11), 16, 17, 32, 33, 64, 65, 128, 129, 255)  # least and greatest of all fields, and one beyond
ZEROS = (0.0, 0.3, 0.5, 0.8, 0.9, 0.97, 1.0)


def codec_params(rng: np.random.Generator, params: DecoderParams, segment: int | None = None) -> CodecParams:
    """Draw parameters of a stream that a decoder accepts.

    Parameters
    ----------
    params
        The decoder's; if it has a table of levels, the codebook is random.
    segment
        Weights of a segment; random by default.
    """
    levels = None
    if params.table:
        others = rng.permutation(np.setdiff1d(np.arange(-128, 128), [0]))
        levels = (0, *others[: rng.integers(1, min(32, 1 << params.width))].tolist())
    lanes = int(rng.choice([4, 8, 16, 32])) if params.packing is Packing.RELATIVE else params.lanes
    return CodecParams(
        packing=params.packing,
        width=params.width,
        lanes=lanes,
        slices=params.slices,
        segment=segment or int(rng.choice([64, 128, 1 << 15])),
        levels=levels,
    )


def weights(rng: np.random.Generator, params: CodecParams, count: int, zeros: float, codes: Ints | None = None) -> Ints:
    """(count,) weights, `zeros` of them about 0, the others of all codes or of some."""
    levels = params.level_of_code[slice(1, params.codes) if codes is None else codes].astype(np.int64)
    return np.where(rng.random(count) < zeros, 0, rng.choice(levels, count))


def odd_rice(rng: np.random.Generator, params: CodecParams, count: int, zeros: float) -> bytes:
    """Make a `rice` stream with random Rice parameters and weights that these can code.

    Parameters
    ----------
    count
        Weights of the stream.
    zeros
        Part of them that is zero, 0 to 1.
    """
    most = {"run_bits": RICE_RUN_BITS, "level_bits": MAX_LEVEL_BITS}
    most |= {"level_limit": MAX_LEVEL_LIMIT, "level_extra": MAX_LEVEL_EXTRA}
    chosen: dict[str, Any] = {name: int(high * min(1, max(0, rng.uniform(-1, 2)))) for name, high in most.items()}
    if params.levels is None:
        chosen["base"] = int(rng.integers(1, (1 << (params.width - 1)) + 1))
    params = replace(params, **chosen)
    return write(weights(rng, params, count, zeros, np.flatnonzero(level_fields(params)[1] >= 0)), params)


def long_runs(rng: np.random.Generator, params: DecoderParams) -> bytes:
    """Make a `rice` stream with a segment and runs of the greatest length."""
    form = replace(codec_params(rng, params, 1 << 16), run_bits=RICE_RUN_BITS, level_bits=MAX_LEVEL_BITS, level_limit=1)
    values = weights(rng, form, 70_000, 1 - 1 / 7_000)
    values[20_000:60_000] = 0
    return write(values, form)


def sound(rng: np.random.Generator, params: DecoderParams, count: int | None = None) -> bytes:
    """Make a sound stream for a decoder: the encoder's own, or one with other lengths of runs.

    Parameters
    ----------
    params
        The decoder's.
    count
        Weights of the stream; random by default.
    """
    form = codec_params(rng, params)
    if count is None:
        count = int(rng.choice(COUNTS))
    values = weights(rng, form, count, float(rng.choice(ZEROS)))
    if params.packing is Packing.MASK or rng.random() < 0.7:
        return encode(values, form)
    if params.packing is Packing.RICE:
        return odd_rice(rng, form, count, float(rng.choice(ZEROS)))
    return write(values, replace(fit(values, form), run_bits=int(rng.integers(0, 9))))


def mutated(rng: np.random.Generator, stream: bytes) -> bytes:
    """Damage a stream in a random way: cut it, lengthen it, drop a word, change bytes or bits, or cut its header."""
    data = bytearray(stream)
    at = 4 * int(rng.integers(len(data) // 4))
    match rng.integers(7):
        case 0:
            data = data[: rng.integers(len(data))]
        case 1:
            data += rng.bytes(int(rng.integers(1, 9)))
        case 2:
            del data[at : at + 4]
        case 3:
            data[rng.integers(len(data))] = rng.integers(256)
        case 4:
            data[at : at + 4] = rng.bytes(4)
        case 5:
            data = data[: 4 * rng.integers(1, header_words(data[12]))]
            data[rng.choice([0, 4, len(data) - 1]) % len(data)] ^= 1 << rng.integers(8)
        case _:
            for bit in rng.integers(8 * len(data), size=rng.integers(1, 4)):
                data[bit // 8] ^= 1 << bit % 8
    return bytes(data)


def resized(rng: np.random.Generator, stream: bytes) -> bytes:
    """Change the length of a stream's first segment: a word more or less than it needs, or more than any stream has."""
    data = bytearray(stream)
    start = 4 * header_words(data[12])
    length = int.from_bytes(data[start : start + 4], "little")
    end = start + 4 + 4 * length
    filler = bytes([rng.choice([0, 255])]) * 4
    match rng.integers(4):
        case 0:
            length += 1
            data[end:end] = filler
        case 1:
            length -= 1
            data[end - 4 : end] = filler
        case 2:
            length -= 1
            data[end - 4 : end] = b""
        case _:
            length += 1 << int(rng.integers(15, 32))
    data[start : start + 4] = (length & 0xFFFFFFFF).to_bytes(4, "little")
    return bytes(data)


def misheaded(rng: np.random.Generator, stream: bytes) -> bytes:
    """Change a stream's header: a byte of its fields by one, or a byte of levels or padding into another of these."""
    data = bytearray(stream)
    end = 4 * header_words(data[12])
    if end > FIELDS.stop and rng.random() < 0.5:
        data[rng.integers(FIELDS.stop, end)] = data[rng.integers(FIELDS.stop, end)]
    else:
        at = int(rng.choice(FIELDS))
        data[at] = (data[at] + rng.choice([-1, 1])) % 256
    return bytes(data)


def bounded(stream: bytes) -> list[bytes]:
    """Set each byte of a stream's header, but for the count, to the bounds of fields and just beyond: a stream each."""
    streams = []
    for at in (*FIELDS[:4], *FIELDS[8:]):
        for value in EDGES:
            data = bytearray(stream)
            data[at] = value
            streams.append(bytes(data))
    return streams


def foreign(rng: np.random.Generator, params: DecoderParams) -> bytes:
    """Make a sound stream for a decoder that differs from `params` in one way."""
    others: list[dict[str, Any]] = [
        {"width": params.width - 1 if params.width > 2 else 3},
        {"packing": Packing.RELATIVE if params.packing is Packing.MASK else Packing.MASK, "slices": 1},
        {"table": not params.table, "width": min(params.width, 5)},
    ]
    if params.packing is not Packing.RELATIVE:
        others.append({"lanes": 32 if params.lanes < 32 else 16})
    return sound(rng, replace(params, **others[rng.integers(len(others))]))


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
