"""GreedyNMS: the sequential suppression that all others are measured against."""

import numpy as np

from golden.boxes import Detections, by_score, iou
from golden.errors import InputError
from golden.rounding import Ints


def greedy_nms(detections: Detections, threshold: float) -> Ints:
    """Indices of the boxes kept, from the best score to the worst.

    [S] The semantics of torchvision's `batched_nms`: the best box left is kept, and every box of its class that
    overlaps it by an IoU strictly above the threshold is dropped, until none is left. Boxes of different classes never
    meet. Of equal scores the lower index comes first, which torchvision leaves open. [R]

    Parameters
    ----------
    detections
        The boxes of one image; it has no borders here.
    threshold
        Largest IoU that two kept boxes of a class may have, 0 to 1.

    Raises
    ------
    InputError
        The threshold is no number from 0 to 1.
    """
    if not 0 <= threshold <= 1:
        raise InputError(f"threshold must be 0 to 1, not {threshold}")
    boxes, labels = detections.boxes, detections.labels
    order = by_score(detections.scores)
    kept = []
    while order.size:
        best, rest = order[0], order[1:]
        kept.append(best)
        dropped = (labels[rest] == labels[best]) & (iou(boxes[best], boxes[rest]) > threshold)
        order = rest[~dropped]
    return np.array(kept, np.int64)
