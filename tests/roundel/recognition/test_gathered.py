"""Tails whose boxes are made behind a selection, and selections without a threshold: the file's own boxes."""

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


def recognised(model: onnx.ModelProto) -> Recognised:
    found = recognise(examine(prepare(model)))
    assert isinstance(found, Recognised), found
    return found


@pytest.mark.parametrize("strides", [False, True])
def test_centernet_behind_its_top_k(strides: bool, seed: int) -> None:
    """From an image: the rows of the file whose score reaches the threshold are the split network's boxes."""
    model = models.centernet_selected(strides=strides)
    found = recognised(model)
    form = HeadForm(box="centre", side="linear", peaks=True, every_class=True, max_detections=30)
    assert found.detector.form == form
    assert not found.detector.suppresses
    [scale] = found.detector.scales
    assert (scale.stride, scale.offset, scale.unit) == (4, 0, 2)
    image = np.random.default_rng(seed).normal(0, 1, (1, 3, 64, 96)).astype(np.float32)
    [table] = reference(model, {"image": image})[0]
    threshold = 1 / (1 + exp(-found.detector.threshold))
    corners = np.clip(table[:, :4] * (4 if strides else 1), 0, (96, 64, 96, 64))
    rows = (table[:, 4] >= threshold) & (corners[:, :2] < corners[:, 2:]).all(axis=1)
    split = split_model(found).proto
    names = [item.name for item in split.graph.output]
    [boxes] = found.detector.detections(dict(zip(names, reference(split, {"image": image}), strict=True)))
    kept = found.detector.kept(boxes)[: rows.sum()]
    assert rows.sum() >= 8
    np.testing.assert_allclose(boxes.boxes[kept], corners[rows], atol=1e-3)
    np.testing.assert_array_equal(boxes.labels[kept], table[rows, 5])
    np.testing.assert_allclose(1 / (1 + np.exp(-boxes.scores[kept])), table[rows, 4], atol=1e-5)


def test_boxes_behind_a_top_k_of_no_form_are_told_with_what_was_tried() -> None:
    t = Tail()
    chances = t("Reshape", t("Sigmoid", t.head(8, 1)), [1, -1])
    _, index = t("TopK", chances, [20], outputs=2, axis=1)
    raw = t("Reshape", t("Transpose", t.head(8, 4), perm=[0, 2, 3, 1]), [1, -1, 4])
    places = t("Add", t("Sin", raw), np.tile(t.places(8).reshape(1, -1, 2), 2) * 8)
    index = t("Tile", t("Unsqueeze", index, [2]), [1, 1, 4])
    model = t.model(t("GatherElements", places, index, axis=1))
    found = recognise(examine(prepare(model)))
    assert isinstance(found, Unknown)
    assert found.likely
    assert "\n" not in found.why
    assert "8 x 12 locations have 1 boxes with scores, but nothing behind TopK is a box of one location: " in found.why


@pytest.mark.parametrize("most", [1000, 7])
def test_a_suppression_without_a_threshold_keeps_every_box(most: int) -> None:
    """What it keeps of all boxes of a scene is compared, at most so many of a class; a threshold is taken, and told."""
    t = Tail()
    first, second = t("Split", t("Reshape", t("Exp", t.head(8, 4)), [1, 4, -1]), [2, 2], outputs=2, axis=1)
    places = t.places(8).reshape(-1, 2).T[None] + 0.5
    low, high = t("Sub", places, first), t("Add", places, second)
    corners = t("Transpose", t("Mul", t("Concat", low, high, axis=1), 8.0), perm=[0, 2, 1])
    scores = t("Sigmoid", t("Reshape", t.head(8, 2), [1, 2, -1]))
    kept = t("NonMaxSuppression", corners, scores, [most], np.float32([0.5]))
    index = t("Squeeze", t("Gather", kept, [2], axis=1), [1])
    found = recognised(t.model(t("Gather", t("Squeeze", corners, [0]), index, axis=0), kept))
    assert found.detector.form.every_class
    assert found.detector.threshold == pytest.approx(np.log(0.25 / 0.75))
    assert found.notes[-1].endswith("it has no threshold, so that 0.25 is taken")


@pytest.mark.parametrize("form", ["distances", "centre"])
def test_two_heads_at_one_resolution_are_two_scales(form: str, seed: int) -> None:
    """From an image: every box of the file whose score reaches the threshold, of both heads."""
    model = models.twins(form)
    found = recognised(model)
    first, second = found.detector.scales
    assert found.detector.form == HeadForm(box=form, side="exp")
    assert first.stride == second.stride == 8
    image = np.random.default_rng(seed).normal(0, 1, (1, 3, 64, 96)).astype(np.float32)
    boxes, scores = (values[0] for values in reference(model, {"image": image}))
    split = split_model(found).proto
    names = [item.name for item in split.graph.output]
    [own] = found.detector.detections(dict(zip(names, reference(split, {"image": image}), strict=True)))
    corners = np.clip(boxes, 0, (96, 64, 96, 64))
    rows = (scores.max(axis=1) >= 0.25) & (corners[:, :2] < corners[:, 2:]).all(axis=1)
    assert rows.sum() >= 8
    np.testing.assert_allclose(own.boxes, corners[rows], atol=1e-3)
    np.testing.assert_array_equal(own.labels, scores[rows].argmax(axis=1))
