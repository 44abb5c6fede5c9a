"""Suppression of the boxes of a file by any method, on the golden models or on the RTL."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from roundel.detection.detections import Arrays, ImageDetections, read_arrays, split_images
from roundel.detection.nms_options import NmsOptions, image_size
from roundel.detection.nms_pictures import draw_suppression, palette
from roundel.detection.nms_rtl import RtlRun, run_rtl
from roundel.golden.errors import InputError
from roundel.golden.nms import Detections, greedy_nms, psrr_nms
from roundel.golden.rounding import Ints
from roundel.graph import array_of
from roundel.ui import Grid, Result, write_json

PICTURES = 16  # a picture for each of the first images
SHOWN = 20  # images in the table
PLACES = ("golden", "rtl")

BoxSource: TypeAlias = str | Path | ArrayLike


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageResult:
    """An image of the file, and which of its boxes were kept: places among its boxes, rising."""

    image: ImageDetections
    kept: Ints

    @property
    def rows(self) -> Ints:
        """Rows of the file that were kept, rising."""
        return self.image.indices[self.kept]


@dataclass(frozen=True, kw_only=True, eq=False)
class NmsResult(Result):
    """The boxes that a suppression keeps.

    Attributes
    ----------
    file
        Where the boxes came from, for messages.
    arrays
        `boxes`, `scores` and, where given, `classes` and `image_ids`: a row a box.
    options
        The method and its parameters.
    images
        The images in the order in which the arrays first name them.
    rtl
        The run on the RTL; None for the golden models.
    """

    file: str
    arrays: Arrays
    options: NmsOptions
    images: Sequence[ImageResult]
    rtl: RtlRun | None

    @property
    def kept(self) -> Ints:
        """Rows of the file that were kept, rising."""
        return np.sort(np.concatenate([np.zeros(0, np.int64), *(image.rows for image in self.images)]))

    @property
    def boxes(self) -> int:
        """Boxes of the file."""
        return sum(len(image.image.detections) for image in self.images)

    def tables(self) -> Iterable[Grid]:
        """Give a row for each image, of the first ones, and for all."""
        rows = [(str(result.image.image_id), len(result.image.detections), len(result.kept)) for result in self.images]
        shown = rows[:SHOWN]
        if rest := rows[SHOWN:]:
            shown.append((f"{len(rest)} more", sum(row[1] for row in rest), sum(row[2] for row in rest)))
        shown.append(("all", self.boxes, len(self.kept)))
        cells = [(name, f"{boxes:,}", f"{kept:,}") for name, boxes, kept in shown]
        yield Grid(f"{self.file}, {self.options.method}", ("image", "boxes", "kept"), cells)

    def lines(self) -> Iterable[str]:
        """Give the speed of the RTL."""
        if self.rtl:
            yield str(self.rtl)

    def notes(self) -> Iterable[str]:
        """Give what the user should know beside the result.

        Yields
        ------
        str
            A line, where boxes were rounded for the RTL.
        """
        if self.rtl and not self.rtl.exact:
            yield f"{self.file}: boxes were rounded to 1/{1 << self.rtl.fraction} pixel for the RTL"

    def write(self, folder: Path) -> None:
        """Write `kept.json`, `kept.npz` (the rows kept) and pictures of the first `PICTURES` images."""
        write_json(folder / "kept.json", self.as_dict())
        kept: dict[str, Any] = {name: values[self.kept] for name, values in self.arrays.items()}
        np.savez(folder / "kept.npz", **kept)
        size = None if self.options.greedy and self.options.image is None else self.options.size
        colours = palette([image.image.detections for image in self.images])
        for result in self.images[:PICTURES]:
            image = result.image
            name = f"image {image.image_id}, {self.options.method}"
            draw_suppression(folder / f"image_{image.image_id}.png", name, image.detections, result.kept, size, colours)

    def as_dict(self) -> dict[str, Any]:
        """Give the rows kept, for all images together, then for each of them."""
        images = [
            {"image_id": result.image.image_id, "boxes": len(result.image.detections), "kept": result.rows.tolist()}
            for result in self.images
        ]
        values = {"kept": self.kept.tolist(), "method": self.options.method, "images": images}
        return values if self.rtl is None else values | {"rtl": self.rtl.as_dict()}


def suppress(
    boxes: BoxSource,
    scores: ArrayLike | None = None,
    classes: ArrayLike | None = None,
    image_ids: ArrayLike | None = None,
    *,
    method: str = "guarded",
    semantics: str | None = None,
    shift: str | None = None,
    alpha: float | None = None,
    stride: int | None = None,
    guard: float | None = None,
    image: tuple[int, int] | None = None,
    on: str = "golden",
) -> NmsResult:
    """Suppress scored boxes: non-maximum suppression by PSRR-MaxpoolNMS or GreedyNMS.

    Parameters
    ----------
    boxes
        (n, 4) corners x1, y1, x2, y2 in pixels, or the path of an `.npz` file that holds this and the next three.
    scores
        (n,) of the boxes; higher is better.
    classes
        (n,) integers; only boxes of one class suppress each other. None: all boxes are of one class.
    image_ids
        (n,) integers; only boxes of one image suppress each other. None: all boxes are of one image.
    method
        `guarded`, `psrr`, `adjacent`, `maxpool`: a pyramid of max pools; or `greedy`.
    semantics, shift, alpha, stride
        Parameters of a pyramid, see docs/nms.md. None stands for what the method's preset says.
    guard
        A pyramid's overlap guard, 0 to 1; the IoU threshold of greedy, 0.5 if not given.
    image
        Width and height in pixels; 640 x 640 if not given, or no borders for greedy on its golden model.
    on
        `golden`: the model in double precision; `rtl`: the hardware under Verilator on fixed-point boxes, compared
        with its golden model.

    Returns
    -------
    NmsResult
        `kept`: the rows that are kept, rising.

    Raises
    ------
    InputError
        Bad arrays, a bad file or option. Boxes are named by their row.
    MismatchError
        The RTL keeps other boxes than its golden model.

    Examples
    --------
    >>> import roundel
    >>> boxes = [[10, 10, 50, 50], [12, 11, 51, 52], [200, 200, 240, 260]]
    >>> roundel.suppress(boxes, [0.9, 0.8, 0.7], method="greedy").kept.tolist()
    [0, 2]
    """
    options = NmsOptions(
        method=method,
        semantics=semantics,
        shift=shift,
        alpha=alpha,
        stride=stride,
        guard=guard,
        image=image if image is None else image_size(image),
    )
    if on not in PLACES:
        raise InputError(f"on must be one of {', '.join(PLACES)}, not {on!r}")
    if not options.greedy:
        options.pyramid()  # bad options are said before the file is read
    if isinstance(boxes, str | Path):
        if any(values is not None for values in (scores, classes, image_ids)):
            raise InputError(f"{boxes}: expected a file of boxes alone, or arrays, not both")
        file, arrays = str(boxes), read_arrays(Path(boxes))
    else:
        given = {"boxes": boxes, "scores": scores, "classes": classes, "image_ids": image_ids}
        file, arrays = "arrays", {name: _given(name, values) for name, values in given.items() if values is not None}
    return _suppressed(file, arrays, options, rtl=on == "rtl")


def _given(name: str, values: object) -> NDArray[Any]:
    """Return an array that a user gave; that of an empty list has the shape and the type of no boxes."""
    array = array_of(name, values)
    if array.shape != (0,) or name == "scores":
        return array
    return array.reshape(0, 4) if name == "boxes" else array.astype(np.int64)


def _suppressed(file: str, arrays: Arrays, options: NmsOptions, *, rtl: bool) -> NmsResult:
    images = split_images(file, arrays)
    everything = joined(images)
    if rtl or not options.greedy or options.image:
        check_borders(file, everything, options)
    if rtl:
        groups = [image.indices[places] for image in images for places in by_class(image.detections)]
        run = _run(file, everything, groups, options)
        kept = [np.flatnonzero(np.isin(image.indices, run.kept)) for image in images]
    else:
        run = None
        kept = [_golden(image.detections, options) for image in images]
    results = [ImageResult(image=image, kept=places) for image, places in zip(images, kept, strict=True)]
    return NmsResult(file=file, arrays=arrays, options=options, images=results, rtl=run)


def _golden(detections: Detections, options: NmsOptions) -> Ints:
    if not options.greedy:
        return psrr_nms(detections, options.pyramid())
    return np.sort(greedy_nms(detections, options.threshold))


def _run(file: str, everything: Detections, groups: Sequence[Ints], options: NmsOptions) -> RtlRun:
    if not groups:
        raise InputError(f"{file}: boxes: expected at least one to run on the RTL")
    try:
        if options.greedy:
            return run_rtl("greedy_nms", everything, groups, size=options.size, threshold=options.threshold)
        return run_rtl("nms", everything, groups, size=options.size, method=options.method, **options.given)
    except InputError as error:
        raise InputError(f"{file}: {error}") from None


def joined(images: Sequence[ImageDetections]) -> Detections:
    """Return the boxes of all images, as the file has them."""
    rows = np.concatenate([np.zeros(0, np.int64), *(image.indices for image in images)])
    order = np.argsort(rows)
    boxes = np.concatenate([np.zeros((0, 4)), *(image.detections.boxes for image in images)])
    scores = np.concatenate([np.zeros(0), *(image.detections.scores for image in images)])
    labels = np.concatenate([np.zeros(0, np.int64), *(image.detections.labels for image in images)])
    return Detections(boxes=boxes[order], scores=scores[order], classes=labels[order])


def by_class(detections: Detections) -> list[Ints]:
    """Places of the boxes of each class, classes rising."""
    return [np.flatnonzero(detections.labels == label) for label in np.unique(detections.labels)]


def check_borders(file: str, everything: Detections, options: NmsOptions) -> None:
    """Raise InputError, naming the row, unless all boxes lie within the image."""
    width, height = options.size
    try:
        everything.check_inside(width=width, height=height)
    except InputError as error:
        hint = "" if options.image else "; give the size of the images with --image WxH"
        raise InputError(f"{file}: {error}{hint}") from None
