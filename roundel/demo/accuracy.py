"""Average precision of the demo: each network with each NMS on all held-out scenes, and those that the RTL ran."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from roundel.detection import Detector, Scenes, evaluate
from roundel.golden.head import Boxes
from roundel.golden.nms import Detections, GreedyParams, NmsParams, Suppression, greedy_nms
from roundel.golden.rounding import Ints

GREEDY = 0.5  # IoU


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
    """

    network: str
    nms: str
    on: str
    scenes: int
    ap50: float
    ap75: float
    ap50_95: float


def accuracies(
    detector: Detector,
    scenes: Scenes,
    floats: Sequence[Detections],
    boxes: Sequence[Boxes],
    records: Sequence[Ints],
) -> Iterator[DetectorAccuracy]:
    """All rows.

    Parameters
    ----------
    floats, boxes
        Boxes of the float and of the integer network, before the NMS, in all scenes.
    records
        What the RTL kept of the first ones.
    """
    method = detector.nms.method
    pyramid = f"PSRR ({method})" if isinstance(detector.nms, NmsParams) else method
    greedy = GreedyParams(format=detector.nms.format, threshold=GREEDY)
    for count in (len(boxes), len(records)):
        first = partial(_row, detector, scenes, count)
        yield first("float", "GreedyNMS", floats[:count], [greedy_nms(image, GREEDY) for image in floats[:count]])
        for name, unit in (("GreedyNMS", greedy), (pyramid, detector.nms)):
            before = [detector.pixels(image) for image in boxes[:count]]
            yield first("integer", name, before, [_kept(unit, image) for image in boxes[:count]])
    after = [detections(detector, image) for image in records]
    everything = [np.arange(len(image)) for image in after]
    yield _row(detector, scenes, len(records), "integer", pyramid, after, everything, on="RTL")


def detections(detector: Detector, records: Ints) -> Detections:
    """Return records as boxes in pixels."""
    return detector.pixels(Boxes(boxes=records[:, :4], scores=records[:, 4], labels=records[:, 5]))


def _kept(unit: GreedyParams | Suppression, boxes: Boxes) -> Ints:
    return unit.compute(*boxes).kept


def _row(
    detector: Detector,
    scenes: Scenes,
    count: int,
    network: str,
    nms: str,
    boxes: Sequence[Detections],
    kept: Sequence[Ints],
    on: str = "golden",
) -> DetectorAccuracy:
    places = iter(kept)
    precisions = evaluate(scenes.objects[:count], boxes, lambda _: next(places))
    return DetectorAccuracy(network=network, nms=nms, on=on, scenes=count, **dict(zip(NAMES, precisions, strict=True)))


NAMES = ("ap50", "ap75", "ap50_95")
