"""Weight streams for the benches of decoders: sound ones of every kind, damaged ones, and foreign ones."""

from dataclasses import replace
from typing import Any

import numpy as np

from roundel.golden.codec import (
    MAX_LEVEL_BITS,
    MAX_LEVEL_EXTRA,
    MAX_LEVEL_LIMIT,
    RICE_RUN_BITS,
    CodecParams,
    DecoderParams,
    Packing,
    encode,
    fit,
    header_words,
    level_fields,
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
