"""Options of a suppression: the method, its parameters, and the size of the images."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from roundel.golden.errors import InputError
from roundel.golden.nms import MAX_CAPACITY, MAX_IMAGE, PRESETS, GreedyParams, PsrrParams, preset
from roundel.graph import integer_of

METHODS = (*PRESETS, "greedy", "exact")
PLACES = ("float", "golden", "rtl")
IMAGE = (640, 640)  # pixels, unless the user says otherwise


@dataclass(frozen=True, kw_only=True)
class NmsOptions:
    """The method and its parameters, as the user chose them. None stands for what the method's preset says.

    Parameters
    ----------
    method
        A name of `roundel.golden.nms.presets`; `greedy` or `exact`, which are GreedyNMS and differ in hardware.
    semantics, shift, alpha, stride
        See `roundel.golden.nms.psrr_params`; they are about pyramids, which greedy has not.
    guard
        A pyramid's overlap guard; the IoU threshold of greedy and exact, 0.5 if not given.
    max_detections
        Most boxes that exact keeps of an image, the best ones; all if not given.
    image
        Width and height in pixels; 640 x 640 if not given, or no borders for greedy in floating point.
    on
        `float`: double precision; `golden`: the integers of the hardware; `rtl`: the hardware.
    drop_bad
        Whether bad rows of a file are dropped instead of refused.
    normalized
        Whether boxes are parts of the image, 0 to 1, instead of pixels.

    Raises
    ------
    InputError
        An unknown method or place, something about pyramids for greedy or exact, or `max_detections` for others.
    """

    method: str = "guarded"
    semantics: str | None = None
    shift: str | None = None
    alpha: float | None = None
    stride: int | None = None
    guard: float | None = None
    max_detections: int | None = None
    image: tuple[int, int] | None = None
    on: str = "golden"
    drop_bad: bool = False
    normalized: bool = False

    def __post_init__(self) -> None:
        if self.on not in PLACES:
            raise InputError(f"on must be one of {', '.join(PLACES)}, not {self.on!r}")
        if self.method not in METHODS:
            raise InputError(f"method must be one of {', '.join(METHODS)}, not {self.method!r}")
        pyramid = {name: value for name, value in self.given.items() if name != "guard"}
        if self.greedy and pyramid:
            raise InputError(
                f"{min(pyramid)} is about pyramids, and {self.method} has none: expected at most guard and image"
            )
        if self.max_detections is not None:
            if not self.exact:
                raise InputError(f"max_detections is for method exact, not {self.method}")
            integer_of("max_detections", self.max_detections, 1, MAX_CAPACITY)
        number = isinstance(self.threshold, Real) and not isinstance(self.threshold, bool)
        if self.greedy and not (number and 0 <= self.threshold <= 1):
            raise InputError(f"guard must be 0 to 1, the IoU threshold of {self.method}, not {self.guard}")

    @property
    def greedy(self) -> bool:
        """Whether the method is GreedyNMS, by either unit, which has no pyramid."""
        return self.method in ("greedy", "exact")

    @property
    def exact(self) -> bool:
        """Whether the unit is the GreedyNMS of a box a cycle, to which classes and images go together."""
        return self.method == "exact"

    @property
    def given(self) -> dict[str, Any]:
        """Parameters that differ from the preset's."""
        names = ("semantics", "shift", "alpha", "stride", "guard")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}

    @property
    def size(self) -> tuple[int, int]:
        """The image's width and height in pixels."""
        return self.image or IMAGE

    @property
    def borders(self) -> bool:
        """Whether all boxes have to lie within the image."""
        return self.on != "float" or not self.greedy or self.image is not None

    @property
    def ways_out(self) -> list[str]:
        """What may be done about boxes outside the image."""
        ways = [] if self.image else ["give the size of the images with --image WxH"]
        return [*ways, f"--on float has no borders for {self.method}"] if ways and self.greedy else ways

    @property
    def threshold(self) -> float:
        """The IoU threshold of greedy and exact."""
        return GreedyParams.threshold if self.guard is None else self.guard

    def pyramid(self) -> PsrrParams:
        """Return the parameters of the float model."""
        width, height = self.size
        try:
            return preset(self.method, width=width, height=height, **self.given)
        except (TypeError, ValueError) as error:
            raise InputError(str(error)) from None


def image_size(image: object) -> tuple[int, int]:
    """Return width and height in pixels, given both as integers; InputError for anything else."""
    sides = image.tolist() if isinstance(image, np.ndarray) else image
    if isinstance(sides, Sequence) and not isinstance(sides, str | bytes) and len(sides) == 2:
        width, height = (integer_of("image", side, 1, MAX_IMAGE) for side in sides)
        return width, height
    raise InputError(f"image must be (width, height) in pixels, 1 to {MAX_IMAGE} each, not {image!r}")


def parse_image(text: str) -> tuple[int, int]:
    """Return width and height in pixels from a text such as 640x480; InputError for another text."""
    match = re.fullmatch("([0-9]{1,9})x([0-9]{1,9})", text)
    size = (int(match[1]), int(match[2])) if match else (0, 0)
    if not all(1 <= side <= MAX_IMAGE for side in size):
        raise InputError(f"image must be WIDTHxHEIGHT in pixels, 1 to {MAX_IMAGE} each, not {text[:40]!r}")
    return size
