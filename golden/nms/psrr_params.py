"""The parameters of PSRR-MaxpoolNMS: an image, channels, and a pyramid that is a list of passes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise, product
from math import floor, inf, sqrt
from operator import index
from typing import Any

import numpy as np

from roundel.golden.parameters import Params, check_bool, check_integer, check_power
from roundel.golden.rounding import Ints

Groups = tuple[Sequence[int], ...]

MAX_IMAGE = 4096
MAX_ALPHA = 1000


class Semantics(Enum):
    """What a pass sees [R]: nothing published settles it."""

    PARALLEL = "parallel"  # all boxes
    CASCADE = "cascade"  # the survivors of the pass before


class Shift(Enum):
    """Which shifted copies of every level a pyramid has beside the plain one [R]: nothing published settles it."""

    NONE = "none"
    DIAGONAL = "diagonal"  # one, shifted in x and y together
    QUAD = "quad"  # three: in x, in y, in both

    @property
    def offsets(self) -> tuple[tuple[bool, bool], ...]:
        """Whether x and y are shifted, in each copy, the plain one first."""
        plain, both = (False, False), (True, True)
        return {
            Shift.NONE: (plain,),
            Shift.DIAGONAL: (plain, both),
            Shift.QUAD: (plain, (True, False), (False, True), both),
        }[self]


class Kernel(Enum):
    """The kernel of channels that pool together: [S] the smallest of theirs in x and in y, [R] or the largest."""

    SMALLEST = "smallest"
    LARGEST = "largest"


class Means(Enum):
    """Where the threshold between neighbouring areas lies."""

    ARITHMETIC = "arithmetic"  # [S] halfway: the nearest area wins
    GEOMETRIC = "geometric"  # [R] the nearest side length on a logarithmic scale wins


@dataclass(frozen=True, kw_only=True)
class Pass(Params):
    """One pool over all channels.

    Parameters
    ----------
    scales, ratios
        Groups of indices, every index in exactly one of them. Channels pool together whose scales are in one group and
        whose ratios are in one group.
    kernel
        See `Kernel`; a string names it too.
    shift_x, shift_y
        Whether the windows are moved by half a kernel.

    Raises
    ------
    TypeError, ValueError
        A parameter of the wrong kind, or groups that are no partition of 0, 1, 2...
    """

    scales: Groups
    ratios: Groups
    kernel: Kernel = Kernel.SMALLEST
    shift_x: bool = False
    shift_y: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("scales", "ratios"):
            try:
                groups = tuple(tuple(map(index, group)) for group in getattr(self, name))
            except TypeError:
                raise TypeError(f"{name} must be groups of indices, not {getattr(self, name)!r}") from None
            members = sorted(member for group in groups for member in group)
            if not members or not all(groups) or members != list(range(len(members))):
                raise ValueError(f"{name} must hold every index from 0 exactly once, in groups, not {groups}")
            self._set(**{name: groups})
        for name in ("shift_x", "shift_y"):
            check_bool(name, getattr(self, name))

    def group_of(self, scale: Ints, ratio: Ints) -> Ints:
        """Return the number of the group that holds the channel of each scale and ratio, in the order of `groups`."""
        groups: Ints = group_numbers(self.scales)[scale] * len(self.ratios) + group_numbers(self.ratios)[ratio]
        return groups

    @property
    def groups(self) -> list[list[tuple[int, int]]]:
        """The channels (scale, ratio) of every group; groups of ratios run faster than groups of scales."""
        return [list(product(scales, ratios)) for scales, ratios in product(self.scales, self.ratios)]


@dataclass(frozen=True, kw_only=True)
class PsrrParams(Params):
    """What is fixed before any box is seen; `roundel.golden.nms.presets` has the usual ones.

    Parameters
    ----------
    passes
        The pyramid, in the order in which a cascade runs it.
    semantics
        See `Semantics`; a string names it too.
    width, height
        Of the image in pixels, 1 to 4096.
    stride
        Pixels of a cell in x and y (beta), a power of two.
    alpha
        Kernel size as a part of a channel's box, above 0, at most 1000.
    areas
        Of the channels' boxes in square pixels, rising.
    ratios
        Height over width of the channels' boxes, rising.
    means
        See `Means`; a string names it too.
    guard
        A window's best box suppresses only boxes that it overlaps by an IoU above this, 0 to below 1; None: all. [R]

    Raises
    ------
    TypeError, ValueError
        A parameter of the wrong kind or out of range; the message echoes it.
    """

    passes: tuple[Pass, ...]
    semantics: Semantics = Semantics.CASCADE
    width: int = 640
    height: int = 640
    stride: int = 16
    alpha: float = 0.75
    areas: tuple[float, ...] = (64**2, 128**2, 256**2, 512**2)
    ratios: tuple[float, ...] = (0.5, 1, 2)
    means: Means = Means.ARITHMETIC
    guard: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("width", "height", "stride"):
            check_integer(name, getattr(self, name), 1, MAX_IMAGE)
        check_power("stride", self.stride)
        if not 0 < number("alpha", self.alpha) <= MAX_ALPHA:
            raise ValueError(f"alpha must be above 0 and at most {MAX_ALPHA}, not {self.alpha}")
        if self.guard is not None and not 0 <= number("guard", self.guard) < 1:
            raise ValueError(f"guard must be 0 to below 1, or None, not {self.guard}")
        self._set(areas=rising("areas", self.areas), ratios=rising("ratios", self.ratios))
        self._check_passes()

    def _check_passes(self) -> None:
        if not self.passes:
            raise ValueError("passes must hold at least one pass")
        for level in self.passes:
            if not isinstance(level, Pass):
                raise TypeError(f"passes must hold objects of the class Pass, not {level!r}")
            for name, groups, count in (
                ("scales", level.scales, len(self.areas)),
                ("ratios", level.ratios, len(self.ratios)),
            ):
                if sum(map(len, groups)) != count:
                    raise ValueError(f"the {name} of every pass must be 0 to {count - 1}, not {groups}")

    @property
    def area_thresholds(self) -> tuple[float, ...]:
        """Areas between neighbouring scales; a box whose area is above i of them is of scale i."""
        halfway = self.means is Means.ARITHMETIC
        return tuple((a + b) / 2 if halfway else sqrt(a * b) for a, b in pairwise(self.areas))

    @property
    def ratio_thresholds(self) -> tuple[float, ...]:
        """[S] Heights over widths halfway between neighbouring ratios, whatever `means` says of areas."""
        return tuple((a + b) / 2 for a, b in pairwise(self.ratios))

    def channel_kernel(self, scale: int, ratio: int) -> tuple[int, int]:
        """Cells of one channel's kernel in x and y.

        [S] `w = round(sqrt(A/rho))`, `h = round(sqrt(A/rho) rho)`, `k = max(1, round(alpha w / beta))` and likewise
        for y. [R] Halves are rounded up, here as in the shift.
        """
        area, rho = self.areas[scale], self.ratios[ratio]
        sides = (nearest(sqrt(area / rho)), nearest(sqrt(area * rho)))
        x, y = (max(1, nearest(self.alpha * side / self.stride)) for side in sides)
        return x, y

    def kernels(self, level: Pass) -> list[tuple[int, int]]:
        """Cells in x and y of the kernel of every group of a pass; windows are as far apart as they are large."""
        rule = min if level.kernel is Kernel.SMALLEST else max
        sizes = ([self.channel_kernel(*channel) for channel in group] for group in level.groups)
        return [(rule(x for x, _ in group), rule(y for _, y in group)) for group in sizes]

    def leads(self, level: Pass) -> list[tuple[int, int]]:
        """Cells in x and y of the first window of every group: [S] `round(k/2)` if the pass is shifted, else all k."""
        return [
            (nearest(x / 2) if level.shift_x else x, nearest(y / 2) if level.shift_y else y)
            for x, y in self.kernels(level)
        ]

    @property
    def cells(self) -> tuple[int, int]:
        """Cells of the image in x and y; the last may be a part, or only the border, which a rounded centre may hit."""
        return self.width // self.stride + 1, self.height // self.stride + 1

    def grids(self, level: Pass) -> list[tuple[int, int]]:
        """Windows in x and y of every group, the partial ones at both ends included."""
        columns, rows = self.cells
        return [
            ((columns - 1 + x - lead_x) // x + 1, (rows - 1 + y - lead_y) // y + 1)
            for (x, y), (lead_x, lead_y) in zip(self.kernels(level), self.leads(level), strict=True)
        ]

    def window_count(self, level: Pass) -> int:
        """Windows of a pass, over all its groups: the words of its table, for one class."""
        return sum(x * y for x, y in self.grids(level))


def group_numbers(groups: Groups) -> Ints:
    """Return the number of the group that holds each index."""
    members = [(member, number) for number, group in enumerate(groups) for member in group]
    return np.array([number for _, number in sorted(members)])


def nearest(value: float) -> int:
    """Nearest integer of a number from 0, halves up."""
    return floor(value + 0.5)


def number(name: str, value: Any) -> float:
    """Return the value, which must be a number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number, not {value!r}")
    return value


def rising(name: str, values: Iterable[float] | float) -> tuple[float, ...]:
    """Return the values as a tuple; they must be above 0 and rise. A single number will do."""
    if isinstance(values, str):
        raise TypeError(f"{name} must be numbers, not {values!r}")
    several = values if isinstance(values, Iterable) else (values,)
    given = tuple(number(name, value) for value in several)
    if not given or not all(a < b for a, b in pairwise((0, *given, inf))):
        raise ValueError(f"{name} must be numbers above 0, each larger than the one before, not {given}")
    return given
