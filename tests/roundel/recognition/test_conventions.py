"""Files that end in maps: their boxes are those of the code that the families publish beside them, as plain loops."""

from collections.abc import Callable
from math import exp

import numpy as np
import onnx
import pytest

from roundel.detection import HeadForm
from roundel.frontend import examine, prepare
from roundel.recognition import Recognised, Unknown, recognise, split_model
from tests.support import map_models as models
from tests.support.head_models import Tail
from tests.support.onnx_models import reference

Rows = list[tuple[float, ...]]


def centerface_rows(maps: list[np.ndarray], least: float) -> Rows:
    """[S] CenterFace's decode: sides and offsets of 4 pixels, y before x; corners and score, before they are cut."""
    heat, sides, offsets, _ = (values[0] for values in maps)
    rows = []
    for y, x in np.argwhere(heat[0] > least):
        height, width = (exp(side) * 4 for side in sides[:, y, x])
        top, left = (y + offsets[0, y, x] + 0.5) * 4 - height / 2, (x + offsets[1, y, x] + 0.5) * 4 - width / 2
        rows.append((left, top, left + width, top + height, 0, heat[0, y, x]))
    return rows


def centernet_rows(maps: list[np.ndarray], least: float) -> Rows:
    """[S] CenterNet's ctdet_decode, every class: peaks of 3 x 3, sides and offsets in steps of 4 pixels."""
    heat, sides, offsets = (values[0] for values in maps)
    rows = []
    for label, y, x in np.argwhere(heat > least):
        around = heat[label, max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]
        if heat[label, y, x] < around.max():
            continue
        cx, cy = 4 * (x + offsets[0, y, x]), 4 * (y + offsets[1, y, x])
        width, height = 4 * sides[:, y, x]
        rows.append((cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2, label, heat[label, y, x]))
    return rows


def pnet_rows(maps: list[np.ndarray], least: float) -> Rows:
    """[S] MTCNN's generateBoundingBox and the regression behind it, at scale 1, unrounded."""
    moves, chances = (values[0] for values in maps)
    rows = []
    for y, x in np.argwhere(chances[1] >= least):
        cell = (2 * x + 1, 2 * y + 1, 2 * x + 12, 2 * y + 12)
        sides = (cell[2] - cell[0], cell[3] - cell[1])
        rows.append((*(cell[i] + moves[i, y, x] * sides[i % 2] for i in range(4)), 0, chances[1, y, x]))
    return rows


Case = tuple[Callable[[], onnx.ModelProto], Callable[[list[np.ndarray], float], Rows], HeadForm, str]
CASES: dict[str, Case] = {
    "centerface": (
        models.centerface,
        centerface_rows,
        HeadForm(box="centre", side="exp", iou=0.3),
        "taken as those of CenterFace",
    ),
    "centernet": (
        models.centernet,
        centernet_rows,
        HeadForm(box="centre", side="linear", peaks=True, every_class=True, max_detections=100),
        "taken as those of CenterNet",
    ),
    "pnet": (
        models.pnet,
        pnet_rows,
        HeadForm(score="softmax", background=0, box="corners", iou=0.5),
        "taken as those of MTCNN's P-Net",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_boxes_of_raw_maps_are_those_of_the_published_code(name: str, seed: int) -> None:
    """From an image: the split network's boxes, decoded in float64, against loops over the file's own maps."""
    make, rows_of, form, told = CASES[name]
    model = make()
    found = recognise(examine(prepare(model)))
    assert isinstance(found, Recognised), found
    assert found.detector.form == form
    assert found.detector.suppresses is (name != "centernet")
    assert told in found.notes[0]
    shape = found.tail.examination.scope.shapes["image"]
    image = np.random.default_rng(seed).normal(0, 1, (1, *shape)).astype(np.float32)
    split = split_model(found).proto
    tensors = {item.name: 0 for item in split.graph.output}
    tensors = dict(zip(tensors, reference(split, {"image": image}), strict=True))
    [boxes] = found.detector.detections(tensors)
    threshold = found.detector.threshold if form.score == "softmax" else 1 / (1 + exp(-found.detector.threshold))
    table = np.array(rows_of(reference(model, {"image": image}), threshold))
    table[:, :4] = np.clip(table[:, :4], 0, (shape[2], shape[1]) * 2)
    table = table[(table[:, :2] < table[:, 2:4]).all(axis=1)]
    assert 8 <= len(boxes) == len(table)
    order = np.lexsort(boxes.boxes.round(2).T), np.lexsort(table[:, :4].round(2).T)
    scores = boxes.scores if form.score == "softmax" else 1 / (1 + np.exp(-boxes.scores))
    np.testing.assert_allclose(boxes.boxes[order[0]], table[order[1], :4], atol=2e-3)
    np.testing.assert_allclose(np.sort(scores), np.sort(table[:, 5]), atol=1e-5)
    assert np.array_equal(np.bincount(boxes.labels), np.bincount(table[:, 4].astype(int)))


def test_landmarks_stay_outputs_of_the_split_network() -> None:
    """They are the file's own, bit for bit: records say at which location a box has its ones."""
    model = models.centerface()
    found = recognise(examine(prepare(model)))
    assert isinstance(found, Recognised), found
    split = split_model(found).proto
    landmarks = model.graph.output[3].name
    assert [item.name for item in split.graph.output] == [*found.detector.outputs, landmarks]
    image = np.random.default_rng(1).normal(0, 1, (1, 3, 64, 96)).astype(np.float32)
    np.testing.assert_array_equal(reference(split, {"image": image})[-1], reference(model, {"image": image})[3])


@pytest.mark.parametrize("stride", [2, 8])
def test_maps_at_other_strides_are_no_convention(stride: int) -> None:
    t = Tail()
    found = recognise(examine(prepare(t.model(t("Sigmoid", t.head(stride, 3)), t.head(stride, 2), t.head(stride, 2)))))
    assert isinstance(found, Unknown)
    assert "four columns are raw values: the file does not decode its boxes" in found.why
    assert not found.likely
