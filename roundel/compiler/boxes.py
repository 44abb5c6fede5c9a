"""The head of a detector as BOXES descriptors, which turn two maps on chip into records in the outer memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from roundel.compiler.area import Place
from roundel.compiler.tensor import Tensor
from roundel.golden.engine import RECORD, EngineParams, Region
from roundel.golden.errors import InputError
from roundel.golden.head import HeadParams
from roundel.golden.network import Network


@dataclass(frozen=True, kw_only=True)
class Head:
    """One scale of a detector.

    Parameters
    ----------
    cls, box
        The layers that give its logits and its distances.
    params
        Parameters of the box decoder for this scale.
    """

    cls: str
    box: str
    params: HeadParams


class DetectorScale(Protocol):
    """Names of the outputs that hold the logits and the distances of one scale."""

    @property
    def cls(self) -> str:
        """Name of the output that holds the logits."""
        ...

    @property
    def box(self) -> str:
        """Name of the output that holds the distances."""
        ...


class HeadedDetector(Protocol):
    """The part of a detector that the compiler needs; `roundel.detection.Detector` implements it."""

    @property
    def scales(self) -> Sequence[DetectorScale]:
        """The scales, in the order in which their boxes go to the NMS."""
        ...

    def heads(self, network: Network, layers: Mapping[str, str] | None = None) -> tuple[HeadParams, ...]:
        """Return integer parameters of the box decoder for each scale."""
        ...


def heads_of(detector: HeadedDetector, network: Network, results: Mapping[str, str] | None = None) -> tuple[Head, ...]:
    """Return the heads of a detector on an integer network, in the order of its scales.

    Parameters
    ----------
    detector
        Names an output for the logits and one for the distances of each scale.
    network
        The integer network that has these outputs.
    results
        The layer behind each output, by the output's name; None where they share their names.

    Raises
    ------
    InputError
        An output that the network does not have, or whose format the box decoder cannot take.
    """
    layers = results or {}
    return tuple(
        Head(cls=layers.get(scale.cls, scale.cls), box=layers.get(scale.box, scale.box), params=params)
        for scale, params in zip(detector.scales, detector.heads(network, results), strict=True)
    )


def check_heads(heads: Sequence[Head], tensors: dict[str, Tensor], params: EngineParams) -> None:
    """Check heads against their tensors and the engine's box unit.

    Parameters
    ----------
    heads
        The scales of a detector.
    tensors
        The compiled network's, by layer.
    params
        The engine's.

    Raises
    ------
    InputError
        The engine has no box unit or one for other images, or a tensor has another shape: by the layer's name.
    """
    nms = params.nms
    for head in heads:
        if nms is None:
            raise InputError(f"{head.cls}: the engine has no box unit")
        decoder, form = head.params, nms.format
        for name in ("width", "height", "fraction", "score_width"):
            if getattr(decoder, name) != getattr(form, name):
                expected = getattr(form, name)
                raise InputError(
                    f"{head.cls}: {name}: expected the box unit's {expected}, not {getattr(decoder, name)}"
                )
        for name, channels in ((head.cls, decoder.classes), (head.box, 4)):
            expected = (decoder.rows, decoder.columns, channels)
            if name not in tensors or tensors[name].shape != expected:
                raise InputError(f"{name}: expected a layer's result of {expected} for the head")


def records_bytes(params: EngineParams) -> int:
    """Bytes of the records of one image at most, the terminator included."""
    return RECORD.size * (params.nms.capacity + 1) if params.nms else 0


def boxes_fields(head: Head, cls: Place, box: Place, offset: int, *, last: bool) -> dict[str, int]:
    """Return the fields of a BOXES descriptor.

    Parameters
    ----------
    head
        The scale.
    cls, box
        Where its maps are on chip.
    offset
        Where the records of all scales go in region `OUTPUT`, bytes.
    last
        Whether it is the last scale, with which records are written.
    """
    params = head.params
    return {
        "cls": cls.word,
        "cls_plane": cls.plane,
        "cls_signed": int(params.cls_signed),
        "box": box.word,
        "box_signed": int(params.box_signed),
        "width": params.columns,
        "height": params.rows,
        "stride": params.stride.bit_length() - 1,
        "classes": params.classes,
        "threshold": params.threshold,
        "shift": params.shift,
        "score_shift": params.score_shift,
        "last": int(last),
    } | ({"region": Region.OUTPUT, "offset": offset} if last else {})
