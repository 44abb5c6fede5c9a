"""What the box decoder is told of a scale, from the formats of its outputs, and what its integer scores stand for."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, ldexp
from typing import Any

import numpy as np

from roundel.detection.decoding import sigmoid
from roundel.detection.forms import HeadForm
from roundel.detection.scale import Scale
from roundel.golden.formats import Format
from roundel.golden.head import (
    MEAN,
    BoxForm,
    CentreParams,
    CornerParams,
    DistributionParams,
    HeadParams,
    PlaceParams,
    ProductParams,
    Score,
    Side,
    SideParams,
    SoftmaxParams,
    cost_fraction,
    form_units,
)
from roundel.golden.nms import BoxFormat, Floats
from roundel.golden.rounding import Ints


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
    plain = scale.prior_count == 1 and not (form.every_class or form.peaks)
    plain = plain and is_power(scale.stride) and scale.offset == 0.5
    return form_units(form.score, form.box, curved=form.side is not Side.LINEAR, plain=plain)


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
    parts: dict[str, Any] = {"every_class": form.every_class, "peaks": form.peaks, "threshold": low}
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
        made = DistributionParams.of(box, bins=form.bins)
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


@dataclass(frozen=True, kw_only=True)
class ScoreCode:
    """How integer scores stand for probabilities.

    Parameters
    ----------
    score
        How scores come about.
    zero
        The integer of the logit 0; of a product and of a softmax that of the probability 1, the greatest score.
    fraction
        Fraction bits of a logit, or of a cost, the base-2 logarithm of a probability: 0 to 8 of a cost.
    root
        Whether the probability is the square root of the product.
    """

    score: Score
    zero: int
    fraction: int
    root: bool = False

    @classmethod
    def of(cls, form: HeadForm, heads: Sequence[HeadParams], threshold: float, fraction: int) -> "ScoreCode":
        """Return the code of a detector's scores; `fraction` is that of the logits of most fraction bits."""
        first = heads[0]
        if form.score is Score.LOGIT:
            return cls(score=form.score, zero=first.score_offset, fraction=fraction)
        bits = cost_fraction(threshold, first.score_width, root=form.root)
        return cls(score=form.score, zero=(1 << first.score_width) - 1, fraction=bits, root=form.root)

    def probabilities(self, scores: Ints) -> Floats:
        """Return what integer scores (n,) stand for, 0 to 1.

        A logit is what the network gave, so that its probability is exact. A product is off by a factor of at most
        `2 ** (2 ** -fraction)`, and by the root of that where the probability is a root: each of its two logarithms is
        rounded by half a unit. A softmax is off by half a unit, too, and by up to 0.3 % for its sum of powers.
        """
        away = np.asarray(scores, np.float64) - self.zero
        if self.score is Score.LOGIT:
            return sigmoid(np.ldexp(away, -self.fraction))
        return np.asarray(np.exp2(np.ldexp(away, -self.fraction - self.root)))
