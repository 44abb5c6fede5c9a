"""Images and labels from `.npz` files, checked against the network that takes them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from roundel.golden.errors import InputError
from roundel.graph.archives import read_npz
from roundel.graph.graph import Graph
from roundel.graph.inputs import array_of, integer_of, kind_of

FLOAT32 = float(np.finfo(np.float32).max)


@dataclass(frozen=True, kw_only=True, eq=False)
class Images:
    """Images as a network takes them.

    Parameters
    ----------
    images
        (count, *shape of the network's input), any real type.
    labels
        (count,) integers; None where the file has none.
    file
        Origin of the images, for messages.
    """

    images: NDArray[Any]
    labels: NDArray[Any] | None
    file: str = "images"

    def first(self, count: int | None) -> "Images":
        """Return the first `count` of them, all if None; InputError unless it is at least 1."""
        if count is not None:
            count = integer_of("count", count, 1)
        labels = None if self.labels is None else self.labels[:count]
        return replace(self, images=self.images[:count], labels=labels)

    def labels_of(self, shape: tuple[int, ...]) -> NDArray[Any]:
        """Return the labels, for results of `shape` (without the batch).

        Raises
        ------
        InputError
            There are none, some have no score, or results are not one score a class.
        """
        if self.labels is None:
            raise InputError(f"{self.file}: expected an array named labels")
        if len(shape) != 1:
            raise InputError(f"{self.file}: labels: expected a network of one score a class, not results of {shape}")
        least, most = self.labels.min(), self.labels.max()
        if least < 0 or most >= shape[0]:
            raise InputError(f"{self.file}: labels: expected 0 to {shape[0] - 1}, not {least} to {most}")
        return self.labels

    def accuracy(self, scores: NDArray[Any]) -> float:
        """Part of the images, 0 to 1, whose greatest score (batch, classes) is their label's; ties go to the first."""
        return float((scores.argmax(axis=1) == self.labels_of(scores.shape[1:])).mean())


ImageSource: TypeAlias = str | Path | NDArray[Any] | Mapping[str, NDArray[Any]] | Images
"""Images: the path of an `.npz` file with `images` and perhaps `labels`, such arrays by name, or the images alone."""


def load_images(source: ImageSource, graph: Graph) -> Images:
    """`read_images` of the shape that `graph` takes."""
    return read_images(source, graph.shape)


def image_shape(source: ImageSource) -> tuple[int, ...]:
    """Return the shape of one image, whatever it is; InputError where there are no images."""
    if isinstance(source, Images):
        return source.images.shape[1:]
    return _named_arrays(source)[1]["images"].shape[1:]


def channels_last(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape (rows, columns, channels) of an image of (channels, rows, columns); that of features stays."""
    return (*shape[1:], shape[0]) if len(shape) == 3 else shape


def read_images(source: ImageSource, shape: tuple[int, ...]) -> Images:
    """Read the arrays `images`, each of `shape`, and, where there are any, `labels`.

    Parameters
    ----------
    source
        The path of an `.npz` file, its arrays by name, or the images alone.
    shape
        Shape of an image: (channels, rows, columns) or (features,). Images of (rows, columns, channels) are turned
        round, where only that fits.

    Raises
    ------
    InputError
        The file is missing, no `.npz`, or its arrays are not such: one line with file and array.
    """
    if isinstance(source, Images):
        source = {"images": source.images} | ({} if source.labels is None else {"labels": source.labels})
    path, arrays = _named_arrays(source)
    images, labels = arrays["images"], arrays.get("labels")
    if shape != images.shape[1:] == channels_last(shape):
        images = np.moveaxis(images, -1, 1)  # as files of images mostly have them
    expected = f"(count, {', '.join(map(str, shape))})"
    if images.shape[1:] != shape or len(images) == 0:
        raise InputError(f"{path}: images: expected shape {expected}, not {images.shape}")
    if images.dtype.kind not in "uif" or not all(abs(float(end)) <= FLOAT32 for end in (images.min(), images.max())):
        raise InputError(f"{path}: images: expected finite real numbers within the range of float32")
    if labels is not None and (labels.shape != images.shape[:1] or labels.dtype.kind not in "ui"):
        raise InputError(f"{path}: labels: expected {len(images)} integers, not {labels.dtype} of {labels.shape}")
    return Images(images=images, labels=labels, file=path)


def _named_arrays(source: ImageSource) -> tuple[str, dict[str, NDArray[Any]]]:
    """Return where the arrays are from, for messages, and `images` and perhaps `labels`, of any shape but no number."""
    path = str(source) if isinstance(source, str | Path) else "arrays"
    arrays: Any = read_npz(source, ("images", "labels")) if isinstance(source, str | Path) else source
    if not isinstance(arrays, Mapping):
        arrays = {"images": arrays}
        if np.ndim(array_of("images", source)) == 0:
            raise InputError(f"images: expected the path of an .npz file, or arrays, not {kind_of(source)}")
    names = [name for name in ("images", "labels") if arrays.get(name) is not None]
    named = {name: array_of(f"{path}: {name}", arrays[name]) for name in names}
    if "images" not in named or named["images"].ndim == 0:
        raise InputError(f"{path}: expected an array named images")
    return path, named
