"""The suppression unit that a detector needs: kind, sizes and formats, from its head and from calibration images.

[R] All rules here. docs/detectors.md tells them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log
from typing import Any

import numpy as np

from roundel.detection.forms import HeadForm
from roundel.golden.head import Score
from roundel.golden.nms import (
    MAX_CANDIDATES,
    MAX_CAPACITY,
    MAX_IMAGE,
    BoxFormat,
    Detections,
    ExactParams,
    NmsParams,
    Suppression,
    TopKParams,
    suppression_of,
)

FRACTION = 2
"""Fraction bits of coordinates: quarters of a pixel."""
WIDE, NARROW = 12, 8
"""Bits of scores: of costs, and of logits that all have the same fraction bits."""
FEW_CLASSES = 8
"""Up to so many classes have window tables of their own; GreedyNMS, which has none, serves more."""
USUAL, LEAST = 1024, 64
"""Capacity without calibration images, which is also enough where the best boxes count; and the least one."""
ROOM = 2
"""Times the boxes of the fullest calibration image."""
STEP, SCALES = 4.0, 6
"""Between neighbouring areas of a pyramid, and most of them."""
CELLS = 4096
"""Most cells of a pyramid's table, about."""
ROUND = 1.5
"""Height over width, or width over height, up to which nearly all boxes count as squares."""


@dataclass(frozen=True, kw_only=True)
class BoxFigures:
    """What boxes calibration images have.

    Attributes
    ----------
    images
        How many there are.
    most
        Candidates of the fullest image: boxes that reach the threshold, before suppression.
    areas
        Square pixels below which a 20th of all kept boxes lie, and above which another one does; (0, 0) without boxes.
    ratio
        Height over width, or width over height, that a 20th of them exceed.
    """

    images: int
    most: int
    areas: tuple[float, float] = (0.0, 0.0)
    ratio: float = 1.0

    @classmethod
    def of(cls, candidates: Sequence[Detections], kept: Sequence[Any]) -> "BoxFigures":
        """Return the figures of images; `kept` has the places of those boxes that a suppression keeps of each."""
        boxes = np.concatenate([image.boxes[places] for image, places in zip(candidates, kept, strict=True)])
        most = max(map(len, candidates))
        if not len(boxes):
            return cls(images=len(candidates), most=most)
        sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 1.0)
        low, high = np.quantile(sides.prod(axis=1), (0.05, 0.95))
        ratio = np.quantile(np.exp(np.abs(np.log(sides[:, 1] / sides[:, 0]))), 0.95)
        return cls(images=len(candidates), most=most, areas=(float(low), float(high)), ratio=float(ratio))


def implied(form: HeadForm, method: str) -> dict[str, Any]:
    """Return the parameters of a suppression unit that follow from the form of a head alone."""
    if method == TopKParams.METHOD:
        most = [number for number in (form.limit, form.max_detections) if number is not None]
        return {"capacity": min(most)} if most else {}
    if method != ExactParams.METHOD:
        return {"class_key": False} if form.agnostic else {}
    limits = {"capacity": form.limit} if form.limit is not None else {}
    kept = form.max_detections if form.limit is None or (form.max_detections or 0) < form.limit else None
    return limits | {"max_detections": kept, "class_agnostic": form.agnostic, "threshold": form.iou}


def difference(form: HeadForm, suppresses: bool, nms: Suppression) -> str:
    """Say in what a suppression unit would not do what the form of a head asks for; empty where it does."""
    if suppresses == isinstance(nms, TopKParams):
        return f"method of nms is {nms.method}, but boxes {'' if suppresses else 'do not '}suppress each other"
    if isinstance(nms, NmsParams):
        for name in ("limit", "max_detections"):
            if getattr(form, name) is not None:
                return f"{name} needs the method exact of nms, not {nms.method}"
    for name, value in implied(form, nms.method).items():
        if getattr(nms, name) != value:
            return f"nms.{name} is {getattr(nms, name)}, but the head needs {value}"
    return ""


