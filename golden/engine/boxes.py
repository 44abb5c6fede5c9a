"""The engine's BOXES in NumPy: heads read from the activation memory, boxes kept as records."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roundel.golden.engine.fields import HEAD_FIELDS
from roundel.golden.engine.heads import parts_of
from roundel.golden.engine.params import EngineParams
from roundel.golden.engine.program import Descriptor
from roundel.golden.engine.registers import PLACE, RECORD, TERMINATOR
from roundel.golden.head import Boxes, HeadParams
from roundel.golden.nms import Suppression
from roundel.golden.rounding import Ints, limits


@dataclass(frozen=True, kw_only=True, eq=False)
class Scale:
    """One scale's descriptor, and what its tensors were when it ran.

    Attributes
    ----------
    descriptor
        BOXES; its `HEAD_FIELDS` are 0 in an engine without other heads.
    parts
        Parts of a head that is not the plain one, as `HeadParams` takes them.
    cls, box
        (rows, columns, priors * logits) logits and (rows, columns, priors * numbers) numbers of boxes.
    objectness, maxima
        Bytes (rows, columns, priors) with products, and logits as in `cls` with peaks; else None.
    """

    descriptor: Descriptor
    parts: dict[str, Any]
    cls: Ints
    box: Ints
    objectness: Ints | None
    maxima: Ints | None

    @classmethod
    def of(cls, descriptor: Descriptor, memory: NDArray[np.uint8], lanes: int, stream: bytes = b"") -> "Scale":
        """Read the tensors from the activation memory, (bytes,); `stream` is its parameter stream.

        Raises
        ------
        ValueError, EOFError
            Fields that no head has, or a parameter stream of another length than its tables.
        """
        parts, priors = parts_of(descriptor, stream), descriptor.priors + 1

        def read(name: str, channels: int, signed: bool) -> Ints:
            return _map(descriptor, name, memory, lanes, channels, signed)

        logits = priors * (descriptor.classes + ("softmax" in parts))
        numbers = priors * 4 * (descriptor.bins if "distribution" in parts else 1)
        cls_signed = bool(descriptor.cls_signed)
        return cls(
            descriptor=descriptor,
            parts=parts,
            cls=read("cls", logits, cls_signed),
            box=read("box", numbers, bool(descriptor.box_signed)),
            objectness=read("objectness", priors, False) if "products" in parts else None,
            maxima=read("maxima", logits, cls_signed) if descriptor.peaks else None,
        )

    def head(self, nms: Suppression) -> HeadParams:
        """Return the parameters of its box decoder, before that NMS unit."""
        descriptor, width = self.descriptor, min(8, nms.format.score_width - self.descriptor.score_shift)
        low, high = limits(width, bool(descriptor.cls_signed))
        low, high = (low - high, high - low) if "softmax" in self.parts else (low, high)
        return HeadParams(
            columns=descriptor.width,
            rows=descriptor.height,
            stride=1 << descriptor.stride,
            classes=descriptor.classes,
            threshold=min(max(descriptor.threshold, low), high),
            shift=descriptor.shift,
            score_shift=descriptor.score_shift,
            width=nms.format.width,
            height=nms.format.height,
            fraction=nms.format.fraction,
            score_width=nms.format.score_width,
            cls_width=width,
            cls_signed=bool(descriptor.cls_signed),
            box_signed=bool(descriptor.box_signed),
            objectness_signed=False,
            **self.parts,
        )

    def decode(self, nms: Suppression) -> tuple[Boxes, Ints]:
        """Return the scale's boxes, before that NMS unit, and row, column and prior of each, (n, 3).

        There are none where the threshold is above all logits.
        """
        head = self.head(nms)
        boxes, places = head.located(self.cls, self.box, self.objectness, self.maxima)
        if self.descriptor.threshold <= head.threshold:
            return boxes, places
        return Boxes(*(values[:0] for values in boxes)), places[:0]


def packed_places(places: Ints) -> Ints:
    """Return scales, rows, columns and priors of boxes, (n, 4), as `PLACE`, (n,)."""
    return PLACE.pack(**dict(zip(("scale", "row", "column", "prior"), places.T, strict=True)))


def plain(descriptor: Descriptor) -> Descriptor:
    """Return a BOXES as an engine without other heads sees it."""
    values = {name: value for name, value in descriptor.values.items() if name not in HEAD_FIELDS}
    return Descriptor(opcode=descriptor.opcode, values=values)


def records(params: EngineParams, scales: Sequence[Scale]) -> tuple[bytes, int, bool]:
    """Return what is written for an image: the records, how many boxes were kept, and whether any were dropped."""
    nms = params.nms
    assert nms is not None
    decoded, places = zip(*(scale.decode(nms) for scale in scales), strict=True)
    boxes, numbers = Boxes(*map(np.concatenate, zip(*decoded, strict=True))), np.arange(len(scales))
    found = packed_places(np.column_stack([np.repeat(numbers, list(map(len, places))), np.concatenate(places)]))
    verdict = nms.compute(*boxes)
    rows = []
    for index in map(int, verdict.kept):
        corners = dict(zip(("x1", "y1", "x2", "y2"), boxes.boxes[index].tolist(), strict=True))
        score, label = int(boxes.scores[index]), int(boxes.labels[index])
        name = int(found[index]) if params.places else index
        rows.append(RECORD.pack(**corners, score=score, label=label, index=name))
    end = RECORD.pack(label=TERMINATOR, index=len(rows))
    return b"".join(rows) + end, len(rows), verdict.overflow or len(verdict.malformed) > 0


def _map(descriptor: Descriptor, name: str, memory: NDArray[np.uint8], lanes: int, channels: int, signed: bool) -> Ints:
    """Read a map of that many channels, dense in planes, (rows, columns, channels)."""
    places = descriptor.width * descriptor.height
    first, pitch = getattr(descriptor, name), getattr(descriptor, f"{name}_plane")
    planes = [_words(memory, first + plane * pitch, places, lanes) for plane in range(-(-channels // lanes))]
    integers = _integers(np.concatenate(planes, axis=1)[:, :channels], signed)
    return integers.reshape(descriptor.height, descriptor.width, channels)


def _words(memory: NDArray[np.uint8], word: int, count: int, lanes: int) -> NDArray[np.uint8]:
    """Words that follow one another, (count, lanes)."""
    at = (word * lanes + np.arange(count * lanes)) % len(memory)
    return np.asarray(memory[at].reshape(count, lanes))


def _integers(raw: NDArray[np.uint8], signed: bool) -> Ints:
    return np.asarray((raw.view(np.int8) if signed else raw).astype(np.int64))
