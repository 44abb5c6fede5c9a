"""A detector's head as BOXES descriptors: from two maps on chip to records in the outer memory."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from roundel.compiler.area import Place
from roundel.compiler.tensor import Tensor
from roundel.golden.engine import EngineParams, Region
from roundel.golden.errors import InputError
from roundel.golden.nms import HeadParams

RECORD_BYTES = 16


@dataclass(frozen=True, kw_only=True)
class Head:
    """One scale of a detector.

    Parameters
    ----------
    cls, box
        The layers that give its logits and its distances.
    params
        What the box decoder is told of it.
    """

    cls: str
    box: str
    params: HeadParams


def check_heads(heads: Sequence[Head], tensors: dict[str, Tensor], params: EngineParams) -> None:
    """Raise InputError for a head that does not fit its tensors or the engine's box unit."""
    nms = params.nms
    for head in heads:
        if nms is None:
            raise InputError(f"{head.cls}: the engine has no box unit")
        one, form = head.params, nms.format
        for name in ("width", "height", "fraction", "score_width"):
            if getattr(one, name) != getattr(form, name):
                expected = getattr(form, name)
                raise InputError(f"{head.cls}: {name}: expected the box unit's {expected}, not {getattr(one, name)}")
        for name, channels in ((head.cls, one.classes), (head.box, 4)):
            expected = (one.rows, one.columns, channels)
            if name not in tensors or tensors[name].shape != expected:
                raise InputError(f"{name}: expected a layer's result of {expected} for the head")


def records_bytes(params: EngineParams) -> int:
    """Bytes of the records of one image at most, the terminator included."""
    return RECORD_BYTES * (params.nms.capacity + 1) if params.nms else 0


def boxes_fields(head: Head, cls: Place, box: Place, offset: int, *, last: bool) -> dict[str, int]:
    """The fields of a BOXES descriptor whose records go to `offset` of region `OUTPUT`."""
    one = head.params
    return {
        "cls": cls.word,
        "cls_plane": cls.plane,
        "cls_signed": int(one.cls_signed),
        "box": box.word,
        "box_signed": int(one.box_signed),
        "width": one.columns,
        "height": one.rows,
        "stride": int(np.log2(one.stride)),
        "classes": one.classes,
        "threshold": one.threshold,
        "shift": one.shift,
        "score_shift": one.score_shift,
        "last": int(last),
    } | ({"region": Region.OUTPUT, "offset": offset} if last else {})
