"""An activation of a layer: a table of the activation unit, the words it takes, and the columns' slopes."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from roundel.golden.activation import WORDS, ActivationTable, Fold
from roundel.golden.formats import Format
from roundel.golden.network.base import Array
from roundel.golden.parameters import check_integer
from roundel.golden.rounding import Ints, limits

RESIDUAL_WIDTH = 8  # most bits of what is added behind an activation, signed or not


@dataclass(frozen=True, kw_only=True, eq=False)
class Activated:
    """A function of one value behind a layer's sums: `roundel.golden.activation.WORDS` computes it.

    Parameters
    ----------
    table
        What the unit loads. `unsigned` is that of the output.
    word
        Format of the words that the sums become: of the unit's width, signed, without a zero point. A sum is divided by
        a power of two, rounded down, and saturates.
    slopes
        With fold `slope` that of each output, as `roundel.golden.activation.slope_table` makes them; else None.

    Raises
    ------
    TypeError, ValueError
        A table that the unit cannot hold, words of another width, slopes without their fold or out of range.
    """

    table: ActivationTable
    word: Format
    slopes: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        WORDS.check_table(self.table)
        if self.word.width != WORDS.in_width or not self.word.signed or self.word.zero:
            raise ValueError(f"words must have {WORDS.in_width} signed bits and no zero point, not {self.word}")
        if (self.table.fold is Fold.SLOPE) != (self.slopes is not None):
            raise ValueError("slopes stand beside a table of fold slope, and nowhere else")
        for slope in self.slopes or ():
            check_integer("slopes", slope, *limits(WORDS.slope_width, False))

    @cached_property
    def totals(self) -> Ints:
        """What the unit rounds of every word, the least word first: (words,), or (words, outputs) with slopes."""
        words = np.arange(self.word.limits[0], self.word.limits[1] + 1)
        if self.slopes is None:
            return WORDS.totals(words, self.table)
        return WORDS.totals(words[:, np.newaxis], self.table, slopes=np.asarray(self.slopes))

    @cached_property
    def results(self) -> Array:
        """What every word becomes, as `totals`: of 8 bits, in the type of the output."""
        kind = np.uint8 if self.table.unsigned else np.int8
        return np.asarray(WORDS.rounded(self.totals, self.table).astype(kind))

    def compute(self, words: Array, residual: Array | None = None) -> Array:
        """Return the layer's results.

        Parameters
        ----------
        words
            (positions, outputs) integers of the format `word`.
        residual
            What is added before the one rounding, (positions, outputs); None for nothing.

        Returns
        -------
        Array
            (positions, outputs), of 8 bits.
        """
        low, _ = self.word.limits
        places: tuple[Array, ...] = (words - low,)
        if self.slopes is not None:
            places = (words - low, np.arange(len(self.slopes)))
        if residual is None:
            return np.asarray(self.results[places])
        totals = self.totals[places] + WORDS.lifted(residual.astype(np.int64), self.table)
        return WORDS.rounded(totals, self.table)

    def check(self, output: Format, residual: Format | None, outputs: int) -> None:
        """Raise ValueError unless the activation fits a layer.

        Parameters
        ----------
        output, residual
            Formats of the layer's results, and of what is added behind the activation; None for nothing.
        outputs
            Of the layer.
        """
        if output.width != WORDS.OUT_WIDTH or output.signed == self.table.unsigned or output.zero:
            kind = "unsigned" if self.table.unsigned else "signed"
            raise ValueError(f"an activation gives {WORDS.OUT_WIDTH} {kind} bits without a zero point, not {output}")
        if self.word.mantissa != output.mantissa:
            raise ValueError(f"words must have the output's mantissa {output.mantissa}, not {self.word.mantissa}")
        if self.slopes is not None and len(self.slopes) != outputs:
            raise ValueError(f"slopes must be {outputs}, one for each output, not {len(self.slopes)}")
        if residual is None:
            return
        if residual.width > RESIDUAL_WIDTH or residual.zero:
            raise ValueError(f"a residual has at most {RESIDUAL_WIDTH} bits and no zero point, not {residual}")
        shift = output.fraction + WORDS.fraction - residual.fraction
        if shift != self.table.residual_shift:
            raise ValueError(f"residual_shift must be {shift}, that of the residual's format, or none")
