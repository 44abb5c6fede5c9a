"""Boxes from the integer tensors of a detector's head, as the box decoder in hardware makes them.

[R] Order and thresholds are all that counts of a score, so that a logit stays as it is; products and softmaxes are sums
of logarithms (`roundel.golden.head.scores`). A box is made of table reads and shifts (`roundel.golden.head.lengths`).
The plain head is anchor-free and linear: the score is the logit, and a distance becomes a coordinate by a shift.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from roundel.golden.formats import align
from roundel.golden.head.forms import BoxForm, Score
from roundel.golden.head.lengths import (
    MOST_PRIORS,
    PLACE,
    CentreParams,
    CornerParams,
    DistributionParams,
    PlaceParams,
    SideParams,
)
from roundel.golden.head.scores import ProductParams, SoftmaxParams
from roundel.golden.nms import MAX_IMAGE
from roundel.golden.parameters import Params, check_bool, check_integer, check_power
from roundel.golden.rounding import Ints, Rounding, limits

MAX_STRIDE = 128
MAX_CLASSES = 256
MAX_SCORE_WIDTH = 12
SHIFTS = (-15, 12)  # of distances: to the right, to the left
WHOLE = (15, 17)  # least bits of the register of places, without and with centres
LONGEST = 12  # whole bits of the mean of a distribution and its shift together
PEAK = 3  # rows and columns of the neighbourhood whose greatest logit a peak has


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
        `(x * stride + stride / 2, y * stride + stride / 2)`; of no account with `place`.
    classes
        Classes of a box, 1 to 256: logits of a location's prior, without the background's.
    threshold
        A location whose best logit is below this integer has no box; with `softmax`, the best logit less the
        background's.
    shift
        By how many bits a distance, or the mean of a distribution, is moved to count units of `2**-fraction` pixels,
        -15 to 12: to the left, or where it is negative to the right, rounding halves up. Of distributions at most 12
        less the whole bits of their greatest bin.
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
        Bits of a logit and of a number of a box, 2 to 8.
    cls_signed, box_signed
        Whether these are two's complement.
    objectness_signed
        Whether the objectness, a byte, is two's complement.
    priors
        Boxes of a location, 1 to 9.
    every_class
        Whether each class above the thresholds makes a box, not only the best one; with `products`, if the best one
        does.
    peaks
        Whether only those logits make boxes that are the greatest of their class, and prior, among the 3 x 3 locations
        around theirs.
    place
        Where locations are, if not where `stride` says: all of them, with the offsets of centres, within 2**16 units
        of the image's corner, or twice a larger image's side.
    products, softmax
        How scores come about, if they are no logits; at most one of the two.
    distribution, sides, centres, corners
        What the numbers of a box are, if no distances; at most one of the four.

    Raises
    ------
    TypeError, ValueError
        A parameter of the wrong kind or out of range, a centre that is no whole number of units, a location that the
        decoder's registers do not hold, scores that need more than `score_width` bits, or forms that do not go
        together; the message echoes it.
    """

    columns: int
    rows: int
    stride: int = 1
    classes: int
    threshold: int
    shift: int = 0
    score_shift: int = 0
    width: int
    height: int
    fraction: int = 2
    score_width: int = 8
    cls_width: int = 8
    box_width: int = 8
    cls_signed: bool = True
    box_signed: bool = False
    objectness_signed: bool = True
    priors: int = 1
    every_class: bool = False
    peaks: bool = False
    place: PlaceParams | None = None
    products: ProductParams | None = None
    softmax: SoftmaxParams | None = None
    distribution: DistributionParams | None = None
    sides: SideParams | None = None
    centres: CentreParams | None = None
    corners: CornerParams | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("cls_signed", "box_signed", "objectness_signed", "every_class", "peaks"):
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
            "priors": (1, MOST_PRIORS),
        }
        for name, (low, high) in ranges.items():
            check_integer(name, getattr(self, name), low, high)
        low, high = limits(self.cls_width, self.cls_signed)
        check_integer("threshold", self.threshold, *((low, high) if self.softmax is None else (low - high, high - low)))
        check_power("stride", self.stride)
        if self.stride << self.fraction == 1 and self.place is None:
            raise ValueError("fraction must be at least 1 where stride is 1: centres lie at half pixels")
        self._check_score()
        self._check_form()
        self.check_registers(WHOLE[True])

    def _check_score(self) -> None:
        if self.products is not None and self.softmax is not None:
            raise ValueError("products and softmax must not both be given: a detector has one kind of scores")
        costs = self.products or self.softmax
        if costs is not None and costs.most >> self.score_width:
            raise ValueError(f"most must be below 2**{self.score_width} for scores of so many bits, not {costs.most}")
        if self.softmax is not None and self.softmax.background not in (0, self.classes):
            raise ValueError(f"background must be 0 or {self.classes}, not {self.softmax.background}")
        if self.softmax is not None and self.peaks:
            raise ValueError("peaks must be those of logits or of products, not of a softmax")
        if costs is None and self.cls_width + self.score_shift > self.score_width:
            raise ValueError(
                f"score_width must be at least {self.cls_width + self.score_shift} for logits of {self.cls_width} bits "
                f"with a score_shift of {self.score_shift}, not {self.score_width}"
            )

    def _check_form(self) -> None:
        names = ("distribution", "sides", "centres", "corners")
        given = [name for name in names if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} must not all be given: a box has one form")
        prior = self.centres or self.corners
        if prior is not None and len(prior.priors) != self.priors:
            raise ValueError(f"priors must be those of {given[0]}, {len(prior.priors)}, not {self.priors}")

    def check_registers(self, whole: int) -> None:
        """Raise ValueError for what the decoder does not hold: far locations, high bits of means.

        Parameters
        ----------
        whole
            Bits of the register of places, see `WHOLE`, which grows with the image.
        """
        far, offsets = 1 << max(self.coordinate_width + 2, whole) - 1, {0}
        if self.centres is not None:
            offsets = {min(self.centres.centres), max(self.centres.centres)}
        for name in ("columns", "rows"):
            count = getattr(self, name)
            for number in (0, count - 1):
                at = self._place_of(number)
                if not all(-far <= at + offset < far for offset in offsets):
                    raise ValueError(
                        f"place must be within {far >> self.fraction} pixels of the image's corner, "
                        f"not {at / (1 << self.fraction):g} as number {number} of the {count} {name}"
                    )
        if self.distribution is not None:
            most = LONGEST - (self.distribution.bins - 1).bit_length()
            if self.shift > most:
                raise ValueError(f"shift must be at most {most} with {self.distribution.bins} bins, not {self.shift}")

    @property
    def coordinate_width(self) -> int:
        """Bits of a coordinate, as `BoxFormat` has it: the border of the image is one."""
        return (max(self.width, self.height) << self.fraction).bit_length()

    @property
    def score(self) -> Score:
        """How scores come about."""
        if self.products is not None:
            return Score.PRODUCT
        return Score.LOGIT if self.softmax is None else Score.SOFTMAX

    @property
    def form(self) -> BoxForm:
        """What the numbers of a box are."""
        if self.distribution is not None:
            return BoxForm.DFL
        if self.centres is not None:
            return BoxForm.CENTRE
        return BoxForm.DISTANCES if self.corners is None else BoxForm.CORNERS

    @property
    def score_offset(self) -> int:
        """What is added to a moved logit: half the range of scores if it is signed, so that none is negative."""
        return 1 << (self.score_width - 1) if self.cls_signed else 0

    @property
    def logits(self) -> int:
        """Logits of a prior, the background's included."""
        return self.classes + (self.softmax is not None)

    @property
    def numbers(self) -> int:
        """Numbers of a prior's box."""
        return 4 if self.distribution is None else 4 * self.distribution.bins

    def decode(self, cls: Ints, box: Ints, objectness: Ints | None = None, maxima: Ints | None = None) -> Boxes:
        """Return the boxes of an image at this scale: row by row, location by location, prior by prior, class by class.

        Of equal logits the lowest class is the best. A box whose corners, clamped to the image, enclose nothing is
        left out.

        Parameters
        ----------
        cls
            Logits, (rows, columns, priors * logits): prior by prior, and so the others.
        box
            Numbers of the boxes, (rows, columns, priors * numbers): left, top, right, bottom, or centre x, y and width,
            height; of distributions the bins of each side.
        objectness
            (rows, columns, priors), with `products` only.
        maxima
            With `peaks`, the greatest logits of the neighbourhoods, of the shape of `cls`; None: they are looked for.

        Raises
        ------
        ValueError
            Tensors of other shapes, or integers beyond their width.
        """
        return self.located(cls, box, objectness, maxima)[0]

    def located(
        self, cls: Ints, box: Ints, objectness: Ints | None = None, maxima: Ints | None = None
    ) -> tuple[Boxes, Ints]:
        """Return the boxes of an image at this scale as `decode` does, and row, column and prior of each, (n, 3)."""
        self._check(cls, box, objectness)
        logits = cls.reshape(self.rows, self.columns, self.priors, self.logits)
        sends, scores = self._judge(logits, objectness)
        if self.peaks:
            sends &= logits == (neighbourhoods(cls) if maxima is None else maxima).reshape(logits.shape)
        corners = self._corners(box.reshape(self.rows, self.columns, self.priors, self.numbers))
        corners = np.clip(corners, 0, np.array([self.width, self.height] * 2) << self.fraction)
        whole: NDArray[np.bool_] = np.asarray((corners[..., :2] < corners[..., 2:]).all(axis=-1))
        sends &= whole[..., None]
        *places, labels = np.nonzero(sends)
        boxes = Boxes(boxes=corners[tuple(places)], scores=scores[sends], labels=labels)
        return boxes, np.stack(places, axis=1)

    def _judge(self, logits: Ints, objectness: Ints | None) -> tuple[NDArray[np.bool_], Ints]:
        """Whether each class of each prior has a box, and its score, (rows, columns, priors, classes)."""
        counted = logits if self.softmax is None else self.softmax.without(logits)
        ground = 0 if self.softmax is None else logits[..., self.softmax.background, None]
        sends = np.asarray(counted - ground >= self.threshold)
        if not self.every_class:
            sends &= np.arange(self.classes) == counted.argmax(axis=-1)[..., None]
        if self.products is not None and objectness is not None:
            costs = self.products.costs(counted, objectness)
        elif self.softmax is not None:
            costs = self.softmax.costs(logits)
        else:
            return sends, (counted << self.score_shift) + self.score_offset
        passes = costs <= (self.products or self.softmax).most  # type: ignore[union-attr]  # one of them gave the costs
        if self.every_class and self.products is not None:  # others are looked at where the best one passes
            passes &= np.take_along_axis(passes, counted.argmax(axis=-1)[..., None], axis=-1)
        return sends & passes, (1 << self.score_width) - 1 - costs

    def _corners(self, box: Ints) -> Ints:
        """Return corners before they are clamped, (rows, columns, priors, 4), of numbers (..., priors, numbers)."""
        y, x = np.meshgrid(self.places(self.rows), self.places(self.columns), indexing="ij")
        places = np.stack([x, y], axis=-1)[:, :, None]
        if self.corners is not None:
            return np.concatenate([places, places], axis=-1) + self.corners.corners(box)
        if self.centres is not None:
            moved, near = self.centres.centres_and_halves(box)
            places, far = places + moved, near
        else:
            distances = self._distances(box)
            near, far = distances[..., :2], distances[..., 2:]
        return np.concatenate([places - near, places + far], axis=-1)

    def _distances(self, box: Ints) -> Ints:
        """Return distances in units of a coordinate, (..., 4)."""
        if self.sides is not None:
            return self.sides.distances(box)
        if self.distribution is not None:
            box = self.distribution.means(box.reshape(*box.shape[:-1], 4, self.distribution.bins))
        return align(box, self.shift, Rounding.HALF_UP)

    def _place_of(self, number: int) -> int:
        """Return the place of a column or a row in units of a coordinate, of any size."""
        if self.place is not None:
            return self.place.origin + self.place.step * number >> PLACE
        return (2 * number + 1) * (self.stride << self.fraction) // 2

    def places(self, count: int) -> Ints:
        """Return the places of `count` columns or rows in units of a coordinate, (count,)."""
        if self.place is not None:
            return self.place.places(count)
        return np.asarray((2 * np.arange(count) + 1) * (self.stride << self.fraction) // 2)

    def _check(self, cls: Ints, box: Ints, objectness: Ints | None) -> None:
        formats = {
            "cls": (cls, self.priors * self.logits, limits(self.cls_width, self.cls_signed)),
            "box": (box, self.priors * self.numbers, limits(self.box_width, self.box_signed)),
        }
        if (objectness is None) != (self.products is None):
            raise ValueError(f"objectness must {'not ' if self.products is None else ''}be given for such scores")
        if objectness is not None:
            formats["objectness"] = (objectness, self.priors, limits(8, self.objectness_signed))
        for name, (values, depth, (low, high)) in formats.items():
            if values.shape != (self.rows, self.columns, depth):
                raise ValueError(f"{name} must have the shape {(self.rows, self.columns, depth)}, not {values.shape}")
            if values.min() < low or values.max() > high:
                raise ValueError(f"{name} must be {low} to {high}, not {values.min()} to {values.max()}")


def neighbourhoods(cls: Ints) -> Ints:
    """Return the greatest logits of the 3 x 3 locations around each, of the shape of `cls`, (rows, columns, n)."""
    padded = np.pad(cls, ((1, 1), (1, 1), (0, 0)), mode="edge")
    views = np.lib.stride_tricks.sliding_window_view(padded, (PEAK, PEAK), axis=(0, 1))
    return np.asarray(views.max(axis=(-2, -1)))


def decode(scales: Sequence[HeadParams], tensors: Sequence[tuple[Ints, ...]]) -> Boxes:
    """Return the boxes of an image, scale after scale: what the NMS sees as one image.

    Parameters
    ----------
    scales
        At least one.
    tensors
        `cls` and `box` of each scale, and `objectness` of those with products.

    Raises
    ------
    ValueError
        As for `HeadParams.decode`; another number of tensors than of scales, or scales that do not agree in
        `score_width`, `fraction` or the image.
    """
    return located(scales, tensors)[0]


def located(scales: Sequence[HeadParams], tensors: Sequence[tuple[Ints, ...]]) -> tuple[Boxes, Ints]:
    """Return the boxes of an image as `decode` does, and number of the scale, row, column and prior of each, (n, 4)."""
    common = {(scale.width, scale.height, scale.fraction, scale.score_width) for scale in scales}
    if len(common) != 1:
        raise ValueError(f"scales must agree in width, height, fraction and score_width, not have {sorted(common)}")
    pairs = [scale.located(*given) for scale, given in zip(scales, tensors, strict=True)]
    boxes = Boxes(*(np.concatenate(parts) for parts in zip(*(boxes for boxes, _ in pairs), strict=True)))
    numbers = np.repeat(np.arange(len(pairs)), [len(places) for _, places in pairs])
    return boxes, np.column_stack([numbers, np.concatenate([places for _, places in pairs])])
