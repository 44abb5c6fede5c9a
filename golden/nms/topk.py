"""The best boxes of an image: top-k, before a suppression or alone, for detectors whose boxes do not suppress."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from roundel.golden.nms.detections import by_score
from roundel.golden.nms.format import MAX_CAPACITY, BoxFormat, Verdict
from roundel.golden.parameters import Params, check_integer
from roundel.golden.rounding import Ints

DIGIT_WIDTH = 8  # most bits of a digit of the scores
MAX_CANDIDATES = 1 << 24


def best(scores: NDArray[Any], count: int) -> Ints:
    """Return the indices of the `count` best scores, the best first; of equal scores the lower index comes first."""
    return by_score(scores)[:count]


@dataclass(frozen=True, kw_only=True)
class TopKParams(Params):
    """What is fixed when the unit that keeps the best boxes of an image is generated.

    Parameters
    ----------
    format
        How boxes are sent. Its keyword arguments will do.
    method
        `none`: no suppression.
    capacity
        Boxes kept of an image, the best ones, 1 to 65536.
    candidates
        Boxes that an image may send, `capacity` to 2**24. Boxes beyond them are dropped and reported. As many as
        `capacity`: the unit only sorts.
    tag_width
        Bits of a tag that each box brings along, 0 to 32, and leaves with in place of its index; 0: there are no tags.

    Raises
    ------
    TypeError, ValueError
        A parameter of the wrong kind or out of range; the message echoes it.
    """

    METHOD: ClassVar[str] = "none"
    lanes: ClassVar[int] = 1
    """Boxes of a beat."""

    format: BoxFormat = field(default_factory=BoxFormat)
    method: str = METHOD
    capacity: int = 300
    candidates: int = 1 << 16
    tag_width: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_method(self.METHOD, self.method)
        check_integer("capacity", self.capacity, 1, MAX_CAPACITY)
        check_integer("candidates", self.candidates, self.capacity, MAX_CANDIDATES)
        check_integer("tag_width", self.tag_width, 0, 32)

    @property
    def top(self) -> "TopKParams":
        """The unit that sorts the boxes which take part: this one, as that of a suppression is `ExactParams.top`."""
        return self

    @property
    def index_width(self) -> int:
        """Bits of the tag of a box, or of its index within the image."""
        return self.tag_width or max(1, (self.candidates - 1).bit_length())

    @property
    def selects(self) -> bool:
        """Whether an image may send more boxes than are kept."""
        return self.candidates > self.capacity

    @property
    def held(self) -> int:
        """Boxes that are sorted together.

        [R] Of them the best `capacity` come back, before boxes that come later. Half of `capacity` is free for those at
        least, and the memories of sorters have powers of two of places.
        """
        return 1 << (3 * self.capacity // 2).bit_length() if self.selects else self.capacity

    @property
    def digits(self) -> tuple[int, ...]:
        """Bits of the digits by which scores are sorted, the lowest first."""
        width = self.format.score_width
        count = -(-width // DIGIT_WIDTH)
        return tuple((width + place) // count for place in range(count))

    def compute(self, boxes: Ints, scores: Ints, labels: Ints, present: NDArray[np.bool_] | None = None) -> Verdict:
        """Keep the best boxes of an image, given as for `NmsParams.compute`; the best one comes first.

        Scores fall, and of equal scores the lower index comes first.
        """
        taking, malformed, overflow = self.format.sift(boxes, labels, present, self.candidates)
        kept = taking[best(scores[taking], self.capacity)]
        return Verdict(kept=kept, malformed=malformed, overflow=overflow)

    def contract(self) -> dict[str, Any]:
        """Return all that decides which boxes are kept, as plain values."""
        return self.format.as_dict() | {name: getattr(self, name) for name in ("method", "capacity", "candidates")}


def check_method(known: str, method: object) -> None:
    """Raise ValueError unless the method is the one that a class of parameters stands for."""
    if method != known:
        raise ValueError(f"method must be {known!r}, not {method!r}")
