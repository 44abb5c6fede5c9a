"""Scored boxes: what every non-maximum suppression takes, checked once, and how much two of them overlap."""

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from roundel.golden.errors import InputError
from roundel.golden.rounding import Ints

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Numbers = TypeVar("Numbers", Floats, Ints)

NO_AREA = "without area"
LARGEST = 2.0**24  # coordinates beyond it are no pixels any more; up to it, areas and their sums stay exact enough


@dataclass(frozen=True, kw_only=True, eq=False)
class Detections:
    """The boxes of one image, their scores and classes, in the order in which the detector gave them.

    Parameters
    ----------
    boxes
        Corners x1, y1, x2, y2 in pixels, (n, 4); x1 < x2 and y1 < y2. In double precision, which must hold them.
    scores
        Higher is better, (n,); anything but NaN. Integers of any width stay integers, and no type loses a digit.
    classes
        Integers from 0, (n,); a single class when not given.

    Raises
    ------
    InputError
        A wrong shape or kind, or a bad value, which is named with its index.
    """

    boxes: Floats
    scores: NDArray[Any]
    classes: Ints | None = None

    def __post_init__(self) -> None:
        boxes, scores, classes = columns(self.boxes, self.scores, self.classes)
        for fault in faults(boxes, scores, classes):
            fault.refuse()
        for name, value in (("boxes", doubles(boxes)), ("scores", scores), ("classes", classes.astype(np.int64))):
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
        outside(self.boxes, width=width, height=height).refuse()


@dataclass(frozen=True, eq=False)
class Fault:
    """What may be wrong with rows of an array, and which rows it is wrong with.

    Parameters
    ----------
    name
        The array.
    values
        Its rows, (n, ...).
    bad
        Which rows, (n,).
    expected
        What a row should be, for the message.
    reason
        What a bad row is, in few words.
    """

    name: str
    values: NDArray[Any]
    bad: Bools
    expected: str
    reason: str

    def refuse(self) -> None:
        """Raise InputError about the first row, if one is bad."""
        refuse(self.bad, self.name, self.values, self.expected)


def columns(
    boxes: ArrayLike, scores: ArrayLike, classes: ArrayLike | None
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return copies of boxes, (n, 4), scores, (n,), and classes, (n,), all 0 if there are none; no digit is lost.

    Raises
    ------
    InputError
        A wrong shape or kind of number.
    """
    corners, values = numbers("boxes", boxes), numbers("scores", scores)
    if corners.ndim != 2 or corners.shape[1] != 4:
        raise InputError(f"boxes must have the shape (n, 4), not {corners.shape}")
    labels = np.zeros(len(corners), np.int64) if classes is None else np.array(classes)
    if labels.dtype.kind not in "iu" and labels.size:
        raise InputError(f"classes must be integers, not {labels.dtype}")
    for name, value in (("scores", values), ("classes", labels)):
        if value.shape != (len(corners),):
            raise InputError(f"{name} must have the shape {(len(corners),)}, one for each box, not {value.shape}")
    return corners, values, labels


def faults(boxes: NDArray[Any], scores: NDArray[Any], classes: NDArray[Any]) -> list[Fault]:
    """Give all that may be wrong with a row of what `columns` returned, in the order in which it is looked for."""
    corners = doubles(boxes)
    within = np.asarray((np.abs(corners) <= LARGEST).all(axis=1))
    inexact = np.asarray(within & ~(corners == boxes).all(axis=1))
    wide, high = corners[:, 0] < corners[:, 2], corners[:, 1] < corners[:, 3]
    flat = within & wide & high
    flat[flat] = areas(corners[flat]) == 0
    unknown: Bools = (classes < 0) | (classes >= 1 << 31)
    return [
        Fault("boxes", boxes, ~within, f"expected numbers within +-{LARGEST:.0f}", "without usable corners"),
        Fault("boxes", boxes, inexact, "expected numbers that double precision holds", "beyond double precision"),
        Fault("boxes", boxes, ~wide, "expected x1 < x2 (a width above zero)", NO_AREA),
        Fault("boxes", boxes, ~high, "expected y1 < y2 (a height above zero)", NO_AREA),
        Fault("boxes", boxes, flat, "expected an area above zero", NO_AREA),
        Fault("scores", scores, np.isnan(scores), "expected a number", "without a score"),
        Fault("classes", classes, unknown, f"expected 0 to {(1 << 31) - 1}", "of no class"),
    ]


def outside(boxes: Floats, *, width: int, height: int) -> Fault:
    """Say which boxes do not lie within an image of that many pixels."""
    bad = np.asarray((boxes[:, :2] < 0).any(axis=1) | (boxes[:, 2:] > (width, height)).any(axis=1))
    return Fault("boxes", boxes, bad, f"expected corners within the image, {width} x {height}", "outside the image")


def numbers(name: str, value: ArrayLike) -> NDArray[Any]:
    """Return a copy as an array that holds the same numbers: int64, uint64, float64, or longer floats as they are.

    Raises
    ------
    InputError
        Anything but integers and real numbers of NumPy's types, or a list that no such type holds.
    """
    try:
        array = np.array(value)
        if array.dtype.kind in "US":
            array.astype(np.float64)  # says which text is no number
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{name} must be an array of numbers: {error}") from error
    if array.dtype.kind not in "iuf" and array.size:
        raise InputError(f"{name} must be an array of integers or real numbers, not {array.dtype}")
    if not array.size:
        return np.zeros(array.shape)
    if array.dtype.kind == "f" and not hasattr(value, "dtype"):
        _check_mixture(name, value, array)
    longest: dict[str, type] = {"i": np.int64, "u": np.uint64, "f": np.float64}
    converted: NDArray[Any] = array.astype(np.promote_types(array.dtype, longest[array.dtype.kind]))
    return converted


def _check_mixture(name: str, value: ArrayLike, array: NDArray[Any]) -> None:
    """Raise InputError about an integer of a list of floats that a double does not hold."""
    if not (np.abs(array) >= 2.0**53).any():
        return
    for item in np.array(value, object).ravel().tolist():
        if isinstance(item, int | np.integer) and float(item) != int(item):
            raise InputError(f"{name} must be an array of numbers: {item} is beyond double precision, beside floats")


def doubles(values: NDArray[Any]) -> Floats:
    """Return the values in double precision, as near as it gets."""
    with np.errstate(over="ignore"):
        return values.astype(np.float64)


def refuse(bad: Bools, name: str, value: NDArray[Any], expected: str) -> None:
    """Raise InputError about the first element of `value` that is bad, if one is."""
    if bad.any():
        index = int(bad.argmax())
        row = value[index]
        if value.dtype.itemsize > 8:  # tolist would give NumPy's own objects
            shown = f"[{', '.join(map(str, row))}]" if row.ndim else str(row)
        else:
            shown = str((row.astype(np.float64) if name == "boxes" else row).tolist())
        raise InputError(f"{name}[{index}] is {shown}: {expected}")


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


def by_score(scores: NDArray[Any]) -> Ints:
    """Return indices from the best score to the worst, equal scores by index, (n,); nothing is converted."""
    rising: Ints = np.argsort(scores[::-1], kind="stable")
    return len(scores) - 1 - rising[::-1]
