"""Boxes as the hardware takes them: fixed-point coordinates, integer scores, class labels."""

from dataclasses import dataclass
from enum import Enum
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from roundel.golden.errors import InputError
from roundel.golden.nms.detections import Detections, Fault, Floats, areas, intersections, refuse
from roundel.golden.nms.psrr_params import MAX_IMAGE
from roundel.golden.parameters import Params, check_integer
from roundel.golden.rounding import Ints

MAX_DENOMINATOR = 256
MAX_LABELS = 4096
MAX_CAPACITY = 1 << 16
"""Boxes that a unit may hold of an image."""


class Form(Enum):
    """What the four numbers of a box are."""

    CORNERS = "corners"  # x1, y1, x2, y2
    CENTRE = "centre"  # cx, cy, w, h


@dataclass(frozen=True, kw_only=True)
class BoxFormat(Params):
    """How a stream carries the boxes of an image.

    Parameters
    ----------
    width, height
        Of the image in pixels, 1 to 4096.
    fraction
        Fraction bits of a coordinate, 0 to 8: a code counts units of `2**-fraction` pixels.
    form
        See `Form`; a string names it too.
    score_width
        Bits of a score, an unsigned integer, 1 to 32; higher is better.
    classes
        Labels are 0 to `classes - 1`; 1 to 4096.

    Raises
    ------
    TypeError, ValueError
        A parameter of the wrong kind or out of range; the message echoes it.
    """

    width: int = 640
    height: int = 640
    fraction: int = 0
    form: Form = Form.CORNERS
    score_width: int = 16
    classes: int = 80

    def __post_init__(self) -> None:
        super().__post_init__()
        ranges = {
            "width": (1, MAX_IMAGE),
            "height": (1, MAX_IMAGE),
            "fraction": (0, 8),
            "score_width": (1, 32),
            "classes": (1, MAX_LABELS),
        }
        for name, (low, high) in ranges.items():
            check_integer(name, getattr(self, name), low, high)

    @property
    def fields(self) -> tuple[str, str, str, str]:
        """Names of the four numbers of a box."""
        return ("x1", "y1", "x2", "y2") if self.form is Form.CORNERS else ("cx", "cy", "w", "h")

    @property
    def coordinate_width(self) -> int:
        """Bits of each of them, unsigned; the border of the image is a coordinate."""
        return (max(self.width, self.height) << self.fraction).bit_length()

    @property
    def label_width(self) -> int:
        """Bits of a class label, at least 1."""
        return max(1, (self.classes - 1).bit_length())

    @property
    def corner_fraction(self) -> int:
        """Fraction bits of `corners`: a centre and a size need one more, as half a size does."""
        return self.fraction + (self.form is Form.CENTRE)

    @property
    def corner_width(self) -> int:
        """Bits of a corner of a box that lies within the image, unsigned."""
        return (max(self.width, self.height) << self.corner_fraction).bit_length()

    @property
    def borders(self) -> tuple[int, int]:
        """The image's width and height in units of a corner."""
        return self.width << self.corner_fraction, self.height << self.corner_fraction

    def corners(self, boxes: Ints) -> Ints:
        """x1, y1, x2, y2 in units of `2**-corner_fraction` pixels, (n, 4), of boxes as they are sent, (n, 4)."""
        if self.form is Form.CORNERS:
            return boxes
        centre, size = 2 * boxes[:, :2], boxes[:, 2:]
        return np.hstack([centre - size, centre + size])

    def malformed(self, boxes: Ints, labels: Ints) -> NDArray[np.bool_]:
        """Which boxes the hardware drops and reports, (n,): no area, partly outside the image, or an unknown class."""
        corners = self.corners(boxes)
        empty = (corners[:, :2] >= corners[:, 2:]).any(axis=1)
        outside = (corners[:, :2] < 0).any(axis=1) | (corners[:, 2:] > np.array(self.borders)).any(axis=1)
        malformed: NDArray[np.bool_] = empty | outside | (labels >= self.classes)
        return malformed

    def sift(
        self, boxes: Ints, labels: Ints, present: NDArray[np.bool_] | None, capacity: int
    ) -> tuple[Ints, Ints, bool]:
        """Which boxes of an image take part, which are malformed (indices, rising), and whether there are too many.

        Parameters
        ----------
        present
            Which places hold a box, (n,): all unless given. A place without one counts in indices all the same.
        capacity
            Places that the unit holds; what is sent beyond them is neither looked at nor kept.
        """
        held = np.arange(len(boxes)) < capacity
        sent = np.ones(len(boxes), bool) if present is None else present
        bad = self.malformed(boxes, labels) & sent & held
        return np.flatnonzero(sent & held & ~bad), np.flatnonzero(bad), bool(sent[capacity:].any())

    def encode(self, detections: Detections) -> tuple[Ints, Ints]:
        """Boxes, (n, 4), and scores, (n,), as codes; labels need none.

        [R] Coordinates are rounded to the nearest code, halves up; a size gives way where that would leave the image.
        Scores keep their order, which is all that counts: they become their ranks among the different scores, the worst
        0. A chip whose detector gives integer scores takes those.

        Raises
        ------
        InputError
            A box outside the image, without area after rounding, a label beyond `classes`, or more different scores
            than `score_width` bits can tell apart.
        """
        detections.check_inside(width=self.width, height=self.height)
        refuse(detections.labels >= self.classes, "classes", detections.labels, f"expected below {self.classes}")
        boxes = self.codes(detections.boxes)
        self.vanished(detections, boxes).refuse()
        levels, scores = np.unique(detections.scores, return_inverse=True)
        if len(levels) > 1 << self.score_width:
            raise InputError(f"scores have {len(levels)} different values, more than {self.score_width} bits can tell")
        return boxes, scores.astype(np.int64)

    def codes(self, boxes: Floats) -> Ints:
        """Boxes in pixels, (n, 4), as codes, (n, 4); what `encode` refuses is not looked for."""
        corners = boxes * 2.0**self.fraction
        if self.form is Form.CENTRE:
            corners = np.hstack([(corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]])
        codes = np.floor(corners + 0.5).astype(np.int64)
        if self.form is Form.CENTRE:  # a box at the border of the image stays within
            borders = np.array([self.width, self.height]) << self.fraction
            codes[:, 2:] = np.minimum(codes[:, 2:], 2 * np.minimum(codes[:, :2], borders - codes[:, :2]))
        return codes

    def vanished(self, detections: Detections, codes: Ints) -> Fault:
        """Say which boxes have no area as codes, or leave the image."""
        return Fault(
            "boxes",
            detections.boxes,
            self.malformed(codes, detections.labels),
            f"expected an area above zero within the image, also when rounded to 1/{1 << self.fraction} pixel",
            "without area when rounded",
        )

    def exact(self, detections: Detections) -> bool:
        """Whether the codes of all coordinates stand for exactly what they were."""
        boxes, _ = self.encode(detections)
        corners = self.corners(boxes) / 2.0**self.corner_fraction
        return bool((corners == detections.boxes).all())


