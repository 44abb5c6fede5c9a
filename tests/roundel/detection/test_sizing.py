"""The suppression unit that follows from a head and from calibration images."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from roundel.detection import BoxFigures, Detector, HeadForm, Scale
from roundel.golden.errors import InputError
from roundel.golden.formats import Format
from roundel.golden.nms import BoxFormat, Detections, ExactParams, NmsParams, TopKParams
from tests.roundel.detection.test_integer_heads import network

SIZE = BoxFormat(width=320, height=256, classes=80)
FINE = Format(width=8, signed=True, fraction=5)
FORMATS = {"c": FINE, "b": FINE, "d": replace(FINE, fraction=3), "e": FINE}
PLACES = 40 * 32 + 20 * 16
FIGURES = BoxFigures(images=9, most=70, areas=(90.0, 1500.0), ratio=1.3)


def detector(classes: int, form: HeadForm | None = None, **more: Any) -> Detector:
    scales = (Scale(cls="c", box="b", stride=8), Scale(cls="d", box="e", stride=16))
    nms = NmsParams(format=replace(SIZE, classes=classes))
    given = {"classes": tuple(map(str, range(classes))), "threshold": 0.0, "scales": scales, "nms": nms}
    return Detector(form=form or HeadForm(), **given | more)


def fitted(made: Detector, figures: BoxFigures | None = FIGURES) -> Any:
    return made.fitted(network(FORMATS), None, figures).nms


def test_many_classes_get_greedynms() -> None:
    """Capacity: twice 70, rounded up to a power of two; scores: 8 bits of logits, and two fraction bits more."""
    nms = fitted(detector(80, HeadForm(iou=0.6)))
    size = BoxFormat(width=320, height=256, fraction=2, score_width=10, classes=80)
    assert nms == ExactParams(format=size, threshold=0.6, capacity=256, candidates=40 * 32 + 20 * 16)


def test_few_classes_get_a_pyramid_of_their_sizes() -> None:
    """Areas a factor 4 apart around those that there are; a table of its own for each class."""
    nms = fitted(detector(8))
    assert isinstance(nms, NmsParams)
    assert (nms.method, nms.capacity, nms.class_key, nms.ratios) == ("guarded", 256, True, (1.0,))
    assert nms.areas is not None
    assert len(nms.areas) == 3
    np.testing.assert_allclose(np.array(nms.areas[1:]) / nms.areas[:-1], 4, rtol=0.01)
    assert nms.areas[0] < 90 * 2
    assert nms.areas[-1] > 1500 / 2
    assert nms.pyramid.stride == 8  # 320 * 256 / 8^2 cells are the first below 4096
    assert fitted(detector(1)).class_key is False
    assert fitted(detector(8, HeadForm(agnostic=True))).class_key is False
    assert fitted(detector(9)).method == "exact"
    assert fitted(detector(8), replace(FIGURES, ratio=2.4)).ratios == (0.5, 1.0, 2.0)


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ({"limit": 100}, {"capacity": 100, "max_detections": None}),
        ({"limit": 100, "max_detections": 40}, {"capacity": 100, "max_detections": 40}),
        ({"limit": 100, "max_detections": 300}, {"capacity": 100, "max_detections": None}),
        ({"max_detections": 300}, {"capacity": 512, "max_detections": 300}),
        ({"max_detections": 3, "agnostic": True}, {"capacity": 256, "max_detections": 3, "class_agnostic": True}),
        ({"max_detections": 3, "every_class": True}, {"candidates": 3 * PLACES}),
    ],
)
def test_limits(form: dict[str, Any], expected: dict[str, Any]) -> None:
    made = detector(3, HeadForm(**form))
    nms = fitted(made)
    assert isinstance(nms, ExactParams)
    assert {name: getattr(nms, name) for name in expected} == expected
    assert replace(made, nms=nms).why_not_in_box_unit == ""


@pytest.mark.parametrize(
    ("form", "capacity"), [({}, 256), ({"limit": 50}, 50), ({"limit": 50, "max_detections": 7}, 7)]
)
def test_no_suppression(form: dict[str, Any], capacity: int) -> None:
    made = detector(3, HeadForm(**form), suppresses=False)
    assert isinstance(made.nms, TopKParams)
    nms = fitted(made)
    assert (nms.capacity, nms.candidates) == (capacity, PLACES)


@pytest.mark.parametrize(("most", "capacity"), [(0, 64), (31, 64), (33, 128), (500, 1024), (1500, 1024), (None, 1024)])
def test_capacity(most: int | None, capacity: int) -> None:
    """With top-k 1024 are enough: the best ones count."""
    assert fitted(detector(80), None if most is None else replace(FIGURES, most=most)).capacity == capacity


def test_a_pyramid_holds_all_that_there_may_be() -> None:
    assert fitted(detector(3), replace(FIGURES, most=700)).capacity == PLACES  # below 2048
    assert fitted(detector(3), None).capacity == 1024


def test_figures_of_boxes() -> None:
    boxes = np.array([[0, 0, 10, 20], [5, 5, 15, 15], [0, 0, 40, 10], [0, 0, 1e-9, 4]], np.float64)
    image = Detections(boxes=boxes, scores=np.ones(4), classes=np.zeros(4, int))
    none = Detections(boxes=boxes[:0], scores=np.ones(0), classes=np.zeros(0, int))
    found = BoxFigures.of([none, image], [np.zeros(0, int), np.array([1, 2])])
    assert (found.images, found.most) == (2, 4)
    assert 100 <= found.areas[0] < found.areas[1] <= 400
    assert 1 < found.ratio <= 4
    assert BoxFigures.of([none], [np.zeros(0, int)]) == BoxFigures(images=1, most=0)
    assert BoxFigures.of([image], [np.array([3])]).areas == (4.0, 4.0)  # no side counts as less than a pixel
    assert fitted(detector(3), BoxFigures(images=1, most=0)).areas is None


def test_formats_that_the_box_unit_does_not_take() -> None:
    wide = FORMATS | {"d": replace(FINE, fraction=-40)}
    with pytest.raises(InputError, match="detector: nms: score_width must be 1 to 32, not 53"):
        detector(80).fitted(network(wide), None, None)
