"""The activation unit: what is fixed when it is generated, and what it makes of words."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from roundel.golden.activation import arithmetic
from roundel.golden.activation.table import CONTROL, ActivationTable, Fold
from roundel.golden.formats import signed_width
from roundel.golden.parameters import Params, check_bool, check_integer
from roundel.golden.rounding import Ints, limits


@dataclass(frozen=True, kw_only=True)
class ActivationParams(Params):
    """What is fixed when an activation unit is generated.

    Parameters
    ----------
    columns
        Results of a beat, 1 to 64.
    lanes
        Results that are worked on in a cycle, a divisor of `columns`: a beat takes `columns / lanes` cycles.
    in_width
        Bits of a word, signed, 10 to 12. A word is the floor of what it stands for: no bits of it are rounded.
    segment_bits
        Binary logarithm of the number of segments, 3 to 5.
    step_bits
        Binary logarithm of the steps within a segment, 4 to 7.
    residual
        Whether a residual is added behind the activation.
    slopes
        Whether each column may have a slope of its own for negative words (PRelu). Then a place on the curve must have
        as many bits as a step between knots: `segment_bits + step_bits` is `in_width - 2`.
    pipeline
        Cut a lane into two stages.

    Raises
    ------
    TypeError, ValueError
        A parameter of the wrong kind or out of range; the message echoes it.
    """

    columns: int = 8
    lanes: int = 8
    in_width: int = 11
    segment_bits: int = 4
    step_bits: int = 5
    residual: bool = True
    slopes: bool = True
    pipeline: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        ranges = {"columns": (1, 64), "lanes": (1, 64), "in_width": (10, 12), "segment_bits": (3, 5)}
        for name, (low, high) in (ranges | {"step_bits": (4, 7)}).items():
            check_integer(name, getattr(self, name), low, high)
        for name in ("residual", "slopes", "pipeline"):
            check_bool(name, getattr(self, name))
        if self.columns % self.lanes:
            raise ValueError(f"lanes must divide columns ({self.columns}), not be {self.lanes}")
        if self.slopes and self.step_bits != (needed := self.greatest_core - 2):
            raise ValueError(f"step_bits must be {needed} in a unit with slopes, not {self.step_bits}")

    OUT_WIDTH = 8  # bits of a result
    RESIDUAL_WIDTH = 9  # bits of a residual: both 0 to 255 and -128 to 127

    @property
    def fraction(self) -> int:
        """Fraction bits of a knot: those that a word has more than a result."""
        return self.in_width - self.OUT_WIDTH

    @property
    def knot_width(self) -> int:
        """Bits of a knot."""
        return self.in_width

    @property
    def segments(self) -> int:
        """Number of segments."""
        return 1 << self.segment_bits

    @property
    def greatest_core(self) -> int:
        """The `core` of an unfolded curve whose segments hold all words; one more than a folded one needs."""
        return self.in_width - self.segment_bits

    @property
    def slope_cores(self) -> tuple[int, ...]:
        """The `core` that a table of slopes may have, that of the finest slopes first.

        With the last one, that of the steepest slopes, words below half of the least one saturate.
        """
        return self.greatest_core, self.greatest_core - 1, self.greatest_core - 2

    def steepest(self, core: int, linear_shift: int = 0) -> float:
        """Return the greatest magnitude of a slope in a table of slopes: `2**(step_bits + 1) - 1` of its steps."""
        return float(((2 << self.step_bits) - 1) / (1 << (core + linear_shift)))

    @property
    def step_limits(self) -> tuple[int, int]:
        """Least and greatest difference of an odd knot and its even neighbours."""
        return limits(self.knot_width - 1, True)

    @property
    def slope_width(self) -> int:
        """Bits of a column's slope: multiplier, sign."""
        return self.step_bits + 2

    @property
    def total_width(self) -> int:
        """Bits of the sum before it is rounded, signed: whatever word, knots, residual and slope."""
        linear = (2 << (self.in_width - 1)) << 2 << (self.step_bits - 1)
        curve = 1 << (self.knot_width - 1 + self.step_bits)
        step = 1 << (self.knot_width - 2 + self.step_bits)
        residual = (1 << (self.RESIDUAL_WIDTH - 1)) << 3 << self.step_bits if self.residual else 0
        return signed_width(-(total := linear + curve + step + residual), total)

    @property
    def entry_width(self) -> int:
        """Bits of an entry of the stream of tables: the control word, or a knot."""
        return max(self.knot_width, sum(CONTROL.values()))

    @property
    def table_bits(self) -> int:
        """Bits that a layer's table has in the unit."""
        return (self.segments + 1) * self.knot_width + sum(CONTROL.values())

    @property
    def entries(self) -> int:
        """Entries of a table: the control word and the knots."""
        return self.segments + 2

    def derived(self) -> dict[str, Any]:
        """Return widths that follow from the parameters, for the manifest."""
        return {
            "fraction": self.fraction,
            "knot_width": self.knot_width,
            "segments": self.segments,
            "slope_width": self.slope_width,
            "entry_width": self.entry_width,
            "entries": self.entries,
            "table_bits": self.table_bits,
            "cycles_per_beat": self.columns // self.lanes,
        }

    def check_table(self, table: ActivationTable) -> Ints:
        """Return the knots of a table as an array, or raise ValueError where the unit cannot hold it."""
        if len(table.knots) != self.segments + 1:
            raise ValueError(f"knots must be {self.segments + 1} integers, not {len(table.knots)}")
        check_integer("core", table.core, 0, self.greatest_core)
        knots = np.asarray(table.knots, dtype=np.int64)
        low, high = limits(self.knot_width, True)
        if not (low <= knots.min() and knots.max() <= high):
            raise ValueError(f"knots must be {low} to {high}, not {knots.min()} to {knots.max()}")
        steps = np.diff(knots) * np.resize([1, -1], self.segments)
        low, high = self.step_limits
        if not (low <= steps.min() and steps.max() <= high):
            raise ValueError(f"odd knots less their even neighbours must be {low} to {high}, not beyond")
        if table.fold is Fold.SLOPE and not self.slopes:
            raise ValueError("fold slope needs a unit with slopes")
        if table.fold is Fold.SLOPE:
            check_integer("core of fold slope", table.core, self.slope_cores[-1], self.slope_cores[0])
            if np.any(knots):
                raise ValueError("knots must be 0 where fold is slope")
        return knots

    def compute(
        self, words: ArrayLike, table: ActivationTable, *, residual: ArrayLike = 0, slopes: ArrayLike = 0
    ) -> Ints:
        """Return what the unit gives for words.

        Parameters
        ----------
        words
            Signed integers of `in_width` bits, any shape.
        table
            The layer's.
        residual
            Integers of 9 bits that broadcast against `words`; 0 in a unit without them.
        slopes
            Of each column, as `slope_table` makes them; used by tables of fold `slope`.

        Returns
        -------
        Integers of 8 bits in the shape of `words`, unsigned where the table says so.
        """
        added = _checked("residual", residual, limits(self.RESIDUAL_WIDTH, True) if self.residual else (0, 0))
        return self.rounded(self.totals(words, table, slopes=slopes) + self.lifted(added, table), table)

    def totals(self, words: ArrayLike, table: ActivationTable, *, slopes: ArrayLike = 0) -> Ints:
        """Return what the unit rounds, without a residual, in units of `step_bits` bits below a knot's.

        Parameters
        ----------
        words, table, slopes
            As for `compute`.
        """
        knots = self.check_table(table)
        values = _checked("words", words, limits(self.in_width, True))
        columns = _checked("slopes", slopes, limits(self.slope_width, False) if self.slopes else (0, 0))

        position = arithmetic.positions(
            values, fold=table.fold, core=table.core, segment_bits=self.segment_bits, step_bits=self.step_bits
        )
        if table.fold is Fold.SLOPE:
            total = arithmetic.sloped(position, columns, self.step_bits)
            total = np.where(arithmetic.slope_sign(columns, self.step_bits), total, -total)
        else:
            total = arithmetic.curve(position, knots, self.step_bits)
            total = np.where((values < 0) & (table.fold is Fold.ODD), -total, total)
        if table.linear:
            total = total + arithmetic.linear_part(values, table.linear_shift, self.step_bits)
        return np.asarray(total)

    def lifted(self, residual: Ints, table: ActivationTable) -> Ints:
        """Return what a residual adds to `totals`."""
        return np.asarray(residual << (table.residual_shift + self.step_bits))

    def rounded(self, totals: Ints, table: ActivationTable) -> Ints:
        """Return results of `totals`: rounded once, clamped, unsigned where the table says so."""
        low, high = limits(self.OUT_WIDTH, True)
        result = arithmetic.rounded(totals, self.fraction + self.step_bits, low, high)
        return np.asarray(result - low if table.unsigned else result)


