"""What the box decoder is told of a scale: the integers of a head's form, from the formats of its outputs."""

from dataclasses import dataclass
from math import ceil, ldexp
from typing import Any

from roundel.detection.forms import HeadForm
from roundel.detection.scale import Scale
from roundel.golden.formats import Format
from roundel.golden.head import (
    MEAN,
    BoxForm,
    CentreParams,
    CornerParams,
    DistributionParams,
    PlaceParams,
    ProductParams,
    Score,
    Side,
    SideParams,
    SoftmaxParams,
)
from roundel.golden.nms import BoxFormat


@dataclass(frozen=True)
class Formats:
    """Formats of the outputs of a scale; `objectness` is None without one."""

    cls: Format
    box: Format
    objectness: Format | None = None


def is_power(stride: float) -> bool:
    """Whether pixels between locations are a power of two, 1 or more."""
    return stride == int(stride) and int(stride).bit_count() == 1


def units_of(form: HeadForm, scale: Scale) -> tuple[str, ...]:
    """Return what a box unit needs for it beside the plain head, as `EngineParams.heads` has it."""
    needs = [] if form.score is Score.LOGIT else [form.score.value]
    if form.box is not BoxForm.DISTANCES:
        needs.append(form.box.value)
    elif form.side is not Side.LINEAR:
        needs.append(BoxForm.CENTRE.value)
    plain = scale.prior_count == 1 and not form.every_class and is_power(scale.stride) and scale.offset == 0.5
    return tuple(needs if needs or plain else ["priors"])


def score_parts(
    form: HeadForm, formats: Formats, threshold: float, *, classes: int, score_width: int, most: int
) -> dict[str, Any]:
    """Return the keyword arguments of `HeadParams` about scores.

    Parameters
    ----------
    form, formats
        The head's form, and the formats of the scale's outputs.
    threshold
        Of the detector: a logit, or a probability.
    classes
        How many classes a box may have.
    score_width
        Bits of a score.
    most
        Most fraction bits of the logits of any scale.

    Raises
    ------
    ValueError
        A threshold that no such score reaches, or a format that the decoder cannot take.
    """
    cls, (low, high) = formats.cls, formats.cls.limits
    parts: dict[str, Any] = {"every_class": form.every_class, "threshold": low}
    if form.score is Score.PRODUCT:
        assert formats.objectness is not None
        made = ProductParams.of(cls, formats.objectness, threshold, score_width=score_width, root=form.root)
        return parts | {"products": made, "objectness_signed": formats.objectness.signed}
    if form.score is Score.SOFTMAX:
        ground = 0 if form.background == 0 else classes
        softmax = SoftmaxParams.of(cls, threshold, background=ground, score_width=score_width)
        least = min(max(SoftmaxParams.least(cls, threshold), low - high), high - low)
        return parts | {"softmax": softmax, "threshold": least}
    least = max(ceil(ldexp(threshold, cls.fraction)), low)
    if least > high:
        raise ValueError(f"threshold {threshold}: the greatest logit is {high * cls.scale}")
    return parts | {"threshold": least, "score_shift": most - cls.fraction}


def box_parts(form: HeadForm, scale: Scale, box: Format, image: BoxFormat) -> dict[str, Any]:
    """Return the keyword arguments of `HeadParams` about boxes.

    Parameters
    ----------
    form, scale
        The head's form and the scale.
    box
        Format of the boxes' numbers.
    image
        Fraction bits of a coordinate.

    Raises
    ------
    ValueError
        A stride or a format that the decoder cannot take.
    """
    fraction, unit = image.fraction, 2.0**scale.unit
    parts = _places(form, scale, fraction) | {"priors": scale.prior_count}
    if form.box is BoxForm.DFL:
        if not is_power(scale.stride):
            raise ValueError(f"stride of distributions must be a power of two, not {scale.stride}")
        shift = int(scale.stride).bit_length() - 1 + fraction - MEAN
        made = DistributionParams(bins=form.bins, fraction=box.fraction)
        return parts | {"distribution": made, "shift": shift}
    if form.box is BoxForm.CORNERS:
        corners = [(prior[0], prior[1], prior[2], prior[3]) for prior in scale.priors]
        return parts | {"corners": CornerParams.of(box, unit=unit, priors=corners, fraction=fraction)}
    if form.box is BoxForm.CENTRE:
        sides = [(prior[0], prior[1]) for prior in scale.priors] if form.has_priors else [(unit, unit)]
        centres = CentreParams.of(
            box, centre=form.centre, sigmoid=form.sigmoid, side=form.side, unit=unit, stride=scale.stride,
            priors=sides if form.has_priors else sides * scale.prior_count, fraction=fraction,
        )  # fmt: skip
        return parts | {"centres": centres}
    if form.side is Side.EXP or (form.side is Side.RELU and box.signed):
        return parts | {"sides": SideParams.of(box, side=form.side, unit=unit, fraction=fraction)}
    return parts | {"shift": scale.unit + fraction - box.fraction}


def _places(form: HeadForm, scale: Scale, fraction: int) -> dict[str, Any]:
    """Return where the locations are: corners of priors are relative to their beginnings."""
    offset = 0.0 if form.box is BoxForm.CORNERS else scale.offset
    if is_power(scale.stride) and offset == 0.5:
        return {"stride": int(scale.stride)}
    return {"place": PlaceParams.of(scale.stride, offset, fraction=fraction)}
