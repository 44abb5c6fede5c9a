"""GreedyNMS, the sequential suppression that all others are measured against: in floating point and in integers."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from roundel.golden.errors import InputError
from roundel.golden.nms.detections import Detections, by_score, iou
from roundel.golden.nms.format import MAX_CAPACITY, BoxFormat, Verdict, not_a_multiple, overlap_exceeds, rational
from roundel.golden.nms.selection import Share, select, unheard
from roundel.golden.parameters import Params, check_integer
from roundel.golden.rounding import Ints


def greedy_nms(detections: Detections, threshold: float, *, told: Share = unheard) -> Ints:
    """Return the indices of the boxes kept, from the best score to the worst.

    [S] The semantics of torchvision's `batched_nms`: the best box left is kept, and every box of its class that
    overlaps it by an IoU strictly above the threshold is dropped, until none is left. Boxes of different classes never
    meet. Of equal scores the lower index comes first, which torchvision leaves open. [R]

    Parameters
    ----------
    detections
        The boxes of one image; it has no borders here.
    threshold
        Largest IoU that two kept boxes of a class may have, 0 to 1.
    told
        Is told of the progress.

    Raises
    ------
    InputError
        The threshold is no number from 0 to 1.
    """
    if not 0 <= threshold <= 1:
        raise InputError(f"threshold must be 0 to 1, not {threshold}")
    boxes = detections.boxes

    def exceeds(best: Ints, rest: Ints) -> NDArray[np.bool_]:
        above: NDArray[np.bool_] = iou(boxes[best], boxes[rest]) > threshold
        return above

    return select(by_score(detections.scores), boxes, detections.labels, threshold, exceeds, told)


@dataclass(frozen=True, kw_only=True)
class GreedyParams(Params):
    """What is fixed when the hardware GreedyNMS is generated.

    Parameters
    ----------
    format
        How boxes are sent. Its keyword arguments will do.
    threshold
        Largest IoU that two kept boxes of a class may have, 0 to 1. [R] The hardware takes it as the nearest fraction
        with a denominator up to 256.
    lanes
        Boxes of a beat, and pairs compared in a cycle: 1, 2 or 4.
    capacity
        Boxes of an image that the unit holds, a multiple of `lanes`, 1 to 65536.

    Raises
    ------
    TypeError, ValueError
        A parameter of the wrong kind or out of range; the message echoes it.
    """

    format: BoxFormat = field(default_factory=BoxFormat)
    threshold: float = 0.5
    lanes: int = 1
    capacity: int = 1024

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.threshold, bool) or not isinstance(self.threshold, int | float):
            raise TypeError(f"threshold must be a number, not {self.threshold!r}")
        if not 0 <= self.threshold <= 1:
            raise ValueError(f"threshold must be 0 to 1, not {self.threshold}")
        rational(self.threshold)
        check_integer("capacity", self.capacity, 1, MAX_CAPACITY)
        check_integer("lanes", self.lanes, 1, 4)
        if self.lanes == 3:
            raise ValueError(f"lanes must be 1, 2 or 4, not {self.lanes}")
        if self.capacity % self.lanes:
            raise ValueError(not_a_multiple(self.capacity, self.lanes))

    @property
    def index_width(self) -> int:
        """Bits of the index of a box within its image."""
        return max(1, (self.capacity - 1).bit_length())

    def compute(self, boxes: Ints, scores: Ints, labels: Ints, present: NDArray[np.bool_] | None = None) -> Verdict:
        """Suppress the boxes of an image, given as for `NmsParams.compute`; the best kept box comes first."""
        taking, malformed, overflow = self.format.sift(boxes, labels, present, self.capacity)
        corners = self.format.corners(boxes)
        kept = self.survivors(corners[taking], scores[taking], labels[taking])
        return Verdict(kept=taking[kept], malformed=malformed, overflow=overflow)

    def survivors(self, corners: Ints, scores: Ints, groups: Ints, told: Share = unheard) -> Ints:
        """Return the boxes kept, the best first, of any number of well-formed boxes.

        Parameters
        ----------
        corners
            x1, y1, x2, y2 in units of a corner, (n, 4).
        scores
            Integers, (n,).
        groups
            Integers from 0, (n,), of classes or of images and classes: boxes of different groups never meet.
        told
            Is told of the progress.
        """

        def exceeds(best: Ints, rest: Ints) -> NDArray[np.bool_]:
            return overlap_exceeds(corners[best], corners[rest], self.threshold)

        p, q = rational(self.threshold)
        return select(by_score(scores), corners, groups, p / q, exceeds, told)