def _checked(name: str, values: ArrayLike, ends: tuple[int, int]) -> Ints:
    """Return integers as an array; ValueError unless they lie within `ends`."""
    integers = np.asarray(values, dtype=np.int64)
    if integers.size and not (ends[0] <= integers.min() and integers.max() <= ends[1]):
        raise ValueError(f"{name} must be {ends[0]} to {ends[1]}, not {integers.min()} to {integers.max()}")
    return integers


WORDS = ActivationParams()
"""The unit of layers of integer networks and of the engine: its words, tables and arithmetic; how many columns and
lanes work side by side changes no result."""


def slope_table(params: ActivationParams, slopes: ArrayLike, *, linear_shift: int = 0) -> tuple[ActivationTable, Ints]:
    """Return the table of a layer with a slope for each column (PRelu), and the columns' slopes as the unit takes them.

    Slopes are the nearest ones: in a unit of the usual widths in steps of 1/128 where none is above 63/128, of 1/64
    where none is above 63/64, else of 1/32. With the last ones the least word is -512: those below count as it.

    Parameters
    ----------
    params
        The unit, which has slopes.
    slopes
        (columns,): real slopes of negative words, where those from 0 on have a slope of 1.
    linear_shift
        Of the table; 0 leaves the slopes their greatest range.

    Raises
    ------
    ValueError
        A slope is not finite, or greater than what a column can have; the message has the greatest.
    """
    real = np.asarray(slopes, dtype=np.float64)
    limit = (2 << params.step_bits) - 1
    for core in params.slope_cores:
        multiplier = np.rint(np.abs(real) * (1 << (core + linear_shift)))
        if np.all(multiplier <= limit):  # not for NaN
            break
    else:
        most = params.steepest(core, linear_shift)
        raise ValueError(f"slopes must be {-most:g} to {most:g}, not {real.min():g} to {real.max():g}")
    table = ActivationTable(
        knots=(0,) * (params.segments + 1),
        fold=Fold.SLOPE,
        core=core,
        linear=True,
        linear_shift=linear_shift,
    )
    sign = (real < 0).astype(np.int64) << (params.step_bits + 1)
    return table, np.asarray(multiplier.astype(np.int64) | sign)
