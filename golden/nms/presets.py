"""The pyramids that have a name: those of the two papers, and two of ours."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from roundel.golden.nms.psrr_params import Groups, Means, Pass, PsrrParams, Semantics, Shift
from roundel.golden.parameters import choice

Passes = Callable[[range, range, Shift], tuple[Pass, ...]]  # of scales, ratios and a shift


def pyramid(levels: Callable[[range, range], Sequence[Pass]]) -> Passes:
    """Every level plain and in its shifted copies, level by level."""
    return lambda scales, ratios, shift: tuple(
        replace(level, shift_x=x, shift_y=y) for level in levels(scales, ratios) for x, y in shift.offsets
    )


def preset(name: str, *, shift: Shift | str | None = None, **more: Any) -> PsrrParams:
    """Return the parameters that go by a name.

    Parameters
    ----------
    name
        `maxpool` (2019), `psrr` (2021), `adjacent` or `guarded` (ours); see `PRESETS`.
    shift
        Other copies of every level than the preset's.
    more
        Fields of `PsrrParams` that differ from the preset's, but not `passes`. Other `areas` or `ratios` change the
        groups with them.

    Raises
    ------
    TypeError, ValueError
        An unknown name or a bad parameter.
    """
    if name not in PRESETS:
        raise ValueError(f"preset must be one of {', '.join(PRESETS)}, not {name!r}")
    passes, default, fields = PRESETS[name]
    fields = {**fields, **more}
    scales = range(len(tuple(fields.get("areas", PsrrParams.areas))))
    ratios = range(len(tuple(fields.get("ratios", PsrrParams.ratios))))
    copies = default if shift is None else choice(Shift, "shift", shift)
    return PsrrParams(passes=passes(scales, ratios, copies), **fields)


def maxpool_levels(scales: range, ratios: range) -> list[Pass]:
    """[S] Single channels, then across the ratios of a scale, then across the scales of a ratio."""
    return [
        Pass(scales=apart(scales), ratios=apart(ratios)),
        Pass(scales=apart(scales), ratios=(ratios,)),
        Pass(scales=(scales,), ratios=apart(ratios)),
    ]


def psrr_levels(scales: range, ratios: range) -> list[Pass]:
    """[S] Those of `maxpool`, then across all channels."""
    return [*maxpool_levels(scales, ratios), Pass(scales=(scales,), ratios=(ratios,))]


def adjacent_levels(scales: range, ratios: range) -> list[Pass]:
    """[R] All ratios and two neighbouring scales: the pairs 0-1, 2-3... and the pairs 1-2, 3-4..."""
    return [Pass(scales=pairs(scales, offset), ratios=(ratios,)) for offset in (False, True)]


def guarded_passes(scales: range, ratios: range, shift: Shift) -> tuple[Pass, ...]:
    """[R] Pairs of neighbouring scales and of neighbouring ratios.

    A pass may be offset in scale and in ratio (pairs from index 1 instead of 0), in x and in y (the shift). Those that
    are offset in an even number of the four are taken, with `quad` 8 of 16, so that any two differ in at least two.
    """
    return tuple(
        Pass(scales=pairs(scales, offset), ratios=pairs(ratios, offset ^ x ^ y), shift_x=x, shift_y=y)
        for x, y in shift.offsets
        for offset in (False, True)
    )


def pairs(indices: range, offset: bool) -> Groups:
    """Neighbours two by two, from index 0 on, or from index 1 if `offset`; who has no neighbour left is alone."""
    return tuple(indices[max(i, 0) : i + 2] for i in range(-offset, len(indices), 2))


def apart(indices: range) -> Groups:
    """Every index in a group of its own."""
    return tuple((index,) for index in indices)


ADJACENT = {
    "semantics": Semantics.PARALLEL,
    "stride": 8,
    "alpha": 0.5,
    "areas": tuple(64**2 * 2**step for step in range(7)),  # sides from 64 to 512 in half octaves
    "means": Means.GEOMETRIC,
}

GUARDED = {
    "semantics": Semantics.PARALLEL,
    "alpha": 1.0,
    "means": Means.GEOMETRIC,  # between sides of 64, 128, 256, 512: areas of 2^13, 2^15, 2^17
    "guard": 7 / 16,
}

# The pyramid, its shifted copies, and what differs from the defaults of PsrrParams. That the paper's presets are
# cascades is [R]. Docs, nms_accuracy: how `guarded` was chosen.
PRESETS: dict[str, tuple[Passes, Shift, dict[str, Any]]] = {
    "maxpool": (pyramid(maxpool_levels), Shift.NONE, {}),
    "psrr": (pyramid(psrr_levels), Shift.DIAGONAL, {}),
    "adjacent": (pyramid(adjacent_levels), Shift.QUAD, ADJACENT),
    "guarded": (guarded_passes, Shift.QUAD, GUARDED),
}
