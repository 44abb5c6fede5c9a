"""The forms that heads of detectors have: how scores come about, what the four numbers of a box are, and their curves.

The names are those of detectors' files. Probabilities and pixels stand here as real numbers; the integers of the box
unit are tables made from these curves, see `roundel.golden.head.curves`.
"""

from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Score(StrEnum):
    """How the probability of a class comes about."""

    LOGIT = "logit"
    """The sigmoid of a logit (YOLOv8 to YOLO26, RetinaNet, CenterNet)."""
    PRODUCT = "product"
    """The sigmoid of a logit times that of the location's objectness (YOLOv3, v5, v7, YOLOX; FCOS: its centerness)."""
    SOFTMAX = "softmax"
    """The softmax over all classes and the background (SSD, P-Net)."""


class BoxForm(StrEnum):
    """What the four numbers of a box are."""

    DISTANCES = "distances"
    """Distances from the location to the left, top, right and bottom side."""
    DFL = "dfl"
    """Such distances, each the mean of a distribution over bins (distribution focal loss, YOLOv8)."""
    CENTRE = "centre"
    """Centre and size, relative to the location and a prior."""
    CORNERS = "corners"
    """Corners, relative to those of a prior."""


class Centre(StrEnum):
    """What a centre's two numbers go through."""

    LINEAR = "linear"
    SIGMOID = "sigmoid"
    """`a * sigmoid(t) + b`, in strides (YOLOv3: 1 and 0; YOLOv5: 2 and -1/2)."""


class Side(StrEnum):
    """What the numbers of a size, or of distances, go through."""

    LINEAR = "linear"
    RELU = "relu"
    EXP = "exp"
    SQUARE_SIGMOID = "square_sigmoid"
    """`(2 * sigmoid(t)) ** 2` (YOLOv5, v7)."""


def form_units(score: Score, box: BoxForm, *, curved: bool, plain: bool) -> tuple[str, ...]:
    """Return what a box unit needs for a head, as `EngineParams.heads` names it; nothing for the plain one.

    Parameters
    ----------
    score, box
        The forms of the head.
    curved
        Whether distances go through a curve: they need what sizes need.
    plain
        Whether a location has one prior and a box for the best class, and lies in the middle of a cell whose side is a
        power of two.
    """
    needs = [] if score is Score.LOGIT else [score.value]
    if box is not BoxForm.DISTANCES or curved:
        needs.append(BoxForm.CENTRE.value if box is BoxForm.DISTANCES else box.value)
    return tuple(needs if needs or plain else ["priors"])


def log_sigmoid(values: Floats) -> Floats:
    """Base-2 logarithm of the sigmoid, without overflow."""
    return np.asarray(-np.logaddexp(0, -values) / np.log(2))


def side_logarithms(values: Floats, side: Side) -> Floats:
    """Base-2 logarithm of a size's curve; minus infinity where the curve is 0 or below.

    Parameters
    ----------
    values
        Real numbers that the network gave.
    side
        The curve; `relu` and `linear` have the same sizes above 0.
    """
    if side is Side.EXP:
        return np.asarray(values / np.log(2))
    if side is Side.SQUARE_SIGMOID:
        return np.asarray(2 * (1 + log_sigmoid(values)))
    with np.errstate(divide="ignore"):
        return np.asarray(np.log2(np.maximum(values, 0)))
