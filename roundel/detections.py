"""Scored boxes of many images from an `.npz` file, checked before anything is done with them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden.boxes import Detections
from golden.errors import InputError
from golden.rounding import Ints

REQUIRED, OPTIONAL = ("boxes", "scores"), ("classes", "image_ids")


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageDetections:
    """What a file says of one image.

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
    """Read the arrays `boxes` (n, 4) and `scores` (n,) and, where there are any, `classes` and `image_ids` (n,).

    Without `classes` all boxes are of one class, without `image_ids` of one image, number 0. Images come in the order
    in which the file first names them.

    Raises
    ------
    InputError
        The file is missing, no `.npz`, or an array is missing or bad: one line with file, array, row and what was
        expected.
    """
    arrays = _arrays(path)
    try:
        everything = Detections(**{name: arrays[name] for name in (*REQUIRED, "classes") if name in arrays})
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    ids = arrays.get("image_ids", np.zeros(len(everything), np.int64))
    if ids.shape != (len(everything),) or ids.dtype.kind not in "iu":
        raise InputError(f"{path}: image_ids: expected {len(everything)} integers, not {ids.dtype} of {ids.shape}")
    return [_image(everything, ids, image_id) for image_id in dict.fromkeys(ids.tolist())]


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a file by name, `boxes` and `scores` surely among them, all of them real numbers."""
    if not path.is_file():
        raise InputError(f"{path}: expected an .npz file, but there is none")
    try:
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
            arrays = {name: file[name] for name in (*REQUIRED, *OPTIONAL) if name in file.files}
    except Exception as error:  # a damaged archive raises one of half a dozen kinds
        raise InputError(f"{path}: not a valid .npz file of arrays") from error
    for name in REQUIRED:
        if name not in arrays:
            raise InputError(f"{path}: expected an array named {name}")
    for name, array in arrays.items():
        if array.dtype.kind not in "iuf":
            raise InputError(f"{path}: {name}: expected real numbers, not {array.dtype}")
    return arrays


def _image(everything: Detections, ids: NDArray[Any], image_id: int) -> ImageDetections:
    """The rows of one image."""
    rows = np.flatnonzero(ids == image_id)
    detections = Detections(
        boxes=everything.boxes[rows], scores=everything.scores[rows], classes=everything.labels[rows]
    )
    return ImageDetections(image_id=image_id, indices=rows, detections=detections)
