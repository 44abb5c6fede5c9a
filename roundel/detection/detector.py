"""A detector: a network, and a file that says how boxes come out of its outputs and which of them are kept.

examples/detector/README.md describes the file. In float and in integers one rule holds (`roundel.golden.head`): the
box of a location has the class of its best logit, and that logit as its score.
"""

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, ldexp
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roundel.detection.detections import Objects
from roundel.detection.precision import average_precision
from roundel.detection.scenes import Scene
from roundel.golden.errors import InputError
from roundel.golden.formats import Format
from roundel.golden.head import MAX_CLASSES, MAX_STRIDE, Boxes, HeadParams, decode
from roundel.golden.network import Network
from roundel.golden.nms import Detections, Form, NmsParams
from roundel.golden.parameters import check_integer
from roundel.golden.rounding import Ints
from roundel.ui import path_of

Suppress = Callable[[Detections], Ints]
Tensors = Mapping[str, NDArray[Any]]

UNITS = (-8, 12)  # of distances, as powers of two


@dataclass(frozen=True, kw_only=True)
class Scale:
    """One scale of the head.

    Parameters
    ----------
    cls, box
        Names of the outputs that hold its logits and its distances.
    stride
        Pixels between neighbouring locations, a power of two, 1 to 128.
    unit
        Distances count `2**unit` pixels, -8 to 12.

    Raises
    ------
    TypeError, ValueError
        A parameter of the wrong kind or out of range; the message echoes it.
    """

    cls: str
    box: str
    stride: int
    unit: int

    def __post_init__(self) -> None:
        for name in ("cls", "box"):
            if not isinstance(getattr(self, name), str):
                raise TypeError(f"{name} must be the name of an output, not {getattr(self, name)!r}")
        check_integer("stride", self.stride, 1, MAX_STRIDE)
        if self.stride & (self.stride - 1):
            raise ValueError(f"stride must be a power of two, not {self.stride}")
        check_integer("unit", self.unit, *UNITS)


