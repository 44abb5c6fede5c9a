"""One scale of a detector's head: which outputs it has, and where its locations and priors lie."""

from dataclasses import dataclass
from math import ceil
from typing import Any

from roundel.detection.forms import HeadForm, real_number, real_numbers
from roundel.golden.head import MOST_PRIORS, BoxForm, Score, Side
from roundel.golden.parameters import check_integer

UNITS = (-8, 12)  # of distances, as powers of two
LEAST_STRIDE = 0.0625
MOST_PIXELS = 4096  # of a prior's side, and how far off its location it lies
SLACK = 1e-6  # by which a number of locations may be above a whole one: strides such as 300 / 38 are rounded


@dataclass(frozen=True, kw_only=True)
class Scale:
    """One scale of the head.

    Parameters
    ----------
    cls, box
        Names of the outputs that hold its logits and its boxes, prior by prior.
    objectness
        Name of the output that holds a logit for each prior, of the score `product`; empty for others.
    stride
        Pixels between neighbouring locations: whole, 1 to 4096, or real, 1/16 to 4096.
    unit
        All that is linear in a raw value counts `2**unit` pixels, -8 to 12.
    offset
        Location x lies at `(x + offset) * stride`, -16 to 16; corners of priors are relative to `x * stride`.
    priors
        Width and height in pixels of each prior; of the form `corners` its corners x1, y1, x2, y2. Empty where a box
        needs none.
    rows, columns
        Of locations; 0: those of the image over the stride, rounded up.

    Raises
    ------
    TypeError, ValueError
        A parameter of the wrong kind or out of range; the message echoes it.
    """

    cls: str
    box: str
    objectness: str = ""
    stride: float
    unit: int = 0
    offset: float = 0.5
    priors: tuple[tuple[float, ...], ...] = ()
    rows: int = 0
    columns: int = 0

    def __post_init__(self) -> None:
        for name in ("cls", "box", "objectness"):
            if not isinstance(getattr(self, name), str):
                raise TypeError(f"{name} must be the name of an output, not {getattr(self, name)!r}")
        if type(self.stride) is int:
            check_integer("stride", self.stride, 1, MOST_PIXELS)
        elif not LEAST_STRIDE <= real_number("stride", self.stride) <= MOST_PIXELS:
            raise ValueError(f"stride must be {LEAST_STRIDE} to {MOST_PIXELS}, not {self.stride}")
        check_integer("unit", self.unit, *UNITS)
        object.__setattr__(self, "offset", real_number("offset", self.offset))
        if not abs(self.offset) <= 16:
            raise ValueError(f"offset must be within +-16, not {self.offset}")
        for name in ("rows", "columns"):
            check_integer(name, getattr(self, name), 0, MOST_PIXELS)
        object.__setattr__(self, "priors", _priors(self.priors))

    @property
    def prior_count(self) -> int:
        """Boxes of a location."""
        return max(1, len(self.priors))

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of its outputs: `cls`, `box` and, if there is one, `objectness`."""
        return (self.cls, self.box, *([self.objectness] if self.objectness else []))

    def grid(self, width: int, height: int) -> tuple[int, int]:
        """Rows and columns of its locations in an image of that size in pixels."""
        return self.rows or ceil(height / self.stride - SLACK), self.columns or ceil(width / self.stride - SLACK)

    def check(self, form: HeadForm) -> None:
        """Raise ValueError unless it has what a form of head needs."""
        if bool(self.objectness) != (form.score is Score.PRODUCT):
            needs = "must name an output" if form.score is Score.PRODUCT else "must be left out"
            raise ValueError(f"objectness {needs} for the score {form.score}, not be {self.objectness!r}")
        if form.has_priors and not self.priors:
            raise ValueError(f"priors must be 1 to {MOST_PRIORS} for the box {form.box}, not none")
        if self.priors and form.box in (BoxForm.DISTANCES, BoxForm.DFL):
            raise ValueError(f"priors must be left out for the box {form.box}, not be {len(self.priors)}")
        for prior in self.priors:
            if len(prior) != form.prior_size:
                raise ValueError(f"priors must have {form.prior_size} numbers for {form.box}, not {list(prior)}")
            if form.box is BoxForm.CENTRE and form.side is not Side.LINEAR and min(prior) <= 0:
                raise ValueError(f"priors must have sides above 0, not {list(prior)}")


def _priors(priors: Any) -> tuple[tuple[float, ...], ...]:
    """Return priors as tuples of numbers."""
    if not isinstance(priors, list | tuple) or len(priors) > MOST_PRIORS:
        raise ValueError(f"priors must be a list of at most {MOST_PRIORS}, not {priors!r}")
    found = []
    for prior in priors:
        if not isinstance(prior, list | tuple) or len(prior) not in (2, 4):
            raise TypeError(f"priors must have 2 or 4 numbers each, not {prior!r}")
        found.append(real_numbers("priors", prior, len(prior)))
        if max(map(abs, found[-1])) > MOST_PIXELS:
            raise ValueError(f"priors must be within {MOST_PIXELS} pixels, not {list(prior)}")
    return tuple(found)
