"""Which columns are scores, and of which form: sigmoid, product of two, its root, or softmax (docs/detectors.md)."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from roundel.detection import sigmoid, softmax
from roundel.golden.nms import Floats
from roundel.recognition.fitting import NEAR, apart, movers
from roundel.recognition.samples import Samples


class ScoreKind(StrEnum):
    """What a column is of raw values."""

    RAW = "raw value"
    SIGMOID = "sigmoid"
    PRODUCT = "product of two sigmoids"
    ROOT = "root of a product"
    SOFTMAX = "softmax"


@dataclass(frozen=True)
class ScoreColumn:
    """A column that is a score.

    Attributes
    ----------
    column
        Its place.
    kind
        What it is.
    channels
        The raw values that it comes from; of a softmax its own one first, then the others.
    """

    column: int
    kind: ScoreKind
    channels: tuple[int, ...]


def score_columns(samples: Samples, box: int) -> list[ScoreColumn]:
    """Return the columns of one box of a location that are scores, or raw values as they are."""
    found = []
    for column in range(samples.values.shape[2]):
        values = samples.values[:, box, column]
        channels = movers(samples.moves[:, :, box, column], float(np.abs(values).max()))
        if (kind := _kind(values, samples.raw, channels.tolist())) is not None:
            found.append(ScoreColumn(column, kind[0], kind[1]))
    return found


def _kind(values: Floats, raw: Floats, channels: list[int]) -> tuple[ScoreKind, tuple[int, ...]] | None:
    """Return what a column is, with its channels; None for no score."""
    own = raw[:, channels]
    if len(channels) == 1:
        for kind, expected in ((ScoreKind.SIGMOID, sigmoid(own[:, 0])), (ScoreKind.RAW, own[:, 0])):
            if apart(values, expected) <= NEAR:
                return kind, tuple(channels)
        return None
    if len(channels) == 2:
        product = sigmoid(own[:, 0]) * sigmoid(own[:, 1])
        for kind, expected in ((ScoreKind.PRODUCT, product), (ScoreKind.ROOT, np.sqrt(product))):
            if apart(values, expected) <= NEAR:
                return kind, tuple(channels)
    if len(channels) >= 2:
        parts = softmax(own, axis=1)
        nearest = int(np.abs(parts - values[:, None]).max(axis=0).argmin())
        if apart(values, parts[:, nearest]) <= NEAR:
            others = [channel for channel in channels if channel != channels[nearest]]
            return ScoreKind.SOFTMAX, (channels[nearest], *others)
    return None


@dataclass(frozen=True)
class Scores:
    """The scores of one box of a location.

    Attributes
    ----------
    kind
        What they are.
    classes
        The channel of each class; of a softmax without the background's.
    objectness
        Its channel, where the tail multiplies by it, or gives it as a column of its own beside the classes.
    background
        Its channel, of a softmax.
    columns
        The column of each class.
    """

    kind: ScoreKind
    classes: tuple[int, ...]
    objectness: int | None
    background: int | None
    columns: tuple[int, ...]


def scores_of(found: Iterable[ScoreColumn]) -> Scores | None:
    """Return the scores that the columns of a box are; None where there are none.

    Of the columns that classes have in several tensors the first counts, and products before their factors.
    """
    items = list(found)
    for kinds in ((ScoreKind.PRODUCT, ScoreKind.ROOT), (ScoreKind.SOFTMAX,), (ScoreKind.SIGMOID,)):
        chosen = _first_of_each([item for item in items if item.kind in kinds])
        if not chosen:
            continue
        if kinds[0] is ScoreKind.PRODUCT:
            return _product(chosen)
        if kinds[0] is ScoreKind.SOFTMAX:
            return _softmax(chosen)
        classes = tuple(item.channels[0] for item in chosen)
        return Scores(ScoreKind.SIGMOID, classes, None, None, tuple(item.column for item in chosen))
    return None


def _first_of_each(items: list[ScoreColumn]) -> list[ScoreColumn]:
    """Return the first of the columns that come from the same channel, or the same pair of them."""
    firsts: dict[tuple[int, ...], ScoreColumn] = {}
    for item in items:
        firsts.setdefault(item.channels, item)
    return list(firsts.values())


def _product(items: list[ScoreColumn]) -> Scores | None:
    shared = set(items[0].channels).intersection(*(item.channels for item in items))
    if not shared:
        return None
    objectness = min(shared)
    classes = [next(channel for channel in item.channels if channel != objectness) for item in items]
    return Scores(items[0].kind, tuple(classes), objectness, None, tuple(item.column for item in items))


def _softmax(items: list[ScoreColumn]) -> Scores | None:
    every = set(items[0].channels)
    if any(set(item.channels) != every for item in items):
        return None
    own = [item.channels[0] for item in items]
    left = sorted(every - set(own))
    if len(left) > 1:
        return None
    if not left:  # the background has a column as well: it is the first or the last one, which nobody can tell
        left, items = [own[0]], items[1:]
    classes = tuple(item.channels[0] for item in items)
    return Scores(ScoreKind.SOFTMAX, classes, None, left[0], tuple(item.column for item in items))
