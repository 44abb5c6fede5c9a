"""RTL against golden: every tensor that a traced program leaves in the outer memory, and the boxes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roundel.compiler import Compiled
from roundel.golden.engine import RECORD
from roundel.golden.head import Boxes
from roundel.golden.nms import Suppression
from roundel.golden.rounding import Ints
from roundel.runtime.frames import Frame


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A tensor of an image that is not golden's.

    Attributes
    ----------
    image, tensor
        Which.
    wrong, size
        How many of its elements differ, of how many.
    element
        Place of the first one: (row, column, channel), (feature,), or for `boxes` (record, field's name).
    rtl, golden
        Its values.
    """

    image: int
    tensor: str
    wrong: int
    size: int
    element: tuple[Any, ...]
    rtl: int
    golden: int

    def __str__(self) -> str:
        place = ", ".join(map(str, self.element))
        return (
            f"image {self.image}: {self.tensor}: {self.wrong} of {self.size} elements differ, first [{place}]: "
            f"RTL {self.rtl}, golden {self.golden}"
        )


def tensor_differences(
    compiled: Compiled, frames: Sequence[Frame], expected: Mapping[str, Ints]
) -> Iterator[Difference]:
    """Image by image and in dataflow order: the first of an image is where the RTL went wrong, others follow from it.

    Parameters
    ----------
    compiled, frames
        A program and its runs.
    expected
        Golden's tensors by layer, (images, ...), in dataflow order; those that the program does not store are left out.
    """
    for image, frame in enumerate(frames):
        for name, values in expected.items():
            if name in compiled.tensors:
                result = difference(image, name, compiled.read(name, frame.regions), values[image])
                if result:
                    yield result


def difference(image: int, tensor: str, rtl: NDArray[Any], golden: NDArray[Any]) -> Difference | None:
    """Compare a tensor of an image; None where both are equal.

    Parameters
    ----------
    image, tensor
        Number of the image, name of the layer.
    rtl, golden
        Integers of the same shape.

    Returns
    -------
    Difference or None
        How many elements differ, and the first of them in C order.
    """
    wrong = np.argwhere(rtl != golden)
    if not len(wrong):
        return None
    element = tuple(int(place) for place in wrong[0])
    return Difference(
        image=image, tensor=tensor, wrong=len(wrong), size=golden.size, element=element,
        rtl=int(rtl[element]), golden=int(golden[element]),
    )  # fmt: skip


def golden_records(nms: Suppression, boxes: Boxes, names: Ints | None = None) -> Ints:
    """Return an image's records, (boxes kept, fields of `RECORD`), by the NMS's own golden model, without a program.

    `names` are what records have as `index`, (boxes,); None: the number of the box.
    """
    kept = nms.compute(*boxes).kept
    index = np.asarray(kept) if names is None else names[kept]
    return np.hstack([boxes.boxes[kept], boxes.scores[kept, None], boxes.labels[kept, None], index[:, None]])


def rtl_records(compiled: Compiled, frame: Frame) -> Ints:
    """Return the records that a run left in the outer memory, (boxes kept, fields of `RECORD`)."""
    rows = [tuple(record.values()) for record in RECORD.unpack(compiled.records(frame.regions))]
    return np.array(rows, dtype=np.int64).reshape(-1, len(RECORD.names))


def record_differences(rtl: Sequence[Ints], golden: Sequence[Ints]) -> Iterator[Difference]:
    """One for each image whose records differ; where they are not equally many, the number is what differs."""
    for image, (records, expected) in enumerate(zip(rtl, golden, strict=True)):
        if len(records) != len(expected):
            yield Difference(
                image=image, tensor="boxes", wrong=1, size=1, element=("count",), rtl=len(records), golden=len(expected)
            )
        elif wrong := difference(image, "boxes", records, expected):
            row, column = wrong.element
            yield Difference(**{**vars(wrong), "element": (row, RECORD.names[column])})
