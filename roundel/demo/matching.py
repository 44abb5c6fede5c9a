"""Which boxes of a detector are true, matched with an object of its class, and which false; what objects are missed.

[S] The rule of COCO (Lin et al., 2014) at one threshold: boxes come in the order of their scores, highest first, and
each takes the object of its class with the greatest IoU that no box before it has taken, if that IoU reaches the
threshold. A second box on one object is therefore false.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from roundel.detection import Objects
from roundel.golden.nms import Detections, iou

MATCH_IOU = 0.5  # least IoU of a box with the object that it stands for
SURE = 0.25  # probability from which on a box counts; all boxes count for the average precision
RULE = (
    f"true: IoU of at least {MATCH_IOU} with an object of its class that no better box took; "
    f"unsure: probability below {SURE}, not counted"
)


@dataclass(frozen=True, kw_only=True)
class Matches:
    """What the boxes of one image are.

    Attributes
    ----------
    objects
        For each box the object that it is matched with; None if it is false.
    missed
        Objects that no box is matched with, ascending.
    """

    objects: tuple[int | None, ...]
    missed: tuple[int, ...]

    @property
    def true(self) -> int:
        """Boxes that are matched, which are also the objects that are."""
        return len(self.objects) - self.false

    @property
    def false(self) -> int:
        """Boxes that stand for nothing."""
        return self.objects.count(None)


def match(objects: Objects, boxes: Detections, threshold: float = MATCH_IOU) -> Matches:
    """Match the boxes of one image with its objects.

    Parameters
    ----------
    objects
        What is there.
    boxes
        What the detector says, in any order; of equal scores the first box chooses first.
    threshold
        Least IoU of a match, above 0 and up to 1.
    """
    free = np.ones(len(objects.boxes), dtype=bool)
    matched: list[int | None] = [None] * len(boxes)
    for index in np.argsort(-boxes.scores, kind="stable").tolist():
        candidates = np.flatnonzero(free & (objects.classes == boxes.labels[index]))
        if len(candidates):
            overlaps = iou(objects.boxes[candidates], boxes.boxes[index])
            best = int(overlaps.argmax())
            if overlaps[best] >= threshold:
                matched[index] = int(candidates[best])
                free[candidates[best]] = False
    return Matches(objects=tuple(matched), missed=tuple(np.flatnonzero(free).tolist()))


def in_words(counts: Mapping[str, int]) -> str:
    """Return the counts of `true`, `missed`, `false` and `unsure` boxes in words; those of nothing are left out.

    Examples
    --------
    >>> in_words({"objects": 3, "true": 2, "missed": 1, "false": 0, "unsure": 0})
    '3 objects: 2 true, 1 missed'
    """
    parts = [f"{counts[name]} {name}" for name in ("true", "missed", "false", "unsure") if counts[name]]
    objects = counts["objects"]
    return f"{objects} object{'' if objects == 1 else 's'}: {', '.join(parts) or 'no box'}"
