"""Suppression of the boxes of a file by any method, on the golden models or on the RTL."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from roundel.detection.detections import OPTIONAL, REQUIRED, ImageDetections, read_detections
from roundel.detection.nms_pictures import draw_suppression, palette
from roundel.detection.nms_rtl import RtlRun, run_rtl
from roundel.golden.errors import InputError
from roundel.golden.nms import MAX_IMAGE, PRESETS, Detections, GreedyParams, PsrrParams, greedy_nms, preset, psrr_nms
from roundel.golden.rounding import Ints
from roundel.ui import write_json

METHODS = (*PRESETS, "greedy")
IMAGE = (640, 640)  # pixels, unless the user says otherwise
PICTURES = 16  # a picture for each of the first images
SHOWN = 20  # images in the table


@dataclass(frozen=True, kw_only=True)
class NmsOptions:
    """What the user chose. None stands for what the method's preset says.

    Parameters
    ----------
    method
        A name of `roundel.golden.nms.presets`, or `greedy`.
    semantics, shift, alpha, stride
        See `roundel.golden.nms.psrr_params`; they are about pyramids, which greedy has not.
    guard
        A pyramid's overlap guard; the IoU threshold of greedy, 0.5 if not given.
    image
        Width and height in pixels; 640 x 640 if not given, or no borders for greedy on its golden model.

    Raises
    ------
    InputError
        An unknown method, or something about pyramids for greedy.
    """

    method: str = "guarded"
    semantics: str | None = None
    shift: str | None = None
    alpha: float | None = None
    stride: int | None = None
    guard: float | None = None
    image: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise InputError(f"method must be one of {', '.join(METHODS)}, not {self.method!r}")
        pyramid = {name: value for name, value in self.given.items() if name != "guard"}
        if self.greedy and pyramid:
            raise InputError(f"{min(pyramid)} is about pyramids, and greedy has none: expected at most guard and image")
        if self.greedy and not 0 <= self.threshold <= 1:
            raise InputError(f"guard must be 0 to 1, the IoU threshold of greedy, not {self.guard}")

    @property
    def greedy(self) -> bool:
        return self.method == "greedy"

    @property
    def given(self) -> dict[str, Any]:
        """What differs from the preset."""
        names = ("semantics", "shift", "alpha", "stride", "guard")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}

    @property
    def size(self) -> tuple[int, int]:
        """The image's width and height in pixels."""
        return self.image or IMAGE

    @property
    def threshold(self) -> float:
        """The IoU threshold of greedy."""
        return GreedyParams.threshold if self.guard is None else self.guard

    def pyramid(self) -> PsrrParams:
        """The parameters of the float model."""
        width, height = self.size
        try:
            return preset(self.method, width=width, height=height, **self.given)
        except (TypeError, ValueError) as error:
            raise InputError(str(error)) from None


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
class NmsResult:
    """What became of a file.

    Attributes
    ----------
    path, options
        What was asked for.
    images
        In the order of the file.
    rtl
        How the RTL fared; None for the golden models.
    """

    path: Path
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

    def as_dict(self) -> dict[str, Any]:
        """What `--json` prints: `kept` for all images together, then for each of them."""
        images = [
            {"image_id": one.image.image_id, "boxes": len(one.image.detections), "kept": one.rows.tolist()}
            for one in self.images
        ]
        found = {"kept": self.kept.tolist(), "method": self.options.method, "images": images}
        return found if self.rtl is None else found | {"rtl": self.rtl.as_dict()}


def parse_image(text: str) -> tuple[int, int]:
    """Width and height in pixels from a text such as 640x480."""
    match = re.fullmatch("([0-9]{1,9})x([0-9]{1,9})", text)
    size = (int(match[1]), int(match[2])) if match else (0, 0)
    if not all(1 <= side <= MAX_IMAGE for side in size):
        raise InputError(f"image must be WIDTHxHEIGHT in pixels, 1 to {MAX_IMAGE} each, not {text[:40]!r}")
    return size


