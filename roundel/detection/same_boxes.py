"""How many boxes of one detector another one has too, such as those of a float network in its integers."""

from collections.abc import Sequence

from roundel.golden.nms import Detections, iou

AGREES = 0.9


def agreement(truth: Sequence[Detections], given: Sequence[Detections], least: float = AGREES) -> float:
    """Return the share of boxes of which another detector has one of the same class at nearly the same place.

    Parameters
    ----------
    truth, given
        Boxes of each image, of the one detector and of the other, after suppression.
    least
        IoU from which on two boxes are at the same place, above 0 and up to 1.

    Returns
    -------
    float
        0 to 1; 1 if there are no boxes at all in `truth`.
    """
    found = total = 0
    for theirs, ours in zip(truth, given, strict=True):
        for box, label in zip(theirs.boxes, theirs.labels, strict=True):
            own = ours.boxes[ours.labels == label]
            found += bool(len(own)) and bool(iou(own, box).max() >= least)
            total += 1
    return found / total if total else 1.0
