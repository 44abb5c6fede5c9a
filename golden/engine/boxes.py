"""The engine's BOXES in NumPy: heads read from the activation memory, boxes kept as records."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roundel.golden.engine.program import Descriptor
from roundel.golden.engine.registers import RECORD, TERMINATOR
from roundel.golden.head import Boxes, HeadParams
from roundel.golden.nms import NmsParams
from roundel.golden.rounding import Ints, limits


@dataclass(frozen=True, kw_only=True, eq=False)
class Scale:
    """One scale's descriptor, and what its tensors were when it ran.

    Attributes
    ----------
    descriptor
        BOXES.
    cls, box
        (rows, columns, classes) logits and (rows, columns, 4) distances.
    """

    descriptor: Descriptor
    cls: Ints
    box: Ints

    @classmethod
    def of(cls, descriptor: Descriptor, memory: NDArray[np.uint8], lanes: int) -> "Scale":
        """Read both tensors from the activation memory, (bytes,)."""
        places = descriptor.width * descriptor.height
        planes = [
            _words(memory, descriptor.cls + plane * descriptor.cls_plane, places, lanes)
            for plane in range(-(-descriptor.classes // lanes))
        ]
        shape = descriptor.height, descriptor.width, -1
        logits = np.concatenate(planes, axis=1)[:, : descriptor.classes]
        distances = _words(memory, descriptor.box, places, lanes)[:, :4]
        return cls(
            descriptor=descriptor,
            cls=_integers(logits, bool(descriptor.cls_signed)).reshape(shape),
            box=_integers(distances, bool(descriptor.box_signed)).reshape(shape),
        )

    def head(self, nms: NmsParams) -> HeadParams:
        """Return the parameters of its box decoder, before that NMS unit."""
        descriptor, width = self.descriptor, min(8, nms.format.score_width - self.descriptor.score_shift)
        low, high = limits(width, bool(descriptor.cls_signed))
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
        )

    def decode(self, nms: NmsParams) -> Boxes:
        """Return the scale's boxes, before that NMS unit; none where the threshold is above all logits."""
        head = self.head(nms)
        boxes = head.decode(self.cls, self.box)
        return boxes if self.descriptor.threshold <= head.threshold else Boxes(*(values[:0] for values in boxes))


def records(nms: NmsParams, scales: Sequence[Scale]) -> tuple[bytes, int, bool]:
    """Return what is written for an image: the records, how many boxes were kept, and whether any were dropped."""
    decoded = Boxes(*map(np.concatenate, zip(*(scale.decode(nms) for scale in scales), strict=True)))
    verdict = nms.compute(*decoded)
    rows = []
    for index in map(int, verdict.kept):
        corners = dict(zip(("x1", "y1", "x2", "y2"), decoded.boxes[index].tolist(), strict=True))
        score, label = int(decoded.scores[index]), int(decoded.labels[index])
        rows.append(RECORD.pack(**corners, score=score, label=label, index=index))
    end = RECORD.pack(label=TERMINATOR, index=len(rows))
    return b"".join(rows) + end, len(rows), verdict.overflow or len(verdict.malformed) > 0


def _words(memory: NDArray[np.uint8], word: int, count: int, lanes: int) -> NDArray[np.uint8]:
    """Words that follow one another, (count, lanes)."""
    at = (word * lanes + np.arange(count * lanes)) % len(memory)
    return np.asarray(memory[at].reshape(count, lanes))


def _integers(raw: NDArray[np.uint8], signed: bool) -> Ints:
    return np.asarray((raw.view(np.int8) if signed else raw).astype(np.int64))