def suppression(
    form: HeadForm,
    given: Mapping[str, Any],
    *,
    classes: int,
    suppresses: bool,
    boxes: int,
    figures: BoxFigures | None = None,
) -> Suppression:
    """Return the suppression unit of a detector: what is given, and what follows where nothing is.

    A pyramid of which more than its size is given, or its method without figures of images, has the defaults of
    `NmsParams` for the rest.

    Parameters
    ----------
    form
        The form of the head.
    given
        Parameters by name, as a detector's file has them under `nms`; `format` has at least `width` and `height`.
    classes
        How many there are.
    suppresses
        Whether boxes suppress each other.
    boxes
        Most boxes that an image can have.
    figures
        What boxes calibration images have; None: not known.

    Raises
    ------
    TypeError, ValueError
        A parameter that the unit refuses.
    """
    known: dict[str, Any] = {"fraction": FRACTION, "score_width": WIDE, "classes": classes} | dict(given["format"])
    stated = given.get("method") or (NmsParams.method if given.keys() - {"format", "capacity"} else None)
    method = stated or _method(form, classes, suppresses)
    values: dict[str, Any] = {"method": method}
    if method in (TopKParams.METHOD, ExactParams.METHOD):
        values |= {} if "capacity" in given else _sizes(form, method, boxes, figures)
    elif stated is None or (figures is not None and given.keys() <= {"method", "format", "capacity"}):
        values |= _sizes(form, method, boxes, figures) | {"class_key": classes > 1}
        values |= _pyramid(figures, known["width"], known["height"])
    return suppression_of(values | implied(form, method) | dict(given) | {"format": BoxFormat(**known)})


def _method(form: HeadForm, classes: int, suppresses: bool) -> str:
    if not suppresses:
        return TopKParams.METHOD
    limited = form.limit is not None or form.max_detections is not None
    return ExactParams.METHOD if limited or classes > FEW_CLASSES else NmsParams.method


def _sizes(form: HeadForm, method: str, boxes: int, figures: BoxFigures | None) -> dict[str, Any]:
    """Return the capacity, and of a unit that takes the best of more candidates all boxes that an image can have."""
    asked = [number for number in (form.limit, form.max_detections) if number is not None]
    wanted = USUAL if figures is None else max(LEAST, ROOM * figures.most)
    capacity = 1 << (max([wanted, *asked]) - 1).bit_length()
    capacity = min(capacity, max([boxes, 1, *asked]), MAX_CAPACITY)
    if method not in (ExactParams.METHOD, TopKParams.METHOD):
        return {"capacity": capacity}
    capacity = implied(form, method).get("capacity", min(capacity, max([USUAL, *asked])))
    candidates = min(max(boxes, capacity), MAX_CANDIDATES)
    return {"capacity": capacity, "candidates": candidates}


def _pyramid(figures: BoxFigures | None, width: int, height: int) -> dict[str, Any]:
    """Return areas, ratios and the size of a cell, half the side of small boxes but for large images."""
    if figures is None or not figures.areas[0] > 0:
        return {}
    low, high = figures.areas
    count = min(max(1, round(log(high / low, STEP)) + 1), SCALES)
    start = (low * high / STEP ** (count - 1)) ** 0.5
    stride = 1 << min(max(int(start**0.5 / 2).bit_length() - 1, 1), 4)
    while width * height > CELLS * stride**2:
        stride *= 2
    areas = [float(round(min(start * STEP**step, MAX_IMAGE**2), 1)) for step in range(count)]
    return {"areas": areas, "ratios": [1.0] if figures.ratio <= ROUND else [0.5, 1.0, 2.0], "stride": stride}


def score_bits(form: HeadForm, fractions: Sequence[int], width: int) -> int:
    """Return the bits that scores need: of logits their own, and as many as their fraction bits differ.

    Parameters
    ----------
    form
        The form of the head.
    fractions
        Fraction bits of the logits of each scale.
    width
        Bits of a logit.
    """
    if form.score is not Score.LOGIT:
        return WIDE
    return max(NARROW, width + max(fractions) - min(fractions))
