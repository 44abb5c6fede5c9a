"""Heads of torchvision, exported by torch: recognised, and the boxes that `postprocess_detections` keeps of images.

The detector is made from the file alone; its score threshold, its IoU and how many boxes it keeps are torchvision's
defaults, as the file with decoded boxes does not have them.
"""

from dataclasses import replace
from math import log
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from roundel.detection import Detector
from roundel.frontend import examine, prepare
from roundel.golden.head import Score
from roundel.graph import read_npz
from roundel.processes import run_child
from roundel.recognition import Recognised, Unknown, recognise, split_model
from roundel.sim.cache import cached
from tests.support.onnx_models import reference
from tests.support.outside import need

SCRIPT = Path(__file__).resolve().parents[2] / "support" / "torchvision_detectors.py"
DEFAULTS = {"retinanet": (0.05, 0.5, 300), "fcos": (0.2, 0.6, 100), "ssd": (0.01, 0.45, 200)}
"""Score threshold, IoU, and most boxes of an image."""
FORMS = {
    "retinanet": "score logit, box centre, centre linear, side exp",
    "fcos": "score product under a square root, box distances, side relu",
    "ssd": "score softmax, box centre, centre linear, side exp",
}


@pytest.fixture(scope="module")
def exports() -> Path:
    """The folder that the script wrote, in the zoo's environment."""
    python = need("zoo") / "python"

    def make(folder: Path) -> None:
        ended = run_child([str(python), str(SCRIPT), str(folder)], timeout_s=1200)
        assert ended.code == 0, ended.errors

    return cached("torchvision_detectors", [SCRIPT.read_bytes(), str(python).encode()], make)


def recognised(file: Path) -> Recognised:
    found = recognise(examine(prepare(str(file))))
    assert isinstance(found, Recognised), found
    return found


def with_defaults(detector: Detector, kind: str) -> Detector:
    """The detector with torchvision's threshold and IoU, and without a limit: boxes without area count there."""
    threshold, iou, _ = DEFAULTS[kind]
    form = replace(detector.form, every_class=True, iou=iou)
    logit = log(threshold / (1 - threshold)) if form.score is Score.LOGIT else threshold
    return replace(detector, form=form, threshold=logit)


@pytest.mark.parametrize("exporter", ["script", "dynamo"])
@pytest.mark.parametrize("kind", DEFAULTS)
def test_boxes_are_those_of_postprocess_detections(exports: Path, kind: str, exporter: str) -> None:
    found = recognised(exports / f"{kind}_{exporter}.onnx")
    assert str(found.detector.form) == FORMS[kind]
    detector = with_defaults(found.detector, kind)
    split = split_model(found).proto
    names = [item.name for item in split.graph.output]
    expected = read_npz(exports / f"{kind}.npz")
    for number, image in enumerate(expected["images"]):
        outputs = reference(split, {split.graph.input[0].name: image[None]})
        [boxes] = detector.detections(dict(zip(names, outputs, strict=True)))
        kept = detector.kept(boxes)
        rows = expected["image_ids"] == number
        scores = boxes.scores[kept]
        scores = 1 / (1 + np.exp(-scores)) if detector.form.score is Score.LOGIT else scores
        table = {name: expected[name][rows] for name in ("boxes", "scores", "labels")}
        check(boxes.boxes[kept], scores, boxes.labels[kept], table, kind)


@pytest.mark.parametrize("kind", DEFAULTS)
def test_postprocess_detections_in_the_file_is_told_in_one_line(exports: Path, kind: str) -> None:
    found = recognise(examine(prepare(str(exports / f"{kind}_whole.onnx"))))
    assert isinstance(found, Unknown)
    assert found.likely
    assert found.why.startswith("the head is not recognised: ")
    assert "\n" not in found.why
    assert len(found.why) < 400


def check(boxes: Any, scores: Any, labels: Any, expected: dict[str, Any], kind: str) -> None:
    """The same boxes, scores and labels, as far as torchvision's limit goes; SSD counts the background as label 0."""
    has_area = (expected["boxes"][:, :2] < expected["boxes"][:, 2:]).all(axis=1)
    table = {name: values[has_area] for name, values in expected.items()}
    assert len(table["boxes"]) >= 30
    if len(expected["boxes"]) < DEFAULTS[kind][2]:
        assert len(boxes) == len(table["boxes"])
    boxes, scores, labels = (values[: len(table["boxes"])] for values in (boxes, scores, labels))
    np.testing.assert_allclose(scores, table["scores"], atol=2e-6)
    order = np.lexsort((*boxes.round(1).T, labels)), np.lexsort((*table["boxes"].round(1).T, table["labels"]))
    np.testing.assert_array_equal(labels[order[0]], table["labels"][order[1]] - (kind == "ssd"))
    np.testing.assert_allclose(boxes[order[0]], table["boxes"][order[1]], atol=2e-3)
