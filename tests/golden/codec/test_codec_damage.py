"""Streams of sparse weights that are damaged, and weights and parameters that make none."""

import re
from typing import Any

import numpy as np
import pytest

from roundel.golden.codec import CodecError, CodecParams, decode, encode, header_words, write
from roundel.golden.errors import InputError
from tests.golden.codec.test_codec import BY_HAND, PACKINGS, TABLE
from tests.support import codec_reference

MASK, RELATIVE, RICE = (BY_HAND[name] for name in PACKINGS)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "bit 0: the stream ends, expected a header of 5 words"),
        ([0, 0, 0, 0, 0], r"bit 0: b'\\x00\\x00\\x00\\x00', expected b'RWS\\x01'"),
        ([0x01535752, 0x06020403, 0, 0x100, 0], "bit 32: format 3, expected 0 to 2"),
        ([0x01535752, 0x06020901, 0, 0x100, 0], "bit 32: width 9, expected 2 to 8"),
        ([0x01535752, 0x05020401, 0, 0x100, 0], "bit 32: segment 32, expected 64 to 65536"),
        ([0x01535752, 0x06020401, 0, 0x09000100, 0], "bit 96: run_bits 9, expected 0 to 8"),
        ([0x01535752, 0x06020402, 0, 0x100, 0x00000800], "bit 128: level_limit 8, expected 0 to 7"),
        ([0x01535752, 0x06020402, 0, 0x100, 0x01000000], "bit 128: a reserved byte that is not 0, expected 0"),
        ([0x01535752, 0x06020401, 0, 0x103, 0], "bit 160: the stream ends, expected 3 levels"),
        ([0x01535752, 0x06020401, 0, 0x103, 0, 0x05000], "bit 160: levels .*, expected different and begin with 0"),
        ([0x01535752, 0x06020401, 0, 0x103, 0, 0x01020100], "bit 184: padding that is not 0, expected 0"),
        ([0x01535752, *MASK[1][:4]], "bit 160: the stream ends, expected the length of segment 0"),
        ([0x01535752, *MASK[1][:5]], "bit 192: the stream ends, expected the end of segment 0"),
        ([0x01535752, *MASK[1], 0], "bit 224: 1 more words, expected the end of the stream"),
        ([0x01535752, *MASK[1][:4], 0], "bit 192: the segment ends, expected more of its weights"),
        ([0x01535752, *MASK[1][:4], 2, 0xF134, 0], "bit 224: 1 more words in the segment, expected its end"),
        ([0x01535752, *MASK[1][:4], 1, 0xF104], "bit 196: code 0, expected 1 to 15"),
        (
            [0x01535752, 0x06020400, 7, *MASK[1][2:5], 0xF834],
            "bit 200: a mask with weights past the last, expected 1 z",
        ),
        ([0x01535752, *BY_HAND["levels"][1][:5], 1, 0b10_0001_11_0100], "bit 228: code 3, expected 1 to 2"),
        ([0x01535752, *RELATIVE[1][:5], 0x3F4E], "bit 204: a run 1 past the last weight, expected one within the seg"),
        ([0x01535752, *RICE[1][:4], 1, 0x41E], "bit 224: the segment ends, expected a word of slice 1"),
        ([0x01535752, *RICE[1][:4], 2, 0x41E, 0x7], "bit 192: a run 2 past the last weight of slice 1, expected one"),
        # Two faults in one round: 0x17 is a run of 7, and slices go in ascending order.
        ([0x01535752, *RICE[1][:4], 2, 0x17, 0x7], "bit 192: a run 3 past the last weight of slice 0, expected one"),
        ([0x01535752, *RICE[1][:4], 1, 0x17], "bit 192: a run 3 past the last weight of slice 0, expected one"),
    ],
)
def test_faults_say_where(words: list[int], message: str) -> None:
    with pytest.raises(CodecError, match=f"^weight stream, {message}"):
        decode(np.array(words, dtype="<u4").tobytes())


def test_the_first_faulty_segment_is_named() -> None:
    stream = bytearray(encode([1] * 256, CodecParams(packing="mask", segment=64)))
    segment = len(stream[20:]) // 4
    for damaged in (2, 1):
        stream[20 + damaged * segment + 4 + 2] = 0  # the first two codes
        with pytest.raises(CodecError, match=f"bit {8 * (20 + damaged * segment + 4 + 2)}: code 0"):
            decode(bytes(stream))


