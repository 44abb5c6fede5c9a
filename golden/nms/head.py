"""Boxes from the integer tensors of an anchor-free detector head, as the box decoder in hardware makes them.

[R] At every location of a scale the network gives a logit for each class and four distances, from the centre of the
location to the left, top, right and bottom side of its object. Both are linear, so that no exponential is needed: the
score is the logit itself, and a distance becomes a coordinate by a shift.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from roundel.golden.formats import align
from roundel.golden.nms.psrr_params import MAX_IMAGE
from roundel.golden.parameters import Params, check_bool, check_integer, check_power
from roundel.golden.rounding import Ints, Rounding, limits

MAX_STRIDE = 128
MAX_CLASSES = 256
MAX_SCORE_WIDTH = 12
SHIFTS = (-15, 12)  # of distances: to the right, to the left


class Boxes(NamedTuple):
    """Boxes in the order in which they are sent to the NMS, whose `compute` takes them: `nms.compute(*boxes)`.

    Attributes
    ----------
    boxes
        Corners x1, y1, x2, y2 in units of `2**-fraction` pixels, (n, 4).
    scores
        Unsigned, (n,).
    labels
        Classes, (n,).
    """

    boxes: Ints
    scores: Ints
    labels: Ints


@dataclass(frozen=True, kw_only=True)
class HeadParams(Params):
    """What the box decoder is told of one scale.

    Parameters
    ----------
    columns, rows
        Of the grid of locations, 1 to 4096.
    stride
        Pixels between neighbouring locations, a power of two, 1 to 128. The centre of location (x, y) is
        `(x * stride + stride / 2, y * stride + stride / 2)`.
    classes
        Logits of a location, 1 to 256.
    threshold
        A location whose best logit is below this integer has no box.
    shift
        By how many bits a distance is moved to count units of `2**-fraction` pixels, -15 to 12: to the left, or where
        it is negative to the right, rounding halves up.
    score_shift
        By how many bits a logit is moved to the left, 0 to 4, so that scales whose logits have different fractional
        bits compare: that of the most fractional bits has 0.
    width, height
        Of the image in pixels, 1 to 4096: coordinates are clamped to it.
    fraction
        Fraction bits of a coordinate, 0 to 8.
    score_width
        Bits of a score, 8 to 12 and the same for all scales.
    cls_width, box_width
        Bits of a logit and of a distance, 2 to 8.
    cls_signed, box_signed
        Whether these are two's complement.

    Raises
    ------
    TypeError, ValueError
        A parameter of the wrong kind or out of range, a centre that is no whole number of units, or scores that need
        more than `score_width` bits; the message echoes it.
    """

    columns: int
    rows: int
    stride: int
    classes: int
    threshold: int
    shift: int
    score_shift: int = 0
    width: int
    height: int
    fraction: int = 2
    score_width: int = 8
    cls_width: int = 8
    box_width: int = 8
    cls_signed: bool = True
    box_signed: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("cls_signed", "box_signed"):
            check_bool(name, getattr(self, name))
        ranges = {
            "columns": (1, MAX_IMAGE),
            "rows": (1, MAX_IMAGE),
            "stride": (1, MAX_STRIDE),
            "classes": (1, MAX_CLASSES),
            "shift": SHIFTS,
            "score_shift": (0, 4),
            "width": (1, MAX_IMAGE),
            "height": (1, MAX_IMAGE),
            "fraction": (0, 8),
            "score_width": (8, MAX_SCORE_WIDTH),
            "cls_width": (2, 8),
            "box_width": (2, 8),
        }
        for name, (low, high) in ranges.items():
            check_integer(name, getattr(self, name), low, high)
        check_integer("threshold", self.threshold, *limits(self.cls_width, self.cls_signed))
        check_power("stride", self.stride)
        if self.stride << self.fraction == 1:
            raise ValueError("fraction must be at least 1 where stride is 1: centres lie at half pixels")
        if self.cls_width + self.score_shift > self.score_width:
            raise ValueError(
                f"score_width must be at least {self.cls_width + self.score_shift} for logits of {self.cls_width} bits "
                f"with a score_shift of {self.score_shift}, not {self.score_width}"
            )

    @property
    def score_offset(self) -> int:
        """What is added to a moved logit: half the range of scores if it is signed, so that none is negative."""
        return 1 << (self.score_width - 1) if self.cls_signed else 0

    def decode(self, cls: Ints, box: Ints) -> Boxes:
        """Return the boxes of an image at this scale, location by location, row by row.

        Of equal logits the lowest class is the best. A box whose corners, clamped to the image, enclose nothing is
        left out.

        Parameters
        ----------
        cls
            Logits, (rows, columns, classes).
        box
            Distances left, top, right, bottom, (rows, columns, 4).

        Raises
        ------
        ValueError
            Tensors of other shapes, or integers beyond their width.
        """
        self._check(cls, box)
        labels = cls.argmax(axis=2)
        logits = cls.max(axis=2)
        distances = align(box, self.shift, Rounding.HALF_UP)
        y, x = np.mgrid[: self.rows, : self.columns]
        centres = (2 * np.stack([x, y], axis=2) + 1) * (self.stride << self.fraction) // 2
        corners = np.concatenate([centres - distances[..., :2], centres + distances[..., 2:]], axis=2)
        corners = np.clip(corners, 0, np.array([self.width, self.height] * 2) << self.fraction)
        sends = (logits >= self.threshold) & (corners[..., :2] < corners[..., 2:]).all(axis=2)
        scores = (logits << self.score_shift) + self.score_offset
        return Boxes(boxes=corners[sends], scores=scores[sends], labels=labels[sends])

    def _check(self, cls: Ints, box: Ints) -> None:
        formats = {
            "cls": (cls, self.classes, limits(self.cls_width, self.cls_signed)),
            "box": (box, 4, limits(self.box_width, self.box_signed)),
        }
        for name, (values, depth, (low, high)) in formats.items():
            if values.shape != (self.rows, self.columns, depth):
                raise ValueError(f"{name} must have the shape {(self.rows, self.columns, depth)}, not {values.shape}")
            if values.min() < low or values.max() > high:
                raise ValueError(f"{name} must be {low} to {high}, not {values.min()} to {values.max()}")


def decode(scales: Sequence[HeadParams], tensors: Sequence[tuple[Ints, Ints]]) -> Boxes:
    """Return the boxes of an image, scale after scale: what the NMS sees as one image.

    Parameters
    ----------
    scales
        At least one.
    tensors
        `cls` and `box` of each scale.

    Raises
    ------
    ValueError
        As for `HeadParams.decode`; another number of tensors than of scales, or scales that do not agree in
        `score_width`, `fraction` or the image.
    """
    common = {(scale.width, scale.height, scale.fraction, scale.score_width) for scale in scales}
    if len(common) != 1:
        raise ValueError(f"scales must agree in width, height, fraction and score_width, not have {sorted(common)}")
    decoded = [scale.decode(cls, box) for scale, (cls, box) in zip(scales, tensors, strict=True)]
    return Boxes(*(np.concatenate(parts) for parts in zip(*decoded, strict=True)))
