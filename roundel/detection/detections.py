"""Scored boxes of many images from an `.npz` file, checked before anything is done with them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roundel.golden.errors import InputError
from roundel.golden.nms import Detections, Floats
from roundel.golden.rounding import Ints
from roundel.graph import read_images, read_npz

Arrays = Mapping[str, NDArray[Any]]

REQUIRED, OPTIONAL = ("boxes", "scores"), ("classes", "image_ids")


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Read those arrays of a file that are about boxes, by name.

    Raises
    ------
    InputError
        The file is missing or no `.npz`.
    """
    return read_npz(path, (*REQUIRED, *OPTIONAL))


def check_arrays(file: str, arrays: Arrays) -> None:
    """Raise InputError unless the required arrays are there and all are of integers or real numbers."""
    for name in REQUIRED:
        if name not in arrays:
            raise InputError(f"{file}: expected an array named {name}")
    for name, array in arrays.items():
        if array.dtype.kind not in "iuf":
            raise InputError(f"{file}: {name}: expected real numbers, not {array.dtype}")


def image_ids_of(file: str, arrays: Arrays, count: int) -> NDArray[Any]:
    """Return the number of the image of each of `count` rows; without the array `image_ids` all are of image 0.

    Raises
    ------
    InputError
        It has another shape, or other values than integers.
    """
    ids = arrays.get("image_ids", np.zeros(count, np.int64))
    if ids.shape != (count,) or ids.dtype.kind not in "iu":
        raise InputError(f"{file}: image_ids: expected {count} integers, not {ids.dtype} of {ids.shape}")
    return ids


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
        """Return the first `count` of them."""
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
        everything = Detections(boxes=boxes, scores=np.zeros(len(boxes)), classes=classes)
        everything.check_inside(width=shape[-1], height=shape[-2])
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    if (
        ids.shape != (len(everything),)
        or ids.dtype.kind not in "iu"
        or (len(ids) and not 0 <= ids.min() <= ids.max() < len(images))
    ):
        raise InputError(f"{path}: image_ids: expected {len(everything)} integers from 0 to {len(images) - 1}")
    rows = [np.flatnonzero(ids == number) for number in range(len(images))]
    objects = tuple(Objects(boxes=everything.boxes[row], classes=everything.labels[row]) for row in rows)
    return Scenes(images=images, objects=objects)


def _object_arrays(path: str | Path) -> list[NDArray[Any]]:
    """Return the arrays `NAMES` of a file."""
    arrays = read_npz(path, NAMES)
    for name in NAMES:
        if name not in arrays:
            raise InputError(f"{path}: expected an array named {name}")
    return [arrays[name] for name in NAMES]
