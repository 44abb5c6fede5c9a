"""Images and labels from `.npz` files, checked against the network that takes them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden.errors import InputError
from roundel.graph import Graph


@dataclass(frozen=True, kw_only=True, eq=False)
class Images:
    """Images as a network takes them.

    Parameters
    ----------
    images
        (count, *shape of the network's input), any real type.
    labels
        (count,) integers; None where the file has none.
    """

    images: NDArray[Any]
    labels: NDArray[Any] | None

    def first(self, count: int | None) -> "Images":
        """The first `count` of them, all if None."""
        labels = None if self.labels is None else self.labels[:count]
        return Images(images=self.images[:count], labels=labels)

    def accuracy(self, scores: NDArray[Any]) -> float:
        """Part of the images, 0 to 1, whose greatest score (batch, classes) is their label's; ties go to the first."""
        if self.labels is None:
            raise InputError("expected labels, but the images have none")
        return float((scores.argmax(axis=1) == self.labels).mean())


def load_images(path: str | Path, graph: Graph) -> Images:
    """`read_images` as `graph` takes them."""
    return read_images(path, graph.shape)


def read_images(path: str | Path, shape: tuple[int, ...]) -> Images:
    """Read the arrays `images`, each of `shape`, and, where there are any, `labels`.

    Raises
    ------
    InputError
        The file is missing, no `.npz`, or its arrays are not such: one line with file and array.
    """
    if not Path(path).is_file():
        raise InputError(f"{path}: expected an .npz file, but there is none")
    try:
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files if name in ("images", "labels")}
    except Exception as error:  # a damaged archive raises one of half a dozen kinds
        raise InputError(f"{path}: not a valid .npz file of arrays") from error
    images, labels = arrays.get("images"), arrays.get("labels")
    if images is None or images.ndim == 0:
        raise InputError(f"{path}: expected an array named images")
    expected = f"(count, {', '.join(map(str, shape))})"
    if images.shape[1:] != shape or len(images) == 0:
        raise InputError(f"{path}: images: expected shape {expected}, not {images.shape}")
    if images.dtype.kind not in "uif" or not np.isfinite(images).all():
        raise InputError(f"{path}: images: expected finite real numbers")
    if labels is not None and (labels.shape != images.shape[:1] or labels.dtype.kind not in "ui"):
        raise InputError(f"{path}: labels: expected {len(images)} integers, not {labels.dtype} of {labels.shape}")
    return Images(images=images, labels=labels)
