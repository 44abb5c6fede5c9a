"""Weights to bytes and back, bit by bit; nothing of hardware but what a decoder must say."""

from roundel.golden.codec.decoder import FINISH_CYCLES, DecoderParams, startup_cycles
from roundel.golden.codec.header import FIXED, MAGIC, PACKINGS, VERSION, header_words, read_header
from roundel.golden.codec.params import MAX_LEVELS, RUN_LIMIT, CodecError, CodecParams, Codes, Levels, Packing
from roundel.golden.codec.relative import RELATIVE_RUN_BITS
from roundel.golden.codec.rice import cycles, rounds
from roundel.golden.codec.rice_tables import (
    MAX_LEVEL_BITS,
    MAX_LEVEL_EXTRA,
    MAX_LEVEL_LIMIT,
    RICE_RUN_BITS,
    level_fields,
)
from roundel.golden.codec.runs import steps, zero_runs
from roundel.golden.codec.stream import decode, decode_codes, encode, fit, write

__all__ = [
    "FINISH_CYCLES",
    "FIXED",
    "MAGIC",
    "MAX_LEVELS",
    "MAX_LEVEL_BITS",
    "MAX_LEVEL_EXTRA",
    "MAX_LEVEL_LIMIT",
    "PACKINGS",
    "RELATIVE_RUN_BITS",
    "RICE_RUN_BITS",
    "RUN_LIMIT",
    "VERSION",
    "CodecError",
    "CodecParams",
    "Codes",
    "DecoderParams",
    "Levels",
    "Packing",
    "cycles",
    "decode",
    "decode_codes",
    "encode",
    "fit",
    "header_words",
    "level_fields",
    "read_header",
    "rounds",
    "startup_cycles",
    "steps",
    "write",
    "zero_runs",
]
