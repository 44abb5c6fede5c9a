"""Scenes with known objects, and what a detector would say of them: a generative model, not a trained network.

[R] The principles. Objects have about the scales and ratios that detectors are built for. A detector fires many times
on each of them; every firing misses the object's corners by a part of its size, and its score is the lower the more it
misses, but only roughly so. Some firings are about nothing, mostly at low scores, and those come in clusters as well.
A crowd is of one class, as objects of different classes never suppress each other.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from roundel.golden.nms import Detections, Floats, iou
from roundel.golden.rounding import Ints

SIZE = 640  # of the image, in pixels
SCALES = (64, 128, 256, 512)  # roots of the objects' areas, about
RATIOS = (0.5, 1.0, 2.0)  # of their heights to their widths, about
ATTEMPTS = 200  # at placing an object, until the image counts as full
FLOOR = 0.05  # a detector does not report lower scores
LEAST = 4.0  # pixels of a side; a detector reports no smaller boxes


@dataclass(frozen=True, kw_only=True)
class SceneParams:
    """A kind of scene.

    Parameters
    ----------
    objects
        Least and most.
    overlap
        Largest IoU of two objects, whatever their classes.
    classes
        How many there are; every object is of one of them at random.
    firings
        Least and most detections of one object.
    jitter
        Least and greatest standard deviation of a detection's corners, as a part of the object's width and height.
    confidence
        Mean and standard deviation of the logit of the score of a perfectly localised object.
    slope
        By how much the logit falls when the IoU with the object falls from 1 to 0.
    noise
        Standard deviation of the logit, which differs from detection to detection.
    false
        Mean number of places where the detector sees what is not there, and of detections at one of them.
    false_confidence
        As `confidence`, of those.
    """

    objects: tuple[int, int] = (4, 10)
    overlap: float = 0.05
    classes: int = 3
    firings: tuple[int, int] = (5, 40)
    jitter: tuple[float, float] = (0.02, 0.18)
    confidence: tuple[float, float] = (2.0, 1.0)
    slope: float = 8.0
    noise: float = 0.7
    false: tuple[float, float] = (8.0, 2.0)
    false_confidence: tuple[float, float] = (-1.0, 1.0)


KINDS: Mapping[str, SceneParams] = MappingProxyType(
    {
        "easy": SceneParams(),
        "crowded": SceneParams(objects=(18, 26), overlap=0.4, classes=1),
        "sloppy": SceneParams(jitter=(0.05, 0.24), slope=6.0, noise=0.8),
    }
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Scene:
    """An image: its objects, boxes (m, 4) of corners in pixels and classes (m,), and what the detector says."""

    boxes: Floats
    classes: Ints
    detections: Detections


def scenes(params: SceneParams, count: int, *, seed: int) -> list[Scene]:
    """So many scenes of one kind; the first of them are the same whatever the count."""
    return [scene(params, np.random.default_rng((seed, number))) for number in range(count)]


def scene(params: SceneParams, rng: np.random.Generator) -> Scene:
    """One scene: objects, detections of each, detections of nothing, in random order."""
    boxes = place(params, rng)
    classes = rng.integers(params.classes, size=len(boxes))
    clusters = [
        fire(params, rng, box, int(rng.integers(*params.firings, endpoint=True)), rng.normal(*params.confidence))
        for box in boxes
    ]
    places, firings = params.false
    false = rng.poisson(places)
    clusters += [
        fire(params, rng, somewhere(rng), int(rng.geometric(1 / firings)), rng.normal(*params.false_confidence))
        for _ in range(false)
    ]
    labels = [*classes, *rng.integers(params.classes, size=false)]
    corners = np.concatenate([np.zeros((0, 4)), *(cluster for cluster, _ in clusters)])
    scores = np.concatenate([np.zeros(0), *(score for _, score in clusters)])
    label = np.repeat(np.array(labels, np.int64), [len(score) for _, score in clusters])
    order = rng.permutation(len(scores))
    order = order[(scores[order] >= FLOOR) & (corners[order, 2:] - corners[order, :2] >= LEAST).all(axis=1)]
    detections = Detections(boxes=corners[order], scores=scores[order], classes=label[order])
    return Scene(boxes=boxes, classes=classes, detections=detections)


def place(params: SceneParams, rng: np.random.Generator) -> Floats:
    """Objects within the image, (m, 4); no two of them overlap by more than allowed, and fewer fit if it is full."""
    boxes = np.zeros((0, 4))
    count = rng.integers(*params.objects, endpoint=True)
    for _ in range(ATTEMPTS * count):
        if len(boxes) == count:
            break
        box = somewhere(rng)
        if (iou(boxes, box) <= params.overlap).all():
            boxes = np.vstack([boxes, box])
    return boxes


def somewhere(rng: np.random.Generator) -> Floats:
    """Return a box within the image, (4,): every scale and ratio, give or take a third of an octave, is as likely."""
    area = (rng.choice(SCALES) * 2 ** rng.uniform(-1 / 3, 1 / 3)) ** 2
    ratio = rng.choice(RATIOS) * 2 ** rng.uniform(-1 / 3, 1 / 3)
    size = np.minimum(np.sqrt([area / ratio, area * ratio]), SIZE)
    corner = rng.uniform(0, SIZE - size)
    return np.concatenate([corner, corner + size])


def fire(
    params: SceneParams, rng: np.random.Generator, box: Floats, count: int, confidence: float
) -> tuple[Floats, Floats]:
    """Return random detections of what is at a box.

    Parameters
    ----------
    params
        Spread of corners, and how scores fall with the IoU.
    rng
        Source of all that is random.
    box
        Corners in pixels, (4,).
    count
        How many detections.
    confidence
        Mean logit of a detection that lies exactly on the box.

    Returns
    -------
    tuple
        Corners (count, 4), cut off at the border, and scores (count,) of 0 to 1.
    """
    spread = rng.uniform(*params.jitter, (count, 1)) * np.tile(box[2:] - box[:2], 2)
    corners = np.clip(rng.normal(box, spread), 0, SIZE)
    corners = np.concatenate(  # the lesser coordinate first: large misses turn small boxes over
        [np.minimum(corners[:, :2], corners[:, 2:]), np.maximum(corners[:, :2], corners[:, 2:])], axis=1
    )
    logits = confidence - params.slope * (1 - iou(corners, box)) + rng.normal(0, params.noise, count)
    return corners, 1 / (1 + np.exp(-logits))
