"""Images whose objects are known, from an `.npz` file: what a detector's average precision is measured on."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden.boxes import Detections, Floats
from golden.errors import InputError
from golden.rounding import Ints
from roundel.images import read_images

NAMES = ("boxes", "classes", "image_ids")


@dataclass(frozen=True, kw_only=True, eq=False)
class Objects:
    """The objects of one image: corners x1, y1, x2, y2 in pixels (m, 4), and classes (m,)."""

    boxes: Floats
    classes: Ints


@dataclass(frozen=True, kw_only=True, eq=False)
class Scenes:
    """Images (count, channels, rows, columns) and the objects of each."""

    images: NDArray[Any]
    objects: tuple[Objects, ...]

    def first(self, count: int) -> "Scenes":
        """The first `count` of them."""
        return Scenes(images=self.images[:count], objects=self.objects[:count])


def read_scenes(path: str | Path, shape: tuple[int, ...]) -> Scenes:
    """Read the arrays `images`, each of `shape`, and of all objects `boxes` (m, 4), `classes` and `image_ids` (m,).

    Raises
    ------
    InputError
        The file is missing, no `.npz`, or its arrays are not such: one line with file and array.
    """
    images = read_images(path, shape).images
    boxes, classes, ids = _object_arrays(path)
    try:
        found = Detections(boxes=boxes, scores=np.zeros(len(boxes)), classes=classes)
        found.check_inside(width=shape[-1], height=shape[-2])
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    if (
        ids.shape != (len(found),)
        or ids.dtype.kind not in "iu"
        or (len(ids) and not 0 <= ids.min() <= ids.max() < len(images))
    ):
        raise InputError(f"{path}: image_ids: expected {len(found)} integers from 0 to {len(images) - 1}")
    rows = [np.flatnonzero(ids == number) for number in range(len(images))]
    objects = tuple(Objects(boxes=found.boxes[row], classes=found.labels[row]) for row in rows)
    return Scenes(images=images, objects=objects)


def _object_arrays(path: str | Path) -> list[NDArray[Any]]:
    """The arrays `NAMES` of a file."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in NAMES if name in file.files}
    except Exception as error:  # a damaged archive raises one of half a dozen kinds
        raise InputError(f"{path}: not a valid .npz file of arrays") from error
    for name in NAMES:
        if name not in arrays:
            raise InputError(f"{path}: expected an array named {name}")
    return [arrays[name] for name in NAMES]