@dataclass(frozen=True, kw_only=True, eq=False)
class Verdict:
    """What becomes of the boxes of one image.

    Attributes
    ----------
    kept
        Indices of the boxes kept, in the order in which the unit sends them.
    malformed
        Indices of the boxes dropped and reported, rising.
    overflow
        Whether the image had more boxes than the unit holds; those from index `capacity` on are dropped.
    """

    kept: Ints
    malformed: Ints
    overflow: bool


def not_a_multiple(capacity: int, lanes: int) -> str:
    """Say that a capacity is no multiple of the lanes, and which one is."""
    return f"capacity must be a multiple of lanes, not {capacity}; {capacity - capacity % lanes or lanes} is one"


def rational(value: float) -> tuple[int, int]:
    """Numerator and denominator, at most 256, of the fraction nearest to a positive threshold.

    [R] Thresholds are compared by cross-multiplication, and 2/5 is both what 0.4 means and cheaper than any binary
    fraction near it: two small constants.

    Raises
    ------
    ValueError
        The fraction is 0 or 1 and the value is not: that would be another rule.
    """
    fraction = Fraction(value).limit_denominator(MAX_DENOMINATOR)
    if fraction in (0, 1) and fraction != value:
        nearest = fraction + Fraction(1 if value > fraction else -1, MAX_DENOMINATOR)
        raise ValueError(
            f"a threshold must be a fraction with a denominator up to {MAX_DENOMINATOR}, not {value};"
            f" {float(nearest)} is one"
        )
    return fraction.numerator, fraction.denominator


def overlap_exceeds(a: Ints, b: Ints, threshold: float) -> NDArray[np.bool_]:
    """Whether IoU > threshold, for corners (..., 4) that broadcast, without division.

    With the threshold p/q: `inter (p + q) > p (area_a + area_b)`, [S] from IoU = inter / (area_a + area_b - inter).
    """
    p, q = rational(threshold)
    exceeds: NDArray[np.bool_] = intersections(a, b) * (p + q) > p * (areas(a) + areas(b))
    return exceeds
