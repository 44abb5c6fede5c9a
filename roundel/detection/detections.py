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


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageDetections:
    """The boxes of one image of a file.

    Parameters
    ----------
    image_id
        As the file numbers it.
    indices
        Rows of the file that are about this image, rising, (n,).
    detections
        Those rows, in the same order.
    """

    image_id: int
    indices: Ints
    detections: Detections


def read_detections(path: Path) -> list[ImageDetections]:
    """Read the boxes of a file, image by image: `split_images` of `read_arrays`."""
    return split_images(str(path), read_arrays(path))


def split_images(file: str, arrays: Arrays) -> list[ImageDetections]:
    """Check and split the arrays `boxes` (n, 4), `scores` (n,) and, if there are any, `classes` and `image_ids` (n,).

    Without `classes` all boxes are of one class, without `image_ids` of one image, number 0. Images come in the order
    in which the file first names them.

    Raises
    ------
    InputError
        An array is missing or bad: one line with file, array, row and what was expected.
    """
    _check_arrays(file, arrays)
    try:
        everything = Detections(**{name: arrays[name] for name in (*REQUIRED, "classes") if name in arrays})
    except InputError as error:
        raise InputError(f"{file}: {error}") from error
    ids = arrays.get("image_ids", np.zeros(len(everything), np.int64))
    if ids.shape != (len(everything),) or ids.dtype.kind not in "iu":
        raise InputError(f"{file}: image_ids: expected {len(everything)} integers, not {ids.dtype} of {ids.shape}")
    return [_image(everything, ids, image_id) for image_id in dict.fromkeys(ids.tolist())]


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Read those arrays of a file that are about boxes, by name.

    Raises
    ------
    InputError
        The file is missing or no `.npz`.
    """
    return read_npz(path, (*REQUIRED, *OPTIONAL))


def _check_arrays(file: str, arrays: Arrays) -> None:
    for name in REQUIRED:
        if name not in arrays:
            raise InputError(f"{file}: expected an array named {name}")
    for name, array in arrays.items():
        if array.dtype.kind not in "iuf":
            raise InputError(f"{file}: {name}: expected real numbers, not {array.dtype}")


def _image(everything: Detections, ids: NDArray[Any], image_id: int) -> ImageDetections:
    """Return the rows of one image."""
    rows = np.flatnonzero(ids == image_id)
    detections = Detections(
        boxes=everything.boxes[rows], scores=everything.scores[rows], classes=everything.labels[rows]
    )
    return ImageDetections(image_id=image_id, indices=rows, detections=detections)


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
