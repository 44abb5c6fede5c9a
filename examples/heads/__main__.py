"""What integers cost detectors of five families: `python -m examples.heads` (needs `pip install -e .[train]`).

Each file of roundel/data/heads is compressed as it is; its head is recognised. Scenes are of held-out digits, which
neither training nor calibration saw. The float network is the file's own, up to its head convolutions; both decode
above `LEAST`, so that the average precision has its boxes of low scores, and suppress by GreedyNMS, or not at all as
the file says. `agreeing` are boxes of the float network above `SURE`, of which the integers have one of the same class
with an IoU of 0.9.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import log
from pathlib import Path

import numpy as np

import roundel
from examples.detector.scenes import glyphs, take
from examples.zoo.page import put
from roundel.data import DETECTOR, HEADS
from roundel.detection import Detector, Objects, Scenes, agreement, evaluate, read_scenes
from roundel.frontend import examine, prepare, read_onnx
from roundel.golden.head import Score
from roundel.golden.network import outputs
from roundel.golden.nms import Detections
from roundel.golden.rounding import Ints
from roundel.recognition import Recognised, recognise, split_model
from roundel.ui import markdown_table

PAGE = Path(__file__).with_name("README.md")
FAMILIES = ("yolov5", "yolov8", "yolox", "ssd", "one_to_one")
COUNT, SEED = 1_000, 7
LEAST, SURE = 0.05, 0.25
CURES = {"per_channel": True, "equalize": True, "correct_biases": True, "round_to_results": True}
COLUMNS = (
    "detector",
    "arithmetic",
    "scenes",
    "boxes",
    "AP50",
    "AP75",
    "AP50:95",
    "points below at 50",
    "at 75",
    "agreeing",
)

Precisions = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True, eq=False)
class Kept:
    """The boxes that are kept of each scene, with probabilities or integers as scores."""

    boxes: list[Detections]

    def precisions(self, objects: Sequence[Objects]) -> Precisions:
        """AP50, AP75 and AP50:95."""
        return evaluate(objects, self.boxes, lambda boxes: np.arange(len(boxes)))


def scenes_of(count: int) -> Scenes:
    """Scenes of held-out digits."""
    found = take(glyphs()["heldout"], SEED, count)
    objects = tuple(Objects(boxes=scene.boxes, classes=scene.classes) for scene in found)
    return Scenes(images=np.stack([scene.image for scene in found])[:, None], objects=objects)


def above(detector: Detector, least: float) -> Detector:
    """The detector with another threshold, a probability."""
    logit = detector.form.score is Score.LOGIT
    return replace(detector, threshold=log(least / (1 - least)) if logit else least)


def chosen(detector: Detector, boxes: Sequence[Detections]) -> Kept:
    """What the suppression in float keeps."""
    return Kept(boxes=[_some(image, detector.kept(image)) for image in boxes])


def _some(boxes: Detections, which: Ints) -> Detections:
    return Detections(boxes=boxes.boxes[which], scores=boxes.scores[which], classes=boxes.labels[which])


def in_float(file: Path, images: Ints) -> tuple[Detector, list[Detections], list[Detections]]:
    """The detector as its file says, and the boxes of its float network above `LEAST` and above `SURE`."""
    found = recognise(examine(prepare(str(file))))
    assert isinstance(found, Recognised)
    tensors = read_onnx(split_model(found)).outputs(images)
    return found.detector, *(above(found.detector, least).detections(tensors) for least in (LEAST, SURE))


def in_integers(file: Path, images: Ints) -> list[Detections]:
    """The boxes of the integer network, as golden's box unit decodes them."""
    calibration = read_scenes(DETECTOR / "calibration.npz", (1, 96, 96)).images
    small = roundel.compress(str(file), calibration, **CURES)
    assert small.head is not None
    detector = above(small.head, LEAST)
    heads = detector.heads(small.network, small.results)
    tensors = outputs(small.network, small.network.encode(images))
    named = {name: tensors[layer] for name, layer in small.results.items()}
    return [detector.pixels(boxes) for boxes in detector.integer(heads, named)]


def rows(name: str, scenes: Scenes) -> Iterator[list[str]]:
    """The table's rows of one detector."""
    file = HEADS / f"{name}.onnx"
    detector, low, high = in_float(file, scenes.images)
    truth, sure = chosen(detector, low), chosen(detector, high)
    base, count = truth.precisions(scenes.objects), f"{len(scenes.images):,}"
    yield [name, "float", count, _mean(low), *_points(base), "", "", ""]
    boxes = in_integers(file, scenes.images)
    ours = chosen(detector, boxes)
    found = ours.precisions(scenes.objects)
    below = (f"{100 * (old - new):+.2f}" for old, new in zip(base[:2], found[:2], strict=True))
    yield [name, "8 bits", count, _mean(boxes), *_points(found), *below, f"{agreement(sure.boxes, ours.boxes):.1%}"]


def _mean(boxes: Sequence[Detections]) -> str:
    return f"{np.mean([len(image) for image in boxes]):.1f}"


def _points(precisions: Precisions) -> Iterator[str]:
    return (f"{100 * value:.1f}" for value in precisions)


def main() -> None:
    reader = argparse.ArgumentParser(prog="python -m examples.heads", description=(__doc__ or "").partition("\n")[0])
    reader.add_argument("names", nargs="*", help="all without any")
    reader.add_argument("--scenes", type=int, default=COUNT)
    reader.add_argument("--page", action="store_true", help="write the table in README.md")
    options = reader.parse_args()
    scenes, made = scenes_of(options.scenes), []
    for name in options.names or FAMILIES:
        for row in rows(name, scenes):
            made.append(row)
            print(f"| {' | '.join(row)} |", flush=True)
    if options.page:
        told = f"Scenes of held-out digits, seed {SEED}."
        lines = [told, "", *markdown_table(list(COLUMNS), made)]
        PAGE.write_text(put(PAGE.read_text(encoding="utf-8"), "precision", lines), encoding="utf-8")


if __name__ == "__main__":
    main()
