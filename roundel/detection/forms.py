"""The forms that heads of detectors have: how scores and boxes follow from what the network gives at a location.

[S] The families' published definitions: YOLOv3, YOLOv5, YOLOX, YOLOv8, SSD, RetinaNet, FCOS, CenterNet, MTCNN.
docs/detectors.md lists which family has which.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite

from roundel.golden.head import BoxForm, Centre, Score, Side
from roundel.golden.parameters import check_bool, check_integer, choice

MAX_BINS = 64
MOST_BOXES = 1 << 16


SIDES = {
    BoxForm.DISTANCES: (Side.LINEAR, Side.RELU, Side.EXP),
    BoxForm.DFL: (Side.LINEAR,),
    BoxForm.CENTRE: (Side.EXP, Side.SQUARE_SIGMOID, Side.LINEAR),
    BoxForm.CORNERS: (Side.LINEAR,),
}
"""The sides of each form of box."""


@dataclass(frozen=True, kw_only=True)
class HeadForm:
    """The form of a head, the same at all scales.

    Parameters
    ----------
    score, box, centre, side
        See `roundel.golden.head`; `centre` counts with `CENTRE` alone.
    sigmoid
        a and b of a `SIGMOID` centre.
    bins
        Of a side's distribution, 2 to 64, with `DFL` alone.
    background
        Index of the background among the logits of `SOFTMAX`: 0, or the number of classes, -1 for short.
    root
        Whether the score of `PRODUCT` is the square root of it.
    peaks
        Whether a class counts only where its score is the greatest of the 3 x 3 locations around.
    every_class
        Whether a location has a box for every class that reaches the threshold, or for the best one alone.
    agnostic
        Whether boxes of different classes suppress each other.
    limit
        How many boxes of an image there are at most, the best ones, before suppression; None: all.
    max_detections
        How many there are at most after it; None: all.
    iou
        Above which IoU GreedyNMS drops boxes, in float, 0 to 1.

    Raises
    ------
    TypeError, ValueError
        A parameter of the wrong kind or out of range, or forms that do not go together; the message echoes it.
    """

    score: Score = Score.LOGIT
    box: BoxForm = BoxForm.DISTANCES
    centre: Centre = Centre.LINEAR
    side: Side = Side.LINEAR
    sigmoid: tuple[float, float] = (1.0, 0.0)
    bins: int = 16
    background: int = -1
    root: bool = False
    peaks: bool = False
    every_class: bool = False
    agnostic: bool = False
    limit: int | None = None
    max_detections: int | None = None
    iou: float = 0.5

    def __post_init__(self) -> None:
        for name, kind in (("score", Score), ("box", BoxForm), ("centre", Centre), ("side", Side)):
            object.__setattr__(self, name, choice(kind, name, getattr(self, name)))
        object.__setattr__(self, "sigmoid", real_numbers("sigmoid", self.sigmoid, 2))
        check_integer("bins", self.bins, 2, MAX_BINS)
        check_integer("background", self.background, -1, 1 << 16)
        for name in ("root", "peaks", "every_class", "agnostic"):
            check_bool(name, getattr(self, name))
        for name in ("limit", "max_detections"):
            if getattr(self, name) is not None:
                check_integer(name, getattr(self, name), 1, MOST_BOXES)
        object.__setattr__(self, "iou", real_number("iou", self.iou))
        if not 0 <= self.iou <= 1:
            raise ValueError(f"iou must be 0 to 1, not {self.iou}")
        if self.side not in SIDES[self.box]:
            raise ValueError(f"side of {self.box} must be one of {', '.join(SIDES[self.box])}, not {self.side}")
        if self.root and self.score is not Score.PRODUCT:
            raise ValueError(f"root must be false for the score {self.score}")

    @property
    def has_priors(self) -> bool:
        """Whether a box starts from a prior."""
        return self.box is BoxForm.CORNERS or (self.box is BoxForm.CENTRE and self.side is not Side.LINEAR)

    @property
    def prior_size(self) -> int:
        """Numbers of a prior: a corner box, or width and height."""
        return 4 if self.box is BoxForm.CORNERS else 2

    def box_channels(self, priors: int) -> int:
        """Raw values of all boxes of a location."""
        return priors * 4 * (self.bins if self.box is BoxForm.DFL else 1)

    def class_channels(self, priors: int, classes: int) -> int:
        """Logits of all boxes of a location, the background's among them."""
        return priors * (classes + (self.score is Score.SOFTMAX))

    def __str__(self) -> str:
        return ", ".join(self._told())

    def _told(self) -> Iterator[str]:
        yield f"score {self.score}" + (" under a square root" if self.root else "")
        yield f"box {self.box}" + (f" of {self.bins} bins" if self.box is BoxForm.DFL else "")
        if self.box is BoxForm.CENTRE:
            yield f"centre {self.centre}"
        if self.box is not BoxForm.DFL:
            yield f"side {self.side}"
        yield from (name for name in ("peaks", "every_class", "agnostic") if getattr(self, name))


def real_number(name: str, value: object) -> float:
    """Return a finite number; TypeError or ValueError otherwise, which echoes it."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number, not {value!r}")
    if not isfinite(value):
        raise ValueError(f"{name} must be finite, not {value}")
    return float(value)


def real_numbers(name: str, values: object, count: int) -> tuple[float, ...]:
    """Return `count` finite numbers; TypeError or ValueError otherwise, which echoes them."""
    if not isinstance(values, list | tuple) or len(values) != count:
        raise TypeError(f"{name} must be {count} numbers, not {values!r}")
    return tuple(real_number(name, value) for value in values)
