"""A detector as it was exported, compressed with its tail: `head.toml` and the boxes that a run ends in."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

import roundel
from roundel.compression import CompressedNetwork
from roundel.data import DETECTOR, HEADS
from roundel.frontend import examine, prepare
from roundel.recognition import Recognised, recognise
from tests.support import head_models as models

IOU, LEAST = 0.5, 0.25


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(3).normal(0, 1, (3, 3, 64, 96)).astype(np.float32)


@pytest.fixture(scope="module")
def compressed(images: np.ndarray) -> CompressedNetwork:
    return roundel.compress(models.yolov8(classes=2, bins=4), images)


def test_a_tail_that_is_not_recognised_is_left_to_the_host_even_if_its_results_have_no_fixed_size() -> None:
    """A sine in place of the exponential of sides; NonMaxSuppression behind it keeps other numbers of boxes."""
    model = onnx.load(HEADS / "ssd.onnx")
    for node in model.graph.node:
        node.op_type = "Sin" if node.op_type == "Exp" else node.op_type
    small = roundel.compress(model, DETECTOR / "calibration.npz")
    assert small.head is None
    assert any("the head is not recognised: 12 x 12 locations have 3 boxes" in line for line in small.lines())


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0])
def test_anchors_that_are_none_are_told_in_a_line(value: float) -> None:
    model = onnx.load(HEADS / "yolov5.onnx")
    constants = [node for node in model.graph.node if node.op_type == "Constant"]
    node = next(node for node in constants if onnx.numpy_helper.to_array(node.attribute[0].t).shape == (1, 3, 1, 1, 2))
    anchors = np.full((1, 3, 1, 1, 2), value, np.float32)
    node.attribute[0].t.CopyFrom(onnx.numpy_helper.from_array(anchors))
    small = roundel.compress(model, DETECTOR / "calibration.npz")
    assert small.head is None
    [line] = [line for line in small.lines() if "the head is not recognised" in line]
    assert "\n" not in line


def kept_by_loops(rows: np.ndarray) -> list[tuple[float, ...]]:
    """GreedyNMS by class over x1, y1, x2, y2, score, class, in plain Python."""
    left, kept = sorted(map(tuple, rows.tolist()), key=lambda row: -row[4]), []
    for row in left:
        for other in kept:
            width = min(row[2], other[2]) - max(row[0], other[0])
            height = min(row[3], other[3]) - max(row[1], other[1])
            inter = max(width, 0) * max(height, 0)
            areas = sum((item[2] - item[0]) * (item[3] - item[1]) for item in (row, other))
            if row[5] == other[5] and inter > IOU * (areas - inter):
                break
        else:
            kept.append(row)
    return kept


@pytest.mark.parametrize("place", ["unit", "float"])
def test_boxes_are_those_of_the_tail_on_the_same_integers(
    compressed: CompressedNetwork, images: np.ndarray, tmp_path: Path, place: str
) -> None:
    """The tail of the file runs in onnxruntime on what the integers stand for; suppression is a loop of this test.

    The box unit's integers are within 0.5 pixels and 0.4 % of the side, and its suppression keeps some of the boxes.
    """
    compressed.save(tmp_path / "small")
    assert (tmp_path / "small" / "head.toml").is_file()
    head = None
    if place == "float":
        assert compressed.head is not None
        head = replace(compressed.head, form=replace(compressed.head.form, max_detections=1000))
    run = roundel.run(tmp_path / "small", images, head=head, original=models.yolov8(classes=2, bins=4))
    assert run.boxes is not None
    found = recognise(examine(prepare(models.yolov8(classes=2, bins=4))))
    assert isinstance(found, Recognised)
    tail = found.tail.model(found.tail.outputs)
    boxes = 0
    for number in range(len(images)):
        maps = [np.zeros(item.shape, np.float32) for item in found.tail.maps]
        for name, channels in found.outputs.items():
            for values, item in zip(run.real[name][number], channels, strict=True):
                maps[item.place][item.channel] = (values - item.shift) / item.factor
        [table] = tail.run(maps).values()
        cx, cy, w, h, *chances = table[0].astype(np.float64)
        best = np.array(chances)
        corners = np.stack([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2], axis=1)
        rows = np.column_stack([np.clip(corners, 0, [96, 64, 96, 64]), best.max(axis=0), best.argmax(axis=0)])
        rows = rows[(rows[:, 4] >= LEAST) & (rows[:, 0] < rows[:, 2]) & (rows[:, 1] < rows[:, 3])]
        expected = rows if place == "unit" else np.array(kept_by_loops(rows))
        chosen = run.boxes["image_ids"] == number
        got = np.column_stack([run.boxes["boxes"][chosen], run.boxes["classes"][chosen]])
        boxes += len(got)
        apart = np.abs(got[:, None, :4] - expected[None, :, :4]).max(axis=2)
        apart[got[:, None, 4] != expected[None, :, 5]] = np.inf
        if place == "unit":
            assert apart.min(axis=1).max() < 0.125 + 0.5 + 0.004 * 96
        else:
            assert len(got) == len(expected)
            assert apart.min(axis=1).max() < 2e-3
            assert apart.min(axis=0).max() < 2e-3
    assert boxes > 20
    assert run.figures["boxes"] == np.bincount(run.boxes["image_ids"], minlength=3).tolist()
    assert any("boxes are decoded in float" in note for note in run.notes) is (place == "float")
    assert {row["tensor"] for row in run.figures["chain"]} >= {"cls0_conv", "box0_conv"}


def test_a_folder_keeps_the_head(compressed: CompressedNetwork, tmp_path: Path) -> None:
    compressed.save(tmp_path / "small")
    again = CompressedNetwork.load(tmp_path / "small")
    assert again.head == compressed.head
    assert again.chain is None
    assert "head: score logit, box dfl of 4 bins, 3 scales (head.toml)" in list(again.lines())
    assert again.report["head"]["form"] == "score logit, box dfl of 4 bins"


def test_a_head_that_is_given_counts(compressed: CompressedNetwork, images: np.ndarray) -> None:
    assert compressed.head is not None
    form = replace(compressed.head.form, max_detections=1)
    run = roundel.run(compressed, images, head=replace(compressed.head, form=form))
    assert run.figures["boxes"] == [1, 1, 1]


def test_a_head_that_the_integers_do_not_reach_is_decoded_in_float(
    compressed: CompressedNetwork, images: np.ndarray
) -> None:
    """The head that the compression found is no reason to refuse a run; one that a user gives is."""
    assert compressed.head is not None
    high = replace(compressed, head=replace(compressed.head, threshold=50.0))
    run = roundel.run(high, images)
    assert run.figures["boxes"] == [0, 0, 0]
    assert any("boxes are decoded in float, not by the box unit: " in note for note in run.notes)
    with pytest.raises(roundel.InputError, match="threshold 50"):
        roundel.run(compressed, images, head=replace(compressed.head, threshold=50.0))


def test_an_unknown_tail_is_left_to_the_host(images: np.ndarray) -> None:
    t = models.Tail()
    box = t("Exp", t("Reshape", t("Sin", t.head(16, 4)), [1, 4, -1]))
    scores = t("Sigmoid", t("Reshape", t.head(16, 2), [1, 2, -1]))
    model = t.model(t("Concat", box, scores, axis=1))
    small = roundel.compress(model, images)
    assert small.head is None
    assert small.chain is not None
    [line] = [line for line in small.lines() if "the head is not recognised" in line]
    assert "left to the host" in line
    assert roundel.run(small, images).boxes is None


def test_outputs_that_a_user_names_are_taken(images: np.ndarray) -> None:
    model = models.yolov8(classes=2, bins=4)
    name = next(node.output[0] for node in model.graph.node if node.op_type == "Concat")
    assert roundel.compress(model, images, outputs=[name]).head is None


def test_the_tail_is_left_to_the_host_where_asked_to(images: np.ndarray) -> None:
    small = roundel.compress(models.yolov8(classes=2, bins=4), images, head=False)
    assert small.head is None
    assert small.chain is not None


def test_inspect_tells_the_head() -> None:
    lines = list(roundel.inspect(models.yolov5()).lines())
    assert any(
        line == "head recognised: score product, box centre, centre sigmoid, side square_sigmoid; 3 classes, "
        "strides 8, 16, 32"
        for line in lines
    )
