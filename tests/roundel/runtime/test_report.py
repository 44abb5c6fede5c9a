"""Tables and lines of a run's report, and its boxes in pixels, from figures that are made up."""

from types import SimpleNamespace

import numpy as np
import pytest

from roundel.detection.integers import ScoreCode
from roundel.golden.head import Score
from roundel.runtime.report import accuracy, boxes, summary, tables

ROW = {"layer": "conv", "macs": 5000, "cycles": 1001, "compute": 1002, "fill": 3, "memory": 4, "decoder": 5}
FIGURES = {
    "images": 4,
    "results": {"logits": [4, 10], "map": [4, 3, 3, 2]},
    "boxes": [3, 0, 2, 1],
    "accuracy": 0.755,
    "equal": True,
    "compared": 7,
    "layers": [ROW | {"utilization": 0.12345}, ROW | {"layer": "all", "utilization": 1.0}],
    "chain": [
        {"tensor": "a", "sqnr_db": 25.06, "clamped": 0.01234, "real": 1.23456, "integer": -0.5},
        {"tensor": "b", "sqnr_db": None, "clamped": 0.0, "real": 0.0, "integer": 0.0},
    ],
}


def test_tables():
    first, second = tables(FIGURES)
    assert first.title == "first image on the engine"
    assert first.columns == ("layer", "macs", "cycles", "compute", "fill", "memory", "decoder", "used")
    assert [list(row) for row in first.rows] == [
        ["conv", "5,000", "1,001", "1,002", "3", "4", "5", "0.123"],
        ["all", "5,000", "1,001", "1,002", "3", "4", "5", "1.000"],
    ]
    assert second.columns == ("tensor", "SQNR, dB", "clamped", "float", "integer")
    assert [list(row) for row in second.rows] == [
        ["a", "25.1", "1.23%", "1.235", "-0.5"],
        ["b", "exact", "0.00%", "0", "0"],
    ]
    assert list(tables(FIGURES | {"layers": [], "chain": []})) == []


def test_lines():
    assert list(summary(FIGURES)) == [
        "logits: [4, 10]",
        "map: [4, 3, 3, 2]",
        "6 boxes kept in 4 images",
        "75.50% of 4 images right",
        "RTL equal to golden: every value of 7 layers in 4 images",
    ]
    without = FIGURES | {"boxes": [], "accuracy": None, "equal": None}
    assert list(summary(without)) == ["logits: [4, 10]", "map: [4, 3, 3, 2]"]
    assert list(summary(without | {"accuracy": 0.0}))[2:] == ["0.00% of 4 images right"]


def execution(scores: np.ndarray, labels: np.ndarray | None, **more: object) -> SimpleNamespace:
    def right(values: np.ndarray) -> float:
        return float(np.mean(values.argmax(axis=1) == labels))

    images = SimpleNamespace(images=scores, labels=labels, accuracy=right)
    return SimpleNamespace(results={"first": scores, "second": None}, request=SimpleNamespace(images=images, **more))


def test_accuracy_is_of_scores_with_labels():
    scores, labels = np.array([[1, 2], [4, 3], [0, 5]]), np.array([1, 1, 1])
    assert accuracy(execution(scores, labels)) == pytest.approx(2 / 3)
    assert accuracy(execution(scores, None)) is None
    assert accuracy(execution(np.zeros((3, 2, 2, 1)), labels)) is None


def test_boxes_in_pixels():
    """Two fractional bits: quarters of a pixel."""
    form = SimpleNamespace(fraction=2)
    code = ScoreCode(score=Score.LOGIT, zero=50, fraction=1)
    detector = SimpleNamespace(nms=SimpleNamespace(format=form), score_code=lambda network, layers: code)
    source = SimpleNamespace(network=None, results={})
    given = execution(np.zeros((3, 1)), None, detector=detector, unit_detector=detector, source=source)
    given.records = [np.array([[4, 8, 13, 16, 50, 1]]), np.zeros((0, 6), int), np.array([[0, 1, 2, 3, 7, 0]] * 2)]
    given.places = [np.array([[1, 2, 3, 4]]), np.zeros((0, 4), int), np.array([[0, 9, 8, 7]] * 2)]
    found = boxes(given)
    places = [found[name].tolist() for name in ("scales", "rows", "columns", "priors")]
    assert places == [[1, 0, 0], [2, 9, 9], [3, 8, 8], [4, 7, 7]]
    assert found["boxes"].tolist() == [[1, 2, 3.25, 4], *[[0, 0.25, 0.5, 0.75]] * 2]
    assert (found["scores"].tolist(), found["scores"].dtype) == ([50, 7, 7], np.float64)
    far = 1 / (1 + np.exp(21.5))
    np.testing.assert_allclose(found["probabilities"], [0.5, far, far], rtol=1e-12)
    assert (found["classes"].tolist(), found["image_ids"].tolist()) == ([1, 0, 0], [0, 2, 2])
    given.request.detector = given.request.unit_detector = None
    assert boxes(given) is None
