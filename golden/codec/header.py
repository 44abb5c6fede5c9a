"""The header of a weight stream: 32-bit words, least significant byte first."""

from typing import NoReturn

import numpy as np

from roundel.golden.bits import WORD, Words
from roundel.golden.codec.params import CodecError, CodecParams, Packing

MAGIC, VERSION = b"RWS", 1
FIXED = 5  # words before the levels
PACKINGS = tuple(Packing)
MAX_COUNT = (1 << 32) - 1

# The bytes of words 1, 3 and 4, in the order in which they are stored.
BYTES = {
    1: ("packing", "width", "lanes", "segment"),
    3: ("levels", "base", "slices", "run_bits"),
    4: ("level_bits", "level_limit", "level_extra", "reserved"),
}
LOGARITHMS = ("lanes", "segment", "slices")


def header_words(levels: int) -> int:
    """Length of a header with that many levels."""
    return FIXED + -(-levels // 4)


def write_header(params: CodecParams, count: int) -> Words:
    """Return the header of a stream of `count` dense weights."""
    levels = params.levels or ()
    stored = {name: getattr(params, name, 0) for names in BYTES.values() for name in names}
    stored |= {name: stored[name].bit_length() - 1 for name in LOGARITHMS}
    stored |= {"packing": PACKINGS.index(params.packing), "levels": len(levels)}
    data = MAGIC + bytes([VERSION])
    data += bytes(stored[name] for name in BYTES[1]) + count.to_bytes(4, "little")
    data += bytes(stored[name] for name in BYTES[3] + BYTES[4])
    data += bytes(level & 0xFF for level in levels)
    return np.frombuffer(data.ljust(4 * header_words(len(levels)), b"\0"), dtype="<u4").astype(np.uint32)


def read_header(words: Words) -> tuple[CodecParams, int]:
    """Parameters and count of dense weights.

    Raises
    ------
    CodecError
        No header, one of another version, or a value that it cannot have; the bit of its word is named.
    """
    if len(words) < FIXED:
        raise CodecError(WORD * len(words), "the stream ends", f"a header of {FIXED} words")
    data = words.astype("<u4").tobytes()
    if data[:4] != MAGIC + bytes([VERSION]):
        raise CodecError(0, f"{data[:4]!r}", f"{MAGIC + bytes([VERSION])!r}")
    stored: dict[str, int] = {}
    for word, names in BYTES.items():
        stored |= dict(zip(names, data[4 * word : 4 * word + 4], strict=True))
    if stored["packing"] >= len(PACKINGS):
        raise CodecError(WORD, f"format {stored['packing']}", f"0 to {len(PACKINGS) - 1}")
    if stored.pop("reserved"):
        raise CodecError(WORD * 4, "a reserved byte that is not 0", "0")
    count = stored.pop("levels")
    end = 4 * header_words(count)
    if len(data) < end:
        raise CodecError(8 * len(data), "the stream ends", f"{count} levels")
    if any(data[4 * FIXED + count : end]):
        raise CodecError(8 * (4 * FIXED + count), "padding that is not 0", "0")
    levels = np.frombuffer(data, dtype=np.int8, count=count, offset=4 * FIXED).tolist()
    return _params(stored, tuple(levels) or None), int(words[2])


def _params(stored: dict[str, int], levels: tuple[int, ...] | None) -> CodecParams:
    """Read what a header says, checked by `CodecParams` itself."""
    values = stored | {name: 1 << min(stored[name], WORD) for name in LOGARITHMS}
    packing = PACKINGS[values.pop("packing")]
    try:
        return CodecParams(packing=packing, levels=levels, **values)
    except ValueError as error:
        _refuse(error)


def _refuse(error: ValueError) -> NoReturn:
    """Say in which word the parameter stands that `CodecParams` refused."""
    name, _, rest = str(error).partition(" must be ")
    expected, _, value = rest.partition(", not ")
    word = FIXED if name == "levels" else next(word for word, names in BYTES.items() if name in names)
    raise CodecError(WORD * word, f"{name} {value}", expected) from None
