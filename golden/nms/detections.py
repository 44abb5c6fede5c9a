"""Scored boxes: what every non-maximum suppression takes, checked once, and how much two of them overlap."""

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from roundel.golden.errors import InputError
from roundel.golden.rounding import Ints

Floats = NDArray[np.float64]
Numbers = TypeVar("Numbers", Floats, Ints)

LARGEST = 2.0**24  # coordinates beyond it are no pixels any more; up to it, areas and their sums stay exact enough


@dataclass(frozen=True, kw_only=True, eq=False)
class Detections:
    """The boxes of one image, their scores and classes, in the order in which the detector gave them.

    Parameters
    ----------
    boxes
        Corners x1, y1, x2, y2 in pixels, (n, 4); x1 < x2 and y1 < y2.
    scores
        Higher is better, (n,); anything but NaN.
    classes
        Integers from 0, (n,); a single class when not given.

    Raises
    ------
    InputError
        A wrong shape or kind, or a bad value, which is named with its index.
    """

    boxes: Floats
    scores: Floats
    classes: Ints | None = None

    def __post_init__(self) -> None:
        boxes, scores = numbers("boxes", self.boxes), numbers("scores", self.scores)
        if boxes.ndim != 2 or boxes.shape[1] != 4:
            raise InputError(f"boxes must have the shape (n, 4), not {boxes.shape}")
        classes = np.zeros(len(boxes), np.int64) if self.classes is None else np.array(self.classes)
        if classes.dtype.kind not in "iu" and classes.size:
            raise InputError(f"classes must be integers, not {classes.dtype}")
        for name, value in (("scores", scores), ("classes", classes)):
            if value.shape != (len(boxes),):
                raise InputError(f"{name} must have the shape {(len(boxes),)}, one for each box, not {value.shape}")
        refuse(~(np.abs(boxes) <= LARGEST).all(axis=1), "boxes", boxes, f"expected numbers within +-{LARGEST:.0f}")
        refuse(boxes[:, 0] >= boxes[:, 2], "boxes", boxes, "expected x1 < x2 (a width above zero)")
        refuse(boxes[:, 1] >= boxes[:, 3], "boxes", boxes, "expected y1 < y2 (a height above zero)")
        refuse(areas(boxes) == 0, "boxes", boxes, "expected an area above zero")
        refuse(np.isnan(scores), "scores", scores, "expected a number")
        refuse((classes < 0) | (classes >= 1 << 31), "classes", classes, f"expected 0 to {(1 << 31) - 1}")
        for name, value in (("boxes", boxes), ("scores", scores), ("classes", classes.astype(np.int64))):
            value.flags.writeable = False
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def labels(self) -> Ints:
        """Class of every box, (n,)."""
        assert self.classes is not None  # filled in when made
        return self.classes

    def check_inside(self, *, width: int, height: int) -> None:
        """Raise InputError, naming the first box, unless all of them lie within an image of that many pixels."""
        outside = (self.boxes[:, :2] < 0).any(axis=1) | (self.boxes[:, 2:] > (width, height)).any(axis=1)
        refuse(outside, "boxes", self.boxes, f"expected corners within the image, {width} x {height}")


def numbers(name: str, value: ArrayLike) -> Floats:
    """Return a copy as an array of floats; InputError for anything but numbers."""
    try:
        return np.array(value, np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} must be an array of numbers: {error}") from error


def refuse(bad: NDArray[np.bool_] | np.bool_, name: str, value: NDArray[Any], expected: str) -> None:
    """Raise InputError about the first element of `value` that is bad, if one is."""
    if bad.any():
        index = int(bad.argmax())
        raise InputError(f"{name}[{index}] is {value[index].tolist()}: {expected}")


def areas(boxes: Numbers) -> Numbers:
    """Width times height; the last axis holds the corners."""
    return _product(boxes[..., 2:] - boxes[..., :2])


def intersections(a: Numbers, b: Numbers) -> Numbers:
    """Area of what boxes share; the last axis holds the corners, the others broadcast."""
    lengths = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    return _product(lengths.clip(0))


def _product(sizes: Numbers) -> Numbers:
    product: Numbers = sizes[..., 0] * sizes[..., 1]
    return product


def iou(a: Floats, b: Floats) -> Floats:
    """Area of the intersection over area of the union, 0 to 1; the last axis holds the corners, the others broadcast.

    [S] As torchvision's `box_iou`: continuous corners, so that no pixel is added to a width. In double precision
    whatever the arguments were. The quotient is rounded correctly, so that for corners on a grid a comparison
    with a threshold is as good as exact.
    """
    both = intersections(a, b)
    ratio: Floats = both / (areas(a) + areas(b) - both)
    return ratio


def by_score(scores: Floats) -> Ints:
    """Return indices from the best score to the worst, equal scores by index, (n,)."""
    return np.argsort(-scores, kind="stable")
