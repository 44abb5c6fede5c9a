"""What calibration images are like, and warnings about images that are unlike them, or that no calibration can use.

A network's input holds the range that the calibration images had. What is beyond is clamped, and what is far within
leaves most of the integers unused; either looks like a bad network, though the images are at fault.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roundel.golden.formats import Format

BEYOND = 0.01  # part of all values that are beyond a range, from which on it is worth a warning
BEYOND_IMAGE = 0.05  # the same in a single image
MARGIN = 0.25  # part of the calibration images' range by which other images may exceed it
NARROW = 0.25  # part of the calibration images' range below which that of other images is worth a warning
WAY_ON = "scale the images as the calibration images were scaled, or calibrate on images like these"


@dataclass(frozen=True, kw_only=True)
class ImageStatistics:
    """Figures of some images; those of the calibration images are kept in the file of the network.

    Attributes
    ----------
    images
        How many.
    dtype
        Name of their type, as NumPy has it.
    whole
        Whether all values are whole numbers.
    least, greatest
        Ends of their range.
    """

    images: int
    dtype: str
    whole: bool
    least: float
    greatest: float

    @classmethod
    def of(cls, images: NDArray[Any]) -> "ImageStatistics":
        """Return the figures of images, (count, *shape), at least one."""
        whole = images.dtype.kind in "iu" or all(bool((image == np.trunc(image)).all()) for image in images)
        least, greatest = float(images.min()), float(images.max())
        return cls(images=len(images), dtype=images.dtype.name, whole=whole, least=least, greatest=greatest)

    @classmethod
    def from_dict(cls, values: object) -> "ImageStatistics":
        """Return what `as_dict` gave; ValueError for anything else."""
        kinds: dict[str, Any] = {"images": int, "dtype": str, "whole": bool, "least": float | int}
        kinds["greatest"] = kinds["least"]
        if not isinstance(values, Mapping) or values.keys() != kinds.keys():
            raise ValueError(f"expected an object with {', '.join(kinds)}")
        for name, kind in kinds.items():
            number = kind is not bool and isinstance(values[name], bool)
            if number or not isinstance(values[name], kind) or (kind is not str and not isfinite(values[name])):
                raise ValueError(f"{name}: expected another value than {values[name]!r}")
        return cls(**values)

    def as_dict(self) -> dict[str, Any]:
        """As plain values that JSON can hold."""
        return asdict(self)

    @property
    def span(self) -> str:
        """The range in words."""
        return f"{self.least:.4g} to {self.greatest:.4g}"

    @property
    def reach(self) -> float:
        """Greatest magnitude."""
        return max(abs(self.least), abs(self.greatest))

    @property
    def kind(self) -> str:
        """The type in words."""
        return f"{self.dtype}, {'whole numbers' if self.whole else 'with fractions'}"


def calibration_warnings(images: NDArray[Any]) -> list[str]:
    """Return why formats that these calibration images choose may be worthless: they are constant, or all the same.

    Parameters
    ----------
    images
        (count, *shape), at least one.
    """
    values = images.reshape(len(images), -1)
    way_on = "formats that they choose suit no other images; calibrate on images as the network will see them"
    flat = int((values == values[:, :1]).all(axis=1).sum())
    if (values == values[0, 0]).all():
        return [f"calibration images: every value of all {len(images)} is {float(values[0, 0]):.4g}: {way_on}"]
    if values.shape[1] > 1 and 2 * flat > len(images):
        return [f"calibration images: {flat} of {len(images)} are constant: {way_on}"]
    if len(images) > 1 and (values == values[:1]).all():
        return [f"calibration images: all {len(images)} are the same: {way_on}"]
    return []


def input_warnings(
    what: str, images: NDArray[Any], form: Format, calibration: ImageStatistics | None = None
) -> list[str]:
    """Return in what images do not suit a network's input.

    Parameters
    ----------
    what
        What the images are, for the text.
    images
        (count, *shape), at least one.
    form
        Format of the input.
    calibration
        Figures of the calibration images, where they are known.
    """
    own = ImageStatistics.of(images)
    beside = f"the calibration images {calibration.span}" if calibration else "the calibration images are not known"
    low, high = (float(form.decode(np.array(end))) for end in form.limits)
    if clamped := _beyond(images, low - form.scale, high + form.scale):
        return [f"{what}: {clamped} beyond {low:.4g} to {high:.4g}, which is all that the network's input holds, and "
                f"clamped; they span {own.span}, {beside}: {WAY_ON}"]  # fmt: skip
    if calibration is None:
        return []
    return [f"{what}: {unlike}; {WAY_ON}" for unlike in _unlike(images, own, calibration)][:1]


def _unlike(images: NDArray[Any], own: ImageStatistics, calibration: ImageStatistics) -> Iterator[str]:
    """Say in what images are unlike the calibration images: their range, sign or type."""
    margin = MARGIN * max(calibration.greatest - calibration.least, calibration.reach)
    both = f"they span {own.span}, the calibration images {calibration.span}"
    if wide := _beyond(images, calibration.least - margin, calibration.greatest + margin):
        yield f"{wide} far beyond the calibration images: {both}"
    if own.reach < NARROW * calibration.reach:
        yield f"{both}, of which that is {own.reach / calibration.reach:.2%}"
    if own.least >= 0 > calibration.least + NARROW * calibration.reach:
        yield f"none of them is negative: {both}"
    if own.whole != calibration.whole:
        yield f"they are {own.kind}, the calibration images {calibration.kind}"


def _beyond(images: NDArray[Any], low: float, high: float) -> str:
    """Say which part of the values is below `low` or above `high`; empty if hardly any is."""
    parts = np.array([((image < low) | (image > high)).mean() for image in images])
    whole, bad = float(parts.mean()), int((parts > BEYOND_IMAGE).sum())
    if whole <= BEYOND and not bad:
        return ""
    where = f" (more than {BEYOND_IMAGE:.0%} in {bad} of {len(images)} images)" if bad else ""
    return f"{whole:.2%} of the values{where} are"
