"""The table of an activation: what one layer loads into the unit, and the entries that carry it there."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

import numpy as np

from roundel.golden.parameters import Params, check_bool, check_integer


class Fold(Enum):
    """How a word finds its segment, and which sign its curve gets."""

    NONE = "none"
    """Half of the segments lie below 0, half of them above."""
    EVEN = "even"
    """The curve depends on the magnitude of the word alone."""
    ODD = "odd"
    """The curve of a negative word is that of its magnitude, with the sign turned."""
    NEGATIVE = "negative"
    """Words from 0 on have the value of the curve at 0; the segments are those of negative words."""
    SLOPE = "slope"
    """No curve: a negative word is multiplied by the slope of its column (PRelu)."""


CONTROL: Mapping[str, int] = MappingProxyType(
    {
        "flat": 1,
        "odd": 1,
        "sided": 1,
        "sloped": 1,
        "linear": 1,
        "unsigned": 1,
        "linear_coarse": 1,
        "residual_shift": 2,
        "core": 4,
    }
)
"""Fields of the control word and their bits, from bit 0 on; `sided` gives words from 0 on the value at 0,
`linear_coarse` is a `linear_shift` of 2."""

FLAGS: Mapping[Fold, frozenset[str]] = MappingProxyType(
    {
        Fold.NONE: frozenset({"flat"}),
        Fold.EVEN: frozenset(),
        Fold.ODD: frozenset({"odd"}),
        Fold.NEGATIVE: frozenset({"sided"}),
        Fold.SLOPE: frozenset({"sided", "sloped"}),
    }
)


@dataclass(frozen=True, kw_only=True)
class ActivationTable(Params):
    """What steers the unit for a layer; docs/activations.md says what each does.

    Parameters
    ----------
    knots
        Ends of the segments, from the first segment's least end on, one more than there are segments, in units of the
        output's fraction bits.
    fold
        See `Fold`.
    core
        A segment is `2**core` words long.
    linear
        Whether words from 0 on are added to their curve, which is then what is left of the function beside a ReLU.
    linear_shift
        Left shift of that linear part, 0 or 2: a word counts `2**linear_shift` units of the output's fraction bits.
    unsigned
        Whether the output is unsigned: it is 0 where the same sum gives a signed output its least value.
    residual_shift
        Left shift of the residual, 0 to 3, in units of the output's fraction bits.

    Raises
    ------
    TypeError, ValueError
        A value of the wrong kind or out of range; the ranges of `core` and `knots` are the unit's, which checks them.
    """

    knots: tuple[int, ...]
    fold: Fold = Fold.NONE
    core: int = 0
    linear: bool = False
    linear_shift: int = 0
    unsigned: bool = False
    residual_shift: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("linear", "unsigned"):
            check_bool(name, getattr(self, name))
        for name, greatest in (("core", 15), ("linear_shift", 2), ("residual_shift", 3)):
            check_integer(name, getattr(self, name), 0, greatest)
        if self.linear_shift == 1:
            raise ValueError("linear_shift must be 0 or 2, not 1")
        for place, knot in enumerate(self.knots):
            check_integer(f"knots[{place}]", knot, -(1 << 15), (1 << 15) - 1)

    @classmethod
    def from_control(cls, control: int, knots: tuple[int, ...]) -> "ActivationTable":
        """Return the table of a control word, whose bits beyond the fields are ignored, and knots.

        Raises
        ------
        ValueError
            Flags that no fold has.
        """
        fields: dict[str, int] = {}
        offset = 0
        for name, width in CONTROL.items():
            fields[name] = control >> offset & (1 << width) - 1
            offset += width
        kinds = {name for flags in FLAGS.values() for name in flags}
        given = {name for name in kinds if fields[name]}
        fold = next((fold for fold, flags in FLAGS.items() if flags == given), None)
        if fold is None:
            raise ValueError(f"control word {control:#x}: no fold has the flags {', '.join(sorted(given))}")
        return cls(
            knots=knots,
            fold=fold,
            core=fields["core"],
            linear=bool(fields["linear"]),
            linear_shift=2 * fields["linear_coarse"],
            unsigned=bool(fields["unsigned"]),
            residual_shift=fields["residual_shift"],
        )

    @property
    def control(self) -> int:
        """The fields beside the knots as one integer, in the order of `CONTROL`."""
        named = {"linear": self.linear, "linear_coarse": self.linear_shift == 2, "unsigned": self.unsigned}
        flags = FLAGS[self.fold] | {name for name, is_set in named.items() if is_set}
        word = offset = 0
        for name, width in CONTROL.items():
            word |= (getattr(self, name) if width > 1 else int(name in flags)) << offset
            offset += width
        return word

    @property
    def entries(self) -> tuple[int, ...]:
        """What the stream of tables carries for a layer: `control`, then the knots in order, two's complement."""
        return (self.control, *self.knots)


def random_table(
    rng: np.random.Generator, *, segments: int, knot_width: int, core: int, slopes: bool = True
) -> ActivationTable:
    """Return a table of random fields and knots, steep ones among them: what benches drive the unit with.

    Parameters
    ----------
    rng
        Draws it.
    segments, knot_width, core
        The unit's: number of segments, bits of a knot, greatest `core`.
    slopes
        Whether fold `slope` may come.
    """
    limit = 1 << (knot_width - 1)
    fold = list(Fold)[int(rng.integers(len(Fold) if slopes else len(Fold) - 1))]
    steps = rng.integers(1 - (limit >> 1), limit >> 1, segments + 1) >> int(rng.integers(0, knot_width - 1))
    knots = [int(rng.integers(-limit, limit))]
    for step in steps[1:]:
        knots.append(int(np.clip(knots[-1] + step, -limit, limit - 1)))
    return ActivationTable(
        knots=(0,) * len(knots) if fold is Fold.SLOPE else tuple(knots),
        fold=fold,
        core=int(rng.integers(core - 2 if fold is Fold.SLOPE else 0, core + 1)),
        linear=bool(rng.integers(2)),
        linear_shift=2 * int(rng.integers(2)),
        unsigned=bool(rng.integers(2)),
        residual_shift=int(rng.integers(0, 4)),
    )
