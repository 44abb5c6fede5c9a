"""From fitted boxes and scores of all grids to one detector, and which channels of which map its outputs are made of.

Linear factors go into the head convolutions: a raw value t becomes `factor * t + shift` (docs/detectors.md).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import log, log2
from typing import Any

import numpy as np

from roundel.detection import Detector, HeadForm, Scale
from roundel.golden.head import BoxForm, Centre, Score, Side
from roundel.golden.nms import BoxFormat, NmsParams
from roundel.recognition.constants import (
    SAME,
    Channel,
    FittedPrior,
    offset_of,
    prior_of,
    sigmoid_of,
    stride_of,
    units_of,
)
from roundel.recognition.score_fit import ScoreKind
from roundel.recognition.tail import NotRecognised, Tail

THRESHOLD = 0.25  # a probability, where the tail has none
KINDS = {
    ScoreKind.SIGMOID: Score.LOGIT,
    ScoreKind.PRODUCT: Score.PRODUCT,
    ScoreKind.ROOT: Score.PRODUCT,
    ScoreKind.SOFTMAX: Score.SOFTMAX,
}


@dataclass(frozen=True)
class Assembled:
    """What all fits together are.

    Attributes
    ----------
    detector
        The detector.
    outputs
        The channels of each of its outputs, by name.
    priors
        The boxes of a location, scale by scale.
    units
        Pixels in a unit of the tail, along x and along y.
    """

    detector: Detector
    outputs: dict[str, tuple[Channel, ...]]
    priors: tuple[tuple[FittedPrior, ...], ...]
    units: tuple[float, float]

    def tensors(self, maps: Sequence[Any]) -> dict[str, Any]:
        """Return the detector's outputs of one image, (1, channels, rows, columns), from the maps of the tail."""
        return {
            name: np.stack([maps[item.place][item.channel] * item.factor + item.shift for item in channels])[None]
            for name, channels in self.outputs.items()
        }


def assemble(
    tail: Tail, priors: Sequence[FittedPrior], classes: Sequence[str] | None, nms: dict[str, Any]
) -> Assembled:
    """Return the detector that fitted boxes are.

    Parameters
    ----------
    tail
        The tail.
    priors
        Boxes of all grids.
    classes
        Names of the classes, None where the file has none.
    nms
        What is known of the selection: fields of `HeadForm`, `threshold` (a probability) and `suppresses`.

    Raises
    ------
    NotRecognised
        Scales that do not go together, or constants that no form has.
    """
    first = priors[0]
    form = _form(priors, nms)
    units = units_of(tail, priors)
    scales, outputs, grouped = [], dict[str, tuple[Channel, ...]](), []
    for number, own in enumerate(_by_scale(form, priors)):
        scale, made = _scale(tail, form, own, units, number)
        scales.append(scale)
        grouped.append(tuple(own))
        outputs |= made
    form = replace(form, **sigmoid_of(tail, priors, units))
    names = tuple(classes or map(str, range(len(first.scores.classes))))
    if len(names) != len(first.scores.classes):
        names = tuple(map(str, range(len(first.scores.classes))))
    height, width = tail.image
    threshold = nms.get("threshold", THRESHOLD)
    try:
        detector = Detector(
            file="head.toml",
            classes=names,
            threshold=log(threshold / (1 - threshold)) if form.score is Score.LOGIT else threshold,
            scales=tuple(scales),
            nms=NmsParams(
                format=BoxFormat(width=width, height=height, fraction=2, score_width=12, classes=len(names)),
                class_key=1 < len(names) <= 16 and not form.agnostic,
            ),
            form=form,
            suppresses=nms.get("suppresses", True),
        )
    except (TypeError, ValueError) as error:
        raise NotRecognised(f"the detector that it is: {error}") from None
    return Assembled(detector, outputs, tuple(grouped), units)


def _by_scale(form: HeadForm, priors: Sequence[FittedPrior]) -> list[list[FittedPrior]]:
    """Return the boxes of each scale, the largest grid first.

    Those of a grid are one scale where they come from the same maps, and the form has priors.
    """
    found: dict[tuple[Any, ...], list[FittedPrior]] = {}
    for number, prior in enumerate(sorted(priors, key=lambda prior: -prior.grid[0] * prior.grid[1])):
        maps = tuple(sorted({item.place for item in map(prior.channel, prior.channels)}))
        found.setdefault((prior.grid, maps) if form.has_priors else (prior.grid, number), []).append(prior)
    return list(found.values())