@dataclass(frozen=True, kw_only=True)
class Detector:
    """How boxes come out of a network's outputs.

    Parameters
    ----------
    file
        Where it came from, for messages.
    text
        The file itself; empty for a detector that was made in Python.
    classes
        Names, in the order of the logits.
    threshold
        A location whose best logit is below it has no box.
    scales
        In the order in which their boxes go to the NMS; at least one.
    nms
        The NMS with the size of the image and the fixed-point format of boxes, which are corners.

    Raises
    ------
    TypeError, ValueError
        A parameter of the wrong kind or out of range; the message echoes it.
    """

    file: str = field(default="detector", compare=False)
    text: str = field(default="", repr=False, compare=False)
    classes: tuple[str, ...]
    threshold: float
    scales: tuple[Scale, ...]
    nms: NmsParams = field(default_factory=NmsParams)

    def __post_init__(self) -> None:
        if not 1 <= len(self.classes) <= MAX_CLASSES or not all(isinstance(name, str) for name in self.classes):
            raise ValueError(f"classes must be 1 to {MAX_CLASSES} names, not {self.classes}")
        if isinstance(self.threshold, bool) or not isinstance(self.threshold, int | float):
            raise TypeError(f"threshold must be a number, not {self.threshold!r}")
        if not abs(self.threshold) <= 1e6:
            raise ValueError(f"threshold must be within +-1e6, not {self.threshold}")
        if not self.scales:
            raise ValueError("scales must be at least one")
        if len(set(self.outputs)) < len(self.outputs):
            raise ValueError(f"outputs must be named once each, not {', '.join(self.outputs)}")
        if self.nms.format.form is not Form.CORNERS:
            raise ValueError(f"nms.format.form must be corners, not {self.nms.format.form.value}")
        if self.nms.format.classes < len(self.classes):
            raise ValueError(f"nms.format.classes must be at least {len(self.classes)}, not {self.nms.format.classes}")

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of all outputs, scale by scale, `cls` before `box`."""
        return tuple(name for scale in self.scales for name in (scale.cls, scale.box))

    def grid(self, scale: Scale) -> tuple[int, int]:
        """Rows and columns of the locations of a scale."""
        form = self.nms.format
        return -(-form.height // scale.stride), -(-form.width // scale.stride)

    def heads(self, network: Network, layers: Mapping[str, str] | None = None) -> tuple[HeadParams, ...]:
        """Return what the box decoder is told of each scale of an integer network.

        Logits of scales whose formats have different fractional bits are moved to the most of them: `score_shift`.

        Parameters
        ----------
        network
            Its outputs are integers of any fractional bits.
        layers
            The layer behind each output, by the name of the output; None where they share their names.

        Raises
        ------
        InputError
            An output that the network does not have, or a format of one that the box decoder cannot take.
        """
        formats = {layer.name: layer.output for layer in network.layers if layer.name in network.output_names}
        names = {name: (layers or {}).get(name, name) for name in self.outputs}
        for name, layer in names.items():
            if layer not in formats:
                raise InputError(f"{self.file}: output {name}: the network has only {', '.join(layers or formats)}")
            if not formats[layer].is_plain:
                raise InputError(f"{self.file}: output {name}: expected a power of two as its scale and no zero point")
        pairs = [(formats[names[scale.cls]], formats[names[scale.box]]) for scale in self.scales]
        if len({cls.signed for cls, _ in pairs}) > 1:
            raise InputError(f"{self.file}: logits: expected all scales to be signed, or none")
        most = max(cls.fraction for cls, _ in pairs)
        return tuple(self._head(scale, *pair, most) for scale, pair in zip(self.scales, pairs, strict=True))

    def _head(self, scale: Scale, cls: Format, box: Format, most: int) -> HeadParams:
        form, (rows, columns), (low, high) = self.nms.format, self.grid(scale), cls.limits
        threshold = max(ceil(ldexp(self.threshold, cls.fraction)), low)
        if threshold > high:
            raise InputError(f"{self.file}: threshold {self.threshold}: {scale.cls} is at most {high * cls.scale}")
        try:
            return HeadParams(
                columns=columns,
                rows=rows,
                stride=scale.stride,
                classes=len(self.classes),
                threshold=threshold,
                shift=scale.unit + form.fraction - box.fraction,
                score_shift=most - cls.fraction,
                width=form.width,
                height=form.height,
                fraction=form.fraction,
                score_width=form.score_width,
                cls_width=cls.width,
                box_width=box.width,
                cls_signed=cls.signed,
                box_signed=box.signed,
            )
        except ValueError as error:
            raise InputError(f"{self.file}: outputs {scale.cls} and {scale.box}: {error}") from None

    def integer(self, heads: Sequence[HeadParams], tensors: Tensors) -> list[Boxes]:
        """Return the boxes of each image, as they go to the NMS.

        Parameters
        ----------
        heads
            As `self.heads` gives them.
        tensors
            Outputs by name, (batch, rows, columns, channels) integers.
        """
        scales = [(tensors[scale.cls], tensors[scale.box]) for scale in self.scales]
        return [decode(heads, [(cls[i], box[i]) for cls, box in scales]) for i in range(len(scales[0][0]))]

    def pixels(self, boxes: Boxes) -> Detections:
        """Integer boxes as detections, in pixels; scores stay integers."""
        unit = 2.0**-self.nms.format.fraction
        corners = (boxes.boxes * unit).astype(np.float64)
        return Detections(boxes=corners, scores=boxes.scores.astype(np.float64), classes=boxes.labels)

    def detections(self, tensors: Tensors) -> list[Detections]:
        """Return the boxes of each image in float.

        Parameters
        ----------
        tensors
            Outputs by name, (batch, channels, rows, columns), as `Graph.outputs` gives them.

        Raises
        ------
        InputError
            A tensor is missing or of another shape.
        """
        for scale in self.scales:
            for name, channels in ((scale.cls, len(self.classes)), (scale.box, 4)):
                expected = (channels, *self.grid(scale))
                if name not in tensors or tensors[name].shape[1:] != expected:
                    actual = tensors[name].shape[1:] if name in tensors else "none"
                    raise InputError(f"{self.file}: output {name}: expected {expected} for each image, not {actual}")
        return [
            self._floats({name: tensors[name][i] for name in self.outputs})
            for i in range(len(tensors[self.scales[0].cls]))
        ]

    def _floats(self, tensors: Tensors) -> Detections:
        """Return the boxes of one image."""
        parts = []
        for scale in self.scales:
            logits = tensors[scale.cls].reshape(len(self.classes), -1).astype(np.float64)
            distances = np.ldexp(tensors[scale.box].reshape(4, -1).T.astype(np.float64), scale.unit)
            rows, columns = self.grid(scale)
            y, x = (np.mgrid[:rows, :columns].reshape(2, -1) + 0.5) * scale.stride
            centres = np.stack([x, y], axis=1)
            corners = np.hstack([centres - distances[:, :2], centres + distances[:, 2:]])
            corners = np.clip(corners, 0, [self.nms.format.width, self.nms.format.height] * 2)
            sends = (logits.max(axis=0) >= self.threshold) & (corners[:, :2] < corners[:, 2:]).all(axis=1)
            parts.append((corners[sends], logits.max(axis=0)[sends], logits.argmax(axis=0)[sends]))
        boxes, scores, labels = (np.concatenate(part) for part in zip(*parts, strict=True))
        return Detections(boxes=boxes, scores=scores, classes=labels)


def load(path: str | Path) -> Detector:
    """Read a detector's file.

    Raises
    ------
    InputError
        It is missing or damaged, or a field of it is missing, unknown or bad: one line with file and field.
    """
    path = path_of("head", path, expected="a detector, or the path of its file")
    try:
        text = path.read_text(encoding="utf-8")
        values = tomllib.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: expected a readable text file: {type(error).__name__}") from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: not a valid TOML file: {error}") from None
    fields = {"classes": list, "threshold": float | int, "scales": list, "nms": dict}
    for name in sorted(fields.keys() ^ values.keys()):
        raise InputError(f"{path}: {name}: {'is missing' if name in fields else 'is unknown'}")
    for name, kind in fields.items():
        if not isinstance(values[name], kind):
            raise InputError(f"{path}: {name}: expected a {getattr(kind, '__name__', 'number')}, not {values[name]!r}")
    where = "scales"
    try:
        scales = tuple(Scale(**scale) for scale in values["scales"])
        where = "nms"
        nms = NmsParams(**values["nms"])
        where = "detector"
        classes = tuple(values["classes"])
        return Detector(
            file=str(path), text=text, classes=classes, threshold=values["threshold"], scales=scales, nms=nms
        )
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: {where}: {error}") from None


def evaluate(
    objects: Sequence[Objects], detections: Sequence[Detections], suppress: Suppress
) -> tuple[float, float, float]:
    """AP50, AP75 and AP50:95, 0 to 1, of what `suppress` keeps of the detections of each image.

    Raises
    ------
    InputError
        pycocotools is missing.
    """
    pairs = zip(objects, detections, strict=True)
    images = [Scene(boxes=truth.boxes, classes=truth.classes, detections=answers) for truth, answers in pairs]
    return average_precision(images, [suppress(image.detections) for image in images])
