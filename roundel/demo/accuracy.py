"""Average precision of the demo: each network with each NMS on all held-out scenes, and those that the RTL ran."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roundel.demo.matching import SURE
from roundel.detection import BoxFigures, Detector, Scenes, agreement, evaluate
from roundel.golden.head import Boxes
from roundel.golden.nms import Detections, ExactParams, GreedyParams, NmsParams, Suppression, TopKParams
from roundel.golden.rounding import Ints

Unit = GreedyParams | Suppression


@dataclass(frozen=True, kw_only=True)
class DetectorAccuracy:
    """Average precisions, 0 to 1.

    Attributes
    ----------
    network, nms, on
        What was measured: `float` or `integer`; the suppression; `golden` or `RTL`.
    scenes
        How many.
    ap50, ap75, ap50_95
        As pycocotools computes them.
    agreeing
        Share of the float network's boxes of a probability of at least `SURE` that these boxes have too, see
        `roundel.detection.agreement`.
    """

    network: str
    nms: str
    on: str
    scenes: int
    ap50: float
    ap75: float
    ap50_95: float
    agreeing: float


def accuracies(
    detector: Detector,
    scenes: Scenes,
    floats: Sequence[Detections],
    boxes: Sequence[Boxes],
    records: Sequence[Ints],
    figures: BoxFigures,
) -> Iterator[DetectorAccuracy]:
    """All rows.

    Parameters
    ----------
    floats, boxes
        Boxes of the float and of the integer network, before the NMS, in all scenes.
    records
        What the RTL kept of the first ones.
    figures
        What boxes calibration images have, by which a suppression that the engine does not have is sized.
    """
    truth = [_some(image, detector.kept(image)) for image in floats]
    sure = [_some(image, detector.probabilities(image.scores) >= SURE) for image in truth]
    for count in (len(boxes), len(records)):
        row = partial(_row, scenes, sure, count)
        yield row("float", unit_name(_greedy(detector)), truth)
        for unit in (detector.nms, *others(detector, figures)):
            yield row("integer", unit_name(unit), [_kept(detector, unit, image) for image in boxes[:count]])
    after = [detections(detector, image) for image in records]
    yield _row(scenes, sure, len(records), "integer", unit_name(detector.nms), after, on="RTL")


def others(detector: Detector, figures: BoxFigures) -> Iterator[Unit]:
    """Give the suppressions that the engine's is compared with: PSRR for GreedyNMS, GreedyNMS for PSRR."""
    if isinstance(detector.nms, NmsParams):
        yield _greedy(detector)
    elif isinstance(detector.nms, ExactParams):
        yield detector.alternative("guarded", figures)


def unit_name(unit: Unit) -> str:
    """Name a suppression as the page does."""
    if isinstance(unit, NmsParams):
        return f"PSRR ({unit.method})"
    return f"the {unit.capacity} best" if isinstance(unit, TopKParams) else "GreedyNMS"


def detections(detector: Detector, records: Ints) -> Detections:
    """Return records as boxes in pixels."""
    return detector.pixels(Boxes(boxes=records[:, :4], scores=records[:, 4], labels=records[:, 5]))


def _greedy(detector: Detector) -> Unit:
    """Return what suppresses the float network's boxes: GreedyNMS as the head has it, or the best boxes alone."""
    if not detector.suppresses:
        return detector.nms
    return GreedyParams(format=detector.nms.format, threshold=detector.form.iou)


def _kept(detector: Detector, unit: Unit, boxes: Boxes) -> Detections:
    return _some(detector.pixels(boxes), unit.compute(*boxes).kept)


def _some(boxes: Detections, which: NDArray[Any]) -> Detections:
    return Detections(boxes=boxes.boxes[which], scores=boxes.scores[which], classes=boxes.labels[which])


def _row(
    scenes: Scenes,
    sure: Sequence[Detections],
    count: int,
    network: str,
    nms: str,
    kept: Sequence[Detections],
    on: str = "golden",
) -> DetectorAccuracy:
    precisions = evaluate(scenes.objects[:count], kept[:count], lambda boxes: np.arange(len(boxes)))
    values = dict(zip(NAMES, precisions, strict=True))
    agreeing = agreement(sure[:count], kept[:count])
    return DetectorAccuracy(network=network, nms=nms, on=on, scenes=count, agreeing=agreeing, **values)


NAMES = ("ap50", "ap75", "ap50_95")