def _form(priors: Sequence[FittedPrior], nms: dict[str, Any]) -> HeadForm:
    """Return the form that all boxes have."""
    first = priors[0]
    for prior in priors:
        for name in ("form", "centre", "side"):
            own, other = getattr(prior.box, name), getattr(first.box, name)
            if own != other:
                raise NotRecognised(f"boxes of {prior.grid} locations are {name} {own}, those of {first.grid} {other}")
        if prior.scores.kind is not first.scores.kind or len(prior.scores.classes) != len(first.scores.classes):
            raise NotRecognised(
                f"scores of {prior.grid} locations are {len(prior.scores.classes)} times {prior.scores.kind}, "
                f"those of {first.grid} {len(first.scores.classes)} times {first.scores.kind}"
            )
    box, kind = first.box, first.scores.kind
    known = {name: nms[name] for name in HeadForm.__dataclass_fields__ if name in nms}
    score = Score.PRODUCT if first.scores.objectness is not None else KINDS[kind]
    try:
        return HeadForm(
            score=score,
            box=box.form,
            centre=box.centre,
            side=box.side,
            bins=len(box.quantities[0].channels) if box.form is BoxForm.DFL else 16,
            background=0 if score is Score.SOFTMAX else -1,
            root=kind is ScoreKind.ROOT,
            **known,
        )
    except (TypeError, ValueError) as error:
        raise NotRecognised(f"the head's form: {error}") from None


def _scale(
    tail: Tail, form: HeadForm, priors: Sequence[FittedPrior], units: tuple[float, float], number: int
) -> tuple[Scale, dict[str, tuple[Channel, ...]]]:
    """Return a scale, and the channels of its outputs."""
    grid = priors[0].grid
    stride = stride_of(tail, priors[0], units)
    unit = round(log2(stride))
    names = {"cls": f"cls{number}", "box": f"box{number}"}
    outputs = {names["cls"]: tuple(channel for prior in priors for channel in _logits(form, prior))}
    outputs[names["box"]] = tuple(
        channel for prior in priors for channel in _box_channels(form, prior, units, 2.0**unit, stride)
    )
    if form.score is Score.PRODUCT:
        names["objectness"] = f"objectness{number}"
        outputs[names["objectness"]] = tuple(
            prior.channel(prior.scores.objectness) for prior in priors if prior.scores.objectness is not None
        )
    size = (tail.image[1], tail.image[0])
    fields: dict[str, Any] = {"stride": stride, "offset": offset_of(form, priors, units, stride)}
    if form.has_priors:
        fields["priors"] = tuple(prior_of(form, prior, units) for prior in priors)
    if _has_unit(form):
        fields["unit"] = unit
    try:
        scale = Scale(**(fields | names))
        if scale.grid(*size) != grid:
            scale = replace(scale, rows=grid[0], columns=grid[1])
    except (TypeError, ValueError) as error:
        raise NotRecognised(f"the scale of {grid} locations: {error}") from None
    return scale, outputs


def _has_unit(form: HeadForm) -> bool:
    if form.box is BoxForm.CENTRE:
        return form.centre is Centre.LINEAR or form.side is Side.LINEAR
    return form.box is not BoxForm.DFL


def _logits(form: HeadForm, prior: FittedPrior) -> Iterator[Channel]:
    """Give the logits of a prior, the background first."""
    if prior.scores.background is not None:
        yield prior.channel(prior.scores.background)
    for number in prior.scores.classes:
        yield prior.channel(number)


def _box_channels(
    form: HeadForm, prior: FittedPrior, units: tuple[float, float], unit: float, stride: float
) -> Iterator[Channel]:
    """Give the raw values of a prior's box, with their factors."""
    for place, quantity in enumerate(prior.box.quantities):
        pixels = abs(quantity.factor) * units[place % 2]
        if form.box is BoxForm.DFL:
            if abs(pixels - stride) > SAME * stride:
                raise NotRecognised(f"a bin of the distribution is {pixels:.5g} pixels, not the stride {stride:.5g}")
            yield from (prior.channel(number) for number in quantity.channels)
            continue
        [number] = quantity.channels
        match quantity.function:
            case "exp" if form.box is BoxForm.DISTANCES:
                yield prior.channel(number, 1.0, log(pixels / unit))
            case "exp":
                yield prior.channel(number, _rounded(quantity.exponent))
            case "sigmoid" | "square_sigmoid":
                yield prior.channel(number)
            case _:
                sign = 1.0 if form.box is BoxForm.DISTANCES or quantity.factor > 0 else -1.0
                yield prior.channel(number, _rounded(sign * pixels / unit))


def _rounded(factor: float) -> float:
    """Return 1 for what is 1 up to rounding, so that weights stay as they are."""
    return 1.0 if abs(factor - 1) < 1e-5 else factor
