"""Boxes of many images, row by row of a file: which rows take part, which are dropped, and which images there are."""

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roundel.detection.detections import Arrays, check_arrays, image_ids_of
from roundel.detection.nms_options import NmsOptions
from roundel.golden.errors import InputError
from roundel.golden.nms import Detections, Fault, Floats, columns, faults, outside
from roundel.golden.rounding import Ints

DROP_HINT = "(--drop-bad drops such boxes)"
UNIT = 2.0  # a file whose corners are all below it is hardly one of pixels
IMAGE_SIDE = 32  # pixels of an image for which that holds


@dataclass(frozen=True, kw_only=True, eq=False)
class BoxRows:
    """The rows of a file of boxes.

    Parameters
    ----------
    file
        Where they came from, for messages.
    image_ids
        Image of each row, (m,).
    rows
        Rows that take part, rising, (n,).
    detections
        Their boxes in pixels, scores and classes, (n,).
    dropped
        Reason by row of those that do not.
    part_of_one
        Whether all corners of the file are so small that they look like parts of an image, 0 to 1.
    """

    file: str
    image_ids: NDArray[Any]
    rows: Ints
    detections: Detections
    dropped: dict[int, str]
    part_of_one: bool

    @cached_property
    def image_numbers(self) -> Ints:
        """Number of the image of each row that takes part, from 0, (n,)."""
        numbers: Ints = np.unique(self.image_ids, return_inverse=True)[1][self.rows]
        return numbers

    @cached_property
    def classes(self) -> Ints:
        """Number of the class of each row that takes part among those of the file, from 0, (n,)."""
        numbers: Ints = np.unique(self.detections.labels, return_inverse=True)[1]
        return numbers

    @cached_property
    def groups(self) -> Ints:
        """Number of the image and class of each row that takes part, (n,): only boxes of one group meet."""
        label = self.classes
        whole = self.image_numbers * (int(label.max(initial=0)) + 1) + label
        numbers: Ints = np.unique(whole, return_inverse=True)[1]
        return numbers

    @property
    def members(self) -> list[Ints]:
        """Places in `rows` of each group, images in the order of the file, classes rising."""
        return self._parts(self.groups)

    @property
    def of_images(self) -> list[Ints]:
        """Places in `rows` of each image that has some, images in the order of the file."""
        return self._parts(self.image_numbers)

    def _parts(self, groups: Ints) -> list[Ints]:
        if not len(self.rows):
            return []
        order = np.argsort(groups, kind="stable")
        parts = np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)
        place = {image_id: number for number, (image_id, _) in enumerate(self.images)}
        return sorted(parts, key=lambda part: place[self.image_ids[self.rows[part[0]]].item()])

    @cached_property
    def images(self) -> list[tuple[int, Ints]]:
        """Number of each image and its rows, rising; images in the order in which the file first names them."""
        ids, first, image = np.unique(self.image_ids, return_index=True, return_inverse=True)
        parts = np.split(np.argsort(image, kind="stable"), np.cumsum(np.bincount(image))[:-1])
        return [(int(ids[number]), parts[number]) for number in np.argsort(first)]

    @property
    def reasons(self) -> dict[str, int]:
        """How many rows are dropped for each reason."""
        return dict(Counter(self.dropped.values()))

    def best(self, kept: Ints, most: int | None) -> Ints:
        """Return the first `most` of the places `kept` of each image; all, in their order, for None."""
        if most is None:
            return kept
        images = self.image_numbers[kept]
        order = np.argsort(images, kind="stable")
        first = np.flatnonzero(np.diff(images[order], prepend=-1))
        rank = np.arange(len(order)) - np.repeat(first, np.diff(first, append=len(order)))
        return kept[np.sort(order[rank < most])]

    def as_groups(self) -> Detections:
        """Return the boxes with their groups in the place of classes."""
        return Detections(boxes=self.detections.boxes, scores=self.detections.scores, classes=self.groups)

    def take(self, places: Ints) -> Detections:
        """Return some boxes that take part."""
        whole = self.detections
        return Detections(boxes=whole.boxes[places], scores=whole.scores[places], classes=whole.labels[places])

    def refuse(self, fault: Fault, hint: str = DROP_HINT) -> None:
        """Raise InputError about the first bad box that takes part, by its row of the file."""
        refuse(self.file, fault, self.rows, hint)

    def unlike_pixels(self, options: NmsOptions) -> str:
        """Say that the corners are hardly pixels, and the way on; empty if they may be, or where no size counts."""
        width, height = options.size
        if not self.part_of_one or options.normalized or min(width, height) < IMAGE_SIDE or not options.borders:
            return ""
        return (
            f"all corners are below {UNIT:g}, in pixels of an image of {width} x {height}: if they are parts of the"
            " image, from 0 to 1, give --normalized and --image WxH"
        )

    def without(self, fault: Fault) -> "BoxRows":
        """Drop the bad boxes among those that take part."""
        if not fault.bad.any():
            return self
        return BoxRows(
            file=self.file,
            image_ids=self.image_ids,
            rows=self.rows[~fault.bad],
            detections=self.take(np.flatnonzero(~fault.bad)),
            dropped=self.dropped | dict.fromkeys(self.rows[fault.bad].tolist(), fault.reason),
            part_of_one=self.part_of_one,
        )


