"""Requantizers: from a wide accumulator to a narrow integer, one parameter object for every scheme.

A requantizer is fixed at generation by a `RequantParams` and steered at run time by the fields that
`RequantParams.runtime_fields` lists (a shift, a multiplier, a scale, levels, thresholds, a zero point), per layer or
per channel: `compute` broadcasts them against the accumulators as NumPy does.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from roundel.golden.parameters import Params, check_bool, check_integer
from roundel.golden.requant import arithmetic
from roundel.golden.rounding import Ints, Rounding, limits, round_shift


class Scheme(Enum):
    """The operation of a requantizer; `docs/requantizers.md` defines each and names its outside definition."""

    SHIFT_CONST = "shift_const"
    SHIFT = "shift"
    FIXED8 = "fixed8"
    FIXED16 = "fixed16"
    FIXED32 = "fixed32"
    FLOAT32 = "float32"
    CODEBOOK = "codebook"
    THRESHOLD = "threshold"

    @property
    def multiplier_width(self) -> int:
        """Bits of the integer multiplier; 0 for schemes that have none."""
        return {Scheme.FIXED8: 8, Scheme.FIXED16: 16, Scheme.FIXED32: 32}.get(self, 0)

    @property
    def has_table(self) -> bool:
        """Whether the scheme compares the accumulator with a table of boundaries."""
        return self in (Scheme.CODEBOOK, Scheme.THRESHOLD)

    @property
    def default_rounding(self) -> Rounding:
        """What the scheme's outside definition rounds like in its last step."""
        return {Scheme.FIXED32: Rounding.HALF_AWAY, Scheme.FLOAT32: Rounding.HALF_EVEN}.get(self, Rounding.HALF_UP)

    @property
    def fixed(self) -> dict[str, str]:
        """The parameters that cannot be set for the scheme, and why."""
        reasons = {}
        if self in (Scheme.FIXED32, Scheme.FLOAT32) or self.has_table:
            reasons["rounding"] = "whose definition fixes it"
        if self.has_table:
            reasons["relu"] = "whose table holds the activation"
        if not self.multiplier_width and self is not Scheme.FLOAT32:
            reasons["pipeline"] = "which is a single stage"
        return reasons


@dataclass(frozen=True)
class Field:
    """One run-time parameter: `count` integers of `width` bits (`count` 0 means one scalar, not an array)."""

    name: str
    width: int
    signed: bool = False
    count: int = 0

    @property
    def limits(self) -> tuple[int, int]:
        """Least and greatest value that fits."""
        return limits(self.width, self.signed)


