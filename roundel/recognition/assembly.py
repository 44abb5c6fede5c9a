"""From fitted boxes and scores of all grids to one detector, and which channels of which map its outputs are made of.

Linear factors go into the head convolutions: a raw value t becomes `factor * t + shift` (docs/detectors.md).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isnan, log, log2
from typing import Any

import numpy as np

from roundel.detection import Detector, HeadForm, Scale
from roundel.golden.head import BoxForm, Centre, Score, Side
from roundel.golden.nms import BoxFormat, NmsParams
from roundel.recognition.box_fit import FittedBox, Quantity
from roundel.recognition.locating import Grid
from roundel.recognition.samples import Group
from roundel.recognition.score_fit import ScoreKind, Scores
from roundel.recognition.tail import NotRecognised, Tail

SAME = 1e-3  # part by which constants of one scale may differ
THRESHOLD = 0.25  # a probability, where the tail has none
KINDS = {
    ScoreKind.SIGMOID: Score.LOGIT,
    ScoreKind.PRODUCT: Score.PRODUCT,
    ScoreKind.ROOT: Score.PRODUCT,
    ScoreKind.SOFTMAX: Score.SOFTMAX,
}


@dataclass(frozen=True)
class Channel:
    """A channel of an output: `factor` times one of a map plus `shift`."""

    place: int
    channel: int
    factor: float = 1.0
    shift: float = 0.0


@dataclass(frozen=True)
class FittedPrior:
    """A box of the locations of a group, by its number there; `known` is what a convention says of its selection."""

    group: Group
    number: int
    box: FittedBox
    scores: Scores
    known: Mapping[str, Any] = field(default_factory=dict)

    @property
    def grid(self) -> Grid:
        """Rows and columns of the locations."""
        return self.group.grid

    def channel(self, number: int, factor: float = 1.0, shift: float = 0.0) -> Channel:
        """Return a channel of the grid as one of a map."""
        place, channel = self.group.owners[number]
        return Channel(int(place), int(channel), factor, shift)


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
    units = _units(tail, priors)
    scales, outputs, grouped = [], dict[str, tuple[Channel, ...]](), []
    for number, grid in enumerate(sorted({prior.grid for prior in priors}, key=lambda grid: -grid[0] * grid[1])):
        own = [prior for prior in priors if prior.grid == grid]
        scale, made = _scale(tail, form, own, units, number)
        scales.append(scale)
        grouped.append(tuple(own))
        outputs |= made
    form = replace(form, **_sigmoid(tail, priors, units))
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


def _units(tail: Tail, priors: Sequence[FittedPrior]) -> tuple[float, float]:
    """Return pixels in a unit of the tail, along x and along y: 1, or the size of the image."""
    height, width = tail.image
    found = []
    for axis, size in ((0, width), (1, height)):
        ratios = [
            prior.box.quantities[axis].step * prior.grid[1 - axis] / size
            for prior in priors
            if not isnan(prior.box.quantities[axis].step)
        ]
        ratio = max(ratios, default=1.0)
        unit = min((1.0, float(size)), key=lambda unit: abs(log2(max(ratio * unit, 1e-9))))
        if not 0.4 < ratio * unit < 1.7:
            raise NotRecognised(
                f"neighbouring boxes lie {ratio * size / priors[0].grid[1 - axis]:.4g} apart, which are "
                f"neither pixels nor parts of an image of {width} x {height}"
            )
        found.append(unit)
    return found[0], found[1]


def _stride(tail: Tail, prior: FittedPrior, units: tuple[float, float]) -> float:
    """Return pixels between the locations of a grid."""
    height, width = tail.image
    steps = [quantity.step * unit for quantity, unit in zip(prior.box.quantities[:2], units, strict=True)]
    steps = [step for step in steps if not isnan(step)] or [width / prior.grid[1]]
    if max(steps) - min(steps) > SAME * max(steps):
        raise NotRecognised(
            f"locations of {prior.grid} lie {steps[0]:.5g} pixels apart along x, {steps[1]:.5g} along y"
        )
    stride = sum(steps) / len(steps)
    for nice in (round(stride), width / prior.grid[1], height / prior.grid[0]):
        if abs(stride - nice) <= SAME * stride / 4:
            return nice
    return stride


def _nice(value: float, steps: int = 64) -> float:
    """Return the nearest multiple of 1 / steps where a value is one, up to rounding."""
    near = round(value * steps) / steps
    return near if abs(near - value) <= 1e-4 else value


def _scale(
    tail: Tail, form: HeadForm, priors: Sequence[FittedPrior], units: tuple[float, float], number: int
) -> tuple[Scale, dict[str, tuple[Channel, ...]]]:
    """Return a scale, and the channels of its outputs."""
    grid = priors[0].grid
    stride = _stride(tail, priors[0], units)
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
    fields: dict[str, Any] = {"stride": stride, "offset": _offset(form, priors, units, stride)}
    if form.has_priors:
        fields["priors"] = tuple(_prior(form, prior, units) for prior in priors)
    elif len(priors) > 1:
        raise NotRecognised(f"{len(priors)} boxes at a location of {grid}, which {form} does not have")
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


def _offset(form: HeadForm, priors: Sequence[FittedPrior], units: tuple[float, float], stride: float) -> float:
    """Return where the first location lies, in strides: the same along both axes and for all priors."""
    if form.box is BoxForm.CORNERS or form.centre is Centre.SIGMOID:
        return 0.0
    starts = [
        quantity.start * unit / stride
        for prior in priors
        for quantity, unit in zip(prior.box.quantities[:2], units, strict=True)
    ]
    if max(starts) - min(starts) > 5 * SAME:
        raise NotRecognised(f"boxes of one location start at {min(starts):.4g} to {max(starts):.4g} strides")
    return _nice(sum(starts) / len(starts))


def _prior(form: HeadForm, prior: FittedPrior, units: tuple[float, float]) -> tuple[float, ...]:
    """Return the numbers of a prior, in pixels."""
    if form.box is BoxForm.CORNERS:
        return tuple(_nice(quantity.start * units[place % 2]) for place, quantity in enumerate(prior.box.quantities))
    share = 0.25 if form.side is Side.SQUARE_SIGMOID else 1.0
    sides: list[Quantity] = list(prior.box.quantities[2:])
    return tuple(_near(quantity.factor * share * unit) for quantity, unit in zip(sides, units, strict=True))


def _near(value: float) -> float:
    """Return a whole number of 1/64 where a side is one up to rounding."""
    near = round(value * 64) / 64
    return near if abs(near - value) <= 2e-5 * abs(value) else value


def _sigmoid(tail: Tail, priors: Sequence[FittedPrior], units: tuple[float, float]) -> dict[str, Any]:
    """Return a and b of a sigmoid centre, the same for all boxes."""
    if priors[0].box.centre is not Centre.SIGMOID:
        return {}
    pairs = []
    for prior in priors:
        stride = _stride(tail, prior, units)
        for quantity, unit in zip(prior.box.quantities[:2], units, strict=True):
            pairs.append((quantity.factor * unit / stride, quantity.start * unit / stride))
    for values in zip(*pairs, strict=True):
        if max(values) - min(values) > 5 * SAME:
            raise NotRecognised(f"sigmoids of centres have factors or starts of {min(values):.4g} to {max(values):.4g}")
    return {"sigmoid": (_nice(pairs[0][0], 1000), _nice(pairs[0][1], 1000))}