def box_rows(file: str, arrays: Arrays, options: NmsOptions) -> BoxRows:
    """Check the arrays of a file, and drop bad rows where the options say so.

    Raises
    ------
    InputError
        An array is missing or bad, or has a bad row that is not to be dropped: a line with file, array and row.
    """
    check_arrays(file, arrays)
    try:
        boxes, scores, classes = columns(arrays["boxes"], arrays["scores"], arrays.get("classes"))
    except InputError as error:
        raise InputError(f"{file}: {error}") from error
    ids = image_ids_of(file, arrays, len(boxes))
    dropped: dict[int, str] = {}
    for fault in faults(boxes, scores, classes):
        if not options.drop_bad:
            refuse(file, fault, np.arange(len(boxes)), DROP_HINT)
        dropped |= {row: fault.reason for row in np.flatnonzero(fault.bad).tolist() if row not in dropped}
    rows = np.delete(np.arange(len(boxes)), list(dropped))
    corners = boxes[rows].astype(np.float64)
    small = bool(len(corners)) and bool((np.abs(corners) < UNIT).all())
    detections = Detections(boxes=_pixels(corners, options), scores=scores[rows], classes=classes[rows])
    checked = BoxRows(file=file, image_ids=ids, rows=rows, detections=detections, dropped=dropped, part_of_one=small)
    return inside(checked, options) if options.borders else checked


def inside(boxes: BoxRows, options: NmsOptions) -> BoxRows:
    """Refuse or drop the boxes that lie outside the image.

    Raises
    ------
    InputError
        There is one, and it is not to be dropped.
    """
    width, height = options.size
    fault = outside(boxes.detections.boxes, width=width, height=height)
    if not options.drop_bad:
        boxes.refuse(fault, "; ".join(["", *options.ways_out]) + f" {DROP_HINT}")
    return boxes.without(fault)


def refuse(file: str, fault: Fault, rows: Ints, hint: str) -> None:
    """Raise InputError about the first bad row, if there is one."""
    if fault.bad.any():
        place = int(fault.bad.argmax())
        try:
            fault.refuse()
        except InputError as error:
            text = str(error).replace(f"{fault.name}[{place}]", f"{fault.name}[{rows[place]}]", 1)
            separator = "" if hint.startswith(";") else " "
            raise InputError(f"{file}: {text}{separator}{hint}") from None


def _pixels(boxes: Floats, options: NmsOptions) -> Floats:
    """Return boxes in pixels, (n, 4), of parts of the image where the options say that they are such."""
    return boxes * (options.size * 2) if options.normalized else boxes
