"""Tails that no exporter writes, or few do: one line of refusal, or boxes as onnxruntime gives them."""

from typing import Any

import numpy as np
import onnx
import pytest

from roundel.frontend import examine, prepare
from roundel.recognition import NotRecognised, Recognised, Unknown, recognise, split_model
from roundel.recognition.tail import TailModel
from tests.support import head_models as models
from tests.support.onnx_models import reference


def relu_distances(classes: int = 2, group: int = 1) -> tuple[models.Tail, str, str]:
    """Boxes behind a ReLU, some of which have no area: corners (1, boxes, 4) and scores (1, classes, boxes)."""
    t = models.Tail()
    if group == 1:
        box, scores = t.head(8, 4), t.head(8, classes)
    else:
        maps = t("Conv", t("Relu", t.head(8, 8)), np.random.default_rng(1).normal(size=(6, 4, 1, 1)), group=2)
        box, scores = t("Split", maps, [4, 2], outputs=2, axis=1)
    reach = t("Relu", t("Reshape", box, [1, 4, -1]))
    first, second = t("Split", reach, [2, 2], outputs=2, axis=1)
    places = t.places(8).reshape(-1, 2).T[None] + 0.5
    corners = t("Mul", t("Concat", t("Sub", places, first), t("Add", places, second), axis=1), 8.0)
    return t, t("Transpose", corners, perm=[0, 2, 1]), t("Sigmoid", t("Reshape", scores, [1, classes, -1]))


def rows(classes: int = 2, group: int = 1) -> onnx.ModelProto:
    t, corners, scores = relu_distances(classes, group)
    return t.model(t("Concat", corners, t("Transpose", scores, perm=[0, 2, 1]), axis=2))


def suppressed(most: Any = (1000,), iou: Any = (0.5,), score: Any = (0.3,)) -> onnx.ModelProto:
    t, corners, scores = relu_distances()
    numbers = np.array(most, np.int64), np.array(iou, np.float32), np.array(score, np.float32)
    kept = t("NonMaxSuppression", corners, scores, *numbers)
    index = t("Squeeze", t("Gather", kept, [2], axis=1), [1])
    return t.model(t("Gather", t("Squeeze", corners, [0]), index, axis=0), kept)


def unknown(model: onnx.ModelProto) -> Unknown:
    found = recognise(examine(prepare(model)))
    assert isinstance(found, Unknown), found
    assert "\n" not in found.why
    assert len(found.why) < 400
    return found


def test_boxes_without_area_are_none_in_a_selection() -> None:
    """From an image: the split network's boxes, suppressed in float, are the boxes with area that the file keeps."""
    model = suppressed()
    found = recognise(examine(prepare(model)))
    assert isinstance(found, Recognised), found
    image = np.random.default_rng(3).normal(0, 1, (1, 3, 64, 96)).astype(np.float32)
    table = np.clip(reference(model, {"image": image})[0], 0, (96, 64, 96, 64))
    has_area = (table[:, :2] < table[:, 2:]).all(axis=1)
    split = split_model(found).proto
    names = [item.name for item in split.graph.output]
    [boxes] = found.detector.detections(dict(zip(names, reference(split, {"image": image}), strict=True)))
    kept = boxes.boxes[found.detector.kept(boxes)]
    assert 5 < len(kept) == has_area.sum() < len(table)
    apart = np.abs(kept[:, None] - table[has_area][None]).max(axis=2)
    assert (apart.min(axis=1) < 1e-3).all()
    assert (apart.min(axis=0) < 1e-3).all()


@pytest.mark.parametrize(
    "numbers",
    [{"most": (0,)}, {"most": ()}, {"score": (1.0,)}, {"score": (np.nan,)}, {"iou": (np.nan,)}, {"iou": (2.0,)}],
)
def test_suppressions_that_keep_nothing_or_have_no_numbers_are_told(numbers: dict[str, Any]) -> None:
    found = unknown(suppressed(**numbers))
    assert found.likely
    assert "no way to select keeps what NonMaxSuppression keep" in found.why or "iou must be" in found.why


def test_a_suppression_without_an_iou_has_0() -> None:
    found = recognise(examine(prepare(suppressed(iou=()))))
    assert isinstance(found, Recognised), found
    assert found.detector.form.iou == 0


def test_more_classes_than_a_detector_has_are_counted() -> None:
    assert "classes must be 1 to 256 names, not 300" in unknown(rows(classes=300)).why


def test_a_classifier_of_many_classes_takes_little_memory() -> None:
    """Changes of 12,000 channels in 12,000 columns would take 13 GB."""
    t = models.Tail()
    weights = np.random.default_rng(1).normal(size=(12000, 8, 1, 1))
    maps = t("Conv", t("GlobalAveragePool", t("Relu", t.head(32, 8))), weights)
    found = unknown(t.model(t("Sigmoid", t("Flatten", maps))))
    assert not found.likely
    assert "have 12000 channels and 1 x 12000 numbers behind them" in found.why


def test_tensors_of_mixed_locations_are_left_after_two_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    ran, run = [], TailModel.run
    monkeypatch.setattr(TailModel, "run", lambda *inputs: (ran.append(1), run(*inputs))[1])
    t = models.Tail()
    found = unknown(t.model(t("Softmax", t("Flatten", t.head(8, 6)))))
    assert "has rows that belong to one location each" in found.why
    assert len(ran) == 3


@pytest.mark.parametrize(
    ("old", "new"), [("image", "cls0"), ("k0", "cls0_weights"), ("k0", "box0_bias"), ("t1_0", "cls0")]
)
def test_names_that_the_split_head_needs_are_told(old: str, new: str) -> None:
    model = rows()
    for item in (*model.graph.input, *model.graph.initializer):
        item.name = new if item.name == old else item.name
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = [new if name == old else name for name in names]
    found = recognise(examine(prepare(model)))
    assert isinstance(found, Recognised), found
    with pytest.raises(NotRecognised, match=f"a tensor of the network is called {new}, as one of the split head"):
        split_model(found)


def test_head_convolutions_in_groups_are_told() -> None:
    found = recognise(examine(prepare(rows(group=2))))
    assert isinstance(found, Recognised), found
    with pytest.raises(NotRecognised, match="output cls0: n8 is a convolution in groups"):
        split_model(found)


def test_a_tensor_that_takes_too_much_memory_is_told_before_it_is_made() -> None:
    """Every score with every other one."""
    t = models.Tail()
    chances = t("Reshape", t("Sigmoid", t.head(2, 8)), [1, -1, 1])
    pairs = t("Mul", chances, t("Transpose", chances, perm=[0, 2, 1]))
    found = unknown(t.model(t("ReduceMax", pairs, axes=[2], keepdims=0)))
    assert "(Mul) gives 1 x 12288 x 12288 = 150994944 numbers, more than recognition runs (33554432)" in found.why


def test_names_of_no_place_do_not_matter() -> None:
    """The same numbers under names that say other things: the detector is the same."""
    plain, odd = rows(), rows()
    for number, node in enumerate(odd.graph.node):
        node.name = f"sigmoid/nms/anchors {number}"
    first, second = (recognise(examine(prepare(model))) for model in (plain, odd))
    assert isinstance(first, Recognised)
    assert isinstance(second, Recognised)
    assert first.detector == second.detector
