"""GreedyNMS at a box a cycle: what the unit that sorts and files boxes must keep, and how it tells boxes apart."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from roundel.golden.nms.detections import areas
from roundel.golden.nms.format import BoxFormat, Verdict, rational
from roundel.golden.nms.greedy import GreedyParams
from roundel.golden.nms.topk import TopKParams, best, check_method
from roundel.golden.parameters import Params, check_bool, check_integer, plain
from roundel.golden.rounding import Ints

CODE_WIDTH = 6  # bits of each code of a box
AREA_FRACTION = 2  # fraction bits of the logarithm of an area
SLOTS = (16, 32, 64, 128)


@dataclass(frozen=True, kw_only=True)
class ExactParams(Params):
    """What is fixed when the exact GreedyNMS of a box a cycle is generated.

    Parameters
    ----------
    format
        How boxes are sent. Its keyword arguments will do.
    threshold
        Largest IoU that two kept boxes of a class may have, 0 to 1. [R] The hardware takes it as the nearest fraction
        with a denominator up to 256.
    method
        `exact`.
    class_agnostic
        Whether boxes of different classes suppress each other.
    max_detections
        Most boxes kept of an image, the best ones, 1 to `capacity`; None: all.
    capacity
        Boxes of an image that take part, 1 to 65536.
    candidates
        Boxes that an image may send, `capacity` to 2**24: the `capacity` best of them take part. None: as many as
        `capacity`. Boxes beyond them are dropped and reported.
    tag_width
        Bits of a tag that each box brings along, 0 to 32, and leaves with in place of its index; 0: there are no tags.
    comparators
        Kept boxes that a box is compared with in a cycle, 4 or 8.
    slots
        Kept boxes that are filed at a time: 16, 32, 64 or 128. An image that keeps more takes more passes over the
        boxes that are left, and keeps the same ones.

    Raises
    ------
    TypeError, ValueError
        A parameter of the wrong kind or out of range; the message echoes it.
    """

    METHOD: ClassVar[str] = "exact"
    lanes: ClassVar[int] = 1
    """Boxes of a beat."""

    format: BoxFormat = field(default_factory=BoxFormat)
    method: str = METHOD
    threshold: float = 0.5
    class_agnostic: bool = False
    max_detections: int | None = None
    capacity: int = 1024
    candidates: int | None = None
    tag_width: int = 0
    comparators: int = 4
    slots: int = 64

    def __post_init__(self) -> None:
        super().__post_init__()
        check_method(self.METHOD, self.method)
        _ = self.greedy, self.top  # they check what is theirs
        check_bool("class_agnostic", self.class_agnostic)
        if self.max_detections is not None:
            check_integer("max_detections", self.max_detections, 1, self.capacity)
        check_integer("comparators", self.comparators, 4, 8)
        if self.comparators not in (4, 8):
            raise ValueError(f"comparators must be 4 or 8, not {self.comparators}")
        check_integer("slots", self.slots, SLOTS[0], SLOTS[-1])
        if self.slots not in SLOTS:
            raise ValueError(f"slots must be one of {', '.join(map(str, SLOTS))}, not {self.slots}")

    @cached_property
    def greedy(self) -> GreedyParams:
        """The GreedyNMS that keeps the same boxes, of one class and without `max_detections`."""
        return GreedyParams(format=self.format, threshold=self.threshold, capacity=self.capacity)

    @cached_property
    def top(self) -> TopKParams:
        """The unit that sorts the boxes which take part."""
        candidates = self.capacity if self.candidates is None else self.candidates
        return TopKParams(format=self.format, capacity=self.capacity, candidates=candidates, tag_width=self.tag_width)

    @property
    def index_width(self) -> int:
        """Bits of the index of a box within its image."""
        return self.top.index_width

    @property
    def digits(self) -> tuple[int, ...]:
        """Bits of the digits by which scores are sorted, the lowest first."""
        return self.top.digits

    @cached_property
    def code_weights(self) -> tuple[int, int, int]:
        """Weights of the other end and of the own end of a box in its code, and by how many bits the sum is shifted.

        The weights are p and q of the threshold, 4 to 7 times, which makes the most of `CODE_WIDTH` bits.
        """
        p, q = rational(self.threshold)
        top = (p + q) * max(self.format.borders)
        shift = (4 * top).bit_length() - CODE_WIDTH
        if shift <= 2:  # codes are sums as they are
            return p, q, max(0, top.bit_length() - CODE_WIDTH)
        times = max(times for times in range(4, 8) if (times * top).bit_length() - CODE_WIDTH == shift)
        return times * p, times * q, shift

    @property
    def least_area_code(self) -> int:
        """What is taken off the code of an area, down to 0, so that `CODE_WIDTH` bits hold it."""
        width, height = self.format.borders
        return max(0, int(area_code(np.array([width * height]))[0]) - (1 << CODE_WIDTH) + 1)

    @cached_property
    def area_distance(self) -> int:
        """How far apart the codes of the areas of two boxes may be whose IoU is above the threshold.

        The smaller area is above `p/q` of the larger one. The code is constant between powers of two times 4/4 to 7/4,
        so these alone are looked at.
        """
        p, q = rational(self.threshold)
        top = self.format.borders[0] * self.format.borders[1]
        steps = [(4 + part << bit) // 4 for bit in range(top.bit_length()) for part in range(4)]
        larger = np.array([step for step in steps if step <= top], np.int64)
        return int((area_code(larger) - area_code(np.minimum(p * larger // q + 1, larger))).max())

    def compute(self, boxes: Ints, scores: Ints, labels: Ints, present: NDArray[np.bool_] | None = None) -> Verdict:
        """Suppress the boxes of an image, given as for `NmsParams.compute`; the best kept box comes first."""
        one = np.zeros(len(labels), np.int64)
        taking, malformed, overflow = self.format.sift(boxes, labels, present, self.top.candidates)
        taking = taking[best(scores[taking], self.capacity)]
        groups = (one if self.class_agnostic else labels)[taking]
        kept = self.greedy.survivors(self.format.corners(boxes)[taking], scores[taking], groups)
        return Verdict(kept=taking[kept[: self.max_detections]], malformed=malformed, overflow=overflow)

    def contract(self) -> dict[str, Any]:
        """Return all that decides which boxes are kept, as plain values."""
        return self.top.contract() | {
            "method": self.method,
            "threshold": plain(rational(self.threshold)),
            "class_agnostic": self.class_agnostic,
            "max_detections": self.max_detections,
        }

    def codes(self, corners: Ints) -> Ints:
        """Low and high code along x, the same along y, code of the area: (n, 5), of corners (n, 4).

        [R] Along an axis the boxes a and b share `min(a2, b2) - max(a1, b1)`. Their IoU along the axis, which is at
        least their IoU, is above p/q if and only if `q a2 + p a1 > q b1 + p b2`, the same with a and b exchanged, and
        neither length is p/q of the other or less. Sums of one box stand on both sides, so they are codes that can be
        filed. Shifted, they can be equal, too.
        """
        p, q, shift = self.code_weights
        columns = []
        for axis in range(2):
            first, second = corners[:, axis], corners[:, axis + 2]
            columns += [(q * first + p * second) >> shift, (q * second + p * first) >> shift]
        sizes = np.maximum(area_code(areas(corners)) - self.least_area_code, 0)
        return np.stack([*columns, sizes], axis=1)

    def near(self, a: Ints, b: Ints) -> NDArray[np.bool_]:
        """Whether boxes with the codes (..., 5), which broadcast, must be compared: no other two overlap too much."""
        meets = np.abs(a[..., 4] - b[..., 4]) <= self.area_distance
        for low, high in ((0, 1), (2, 3)):
            meets = meets & (a[..., high] >= b[..., low]) & (b[..., high] >= a[..., low])
        return np.asarray(meets)


def area_code(values: Ints) -> Ints:
    """Logarithms of integers from 1 to base 2, linear between powers of two, with `AREA_FRACTION` fraction bits."""
    bits = np.frexp(values.astype(np.float64))[1].astype(np.int64) - 1  # exact below 2**53
    fraction = ((values << AREA_FRACTION) >> bits) - (1 << AREA_FRACTION)
    code: Ints = (bits << AREA_FRACTION) + fraction
    return code
