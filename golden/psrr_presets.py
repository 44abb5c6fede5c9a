"""The pyramids that have a name: those of the two papers, and two of ours."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from golden.checks import choice
from golden.psrr_params import Groups, Means, Pass, PsrrParams, Semantics, Shift


def pyramid(levels: Sequence[Pass], shift: Shift | str) -> tuple[Pass, ...]:
    """Every level plain and in its shifted copies, level by level."""
    return tuple(
        replace(level, shift_x=x, shift_y=y) for level in levels for x, y in choice(Shift, "shift", shift).offsets
    )


def preset(name: str, *, shift: Shift | str | None = None, **more: Any) -> PsrrParams:
    """The parameters that go by a name.

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
    levels, default, fields = PRESETS[name]
    fields = {**fields, **more}
    scales = range(len(tuple(fields.get("areas", PsrrParams.areas))))
    ratios = range(len(tuple(fields.get("ratios", PsrrParams.ratios))))
    passes = pyramid(levels(scales, ratios), default if shift is None else shift)
    return PsrrParams(passes=passes, **fields)


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
    pairs = (scales[i : i + 2] for i in range(0, len(scales), 2))
    others = (scales[max(i, 0) : i + 2] for i in range(-1, len(scales), 2))
    return [Pass(scales=groups, ratios=(ratios,)) for groups in (tuple(pairs), tuple(others))]


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

# Levels of the pyramid, their copies, and what differs from the defaults of PsrrParams. That the paper's presets are
# cascades, and which point of a searched range is `guarded`, is [R].
PRESETS: dict[str, tuple[Callable[[range, range], list[Pass]], Shift, dict[str, Any]]] = {
    "maxpool": (maxpool_levels, Shift.NONE, {}),
    "psrr": (psrr_levels, Shift.DIAGONAL, {}),
    "adjacent": (adjacent_levels, Shift.QUAD, ADJACENT),
    "guarded": (adjacent_levels, Shift.QUAD, {**ADJACENT, "alpha": 1.0, "guard": 0.4}),
}