def suppress(path: Path, options: NmsOptions, *, rtl: bool = False) -> NmsResult:
    """Which boxes of a file are kept.

    Parameters
    ----------
    path
        See `roundel.detection.detections.read_detections`.
    rtl
        Whether the RTL decides, under Verilator and on fixed-point boxes, or the golden models in floating point.

    Raises
    ------
    InputError
        A bad file or option. Boxes are named by their row in the file.
    MismatchError
        The RTL keeps other boxes than its golden model.
    """
    if not options.greedy:
        options.pyramid()  # bad options are said before the file is read
    images = read_detections(path)
    everything = joined(images)
    if rtl or not options.greedy or options.image:
        check_borders(path, everything, options)
    if rtl:
        groups = [image.indices[places] for image in images for places in by_class(image.detections)]
        run = _run(path, everything, groups, options)
        kept = [np.flatnonzero(np.isin(image.indices, run.kept)) for image in images]
    else:
        run = None
        kept = [_golden(image.detections, options) for image in images]
    results = [ImageResult(image=image, kept=places) for image, places in zip(images, kept, strict=True)]
    return NmsResult(path=path, options=options, images=results, rtl=run)


def _golden(detections: Detections, options: NmsOptions) -> Ints:
    if not options.greedy:
        return psrr_nms(detections, options.pyramid())
    return np.sort(greedy_nms(detections, options.threshold))


def _run(path: Path, everything: Detections, groups: Sequence[Ints], options: NmsOptions) -> RtlRun:
    if not groups:
        raise InputError(f"{path}: boxes: expected at least one to run on the RTL")
    try:
        if options.greedy:
            return run_rtl("greedy_nms", everything, groups, size=options.size, threshold=options.threshold)
        return run_rtl("nms", everything, groups, size=options.size, method=options.method, **options.given)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def joined(images: Sequence[ImageDetections]) -> Detections:
    """The boxes of all images, as the file has them."""
    rows = np.concatenate([np.zeros(0, np.int64), *(image.indices for image in images)])
    order = np.argsort(rows)
    boxes = np.concatenate([np.zeros((0, 4)), *(image.detections.boxes for image in images)])
    scores = np.concatenate([np.zeros(0), *(image.detections.scores for image in images)])
    labels = np.concatenate([np.zeros(0, np.int64), *(image.detections.labels for image in images)])
    return Detections(boxes=boxes[order], scores=scores[order], classes=labels[order])


def by_class(detections: Detections) -> list[Ints]:
    """Places of the boxes of each class, classes rising."""
    return [np.flatnonzero(detections.labels == label) for label in np.unique(detections.labels)]


def check_borders(path: Path, everything: Detections, options: NmsOptions) -> None:
    """Raise InputError, naming the row, unless all boxes lie within the image."""
    width, height = options.size
    try:
        everything.check_inside(width=width, height=height)
    except InputError as error:
        hint = "" if options.image else "; give the size of the images with --image WxH"
        raise InputError(f"{path}: {error}{hint}") from None


def cells(result: NmsResult) -> list[tuple[str, str, str]]:
    """Rows of a table for the terminal: image, boxes, kept."""
    rows = [(str(one.image.image_id), len(one.image.detections), len(one.kept)) for one in result.images]
    shown = rows[:SHOWN]
    if rest := rows[SHOWN:]:
        shown.append((f"{len(rest)} more", sum(row[1] for row in rest), sum(row[2] for row in rest)))
    shown.append(("all", result.boxes, len(result.kept)))
    return [(name, f"{boxes:,}", f"{kept:,}") for name, boxes, kept in shown]


def notes(result: NmsResult, folder: Path | None) -> list[str]:
    """What the user should know beside the result."""
    found = []
    if result.rtl and not result.rtl.exact:
        found.append(f"{result.path}: boxes were rounded to 1/{1 << result.rtl.fraction} pixel for the RTL")
    if folder and len(result.images) > PICTURES:
        found.append(f"pictures of the first {PICTURES} of {len(result.images)} images")
    return found


def write_result(result: NmsResult, folder: Path) -> None:
    """Write `kept.json`, `kept.npz` (the file's arrays, rows kept only) and pictures of the first images."""
    write_json(folder / "kept.json", result.as_dict())
    with np.load(result.path) as file:
        arrays = {name: file[name][result.kept] for name in (*REQUIRED, *OPTIONAL) if name in file.files}
    np.savez(folder / "kept.npz", **arrays)
    options = result.options
    size = None if options.greedy and options.image is None else options.size
    colours = palette([image.image.detections for image in result.images])
    for one in result.images[:PICTURES]:
        name = f"image {one.image.image_id}, {options.method}"
        path = folder / f"image_{one.image.image_id}.png"
        draw_suppression(path, name, one.image.detections, one.kept, size, colours)
