"""What the unit is compared with: other circuits for a function of one value, exact, with parameters that fit them.

Each is a parameter object of its own, whose `compute` is what its circuit in `roundel.hw.activation` does.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from roundel.golden.activation.functions import Function
from roundel.golden.formats import Format
from roundel.golden.parameters import Params
from roundel.golden.rounding import Ints, limits


@dataclass(frozen=True, kw_only=True)
class ByteTable(Params):
    """A table of 256 bytes, read at a byte [S: NVDLA, TFLite, onnxruntime's QLinear operators]."""

    word: ClassVar[Format] = Format(width=8, signed=True, fraction=0)
    fields: ClassVar[Mapping[str, tuple[int, int]]] = {"entries": (8, 256)}
    """Bits and number of each run-time parameter."""

    def fit(self, function: Function, step: float, output: Format) -> dict[str, Ints]:
        """Return the entries: the function at each code, rounded."""
        codes = np.arange(-128, 128)
        return {"entries": np.roll(output.encode(function(codes * step)), 128)}

    def compute(self, words: ArrayLike, runtime: Mapping[str, Ints]) -> Ints:
        """Return the entries that signed bytes name."""
        return np.asarray(runtime["entries"][np.asarray(words, dtype=np.int64) & 0xFF])


@dataclass(frozen=True, kw_only=True)
class Polynomial(Params):
    """I-BERT's GELU of a signed byte [S]: `x * (sign(x) * ((min(|x|, -b) + b)**2 + c) + one)`, then a requantizer.

    Widths are those of ITA's unit [S]: constants of 16 bits, 26 bits before the requantizer, whose multiplier has 8
    bits and a sign; rounding half up by the bit shifted out last, then saturation.
    """

    CONSTANT: ClassVar[int] = 16
    SUM: ClassVar[int] = 26
    word: ClassVar[Format] = Format(width=8, signed=True, fraction=0)
    fields: ClassVar[Mapping[str, tuple[int, int]]] = {
        "one": (16, 1),
        "b": (16, 1),
        "c": (16, 1),
        "multiplier": (8, 1),
        "shift": (5, 1),
    }

    def fit(self, function: Function, step: float, output: Format) -> dict[str, Ints]:
        """Return the constants of I-BERT's GELU for a step of its input; `function` is not looked at."""
        a, b = -0.2888, -1.769
        unit = a * (step / math.sqrt(2)) ** 2
        factor = step * unit / 2 / output.scale
        shift = min(31, 7 - math.frexp(abs(factor))[1])
        values = {
            "one": math.floor(1 / unit),
            "b": math.floor(b / (step / math.sqrt(2))),
            "c": math.floor(1 / unit),
            "multiplier": max(-128, round(math.ldexp(factor, shift))),
            "shift": shift,
        }
        return {name: np.asarray(value, dtype=np.int64) for name, value in values.items()}

    def compute(self, words: ArrayLike, runtime: Mapping[str, Ints]) -> Ints:
        """Return the GELU of signed bytes; sums wrap at 26 bits, as registers of that width do."""
        x = np.asarray(words, dtype=np.int64)
        one, b, c, multiplier, shift = (int(runtime[name]) for name in self.fields)
        magnitude = np.minimum(np.abs(x), -b)
        curve = (magnitude + b) ** 2 + c
        total = x * (np.where(x < 0, -curve, curve) + one)
        total = ((total + (1 << (self.SUM - 1))) & ((1 << self.SUM) - 1)) - (1 << (self.SUM - 1))
        product = total * multiplier
        guard = (product >> (shift - 1)) & 1 if shift else np.int64(0)
        return np.asarray(np.clip((product >> shift) + guard, *limits(8, True)))


@dataclass(frozen=True, kw_only=True)
class SlopeOffset(Params):
    """A slope and an offset for each of 16 equal segments, without folding: `offset + slope * place`, by a multiplier.

    Words have 11 bits, slopes 8 with 6 fraction bits, offsets 12 with 3: the direct form, of as many segments.
    """

    FRACTION: ClassVar[int] = 6
    word: ClassVar[Format] = Format(width=11, signed=True, fraction=0)
    fields: ClassVar[Mapping[str, tuple[int, int]]] = {"offsets": (12, 16), "slopes": (8, 16)}

    def fit(self, function: Function, step: float, output: Format) -> dict[str, Ints]:
        """Return slopes and offsets by least squares over the words of each segment, from the least word on."""
        words = np.arange(-1024, 1024).reshape(16, 128)
        targets = function((words + 0.5) * step) / output.scale * 8
        place = np.arange(128) - 63.5
        slopes = np.clip(np.rint((targets @ place) / (place @ place) * 64), -128, 127).astype(np.int64)
        offsets = np.rint(targets.mean(axis=1) - slopes / 64 * 63.5).astype(np.int64)
        return {"offsets": np.clip(offsets, -2048, 2047), "slopes": slopes}

    def compute(self, words: ArrayLike, runtime: Mapping[str, Ints]) -> Ints:
        """Return the bytes of signed words, rounded half up and clamped."""
        place = np.asarray(words, dtype=np.int64) + 1024
        segment, rest = place >> 7, place & 127
        total = (runtime["offsets"][segment] << self.FRACTION) + runtime["slopes"][segment] * rest
        return np.asarray(np.clip((total + 256) >> 9, *limits(8, True)))
