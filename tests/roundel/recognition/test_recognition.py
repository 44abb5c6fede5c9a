"""Tails of many families, as exporters write them: recognised, and decoded as onnxruntime runs the tail itself."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
import pytest

from roundel.detection import HeadForm
from roundel.frontend import examine, prepare
from roundel.recognition import Recognised, Unknown, recognise, split_model
from tests.support import head_models as models
from tests.support.onnx_models import reference

PRODUCT = {"score": "product", "box": "centre"}
V5 = HeadForm(**PRODUCT, centre="sigmoid", sigmoid=(2.0, -0.5), side="square_sigmoid")
SSD = HeadForm(score="softmax", background=0, box="centre", side="exp")


@dataclass(frozen=True)
class Family:
    """A model, what its head is, and how its rows are written: `xywh` or `xyxy`, in pixels or parts of the image."""

    model: onnx.ModelProto
    form: HeadForm
    strides: tuple[float, ...]
    offset: float
    priors: tuple[tuple[float, ...], ...] = ()
    rows: str = "xyxy"
    parts: bool = False


def families() -> dict[str, Any]:
    return {
        "yolov3": lambda: Family(
            models.yolov3(),
            HeadForm(**PRODUCT, centre="sigmoid", side="exp"),
            (16, 32),
            0.0,
            models.ANCHORS[16],
            rows="xywh",
        ),
        "yolov3 in parts": lambda: Family(
            models.yolov3(parts=True),
            HeadForm(**PRODUCT, centre="sigmoid", side="exp"),
            (16, 32),
            0.0,
            models.ANCHORS[16],
            rows="xywh",
            parts=True,
        ),
        "yolov5": lambda: Family(models.yolov5(), V5, (8, 16, 32), 0.0, models.ANCHORS[8], rows="xywh"),
        "yolov8": lambda: Family(models.yolov8(), HeadForm(box="dfl"), (8, 16, 32), 0.5, rows="xywh"),
        "yolov8 corners": lambda: Family(
            models.yolov8(corners=True, mean="matmul", bins=8), HeadForm(box="dfl", bins=8), (8, 16, 32), 0.5
        ),
        "yolox": lambda: Family(
            models.yolox(), HeadForm(**PRODUCT, side="exp"), (8, 16, 32), 0.0, ((8, 8),), rows="xywh"
        ),
        "ssd": lambda: Family(models.ssd(), SSD, (7.5, 15, 60), 0.5, ((12, 12), (16.8, 8.4), (8.4, 16.8)), parts=True),
        "ssd cut": lambda: Family(
            models.ssd(clip=True), SSD, (7.5, 15, 60), 0.5, ((12, 12), (16.8, 8.4), (8.4, 16.8)), parts=True
        ),
        "retinanet": lambda: Family(
            models.retinanet(),
            HeadForm(box="centre", side="exp"),
            (8, 16),
            0.0,
            ((22, 46), (32, 32), (45, 23)),
            rows="yxyx",
        ),
        "fcos": lambda: Family(models.fcos(), HeadForm(score="product", root=True, side="relu"), (8, 16), 0.5),
        "pnet": lambda: Family(
            models.pnet(), HeadForm(score="softmax", background=0, box="corners"), (2,), 0.0, ((0, 0, 12, 12),)
        ),
    }


FAMILIES = families()


def recognised(model: onnx.ModelProto) -> Recognised:
    found = recognise(examine(prepare(model)))
    assert isinstance(found, Recognised), found
    return found


@pytest.mark.parametrize("name", FAMILIES)
def test_forms_and_constants(name: str) -> None:
    family = FAMILIES[name]()
    detector = recognised(family.model).detector
    assert detector.form == family.form
    assert [scale.stride for scale in detector.scales] == pytest.approx(family.strides)
    assert {scale.offset for scale in detector.scales} == {family.offset}
    np.testing.assert_allclose(np.array(detector.scales[0].priors), np.array(family.priors), rtol=1e-6)


def rows_of(family: Family, outputs: list[np.ndarray]) -> np.ndarray:
    """Corners in pixels within the image, and the class scores times objectness, of what a tail without end gives."""
    height, width = (item.dim_value for item in family.model.graph.input[0].type.tensor_type.shape.dim[2:])
    tables = [np.asarray(values, np.float64)[0] for values in outputs]
    if len(tables) == 2 and tables[0].ndim == 3:  # maps
        tables = [values.reshape(values.shape[0], -1).T for values in tables]
    table = np.concatenate(tables, axis=1)
    if table.shape[0] < table.shape[1]:
        table = table.T
    boxes, scores = table[:, :4], table[:, 4:]
    if family.form.score == "product" and not family.form.root:
        scores = scores[:, :1] * scores[:, 1:]
    if family.form.score == "softmax":
        scores = scores[:, 1:]
    if family.rows == "xywh":
        boxes = np.hstack([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2])
    if family.rows == "yxyx":
        boxes = boxes[:, [1, 0, 3, 2]]
    limits = np.array([width, height, width, height])
    return np.hstack([np.clip(boxes * (limits if family.parts else 1), 0, limits), scores])


@pytest.mark.parametrize("name", FAMILIES)
def test_the_split_network_gives_the_boxes_of_the_tail(name: str, seed: int) -> None:
    """From an image: the split network in onnxruntime, decoded in float64, against the file in onnxruntime."""
    family = FAMILIES[name]()
    found = recognised(family.model)
    channels, height, width = found.tail.examination.scope.shapes["image"]
    image = np.random.default_rng(seed).normal(0, 1, (1, channels, height, width)).astype(np.float32)
    table = rows_of(family, reference(family.model, {"image": image}))
    split = split_model(found).proto
    names = [item.name for item in split.graph.output]
    assert set(names) == set(found.detector.outputs)
    tensors = dict(zip(names, reference(split, {"image": image}), strict=True))
    chances = table[:, 4:].max(axis=1)
    least = float(np.sort(chances)[-len(chances) // 2])
    logit = np.log(least / (1 - least)) if family.form.score == "logit" else least
    [boxes] = replace(found.detector, threshold=float(logit) - 1e-7).detections(tensors)
    drawn = (table[:, 0] < table[:, 2]) & (table[:, 1] < table[:, 3]) & (chances >= least - 1e-7)
    assert len(boxes) >= 8
    assert abs(len(boxes) - drawn.sum()) <= 1
    rows = np.hstack([table[drawn, :4], table[drawn, 4:].argmax(axis=1)[:, None]])
    for box, label in zip(boxes.boxes, boxes.labels, strict=True):
        apart = np.abs(rows[:, :4] - box).max(axis=1)
        assert apart.min() < 2e-3
        assert label in rows[apart < 2e-3, 4]


@pytest.mark.parametrize(
    ("model", "fields", "told"),
    [
        (lambda: models.yolov5(ending="nms"), {"every_class": True, "iou": 0.45}, "NonMaxSuppression"),
        (lambda: models.ssd(ending="nms"), {"every_class": True, "iou": 0.45}, "NonMaxSuppression"),
        (lambda: models.yolov10(most=20), {"every_class": True, "max_detections": 20}, "ReduceMax, TopK"),
    ],
)
def test_selections(model: Any, fields: dict[str, Any], told: str) -> None:
    found = recognised(model())
    for name, value in fields.items():
        assert getattr(found.detector.form, name) == pytest.approx(value)
    assert found.detector.suppresses is ("NonMaxSuppression" in told)
    assert any(f"({told}) keeps the same" in note for note in found.notes)


def test_classes_are_named_as_in_the_file() -> None:
    assert recognised(models.yolov8()).detector.classes == tuple(f"thing {number}" for number in range(5))


def test_yolox_as_its_exporter_leaves_it_is_the_decoded_one() -> None:
    raw, decoded = recognised(models.yolox(decoded=False)), recognised(models.yolox())
    assert raw.detector == decoded.detector
    assert raw.outputs == decoded.outputs
    assert raw.notes[0].startswith("boxes are not decoded in the file: taken as those of YOLOX")


def test_raw_values_of_no_convention_are_told() -> None:
    t = models.Tail()
    found = recognise(examine(prepare(other(t, t.head(8, 4), t("Softmax", t.head(8, 3), axis=1)))))
    assert isinstance(found, Unknown)
    assert "four columns are raw values: the file does not decode its boxes" in found.why


def other(t: models.Tail, box: str, scores: str) -> onnx.ModelProto:
    return t.model(t("Concat", t("Reshape", box, [1, 4, -1]), t("Reshape", scores, [1, 3, -1]), axis=1))


def test_a_tail_of_no_form_is_told_with_what_was_tried() -> None:
    t = models.Tail()
    box = t("Add", t("Sin", t.head(8, 4)), t.places(8).transpose(2, 0, 1).repeat(2, axis=0)[None] * 8)
    found = recognise(examine(prepare(other(t, box, t("Sigmoid", t.head(8, 3))))))
    assert isinstance(found, Unknown)
    assert "no form fits four columns: " in found.why
    assert "off by" in found.why
    assert "\n" not in found.why


def test_boxes_without_scores_are_told() -> None:
    t = models.Tail()
    box = t("Add", t("Mul", t.head(8, 4), 8.0), t.places(8).transpose(2, 0, 1)[[0, 1, 0, 1]][None] * 8)
    found = recognise(examine(prepare(other(t, box, t("Tanh", t.head(8, 3))))))
    assert isinstance(found, Unknown)
    assert "boxes are corners, but no column is a sigmoid, a product of two or a softmax" in found.why


def test_what_reads_the_image_beside_the_heads_is_told() -> None:
    t = models.Tail()
    mean = t("ReduceMean", "image", axes=[1, 2, 3], keepdims=1)
    y = t("Reshape", t("Mul", t("Sigmoid", t.head(8, 7)), mean), [1, 7, -1])
    found = recognise(examine(prepare(t.model(y))))
    assert isinstance(found, Unknown)
    assert "which no head convolution gives" in found.why


def test_other_networks_have_no_head() -> None:
    t = models.Tail()
    flat = t("Flatten", t("GlobalAveragePool", t.head(8, 6)))
    weights = np.random.default_rng(1).normal(size=(6, 3))
    assert recognise(examine(prepare(t.model(t("Softmax", t("Gemm", flat, weights)))))) is None
    t = models.Tail()
    assert recognise(examine(prepare(t.model(t.head(8, 6))))) is None


@pytest.mark.parametrize(
    ("name", "threshold", "cut"),
    [
        ("yolov8", None, {"cls0", "cls1", "cls2"}),
        ("yolov8", -7.5, set()),
        ("yolox", 0.01, {f"{kind}{scale}" for kind in ("cls", "objectness") for scale in range(3)}),
        ("yolox", 0.0, set()),
        ("ssd", None, set()),
    ],
)
def test_logits_of_the_background_are_cut(name: str, threshold: float | None, cut: set[str]) -> None:
    """Below -8 no threshold looks; softmaxes need their differences, and low thresholds all of them."""
    model = families()[name]().model
    found = recognise(examine(prepare(model)))
    assert isinstance(found, Recognised)
    if threshold is not None:
        found = replace(found, detector=replace(found.detector, threshold=threshold))
    split = split_model(found).proto
    made = {node.output[0]: node for node in split.graph.node}
    assert {name for name in found.detector.outputs if made[name].op_type == "Clip"} == cut
    constants = {item.name: onnx.numpy_helper.to_array(item) for item in split.graph.initializer}
    for name in cut:
        assert constants[made[name].input[1]] == -8
        assert made[made[name].input[0]].op_type == "Conv"
