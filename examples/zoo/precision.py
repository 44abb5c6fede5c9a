"""How well integers find what floats find: boxes, suppression, average precision and its uncertainty.

The boxes of the float network are the truth here, so that nothing but the integers is judged: whatever it finds with a
score of `TRUTH` or more is an object. A detector of the kind of YOLOX is decoded as its paper says [S]: a location's
centre and log size in strides, the score of an object times that of its class.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

STRIDES = (8, 16, 32)
TRUTH, LEAST = 0.25, 0.05  # scores: of an object of the float network, and of a box that counts at all
OVERLAP = 0.45  # IoU from which on a box suppresses another, as the detector's own package has it
LEVELS = (0.5, 0.75, 0.9)
DRAWS = 2000  # of the bootstrap

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Found:
    """Boxes of an image, best first.

    Parameters
    ----------
    boxes
        (count, 4): left, top, right, bottom in pixels.
    scores
        (count,), descending.
    """

    boxes: Floats
    scores: Floats

    def above(self, score: float) -> "Found":
        """Those of at least a score."""
        kept = self.scores >= score
        return Found(self.boxes[kept], self.scores[kept])


def decode(output: NDArray[np.float32], size: tuple[int, int]) -> Found:
    """Boxes of an image after suppression, from (locations, 5 + classes): centre, log size, chances.

    Parameters
    ----------
    output
        A row for each location of the scales of `STRIDES`, row by row.
    size
        (rows, columns) of the image.
    """
    grids, strides = [], []
    for stride in STRIDES:
        y, x = np.mgrid[0 : size[0] // stride, 0 : size[1] // stride]
        grids.append(np.stack([x.ravel(), y.ravel()], 1))
        strides.append(np.full((x.size, 1), float(stride)))
    stride = np.concatenate(strides)
    values = output.astype(np.float64)
    centre = (values[:, :2] + np.concatenate(grids)) * stride
    side = np.exp(np.minimum(values[:, 2:4], 20)) * stride
    scores = (values[:, 4:5] * values[:, 5:]).max(axis=1)
    kept = scores >= LEAST
    boxes = np.concatenate([centre - side / 2, centre + side / 2], 1)[kept]
    order = np.argsort(-scores[kept], kind="stable")
    return suppress(Found(boxes[order], scores[kept][order]))


def suppress(found: Found) -> Found:
    """Keep the best boxes of which none overlaps a better one by more than `OVERLAP`."""
    kept: list[int] = []
    for place in range(len(found.scores)):
        if not kept or overlaps(found.boxes[place][None], found.boxes[kept]).max() <= OVERLAP:
            kept.append(place)
    return Found(found.boxes[kept], found.scores[kept])


def overlaps(first: Floats, second: Floats) -> Floats:
    """IoU of all pairs: (first, second)."""
    corner = np.maximum(first[:, None, :2], second[None, :, :2])
    reach = np.minimum(first[:, None, 2:], second[None, :, 2:])
    both = np.prod(np.clip(reach - corner, 0, None), axis=2)
    area = [np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) for boxes in (first, second)]
    return np.asarray(both / np.maximum(area[0][:, None] + area[1][None] - both, 1e-12))


def right(found: Found, truth: Found, level: float) -> NDArray[np.bool_]:
    """Which boxes find an object: best box first, each takes the free object that it overlaps most, from `level` on."""
    hits = np.zeros(len(found.scores), bool)
    if len(truth.scores) and len(found.scores):
        pairs = overlaps(found.boxes, truth.boxes)
        for place in range(len(hits)):
            best = int(pairs[place].argmax())
            if pairs[place, best] >= level:
                hits[place] = True
                pairs[:, best] = -1
    return hits


@dataclass(frozen=True)
class Matched:
    """All boxes of all images against the objects, at one level of IoU.

    Parameters
    ----------
    image
        (boxes,): the image of each box.
    scores, hits
        (boxes,): its score, and whether it finds an object.
    objects
        (images,): objects of each image.
    """

    image: NDArray[np.int64]
    scores: Floats
    hits: NDArray[np.bool_]
    objects: NDArray[np.int64]

    @classmethod
    def of(cls, found: Sequence[Found], truth: Sequence[Found], level: float) -> "Matched":
        """Match every image."""
        image = np.repeat(np.arange(len(found)), [len(item.scores) for item in found])
        scores = np.concatenate([item.scores for item in found])
        hits = np.concatenate([right(item, real, level) for item, real in zip(found, truth, strict=True)])
        return cls(image, scores, hits, np.array([len(item.scores) for item in truth]))

    def precision(self, weights: NDArray[np.int64] | None = None) -> float:
        """Average precision, 0 to 1, at 101 recalls as COCO has it; `weights` (images,) count images more than once."""
        weights = np.ones(len(self.objects), np.int64) if weights is None else weights
        total = int((weights * self.objects).sum())
        if not total:
            return float("nan")
        order = np.argsort(-self.scores, kind="stable")
        times, hits = weights[self.image[order]], self.hits[order]
        good, all_boxes = np.cumsum(times * hits), np.cumsum(times)
        precision = good / np.maximum(all_boxes, 1)
        precision = np.maximum.accumulate(precision[::-1])[::-1]
        places = np.searchsorted(good / total, np.linspace(0, 1, 101))
        return float(np.mean([precision[place] if place < len(precision) else 0.0 for place in places]))


@dataclass(frozen=True)
class Score:
    """Average precision with an interval, in points (hundredths).

    Parameters
    ----------
    value
        On all images.
    low, high
        Between them lie 95 % of the draws of images with replacement.
    """

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.1f} [{self.low:.1f}, {self.high:.1f}]"


def scored(matched: Matched, seed: int, base: Matched | None = None) -> Score:
    """Average precision of a network, or, with `base`, how far it is below another one's on the same images.

    Parameters
    ----------
    matched
        The network's boxes.
    seed
        Of the draws.
    base
        The other network's boxes.
    """

    def value(weights: NDArray[np.int64] | None) -> float:
        own = 100 * matched.precision(weights)
        return own if base is None else 100 * base.precision(weights) - own

    rng = np.random.default_rng(seed)
    count = len(matched.objects)
    draws = [value(np.bincount(rng.integers(count, size=count), minlength=count)) for _ in range(DRAWS)]
    low, high = np.nanpercentile(draws, (2.5, 97.5))
    return Score(value(None), float(low), float(high))


def all_scores(found: dict[str, Sequence[Found]], truth: Sequence[Found], base: str, seed: int) -> Iterable[list[str]]:
    """A row for each network: its name, its average precision at every level, and how far it is below `base`."""
    matched = {name: [Matched.of(boxes, truth, level) for level in LEVELS] for name, boxes in found.items()}
    for name, levels in matched.items():
        cells = [str(scored(item, seed)) for item in levels]
        if name != base:
            pairs = zip(levels, matched[base], strict=True)
            cells += [str(scored(item, seed, other)) for item, other in pairs]
        else:
            cells += ["-"] * len(LEVELS)
        yield [name, *cells]
