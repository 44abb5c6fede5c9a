"""Integer PSRR-MaxpoolNMS: what the hardware must keep, bit for bit."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from math import floor
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from roundel.golden.nms.detections import areas, by_score
from roundel.golden.nms.format import MAX_CAPACITY, BoxFormat, Verdict, not_a_multiple, overlap_exceeds, rational
from roundel.golden.nms.presets import PRESETS, preset
from roundel.golden.nms.psrr import pools, windows
from roundel.golden.nms.psrr_params import Pass, PsrrParams, Semantics, Shift, rising
from roundel.golden.parameters import Params, check_bool, check_integer, plain
from roundel.golden.rounding import Ints


@dataclass(frozen=True, kw_only=True)
class NmsParams(Params):
    """What is fixed when the unit is generated. None stands for what the method's preset says.

    Parameters
    ----------
    format
        How boxes are sent; also the image's size. Its keyword arguments will do.
    method
        Preset of `roundel.golden.nms.presets`: `maxpool`, `psrr`, `adjacent` or `guarded`.
    semantics, shift, stride, alpha, guard, areas, ratios
        Departures from the preset, see `PsrrParams`. [R] Ratio thresholds and the guard are taken as the nearest
        fractions with denominators up to 256.
    passes
        A pyramid of its own instead of the preset's levels and shifts.
    class_key
        Whether every class has window tables of its own; otherwise all boxes of an image compete, and a stream of many
        classes sends them class by class, each as an image.
    lanes
        Boxes of a beat: 1, 2 or 4; a cascade has 1.
    capacity
        Boxes of an image that the unit holds, a multiple of `lanes`, 1 to 65536.
    banks
        Images in flight, 2 to 8: one is filled, one is read, more even out images of different sizes.
    epoch_width
        Bits that tell the entries of one image in a table from stale ones, 2 to 16; when all epochs are used up, the
        unit pauses to clear its tables.

    Raises
    ------
    TypeError, ValueError
        A parameter of the wrong kind or out of range; the message echoes it.
    """

    _OMIT_NONE: ClassVar[bool] = True  # what the preset says

    format: BoxFormat = field(default_factory=BoxFormat)
    method: str = "guarded"
    semantics: Semantics | None = None
    shift: Shift | None = None
    stride: int | None = None
    alpha: float | None = None
    guard: float | None = None
    areas: tuple[float, ...] | None = None
    ratios: tuple[float, ...] | None = None
    passes: tuple[Pass, ...] | None = None
    class_key: bool = False
    lanes: int = 1
    capacity: int = 1024
    banks: int = 2
    epoch_width: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("areas", "ratios"):
            if getattr(self, name) is not None:
                self._set(**{name: rising(name, getattr(self, name))})
        if self.passes is not None and not isinstance(self.passes, tuple):
            raise TypeError(f"passes must be a list of passes, not {self.passes!r}")
        if self.passes is not None and self.shift is not None:
            raise ValueError("shift must not be given with passes, which have their own")
        if not isinstance(self.method, str) or self.method not in PRESETS:
            raise ValueError(f"method must be one of {', '.join(PRESETS)}, not {self.method!r}")
        check_bool("class_key", self.class_key)
        for name, (low, high) in {"capacity": (1, MAX_CAPACITY), "banks": (2, 8), "epoch_width": (2, 16)}.items():
            check_integer(name, getattr(self, name), low, high)
        check_integer("lanes", self.lanes, 1, 4)
        if self.lanes == 3:
            raise ValueError(f"lanes must be 1, 2 or 4, not {self.lanes}")
        if self.capacity % self.lanes:
            raise ValueError(not_a_multiple(self.capacity, self.lanes))
        if self.pyramid.semantics is Semantics.CASCADE and self.lanes > 1:
            raise ValueError(f"lanes must be 1 for a cascade, not {self.lanes}; semantics=parallel allows more")
        self._check_thresholds()

    def _check_thresholds(self) -> None:
        """Fractions must exist, and keep the order of the ratio thresholds."""
        if self.pyramid.guard is not None:
            rational(self.pyramid.guard)
        ratios = [p / q for p, q in self.ratio_thresholds]
        if any(a >= b for a, b in pairwise([0, *ratios])):
            raise ValueError(
                f"ratios must be further apart than fractions with denominators up to 256, not {self.ratios};"
                " 0.5, 1, 2 are the default"
            )

    @cached_property
    def pyramid(self) -> PsrrParams:
        """The passes and the image, as the float model has them."""
        names = ("semantics", "stride", "alpha", "guard", "areas", "ratios")
        given = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        size = {"width": self.format.width, "height": self.format.height}
        pyramid = preset(self.method, shift=self.shift, **size, **given)
        return pyramid if self.passes is None else replace(pyramid, passes=self.passes)

    @property
    def stages(self) -> tuple[tuple[Pass, ...], ...]:
        """Passes that see the same boxes, in the order in which boxes go through them."""
        passes = self.pyramid.passes
        return tuple((level,) for level in passes) if self.pyramid.semantics is Semantics.CASCADE else (passes,)

    @property
    def tables(self) -> int:
        """Classes that have tables of their own."""
        return self.format.classes if self.class_key else 1

    @property
    def index_width(self) -> int:
        """Bits of the index of a box within its image."""
        return max(1, (self.capacity - 1).bit_length())

    @property
    def cell_shift(self) -> int:
        """Bits by which the sum of two opposite corners is shifted to give a cell."""
        return 1 + self.format.corner_fraction + self.pyramid.stride.bit_length() - 1

    @property
    def area_thresholds(self) -> tuple[int, ...]:
        """A box is of scale i if its area in squared units of a corner is above i of these."""
        unit = 4**self.format.corner_fraction
        return tuple(floor(threshold * unit) for threshold in self.pyramid.area_thresholds)

    @property
    def ratio_thresholds(self) -> tuple[tuple[int, int], ...]:
        """Fractions p/q: a box is of ratio i if `q h > p w` for i of them."""
        return tuple(rational(threshold) for threshold in self.pyramid.ratio_thresholds)

    def recover(self, corners: Ints) -> tuple[Ints, Ints, Ints]:
        """Relationship recovery: cells (x, y), (n, 2), scale, (n,), and ratio, (n,), of corners (n, 4)."""
        cells = (corners[:, :2] + corners[:, 2:]) >> self.cell_shift
        width, height = (corners[:, 2:] - corners[:, :2]).T
        scale = (areas(corners) > np.array(self.area_thresholds)[:, None]).sum(axis=0)
        ratio = np.zeros(len(corners), np.int64)
        for p, q in self.ratio_thresholds:
            ratio += q * height > p * width
        return cells, scale, ratio

    def compute(self, boxes: Ints, scores: Ints, labels: Ints, present: NDArray[np.bool_] | None = None) -> Verdict:
        """Suppress the boxes of an image.

        Parameters
        ----------
        boxes
            Codes as `format` says, (n, 4).
        scores, labels
            Unsigned integers, (n,).
        present
            Which places hold a box, (n,): all unless given. A place without one counts in indices all the same.
        """
        taking, malformed, overflow = self.format.sift(boxes, labels, present, self.capacity)
        groups = labels[taking] if self.class_key else np.zeros(len(taking), np.int64)
        kept = self.survivors(self.format.corners(boxes[taking]), scores[taking], groups)
        return Verdict(kept=taking[kept], malformed=malformed, overflow=overflow)

    def survivors(self, corners: Ints, scores: Ints, groups: Ints) -> Ints:
        """Return the boxes kept, rising, of any number of well-formed boxes.

        Parameters
        ----------
        corners
            x1, y1, x2, y2 in units of a corner, (n, 4).
        scores
            Integers, (n,).
        groups
            Integers from 0, (n,), of classes or of images and classes: boxes of different groups never meet.
        """
        recovered, pyramid = self.recover(corners), self.pyramid
        keys = (groups * pyramid.window_count(level) + windows(recovered, pyramid, level) for level in pyramid.passes)

        def spared(winner: Ints, box: Ints) -> NDArray[np.bool_]:
            assert pyramid.guard is not None
            return ~overlap_exceeds(corners[winner], corners[box], pyramid.guard)

        alive = pools(by_score(scores), keys, pyramid.semantics, spared if pyramid.guard is not None else None)
        return np.flatnonzero(alive)

    def contract(self) -> dict[str, Any]:
        """Return all that decides which boxes are kept, as plain values: what the preset and its departures mean.

        Two units with the same contract keep the same boxes of every image, however they were asked for.
        """
        pyramid, names = self.pyramid, ("width", "height", "fraction", "score_width", "classes")
        passes = [
            {name: plain(getattr(level, name)) for name in ("scales", "ratios", "shift_x", "shift_y")}
            | {"kernels": plain(pyramid.kernels(level))}
            for level in pyramid.passes
        ]
        return {name: getattr(self.format, name) for name in names} | {
            "form": self.format.form.value,
            "capacity": self.capacity,
            "class_key": self.class_key,
            "semantics": pyramid.semantics.value,
            "stride": pyramid.stride,
            "area_thresholds": list(self.area_thresholds),
            "ratio_thresholds": plain(self.ratio_thresholds),
            "guard": None if pyramid.guard is None else plain(rational(pyramid.guard)),
            "passes": passes,
        }

    def derived(self) -> dict[str, Any]:
        """Return what follows from the parameters and the preset, as plain values, for whoever uses the unit."""
        pyramid = self.pyramid
        values = {name: getattr(pyramid, name) for name in ("semantics", "stride", "alpha", "areas", "ratios", "means")}
        values["passes"] = [
            level.as_dict() | {"kernels": pyramid.kernels(level), "windows": pyramid.window_count(level) * self.tables}
            for level in pyramid.passes
        ]
        values |= {"area_thresholds": self.area_thresholds, "ratio_thresholds": self.ratio_thresholds}
        values["guard"] = None if pyramid.guard is None else rational(pyramid.guard)
        return {name: plain(value) for name, value in values.items()}
