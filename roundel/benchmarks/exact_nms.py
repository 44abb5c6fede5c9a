"""Boxes per cycle of the units that sort: the exact GreedyNMS and top-k, with images as bad for them as can be."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import count

import numpy as np

from roundel.detection import KINDS, scene
from roundel.evaluation import BOXES, crowd
from roundel.golden.nms import BoxFormat, ExactParams, TopKParams
from roundel.golden.rounding import Ints
from roundel.hw.units import UNITS
from roundel.sim.nms_run import run_images
from roundel.sim.stimuli import BoxImage, apart, image_of, one_place
from roundel.ui import Row, row

IMAGES = 4  # back to back; the first one fills the pipeline
FORMAT = BoxFormat(classes=3)
SCORE_WIDTHS = (8, 16)
FIRINGS = {"easy": (160, 260), "crowded": (60, 100), "sloppy": (160, 260)}
"""Detections of an object, by kind of scene: more than in the scenes of accuracy, so that images have `BOXES`."""
SCENES = 0.4  # threshold on scenes: that of the better GreedyNMS of docs/nms_accuracy.md, or as good
USUAL = 0.5
KEPT = 256
FLOOD = 20  # times as many boxes as are kept

Maker = Callable[[np.random.Generator, BoxFormat], BoxImage]


def dense(kind: str, form: BoxFormat, seed: int) -> list[BoxImage]:
    """Draw images of `BOXES` boxes of scenes with many detections of each object."""
    params, images = replace(KINDS[kind], firings=FIRINGS[kind]), list[BoxImage]()
    if form.classes > FORMAT.classes:
        params = replace(params, classes=form.classes)
    for number in count():
        if len(images) == IMAGES:
            break
        found = scene(params, np.random.default_rng((seed, number))).detections
        if len(found) >= BOXES:
            ranks = np.unique(found.scores, return_inverse=True)[1]
            images.append(image_of(form.codes(found.boxes)[:BOXES], ranks[:BOXES], found.labels[:BOXES], form))
    return images


def one_cell(rng: np.random.Generator, form: BoxFormat) -> BoxImage:
    """Boxes of all sizes and shapes around the middle of the image, whose centres lie within 8 pixels."""
    centre = np.array([form.width, form.height]) / 2 + rng.integers(-4, 4, (BOXES, 2))
    half = np.exp(rng.uniform(np.log(2), np.log(min(form.width, form.height) / 2 - 4), (BOXES, 2)))
    corners = np.hstack([np.floor(centre - half), np.ceil(centre + half)]).astype(np.int64) << form.fraction
    return image_of(corners, rng.integers(0, BOXES, BOXES), np.zeros(BOXES, np.int64), form)


def equal_scores(rng: np.random.Generator, form: BoxFormat) -> BoxImage:
    """Clusters of one class whose scores are all equal."""
    return replace(crowd(rng, replace(form, classes=1), BOXES), scores=np.zeros(BOXES, np.int64))


STIMULI: dict[str, Maker] = {
    "clusters, one class": lambda rng, form: crowd(rng, replace(form, classes=1), BOXES),
    "equal boxes and scores": lambda rng, form: one_place(rng, form, BOXES, np.zeros(BOXES, np.int64)),
    "clusters, equal scores": equal_scores,
    "one cell, all sizes": one_cell,
    "disjoint boxes": lambda rng, form: apart(rng, form, BOXES),
}
"""Images that are no scenes, by name."""


@dataclass(frozen=True)
class ExactRate:
    """Boxes per cycle of images back to back."""

    stimulus: str
    score_width: int
    comparators: int = 4
    classes: int = FORMAT.classes
    max_detections: int | None = None

    @property
    def name(self) -> str:
        """The stimulus, and what is unusual about its classes."""
        classes = f"{self.classes} classes" if self.classes != FORMAT.classes else ""
        most = f"{self.max_detections} kept" if self.max_detections else ""
        return ", ".join(filter(None, [self.stimulus, classes, most]))

    def rows(self, seed: int) -> list[Row]:
        """Run the images on the RTL, which keeps what golden keeps."""
        form = replace(FORMAT, score_width=self.score_width, classes=self.classes)
        kind = self.stimulus in KINDS
        threshold = SCENES if kind else USUAL
        params = ExactParams(
            format=form, threshold=threshold, comparators=self.comparators, max_detections=self.max_detections
        )
        images = dense(self.stimulus, form, seed) if kind else self._drawn(form, seed)
        run = run_images(UNITS["exact_nms"], params, [_narrow(image, form) for image in images], seed=seed)
        last = run["arrivals"][run["ends"] - 1]
        boxes = sum(len(image) for image in images[1:])
        about = {"stimulus": self.name, "score_width": self.score_width, "comparators": self.comparators}
        about |= {"threshold": threshold, "boxes": len(images[0]), "seed": seed}
        return [
            row("exact_nms.boxes_per_cycle", boxes / (last[-1] - last[0]), "boxes/cycle", about),
            row("exact_nms.kept", len(run["kept"]) / len(images), "boxes", about),
        ]

    def _drawn(self, form: BoxFormat, seed: int) -> list[BoxImage]:
        rng = np.random.default_rng(seed)
        return [STIMULI[self.stimulus](rng, form) for _ in range(IMAGES)]


def exact_variants() -> Sequence[ExactRate]:
    """List everything that is measured of the unit."""
    names = (*KINDS, *STIMULI)
    fewest = [ExactRate(name, width) for width in SCORE_WIDTHS for name in names]
    many = [ExactRate("crowded", SCORE_WIDTHS[-1], classes=80, max_detections=most) for most in (None, 20)]
    return [*fewest, *(ExactRate(name, SCORE_WIDTHS[-1], 8) for name in names), *many]


def _narrow(image: BoxImage, form: BoxFormat) -> BoxImage:
    """Scale scores to the bits of the format, in their order."""
    top = (1 << form.score_width) - 1
    return replace(image, scores=image.scores * top // max(1, int(image.scores.max())))


Order = Callable[[np.random.Generator, Ints], Ints]

ORDERS: dict[str, Order] = {
    "any order": lambda rng, scores: rng.permutation(scores),
    "falling": lambda rng, scores: np.sort(scores)[::-1],
    "rising": lambda rng, scores: np.sort(scores),
}
"""Orders of the scores of a flood, by name; in the last one every box is better than those before."""
FITS = "as many as are kept"


@dataclass(frozen=True)
class TopKRate:
    """Boxes per cycle of images back to back."""

    stimulus: str
    score_width: int

    def rows(self, seed: int) -> list[Row]:
        """Run the images on the RTL, which keeps what golden keeps."""
        params = TopKParams(format={"classes": 1, "score_width": self.score_width}, capacity=KEPT)  # type: ignore[arg-type]
        rng = np.random.default_rng(seed)
        images = [self._image(rng, params) for _ in range(IMAGES)]
        run = run_images(UNITS["topk"], params, images, seed=seed)
        last = run["arrivals"][run["ends"] - 1]
        boxes = sum(len(image) for image in images[1:])
        about = {"stimulus": self.stimulus, "score_width": self.score_width, "kept": KEPT, "seed": seed}
        about["boxes"] = len(images[0])
        return [row("topk.boxes_per_cycle", boxes / (last[-1] - last[0]), "boxes/cycle", about)]

    def _image(self, rng: np.random.Generator, params: TopKParams) -> BoxImage:
        count = KEPT if self.stimulus == FITS else FLOOD * KEPT
        scores = rng.integers(0, 1 << self.score_width, count)
        order = ORDERS.get(self.stimulus)
        return one_place(rng, params.format, count, scores if order is None else order(rng, scores))


def topk_variants() -> Sequence[TopKRate]:
    """List everything that is measured of the unit."""
    return [TopKRate(name, width) for width in SCORE_WIDTHS for name in (FITS, *ORDERS)]
