"""Boxes of a scale in double precision: every form of head, from what the network gives (docs/detectors.md).

All arrays are of one image: raw values (channels, rows, columns), boxes (rows * columns * priors, 4), scores
(rows * columns * priors, classes), location by location, row by row, priors of a location one after the other.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roundel.detection.forms import HeadForm
from roundel.detection.scale import Scale
from roundel.golden.head import BoxForm, Centre, Score, Side
from roundel.golden.nms import Floats
from roundel.golden.rounding import Ints

MOST_EXPONENT = 60.0  # e to it is beyond any image, and finite


def scores(form: HeadForm, cls: NDArray[Any], objectness: NDArray[Any] | None, priors: int) -> Floats:
    """Return the scores of all classes: logits of the form `logit`, probabilities of others; -inf where no peak is.

    Parameters
    ----------
    form
        The head's.
    cls
        Logits, (priors * channels of a prior, rows, columns).
    objectness
        Logits, (priors, rows, columns), of the form `product`.
    priors
        Boxes of a location.
    """
    rows, columns = cls.shape[1:]
    logits = np.asarray(cls, np.float64).reshape(priors, -1, rows, columns)
    if form.score is Score.PRODUCT:
        assert objectness is not None
        values = sigmoid(logits) * sigmoid(np.asarray(objectness, np.float64).reshape(priors, 1, rows, columns))
        values = np.sqrt(values) if form.root else values
    elif form.score is Score.SOFTMAX:
        values = np.delete(softmax(logits, axis=1), form.background % logits.shape[1], axis=1)
    else:
        values = logits
    if form.peaks:
        values = np.where(values == highest_around(values), values, -np.inf)
    return values.transpose(2, 3, 0, 1).reshape(rows * columns * priors, -1)


def location_scores(form: HeadForm, scale: Scale, tensors: Mapping[str, NDArray[Any]]) -> Floats:
    """Return the best score of each location of images, (images, rows, columns).

    Parameters
    ----------
    form, scale
        The head's form and the scale.
    tensors
        Raw values, (images, channels, rows, columns), by the names of the scale's outputs.
    """
    cls, objectness = tensors[scale.cls], tensors.get(scale.objectness)
    best = [
        scores(form, values, None if objectness is None else objectness[image], scale.prior_count)
        for image, values in enumerate(cls)
    ]
    best_of: Floats = np.reshape(best, (len(cls), *cls.shape[2:], -1)).max(axis=-1)
    return best_of


def corners(form: HeadForm, scale: Scale, box: NDArray[Any]) -> Floats:
    """Return x1, y1, x2, y2 in pixels of all boxes, which may reach beyond the image.

    Parameters
    ----------
    form, scale
        The head's form and the scale.
    box
        Raw values, (priors * 4, rows, columns), times `bins` of the form `dfl`.
    """
    rows, columns = box.shape[1:]
    raw = np.asarray(box, np.float64).reshape(scale.prior_count, 4, -1, rows, columns).transpose(3, 4, 0, 1, 2)
    y, x = np.mgrid[:rows, :columns].astype(np.float64)
    places = np.stack([x, y], axis=-1)[:, :, None]  # (rows, columns, 1, 2), in strides
    if form.box is BoxForm.DFL:
        raw = softmax(raw, axis=-1) @ np.arange(form.bins)
        around = (places + scale.offset) * scale.stride
        found = _around(around, raw * scale.stride)
    elif form.box is BoxForm.DISTANCES:
        found = _around((places + scale.offset) * scale.stride, _side(form, raw[..., 0]) * 2.0**scale.unit)
    elif form.box is BoxForm.CORNERS:
        moves = np.asarray(scale.priors) + raw[..., 0] * 2.0**scale.unit
        found = np.tile(places, 2) * scale.stride + moves
    else:
        centres, sides = _centres(form, scale, places, raw[..., :2, 0]), _sides(form, scale, raw[..., 2:, 0])
        found = np.concatenate([centres - sides / 2, centres + sides / 2], axis=-1)
    return found.reshape(-1, 4)


def candidates(
    form: HeadForm,
    scale: Scale,
    tensors: Mapping[str, NDArray[Any]],
    threshold: float,
    image: tuple[int, int] | None,
) -> tuple[Floats, Floats, Ints]:
    """Return corners, scores and classes of the boxes of a scale that have area and reach a threshold.

    Parameters
    ----------
    form, scale
        The head's form and the scale.
    tensors
        Raw values, (channels, rows, columns), by the names of the scale's outputs.
    threshold
        Least score.
    image
        Width and height to which boxes are cut first; None leaves them as they are.
    """
    values = scores(form, tensors[scale.cls], tensors.get(scale.objectness), scale.prior_count)
    boxes = corners(form, scale, tensors[scale.box])
    boxes = boxes if image is None else np.clip(boxes, 0, image * 2)
    drawn = np.asarray((boxes[:, :2] < boxes[:, 2:]).all(axis=1))
    if form.every_class:
        place, label = np.nonzero(np.where(drawn[:, None], values, -np.inf) >= threshold)
        return boxes[place], values[place, label], label
    sends = (values.max(axis=1) >= threshold) & drawn
    return boxes[sends], values.max(axis=1)[sends], values.argmax(axis=1)[sends]


def _around(centres: Floats, distances: Floats) -> Floats:
    return np.concatenate([centres - distances[..., :2], centres + distances[..., 2:]], axis=-1)


def _centres(form: HeadForm, scale: Scale, places: Floats, raw: Floats) -> Floats:
    if form.centre is Centre.SIGMOID:
        factor, start = form.sigmoid
        return (places + scale.offset + factor * sigmoid(raw) + start) * scale.stride
    return (places + scale.offset) * scale.stride + raw * 2.0**scale.unit


def _sides(form: HeadForm, scale: Scale, raw: Floats) -> Floats:
    sides = _side(form, raw)
    return sides * 2.0**scale.unit if form.side is Side.LINEAR else sides * np.asarray(scale.priors)


def _side(form: HeadForm, raw: Floats) -> Floats:
    if form.side is Side.EXP:
        return np.exp(np.minimum(raw, MOST_EXPONENT))
    if form.side is Side.SQUARE_SIGMOID:
        return 4 * sigmoid(raw) ** 2
    return np.asarray(np.maximum(raw, 0)) if form.side is Side.RELU else raw


def sigmoid(values: Floats) -> Floats:
    """Return 1 / (1 + exp(-values))."""
    small = np.exp(-np.abs(values))
    result: Floats = np.where(values >= 0, 1.0, small) / (1 + small)
    return result


def softmax(values: Floats, axis: int) -> Floats:
    """Return exponentials that sum up to 1 along an axis."""
    powers = np.exp(values - values.max(axis=axis, keepdims=True))
    result: Floats = powers / powers.sum(axis=axis, keepdims=True)
    return result


def highest_around(values: Floats) -> Floats:
    """Return the greatest value of the 3 x 3 locations around each, (..., rows, columns); there are none outside."""
    padded = np.pad(values, [(0, 0)] * (values.ndim - 2) + [(1, 1)] * 2, constant_values=-np.inf)
    rows, columns = values.shape[-2:]
    moved = [padded[..., y : y + rows, x : x + columns] for y in range(3) for x in range(3)]
    return np.asarray(np.max(moved, axis=0))
