"""Where a picture lies in a network's input: its aspect kept, in the middle, the rest filled; and the way back."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from roundel.golden.nms import Floats
from roundel.runtime.pictures.reading import Pixels


@dataclass(frozen=True, kw_only=True)
class Letterbox:
    """Where a picture lies in a network's input.

    Attributes
    ----------
    size
        Width and height of the picture in pixels.
    inner
        Those of its place in the input: both at most those of the input, one of them equal to it.
    corner
        Columns to the left of that place, and rows above it.
    outer
        Width and height of the input.
    """

    size: tuple[int, int]
    inner: tuple[int, int]
    corner: tuple[int, int]
    outer: tuple[int, int]

    @classmethod
    def of(cls, size: tuple[int, int], outer: tuple[int, int]) -> "Letterbox":
        """Return the place of a picture, as large as fits.

        [R] Sides are rounded to whole pixels, at least 1; an odd row or column that is left over goes below or right.
        """
        factor = min(whole / part for whole, part in zip(outer, size, strict=True))
        width, height = (min(max(1, round(part * factor)), whole) for part, whole in zip(size, outer, strict=True))
        corner = ((outer[0] - width) // 2, (outer[1] - height) // 2)
        return cls(size=size, inner=(width, height), corner=corner, outer=outer)

    def put(self, pixels: Pixels, background: int) -> Pixels:
        """Return the input, (rows, columns, channels), of a picture (rows, columns, channels).

        [R] Bilinear; where a picture shrinks, weights fall to zero a pixel of the input away from its middle.
        """
        planes = [
            np.asarray(Image.fromarray(np.ascontiguousarray(plane)).resize(self.inner, Image.Resampling.BILINEAR))
            for plane in np.moveaxis(pixels, -1, 0)
        ]
        whole: NDArray[np.uint8] = np.full((self.outer[1], self.outer[0], len(planes)), background, np.uint8)
        x, y = self.corner
        whole[y : y + self.inner[1], x : x + self.inner[0]] = np.stack(planes, axis=-1)
        return whole

    def back(self, boxes: Floats) -> Floats:
        """Return boxes of the input, corners (n, 4), in pixels of the picture, cut at its border."""
        inner, corner = np.array(self.inner * 2, np.float64), np.array(self.corner * 2)
        size = np.array(self.size * 2, np.float64)
        return np.asarray(np.clip((boxes - corner) * size / inner, 0, size))