@pytest.mark.parametrize(
    ("weights", "params", "message"),
    [
        ([0, 8], CodecParams(), "weight 1 is not in the codebook: rice, 4 bits"),
        ([0, 5, 2], CodecParams(width=3, levels=TABLE), "weight 2 is not in the codebook: rice, 3 bits"),
        ([300], CodecParams(), "weights must be -128 to 127, not 300 to 300"),
        ([0.5], CodecParams(), "weights must be integers, not float64"),
    ],
)
def test_weights_that_cannot_be_encoded(weights: list[float], params: CodecParams, message: str) -> None:
    with pytest.raises(InputError, match=f"^{message}$"):
        encode(weights, params)


def test_parameters_that_cannot_write_a_level() -> None:
    with pytest.raises(InputError, match=r"^weight 2 cannot be written with these level parameters: rice, 4 bits$"):
        write([-1, 0, 1], CodecParams())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"packing": "zip"}, "packing must be one of mask, relative, rice, not 'zip'"),
        ({"lanes": 12}, "lanes must be a power of two, not 12"),
        ({"lanes": 4, "slices": 8}, "slices must be at most lanes, not 8 of 4"),
        ({"packing": "mask", "slices": 2}, "slices must be 1 to 1, not 2"),
        ({"packing": "mask", "run_bits": 1}, "run_bits must be 0 to 0, not 1"),
        ({"levels": (1, 2)}, "levels must be different and begin with 0, not (1, 2)"),
        ({"levels": range(17)}, "levels must be 2 to 16 for codes of 4 bits, not 17"),
        ({"base": 9}, "base must be 1 to 8, not 9"),
    ],
)
def test_bad_parameters(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        CodecParams(**wrong)


def mutated(rng: np.random.Generator, stream: bytes) -> bytes:
    """A stream with bits flipped, cut, lengthened, or with bytes put in place of others."""
    data = bytearray(stream)
    match rng.integers(5):
        case 0:
            data = data[: rng.integers(len(data))]
        case 1:
            data += rng.bytes(rng.integers(1, 9))
        case 2:
            del data[(at := 4 * rng.integers(len(data) // 4)) : at + 4]
        case 3:
            data[rng.integers(len(data))] = rng.integers(256)
        case _:
            for at in rng.integers(8 * len(data), size=rng.integers(1, 4)):
                data[at // 8] ^= 1 << at % 8
    return bytes(data)


def sound(rng: np.random.Generator, packing: str) -> bytes:
    """A short stream."""
    table = rng.random() < 0.5
    params = CodecParams(
        packing=packing,
        lanes=int(rng.choice([4, 8])),
        segment=64,
        slices=int(rng.choice([1, 4])) if packing == "rice" else 1,
        width=3 if table else 4,
        levels=TABLE if table else None,
    )
    return encode(rng.choice([0, 0, 0, 1, 5], size=rng.integers(1, 100)), params)


@pytest.mark.parametrize("packing", PACKINGS)
def test_damaged_streams(packing: str, seed: int) -> None:
    """4,000 streams of each format: an error that says where, or as many weights as announced; a plain one agrees."""
    rng = np.random.default_rng(seed)
    errors = compared = 0
    for whole in [sound(rng, packing) for _ in range(200)]:
        for _ in range(20):
            stream = mutated(rng, whole)
            found, error = outcome(stream)
            if error is not None:
                errors += 1
                assert str(error).startswith(f"weight stream, bit {error.bit}: ")
                assert 0 <= error.bit <= 8 * len(stream)
            else:
                assert len(found) == int.from_bytes(stream[8:12], "little")
            header = 4 * header_words(whole[12])
            whole_words = len(stream) % 4 == 0
            if whole_words and stream[:header] == whole[:header]:  # the plain decoder takes headers as they are
                assert plain_outcome(stream) == (found if error is None else error.bit)
                compared += 1
    assert errors > 1000
    assert compared > 300


def outcome(stream: bytes) -> tuple[list[int], CodecError | None]:
    """Weights, or the error."""
    try:
        return decode(stream).tolist(), None
    except CodecError as error:
        return [], error


def plain_outcome(stream: bytes) -> list[int] | int:
    """Weights as the plain decoder has them, or the bit at which it finds the stream damaged."""
    try:
        return codec_reference.decode(stream)
    except codec_reference.Damaged as damaged:
        return int(damaged.args[0])
