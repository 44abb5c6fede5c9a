"""Boxes as the integers of the hardware: the format that they get, and what it rounds."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from roundel.detection.box_rows import BoxRows
from roundel.detection.nms_options import NmsOptions
from roundel.golden.errors import InputError
from roundel.golden.nms import (
    MAX_CAPACITY,
    MAX_LABELS,
    BoxFormat,
    Detections,
    ExactParams,
    Floats,
    GreedyParams,
    NmsParams,
    Share,
    rational,
)
from roundel.golden.rounding import Ints

ROUNDED = 4  # fraction bits of boxes that no number of bits up to 8 holds exactly


@dataclass(frozen=True, kw_only=True, eq=False)
class FixedPoint:
    """The boxes that take part, as integers.

    Parameters
    ----------
    boxes
        The boxes.
    form
        How they are sent; classes go one after the other, but to the exact unit together.
    params
        The unit that they are sent to, whatever its capacity.
    """

    boxes: BoxRows
    form: BoxFormat
    params: NmsParams | GreedyParams | ExactParams

    @cached_property
    def codes(self) -> Ints:
        """Corners of the boxes in units of `2**-fraction` pixels, (n, 4)."""
        return self.form.codes(self.boxes.detections.boxes)

    @cached_property
    def ranks(self) -> Ints:
        """Scores as their ranks among the different scores of the file, the worst 0, (n,)."""
        return np.unique(self.boxes.detections.scores, return_inverse=True)[1]

    @property
    def changes(self) -> Floats:
        """By how many pixels the corner of each box that moves most is rounded, (n,)."""
        moved = np.abs(self.codes / 2.0**self.form.fraction - self.boxes.detections.boxes)
        return np.asarray(moved.max(axis=1, initial=0.0))

    @property
    def exact(self) -> bool:
        """Whether all coordinates are what the file says."""
        return not self.changes.any()

    @property
    def thresholds(self) -> dict[str, list[tuple[float, int, int]]]:
        """What IoU, and heights over widths, are compared with: as asked for, and as the fraction that is used."""
        if not isinstance(self.params, NmsParams):
            return {"iou": [(self.params.threshold, *rational(self.params.threshold))]}
        pyramid = self.params.pyramid
        guard = {} if pyramid.guard is None else {"guard": [(pyramid.guard, *rational(pyramid.guard))]}
        asked = zip(pyramid.ratio_thresholds, self.params.ratio_thresholds, strict=True)
        return guard | {"ratios": [(value, *fraction) for value, fraction in asked]}

    def kept(self, told: Share) -> Ints:
        """Return the places of the boxes that the integers keep, rising: those that the hardware keeps."""
        groups = self.boxes.groups
        if isinstance(self.params, ExactParams):
            kept = self.params.greedy.survivors(self.codes, self.ranks, groups, told)
            return np.sort(self.boxes.best(kept, self.params.max_detections))
        if isinstance(self.params, GreedyParams):
            return np.sort(self.params.survivors(self.codes, self.ranks, groups, told))
        return self.params.survivors(self.codes, self.ranks, groups)

    def __str__(self) -> str:
        rounded = np.count_nonzero(self.changes)
        unit = f"1/{1 << self.form.fraction} pixel" if self.form.fraction else "whole pixels"
        text = f"fixed point: coordinates of {self.form.coordinate_width} bits in {unit}"
        if rounded:
            text += f", {rounded:,} of {len(self.changes):,} boxes rounded, by up to {self.changes.max():.2g} pixel"
        else:
            text += ", all exact"
        used = [
            f"{name} {value:g} taken as {p}/{q}"
            for name, values in self.thresholds.items()
            for value, p, q in values
            if p / q != value
        ]
        return "; ".join([text, *used])

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, as `--json` prints them."""
        return {
            "fraction": self.form.fraction,
            "coordinate_bits": self.form.coordinate_width,
            "exact": self.exact,
            "rounded_boxes": int(np.count_nonzero(self.changes)),
            "largest_change": float(self.changes.max(initial=0.0)),
            "thresholds": {
                name: [{"asked": value, "used": [p, q]} for value, p, q in values]
                for name, values in self.thresholds.items()
            },
        }


def fixed_point(boxes: BoxRows, options: NmsOptions) -> FixedPoint:
    """Return boxes within the image as integers, without those that vanish where the options say that they may.

    Raises
    ------
    InputError
        A box has no area when it is rounded, or the unit has no such parameters.
    """
    form = box_format(boxes.detections.boxes, options.size)
    if options.exact:
        form = replace(form, classes=classes_of(boxes))
    single = Detections(boxes=boxes.detections.boxes, scores=boxes.detections.scores)
    fault = form.vanished(single, form.codes(single.boxes))
    if not options.drop_bad:
        unlike = boxes.unlike_pixels(options)
        boxes.refuse(fault, f"; {unlike}" if unlike else "(--drop-bad drops such boxes, --on float takes them)")
    return FixedPoint(boxes=boxes.without(fault), form=form, params=unit_params(boxes.file, form, options))


def classes_of(boxes: BoxRows) -> int:
    """Return how many classes the exact unit has to tell apart; InputError for more than it can."""
    count = int(boxes.classes.max(initial=0)) + 1
    if count > MAX_LABELS:
        raise InputError(
            f"{boxes.file}: {count} classes: expected at most {MAX_LABELS} for exact;"
            " greedy and --on float take any number"
        )
    return count


def unit_params(file: str, form: BoxFormat, options: NmsOptions) -> NmsParams | GreedyParams | ExactParams:
    """Return the parameters of the unit; InputError where it has no such ones."""
    try:
        if options.exact:
            most = options.max_detections
            return ExactParams(format=form, threshold=options.threshold, max_detections=most, capacity=MAX_CAPACITY)
        if options.greedy:
            return GreedyParams(format=form, threshold=options.threshold)
        return NmsParams.from_dict(dict(format=form, method=options.method, **options.given))
    except (TypeError, ValueError) as error:
        raise InputError(f"{file}: {error}; --on float takes every value") from None


def box_format(boxes: Floats, size: tuple[int, int]) -> BoxFormat:
    """Return the format with the fewest fraction bits that holds all coordinates, or else with `ROUNDED` of them."""
    exact = [bits for bits in range(9) if whole(boxes * 2.0**bits)]
    width, height = size
    score_width = 16 if len(boxes) <= 1 << 16 else 32
    return BoxFormat(width=width, height=height, fraction=[*exact, ROUNDED][0], score_width=score_width, classes=1)


def whole(values: Floats) -> bool:
    """Whether all of them are integers."""
    return bool((values == np.floor(values)).all())