@dataclass(frozen=True, kw_only=True)
class RequantParams(Params):
    """What is fixed when a requantizer is generated.

    Parameters
    ----------
    scheme
        The operation, see `Scheme`; a string names it too.
    acc_width
        Bits of the signed accumulator, 16 to 48.
    out_width
        Bits of the output, 2 to 16; at most 8 for `threshold`, which needs `2**out_width - 1` thresholds.
    out_signed
        Whether the output is two's complement.
    relu
        Clamp at zero (at the zero point, where the scheme has one). Not for schemes with a table: their activation is
        in the table.
    rounding
        Of the last shift; free for `shift_const`, `shift`, `fixed8` and `fixed16`, given by the definition elsewhere.
    shift
        The shift of `shift_const`, 0 to 63; `None` for all others.
    index_width
        Bits of a `codebook` index, 1 to 5; `None` for all others.
    pipeline
        Cut the operation into stages of about one multiplier or one adder each (`fixed*` and `float32`).

    Raises
    ------
    TypeError, ValueError
        A parameter of the wrong kind, out of range, or one that the scheme does not have; the message echoes it.
    """

    _OMIT_NONE: ClassVar[bool] = True  # what the scheme does not have

    scheme: Scheme = Scheme.SHIFT
    acc_width: int = 32
    out_width: int = 8
    out_signed: bool = True
    relu: bool = False
    rounding: Rounding = None  # type: ignore[assignment]  # filled in by scheme
    shift: int | None = None
    index_width: int | None = None
    pipeline: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rounding is None:
            self._set(rounding=self.scheme.default_rounding)
        if self.scheme is Scheme.CODEBOOK and self.index_width is None:
            self._set(index_width=4)
        for name in ("out_signed", "relu", "pipeline"):
            check_bool(name, getattr(self, name))
        check_integer("acc_width", self.acc_width, 16, 48)
        check_integer("out_width", self.out_width, 2, 8 if self.scheme is Scheme.THRESHOLD else 16)
        self._check_only_for("shift", 0, 63, Scheme.SHIFT_CONST)
        self._check_only_for("index_width", 1, 5, Scheme.CODEBOOK)
        rounded_otherwise = self.rounding is not self.scheme.default_rounding
        given = {"rounding": rounded_otherwise, "relu": self.relu, "pipeline": self.pipeline}
        for name, reason in self.scheme.fixed.items():
            if given[name]:
                raise ValueError(f"{name} cannot be set for scheme {self.scheme.value}, {reason}")

    def _check_only_for(self, name: str, low: int, high: int, scheme: Scheme) -> None:
        if self.scheme is scheme:
            if getattr(self, name) is None:
                raise ValueError(f"scheme {scheme.value} needs {name}")
            check_integer(name, getattr(self, name), low, high)
        elif getattr(self, name) is not None:
            raise ValueError(f"{name} can only be set for scheme {scheme.value}, not {self.scheme.value}")

    @property
    def limits(self) -> tuple[int, int]:
        """Least and greatest output (ReLU left out, which depends on the zero point)."""
        return limits(self.out_width, self.out_signed)

    @property
    def boundaries(self) -> int:
        """How many boundaries the table holds; 0 for schemes without one."""
        if self.scheme is Scheme.THRESHOLD:
            return (1 << self.out_width) - 1
        return (1 << self.index_width) - 1 if self.index_width is not None else 0

    @property
    def runtime_fields(self) -> tuple[Field, ...]:
        """The run-time parameters of the scheme, in the order in which the hardware packs them."""
        zero_point = Field("zero_point", self.out_width, self.out_signed)
        multiplier = self.scheme.multiplier_width
        match self.scheme:
            case Scheme.SHIFT_CONST:
                return ()
            case Scheme.SHIFT:
                return (Field("shift", (self.acc_width - 1).bit_length()),)
            case Scheme.FIXED8 | Scheme.FIXED16:
                width = (self.acc_width + multiplier - 1).bit_length()
                return (Field("multiplier", multiplier), Field("shift", width), zero_point)
            case Scheme.FIXED32:
                return (Field("multiplier", 32, signed=True), Field("shift", 5), zero_point)
            case Scheme.FLOAT32:
                return (Field("scale", 32), zero_point)
            case Scheme.THRESHOLD:
                return (Field("thresholds", self.acc_width, signed=True, count=self.boundaries),)
            case Scheme.CODEBOOK:
                return (
                    Field("boundaries", self.acc_width, signed=True, count=self.boundaries),
                    Field("levels", self.out_width, self.out_signed, count=self.boundaries + 1),
                )

    def check_runtime(self, runtime: Mapping[str, ArrayLike]) -> dict[str, Ints]:
        """Return the run-time parameters as int64 arrays, or raise.

        Raises
        ------
        TypeError
            A field is missing or unknown.
        ValueError
            A value does not fit its field, a table is not ascending, or a scale is not finite.
        """
        fields = {field.name: field for field in self.runtime_fields}
        if set(runtime) != set(fields):
            raise TypeError(f"scheme {self.scheme.value} takes {sorted(fields)}, not {sorted(runtime)}")
        checked = {}
        for name, field in fields.items():
            values = np.asarray(runtime[name], dtype=np.int64)
            low, high = field.limits
            if values.size and not (low <= values.min() and values.max() <= high):
                raise ValueError(f"{name} must be {low} to {high}, not {values.min()} to {values.max()}")
            if field.count and (values.ndim == 0 or values.shape[-1] != field.count):
                raise ValueError(f"{name} must end in an axis of {field.count}, not have shape {values.shape}")
            if name in ("thresholds", "boundaries") and np.any(np.diff(values, axis=-1) < 0):
                raise ValueError(f"{name} must ascend")
            if name == "scale" and np.any((values >> 23 & 0xFF) == 0xFF):
                raise ValueError("scale must be the bits of a finite binary32, not of an infinity or a NaN")
            checked[name] = values
        return checked

    def compute(self, acc: ArrayLike, runtime: Mapping[str, ArrayLike] | None = None) -> Ints:
        """Requantize.

        Parameters
        ----------
        acc
            Accumulators, signed integers of `acc_width` bits, any shape.
        runtime
            One entry per `runtime_fields`; scalars and arrays that broadcast against `acc` (tables: one more axis).

        Returns
        -------
        Integers of `out_width` bits in the shape of `acc`.
        """
        values, fields = self._inputs(acc, runtime)
        match self.scheme:
            case Scheme.SHIFT_CONST | Scheme.SHIFT:
                result = round_shift(values, fields.get("shift", np.asarray(self.shift)), self.rounding)
            case Scheme.FIXED8 | Scheme.FIXED16:
                result = arithmetic.fixed(values, fields["multiplier"], fields["shift"], self.rounding)
            case Scheme.FIXED32:
                result = arithmetic.gemmlowp(values, fields["multiplier"], fields["shift"], self.acc_width)
            case Scheme.FLOAT32:
                result = arithmetic.binary32(values, fields["scale"])
            case Scheme.THRESHOLD:
                return arithmetic.index(values, fields["thresholds"]) + self.limits[0]
            case Scheme.CODEBOOK:
                return arithmetic.lookup(fields["levels"], arithmetic.index(values, fields["boundaries"]))
        return self._clamp(result, fields.get("zero_point", np.asarray(0)))

    def compute_index(self, acc: ArrayLike, runtime: Mapping[str, ArrayLike]) -> Ints:
        """Index of the interval that `acc` falls into, 0 to `boundaries`; for schemes with a table."""
        values, fields = self._inputs(acc, runtime)
        return arithmetic.index(values, fields["thresholds" if self.scheme is Scheme.THRESHOLD else "boundaries"])

    def _inputs(self, acc: ArrayLike, runtime: Mapping[str, ArrayLike] | None) -> tuple[Ints, dict[str, Ints]]:
        values = np.asarray(acc, dtype=np.int64)
        low, high = limits(self.acc_width, True)
        if values.size and not (low <= values.min() and values.max() <= high):
            raise ValueError(f"accumulators must have {self.acc_width} bits, not be {values.min()} to {values.max()}")
        return values, self.check_runtime(runtime or {})

    def _clamp(self, value: Ints, zero_point: Ints) -> Ints:
        low, high = self.limits
        shifted = np.clip(value, -(1 << 60), 1 << 60).astype(np.int64) + zero_point
        return np.asarray(np.clip(shifted, np.maximum(low, zero_point) if self.relu else low, high))
