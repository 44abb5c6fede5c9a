"""What of a scale passes, as far as it decides how long the box unit takes."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from roundel.golden.engine import Engine, Scale
from roundel.golden.head import TERM, HeadParams, neighbourhoods, terms
from roundel.golden.nms import Suppression
from roundel.golden.rounding import Ints


class Passing(NamedTuple):
    """A prior at a location that is looked at more closely, since its best logit, or its objectness, passes.

    Attributes
    ----------
    location, prior
        Which, locations counted row by row.
    passes
        With products, whether its best class does, too.
    labels
        Classes that pass: one, or with every class all of them, in order.
    sent
        Those of them of which the decoder makes a box: with peaks the peaks, else all.
    places
        By how many bits the sum of a softmax's powers is longer than its greatest term; 0 without.
    """

    location: int
    prior: int
    passes: bool = True
    labels: tuple[int, ...] = (0,)
    sent: tuple[int, ...] = (0,)
    places: int = 0


class Found(NamedTuple):
    """What the box unit finds in a scale.

    Attributes
    ----------
    passed
        What passes, in order.
    boxes
        That the suppression gets of the image, up to this scale.
    kept
        Of an image, of which this scale is the last; else 0.
    """

    passed: tuple[Passing, ...]
    boxes: int
    kept: int


def found_by(engine: Engine) -> list[Found]:
    """Return what a golden engine that has run found in the scales of its program, in order."""
    nms, found = engine.params.nms, list[Found]()
    for scales in engine.images:
        boxes = 0
        for scale in scales:
            assert nms is not None
            passed, sent = _of_scale(scale, nms)
            boxes += sent
            kept = engine.boxes if scale.descriptor.last else 0
            found.append(Found(tuple(passed), boxes, kept))
    return found


def _of_scale(scale: Scale, nms: Suppression) -> tuple[list[Passing], int]:
    head = scale.head(nms)
    if scale.descriptor.threshold > head.threshold:
        return [], 0
    return passing(head, scale.cls, scale.objectness, scale.maxima), len(scale.decode(nms)[0].scores)


def passing(head: HeadParams, cls: Ints, objectness: Ints | None = None, maxima: Ints | None = None) -> list[Passing]:
    """Return what passes, in the order in which it is looked at; the arguments as for `HeadParams.decode`."""
    shape = (head.rows * head.columns, head.priors)
    logits = cls.reshape(*shape, head.logits)
    counted = logits if head.softmax is None else head.softmax.without(logits)
    ground = 0 if head.softmax is None else logits[..., head.softmax.background, None]
    good: NDArray[np.bool_] = np.asarray(counted - ground >= head.threshold)
    best = np.asarray(counted.argmax(axis=-1))
    first = np.take_along_axis(good, best[..., None], axis=-1)[..., 0]
    passes = first
    if head.products is not None and objectness is not None:
        own = np.take(head.products.objectness, objectness.reshape(shape) & 0xFF)
        good = good & (head.products.costs(counted, objectness.reshape(shape)) <= head.products.most)
        first = np.asarray(own <= head.products.most)
        passes = np.take_along_axis(good, best[..., None], axis=-1)[..., 0]
    peaks = np.ones_like(good)
    if head.peaks:
        peaks = logits == (neighbourhoods(cls) if maxima is None else maxima).reshape(logits.shape)
    places = _places(head, logits)
    found = []
    for location, prior in np.argwhere(first).tolist():
        at = location, prior
        labels = (np.flatnonzero(good[at]) if head.every_class else best[at][None]).tolist() if passes[at] else []
        sent = tuple(label for label in labels if peaks[at][label])
        found.append(Passing(location, prior, bool(passes[at]), tuple(labels), sent, int(places[at])))
    return found


def _places(head: HeadParams, logits: Ints) -> Ints:
    if head.softmax is None:
        return np.zeros(logits.shape[:-1], np.int64)
    powers = np.take(head.softmax.exponents, logits.max(axis=-1, keepdims=True) - logits)
    return np.asarray(np.frexp(terms(powers).sum(axis=-1).astype(np.float64))[1] - 1 - TERM)
