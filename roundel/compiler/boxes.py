"""The head of a detector as BOXES descriptors, which turn two maps on chip into records in the outer memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from roundel.compiler.area import Place
from roundel.compiler.tensor import Tensor
from roundel.golden.engine import RECORD, EngineParams, Region, head_units
from roundel.golden.errors import InputError
from roundel.golden.head import WHOLE, BoxForm, HeadParams
from roundel.golden.network import MaxPool, Network, Window

MAXIMA = ".maxima"
"""What the names of layers end in that peaks are compared with."""


@dataclass(frozen=True, kw_only=True)
class Head:
    """One scale of a detector.

    Parameters
    ----------
    cls, box
        The layers that give its logits and its distances.
    params
        Parameters of the box decoder for this scale.
    objectness, maxima
        The layers that give its objectness, where it has products, and the greatest logits around each, where it has
        peaks; else empty.
    """

    cls: str
    box: str
    params: HeadParams
    objectness: str = ""
    maxima: str = ""

    @property
    def maps(self) -> dict[str, str]:
        """The layers of its maps, by the fields of BOXES that say where they are."""
        layers = {name: getattr(self, name) for name in ("cls", "box", "objectness", "maxima")}
        return {name: layer for name, layer in layers.items() if layer}

    @property
    def channels(self) -> dict[str, int]:
        """Channels of the maps that it needs."""
        params = self.params
        counts = {"cls": params.priors * params.logits, "box": params.priors * params.numbers}
        counts |= {"objectness": params.priors} if params.products is not None else {}
        return counts | ({"maxima": params.priors * params.logits} if params.peaks else {})


class DetectorScale(Protocol):
    """Names of the outputs that hold the maps of one scale."""

    @property
    def cls(self) -> str:
        """Name of the output that holds the logits."""
        ...

    @property
    def box(self) -> str:
        """Name of the output that holds the numbers of boxes."""
        ...

    @property
    def objectness(self) -> str:
        """Name of the output that holds the objectness; empty where there is none."""
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
        The integer network that has these outputs, and for peaks the layers that `with_maxima` adds.
    results
        The layer behind each output, by the output's name; None where they share their names.

    Raises
    ------
    InputError
        An output that the network does not have, or whose format the box decoder cannot take.
    """
    layers = results or {}
    return tuple(
        Head(
            cls=layers.get(scale.cls, scale.cls),
            box=layers.get(scale.box, scale.box),
            objectness=layers.get(scale.objectness, scale.objectness),
            maxima=f"{layers.get(scale.cls, scale.cls)}{MAXIMA}" if params.peaks else "",
            params=params,
        )
        for scale, params in zip(detector.scales, detector.heads(network, results), strict=True)
    )


def with_maxima(detector: HeadedDetector, network: Network, results: Mapping[str, str] | None = None) -> Network:
    """Return the network with a layer for each scale of a detector that gives the greatest logits around each.

    The parameters are those of `heads_of`. The layers are no results of the network.
    """
    layers, formats = results or {}, {layer.name: layer.output for layer in network.layers}
    names = [layers.get(scale.cls, scale.cls) for scale in detector.scales]
    window = Window(kernel=(3, 3), pad=(1, 1, 1, 1))
    pools = [
        MaxPool(name=f"{name}{MAXIMA}", sources=(name,), output=formats[name], window=window)
        for name in names
        if name in formats and f"{name}{MAXIMA}" not in formats
    ]
    return replace(network, layers=(*network.layers, *pools), results=network.output_names)


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
        missing = [name for name in head_units(decoder) if name not in params.heads]
        if missing and (missing != ["priors"] or not params.heads):
            wanted = ",".join([*params.heads, *missing])
            raise InputError(f"{head.cls}: the engine's box unit does not know {missing[0]}: --set heads=[{wanted}]")
        if params.heads:
            try:
                decoder.check_registers(WHOLE[BoxForm.CENTRE in params.heads])
            except ValueError as error:
                raise InputError(f"{head.cls}: {error}") from None
        if head.maps.keys() != head.channels.keys():
            raise InputError(f"{head.cls}: expected maps {', '.join(head.channels)}, not {', '.join(head.maps)}")
        for name, channels in head.channels.items():
            layer, expected = head.maps[name], (decoder.rows, decoder.columns, channels)
            if layer not in tensors or tensors[layer].shape != expected:
                raise InputError(f"{layer}: expected a layer's result of {expected} for the head")


def records_bytes(params: EngineParams) -> int:
    """Bytes of the records of one image at most, the terminator included."""
    return RECORD.size * (params.nms.capacity + 1) if params.nms else 0


def boxes_fields(
    head: Head, places: Mapping[str, Place], tables: Mapping[str, int], offset: int, *, last: bool
) -> dict[str, int]:
    """Return the fields of a BOXES descriptor.

    Parameters
    ----------
    head
        The scale.
    places
        Where its maps are on chip.
    tables
        Offset and size of its tables in region `PROGRAM`; empty without tables.
    offset
        Where the records of all scales go in region `OUTPUT`, bytes.
    last
        Whether it is the last scale, with which records are written.
    """
    params = head.params
    plain = params.numbers == 4 and params.priors == 1
    fields = {name: place.word for name, place in places.items()}
    fields |= {f"{name}_plane": place.plane for name, place in places.items() if name != "box" or not plain}
    fields |= {f"parameters_{name}": value for name, value in tables.items()}
    return (
        fields
        | {
            "cls_signed": int(params.cls_signed),
            "box_signed": int(params.box_signed),
            "width": params.columns,
            "height": params.rows,
            "stride": params.stride.bit_length() - 1,
            "classes": params.classes,
            "threshold": params.threshold,
            "shift": params.shift,
            "score_shift": params.score_shift,
            "last": int(last),
        }
        | ({"region": Region.OUTPUT, "offset": offset} if last else {})
    )
