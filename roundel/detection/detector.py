"""A detector: a network, and a file that says how boxes come out of its outputs and which of them are kept.

docs/detectors.md describes the forms of heads and the file. In integers the box unit decodes them, see
`roundel.golden.head`; what it does not know, `Detector.why_not_in_box_unit` says.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roundel.detection.decoding import candidates, sigmoid
from roundel.detection.forms import HeadForm
from roundel.detection.integers import Formats, ScoreCode, box_parts, is_power, score_parts, units_of
from roundel.detection.scale import Scale
from roundel.detection.sizing import BoxFigures, difference, score_bits, suppression
from roundel.golden.errors import InputError
from roundel.golden.head import MAX_CLASSES, Boxes, BoxForm, HeadParams, Score, located
from roundel.golden.network import Network
from roundel.golden.nms import Detections, Floats, Form, NmsParams, Suppression, TopKParams, greedy_nms
from roundel.golden.rounding import Ints

Tensors = Mapping[str, NDArray[Any]]


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
        Scores below it have no box: a logit of the score `logit`, else a probability, 0 to 1.
    scales
        In the order in which their boxes go to the NMS; at least one.
    nms
        The NMS with the size of the image and the fixed-point format of boxes, which are corners.
    form
        The form of the head.
    suppresses
        Whether boxes suppress each other: not those of one-to-one heads, whose `nms` becomes the best boxes alone.

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
    nms: Suppression = field(default_factory=NmsParams)
    form: HeadForm = field(default_factory=HeadForm)
    suppresses: bool = True

    def __post_init__(self) -> None:
        if not 1 <= len(self.classes) <= MAX_CLASSES:
            raise ValueError(f"classes must be 1 to {MAX_CLASSES} names, not {len(self.classes)}")
        if not all(isinstance(name, str) for name in self.classes):
            raise ValueError(f"classes must be names, not {next(x for x in self.classes if not isinstance(x, str))!r}")
        if isinstance(self.threshold, bool) or not isinstance(self.threshold, int | float):
            raise TypeError(f"threshold must be a number, not {self.threshold!r}")
        if not abs(self.threshold) <= 1e6:
            raise ValueError(f"threshold must be within +-1e6, not {self.threshold}")
        if self.form.score is not Score.LOGIT and not 0 <= self.threshold <= 1:
            raise ValueError(f"threshold must be 0 to 1 for the score {self.form.score}, not {self.threshold}")
        if not self.scales:
            raise ValueError("scales must be at least one")
        if len(set(self.outputs)) < len(self.outputs):
            raise ValueError(f"outputs must be named once each, not {', '.join(self.outputs)}")
        if self.nms.format.form is not Form.CORNERS:
            raise ValueError(f"nms.format.form must be corners, not {self.nms.format.form.value}")
        if self.nms.format.classes < len(self.classes):
            raise ValueError(f"nms.format.classes must be at least {len(self.classes)}, not {self.nms.format.classes}")
        if not self.suppresses and not isinstance(self.nms, TopKParams):
            object.__setattr__(self, "nms", self._suppression({"format": self.nms.format.as_dict()}))
        if self.form.background not in (-1, 0, len(self.classes)):
            raise ValueError(f"background must be 0 or {len(self.classes)}, not {self.form.background}")
        for scale in self.scales:
            scale.check(self.form)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of all outputs, scale by scale, `cls` before `box` before `objectness`."""
        return tuple(name for scale in self.scales for name in scale.outputs)

    def grid(self, scale: Scale) -> tuple[int, int]:
        """Rows and columns of the locations of a scale."""
        return scale.grid(self.nms.format.width, self.nms.format.height)

    def shapes(self, scale: Scale) -> dict[str, tuple[int, int, int]]:
        """Channels, rows and columns of each output of a scale, by name."""
        priors, grid = scale.prior_count, self.grid(scale)
        sizes = (self.form.class_channels(priors, len(self.classes)), self.form.box_channels(priors), priors)
        return {name: (size, *grid) for name, size in zip(scale.outputs, sizes, strict=False)}

    @property
    def in_box_unit(self) -> bool:
        """Whether the box unit decodes it in integers."""
        return not self.why_not_in_box_unit

    @property
    def why_not_in_box_unit(self) -> str:
        """What the box unit cannot do of it; empty where it decodes it in integers."""
        if self.form.peaks and self.form.score is not Score.LOGIT:
            return f"peaks must be those of logits, not of the score {self.form.score}"
        if self.form.peaks and not self.form.every_class and len(self.classes) > 1:
            return "peaks need every_class where there are several: the best class may be none, and another one be"
        for scale in self.scales:
            if self.form.box is BoxForm.DFL and not is_power(scale.stride):
                return f"stride of distributions must be a power of two, not {scale.stride}"
        return difference(self.form, self.suppresses, self.nms)

    @property
    def units(self) -> tuple[str, ...]:
        """What a box unit needs for it beside the plain head, as `EngineParams.heads` has it."""
        return tuple(dict.fromkeys(name for scale in self.scales for name in units_of(self.form, scale)))

    @property
    def most_boxes(self) -> int:
        """Most boxes that an image can have."""
        each = len(self.classes) if self.form.every_class else 1
        grids = [(self.grid(scale), scale.prior_count) for scale in self.scales]
        return sum(rows * columns * priors for (rows, columns), priors in grids) * each

    def fitted(self, network: Network, layers: Mapping[str, str] | None, figures: BoxFigures | None) -> "Detector":
        """Return the detector with the suppression unit that its head, a network and calibration images ask for.

        Parameters
        ----------
        network, layers
            As for `heads`.
        figures
            What boxes calibration images have; None: not known.

        Raises
        ------
        InputError
            What `heads` refuses of outputs, or parameters that the unit refuses.
        """
        formats = [given.cls for given in self._formats(network, layers)]
        bits = score_bits(self.form, [form.fraction for form in formats], max(form.width for form in formats))
        size = {"width": self.image[0], "height": self.image[1], "score_width": bits}
        try:
            return replace(self, nms=self._suppression({"format": size}, figures))
        except (TypeError, ValueError) as error:
            raise InputError(f"{self.file}: nms: {error}") from None

    def alternative(self, method: str, figures: BoxFigures) -> Suppression:
        """Return another suppression unit for the same boxes, such as `guarded`, sized by what images have."""
        return self._suppression({"method": method, "format": self.nms.format.as_dict()}, figures)

    def _suppression(self, given: Mapping[str, Any], figures: BoxFigures | None = None) -> Suppression:
        return suppression(
            self.form, given, classes=len(self.classes), suppresses=self.suppresses, boxes=self.most_boxes,
            figures=figures,
        )  # fmt: skip

    @property
    def image(self) -> tuple[int, int]:
        """Width and height of the image in pixels."""
        return self.nms.format.width, self.nms.format.height

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
            An output that the network does not have, a format of one that the box decoder cannot take, or a form of
            head that it does not have.
        """
        if why := self.why_not_in_box_unit:
            raise InputError(f"{self.file}: the box unit cannot decode it: {why}")
        given = self._formats(network, layers)
        most = max(each.cls.fraction for each in given)
        return tuple(self._head(scale, each, most) for scale, each in zip(self.scales, given, strict=True))

    def score_code(self, network: Network, layers: Mapping[str, str] | None = None) -> ScoreCode:
        """Return what the integer scores of the box unit stand for; parameters and errors as for `heads`."""
        most = max(each.cls.fraction for each in self._formats(network, layers))
        return ScoreCode.of(self.form, self.heads(network, layers), self.threshold, most)

    def _formats(self, network: Network, layers: Mapping[str, str] | None) -> list[Formats]:
        """Return the formats of the outputs of each scale."""
        formats = {layer.name: layer.output for layer in network.layers if layer.name in network.output_names}
        names = {name: (layers or {}).get(name, name) for name in self.outputs}
        for name, layer in names.items():
            if layer not in formats:
                raise InputError(f"{self.file}: output {name}: the network has only {', '.join(layers or formats)}")
            if not formats[layer].is_plain:
                raise InputError(f"{self.file}: output {name}: expected a power of two as its scale and no zero point")
        given = [Formats(*(formats[names[name]] for name in scale.outputs)) for scale in self.scales]
        if len({each.cls.signed for each in given}) > 1:
            raise InputError(f"{self.file}: logits: expected all scales to be signed, or none")
        return given

    def _head(self, scale: Scale, formats: Formats, most: int) -> HeadParams:
        form, (rows, columns) = self.nms.format, self.grid(scale)
        classes, width = len(self.classes), form.score_width
        try:
            return HeadParams(
                columns=columns,
                rows=rows,
                classes=classes,
                width=form.width,
                height=form.height,
                fraction=form.fraction,
                score_width=width,
                cls_width=formats.cls.width,
                box_width=formats.box.width,
                cls_signed=formats.cls.signed,
                box_signed=formats.box.signed,
                **score_parts(self.form, formats, self.threshold, classes=classes, score_width=width, most=most),
                **box_parts(self.form, scale, formats.box, form),
            )
        except ValueError as error:
            raise InputError(f"{self.file}: outputs {' and '.join(scale.outputs)}: {error}") from None

    def integer(self, heads: Sequence[HeadParams], tensors: Tensors) -> list[Boxes]:
        """Return the boxes of each image, as they go to the NMS.

        Parameters
        ----------
        heads
            As `self.heads` gives them.
        tensors
            Outputs by name, (batch, rows, columns, channels) integers.

        Raises
        ------
        InputError
            A tensor is missing or of another shape.
        """
        return [boxes for boxes, _ in self.located(heads, tensors)]

    def located(self, heads: Sequence[HeadParams], tensors: Tensors) -> list[tuple[Boxes, Ints]]:
        """Return the boxes of each image as `integer` does, and scale, row, column and prior of each, (n, 4)."""
        self._check_shapes({name: np.moveaxis(tensors[name], -1, 1) for name in self.outputs if name in tensors})
        scales = [[tensors[name] for name in scale.outputs] for scale in self.scales]
        count = len(scales[0][0])
        return [located(heads, [tuple(maps[i] for maps in scale) for scale in scales]) for i in range(count)]

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
        self._check_shapes(tensors)
        count = len(tensors[self.scales[0].cls])
        return [self._floats({name: tensors[name][i] for name in self.outputs}) for i in range(count)]

    def _check_shapes(self, tensors: Tensors) -> None:
        for scale in self.scales:
            for name, expected in self.shapes(scale).items():
                if name not in tensors or tensors[name].shape[1:] != expected:
                    actual = tensors[name].shape[1:] if name in tensors else "none"
                    raise InputError(f"{self.file}: output {name}: expected {expected} for each image, not {actual}")

    def _floats(self, tensors: Tensors) -> Detections:
        """Return the boxes of one image: at most `limit` of them, the best ones, in the order of locations."""
        parts = [candidates(self.form, scale, tensors, self.threshold, self.image) for scale in self.scales]
        boxes, values, labels = (np.concatenate(part) for part in zip(*parts, strict=True))
        if self.form.limit is not None and len(boxes) > self.form.limit:
            best = np.sort(np.argsort(-values, kind="stable")[: self.form.limit])
            boxes, values, labels = boxes[best], values[best], labels[best]
        return Detections(boxes=boxes, scores=values, classes=labels)

    def probabilities(self, scores: Floats) -> Floats:
        """Return the probabilities, 0 to 1, of the scores that `detections` gives."""
        return sigmoid(scores) if self.form.score is Score.LOGIT else scores

    def kept(self, detections: Detections) -> Ints:
        """Return the indices of the boxes of an image that are kept in float, the best first.

        GreedyNMS of `iou`, over all classes where they are `agnostic`; or the best ones where nothing is suppressed.
        """
        if not self.suppresses:
            order = np.argsort(-detections.scores, kind="stable")
        else:
            together = replace(detections, classes=np.zeros_like(detections.labels))
            order = greedy_nms(together if self.form.agnostic else detections, self.form.iou)
        return np.asarray(order[: self.form.max_detections])
