"""What a stream of sparse weights is made with, and its codebook. `docs/codecs.md` defines every bit."""

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from roundel.golden.bits import mask
from roundel.golden.errors import InputError
from roundel.golden.parameters import Params, check_integer
from roundel.golden.rounding import limits

Codes = NDArray[np.uint8]
Levels = NDArray[np.int8]

RUN_LIMIT = 8  # ones of a Rice run after which it goes on as a new symbol
MAX_LEVELS = 32


class CodecError(InputError):
    """A weight stream that is no such thing: where, what is there and what was expected.

    Attributes
    ----------
    bit
        Offset in the stream of the field that is wrong, or of the first bit not yet read.
    """

    def __init__(self, bit: int, actual: str, expected: str):
        super().__init__(f"weight stream, bit {bit}: {actual}, expected {expected}")
        self.bit = bit


class Packing(Enum):
    """How positions and codes of the weights are laid out."""

    MASK = "mask"
    RELATIVE = "relative"
    RICE = "rice"


@dataclass(frozen=True, kw_only=True)
class CodecParams(Params):
    """All that the header of a stream says but its count.

    Parameters
    ----------
    packing
        The format, see `Packing`; a string names it too.
    width
        Bits of a code: 2 to 8; at most 5 with `levels`.
    lanes
        Dense weights of a beat: 4, 8, 16 or 32. `relative` does not depend on it.
    segment
        Dense weights between two starts: a power of two, 64 to 65536.
    slices
        Parts of a `rice` stream that decode in parallel, weight i in part `i % slices`: 1, 2, 4 or 8, at most `lanes`.
        1 for the others.
    levels
        The levels of codes 0, 1, ...: 2 to 32 different ones of 8 bits, 0 first. `None`: a code is its level in two's
        complement.
    run_bits
        Low bits of a zero run: 0 to 8 (`relative`), 0 to 9 (`rice`); 0 for `mask`.
    base
        The least magnitude of `rice` without `levels`; 1 otherwise.
    level_bits, level_limit, level_extra
        A level of `rice`: low bits behind a terminated unary part, ones that end it without a zero, bits that follow
        those: 0 to 8, 0 to 7, 0 to 8; all 0 for the others.

    Raises
    ------
    TypeError, ValueError
        A parameter of the wrong kind, out of range, or one that the format does not have; the message echoes it.
    """

    packing: Packing = Packing.RICE
    width: int = 4
    lanes: int = 16
    segment: int = 1 << 15
    slices: int = 1
    levels: tuple[int, ...] | None = None
    run_bits: int = 0
    base: int = 1
    level_bits: int = 0
    level_limit: int = 0
    level_extra: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        rice = self.packing is Packing.RICE
        check_integer("width", self.width, 2, 8 if self.levels is None else 5)
        for name, low, high in (("lanes", 4, 32), ("segment", 64, 1 << 16), ("slices", 1, 8 if rice else 1)):
            value = getattr(self, name)
            check_integer(name, value, low, high)
            if value & (value - 1):
                raise ValueError(f"{name} must be a power of two, not {value}")
        if self.slices > self.lanes:
            raise ValueError(f"slices must be at most lanes, not {self.slices} of {self.lanes}")
        check_integer("run_bits", self.run_bits, 0, {Packing.MASK: 0, Packing.RELATIVE: 8}.get(self.packing, 9))
        check_integer("base", self.base, 1, 1 << (self.width - 1) if rice and self.levels is None else 1)
        for name, high in (("level_bits", 8), ("level_limit", 7), ("level_extra", 8)):
            check_integer(name, getattr(self, name), 0, high if rice else 0)
        self._check_levels()

    def _check_levels(self) -> None:
        if self.levels is None:
            return
        most = min(MAX_LEVELS, 1 << self.width)
        if not 2 <= len(self.levels) <= most:
            raise ValueError(f"levels must be 2 to {most} for codes of {self.width} bits, not {len(self.levels)}")
        for level in self.levels:
            check_integer("levels", level, *limits(8, True))
        if self.levels[0] != 0 or len(set(self.levels)) != len(self.levels):
            raise ValueError(f"levels must be different and begin with 0, not {self.levels}")

    @property
    def codes(self) -> int:
        """How many codes mean something: 0 to this less one."""
        return 1 << self.width if self.levels is None else len(self.levels)

    @property
    def level_of_code(self) -> Levels:
        """(256,): what each code means; those that mean nothing are 0."""
        table = np.zeros(256, dtype=np.int8)
        if self.levels is None:
            code = np.arange(self.codes)
            table[: self.codes] = code - ((code >> (self.width - 1)) << self.width)
        else:
            table[: self.codes] = self.levels
        return table

    @property
    def code_of_level(self) -> NDArray[np.int16]:
        """(256,), indexed by a level modulo 256: its code, or -1."""
        table = np.full(256, -1, dtype=np.int16)
        table[self.level_of_code[: self.codes].astype(np.uint8)] = np.arange(self.codes)
        return table

    @property
    def code_of_rank(self) -> NDArray[np.int16]:
        """(512,): the code that a `rice` stream writes as this number, or -1.

        Without `levels`, numbers count -base, base, -(base + 1), base + 1, ... so that small magnitudes are short and
        the sign is the lowest bit; with them they count codes from 1 on.
        """
        table = np.full(512, -1, dtype=np.int16)
        if self.levels is not None:
            table[: self.codes - 1] = np.arange(1, self.codes)
            return table
        rank = np.arange(512)
        magnitude = self.base + (rank >> 1)
        positive = rank & 1
        fits = magnitude - 1 + positive <= mask(self.width - 1)
        code = np.where(positive, magnitude, -magnitude) & mask(self.width)
        return np.asarray(np.where(fits, code, -1).astype(np.int16))

    @property
    def rank_of_code(self) -> NDArray[np.int64]:
        """(256,): the inverse of `code_of_rank`; -1 for codes that cannot be written."""
        table = np.full(256, -1, dtype=np.int64)
        codes = self.code_of_rank
        table[codes[codes >= 0]] = np.flatnonzero(codes >= 0)
        return table
