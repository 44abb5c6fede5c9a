"""The exact GreedyNMS of a box a cycle against a loop over plain integers and against onnxruntime; its codes."""

import json
import re
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roundel.detection.scenes import KINDS, scenes
from roundel.golden.nms import BoxFormat, Detections, ExactParams, Form, area_code, greedy_nms
from tests.support.exact import overlap
from tests.units.test_greedy_nms import operator

THRESHOLDS = ("0", "0.2", "0.3", "0.4", "0.5", "0.75", "1")


def looped(boxes, scores, labels, threshold, most):
    """GreedyNMS as anyone would write it: visit boxes by score, then index; compare with all kept before."""
    kept = []
    for box in sorted(range(len(boxes)), key=lambda box: (-scores[box], box)):
        rivals = [other for other in kept if labels[other] == labels[box]]
        if all(overlap(boxes[other], boxes[box]) <= threshold for other in rivals):
            kept.append(box)
    return kept[:most]


@st.composite
def images(draw):
    """Up to 14 boxes on a small grid, with few scores and classes."""
    count = draw(st.integers(0, 14))
    small, size = st.integers(0, 6), st.integers(1, 6)
    starts = [(draw(small), draw(small)) for _ in range(count)]
    boxes = [(x, y, x + draw(size), y + draw(size)) for x, y in starts]
    return boxes, [draw(st.integers(0, 3)) for _ in boxes], [draw(st.integers(0, 2)) for _ in boxes]


@given(images(), st.sampled_from(THRESHOLDS), st.booleans(), st.sampled_from((None, 1, 3)))
def test_keeps_what_a_loop_keeps(image, threshold, agnostic, most):
    params = ExactParams(
        format={"width": 12, "height": 12, "score_width": 2, "classes": 3},
        threshold=float(threshold),
        class_agnostic=agnostic,
        max_detections=most,
        capacity=14,
    )
    boxes, scores, labels = image
    kept = params.compute(np.array(boxes, int).reshape(-1, 4), np.array(scores, int), np.array(labels, int)).kept
    groups = [0] * len(labels) if agnostic else labels
    assert kept.tolist() == looped(boxes, scores, groups, Fraction(threshold), most)


@pytest.mark.parametrize("most", [1, 7, 1000])
def test_the_best_of_a_class_are_those_of_onnxruntime(most, seed):
    rng = np.random.default_rng(seed)
    session = operator(0.5)
    starts = rng.integers(0, 500, (1000, 2))
    boxes = np.hstack([starts, starts + rng.integers(1, 140, (1000, 2))])
    scores = rng.integers(1, 200, 1000)  # ties are common
    given = {"boxes": boxes[None, :, [1, 0, 3, 2]].astype(np.float32), "scores": scores[None, None].astype(np.float32)}
    (rows,) = session.run(None, given)
    params = ExactParams(format={"classes": 1}, max_detections=most)
    kept = params.compute(boxes, scores, np.zeros(1000, int)).kept
    assert kept.tolist() == rows[:most, 2].tolist()
    assert len(rows) > 7


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("threshold", [0.4, 0.5])
def test_scenes_lose_nothing(kind, threshold, seed):
    """Box for box what the float GreedyNMS keeps of the same corners, so that no precision can differ."""
    for scene in scenes(KINDS[kind], 20, seed=seed):
        params = ExactParams(format={"fraction": 4, "classes": 3}, threshold=threshold)
        boxes, scores = params.format.encode(scene.detections)
        rounded = Detections(boxes=boxes / 16, scores=scene.detections.scores, classes=scene.detections.labels)
        kept = params.compute(boxes, scores, rounded.labels).kept
        assert kept.tolist() == greedy_nms(rounded, threshold).tolist()


@pytest.mark.parametrize("threshold", THRESHOLDS)
@pytest.mark.parametrize("form", Form)
def test_boxes_that_overlap_too_much_are_near(threshold, form, seed):
    rng = np.random.default_rng(seed)
    params = ExactParams(format={"width": 90, "height": 57, "fraction": 1, "form": form}, threshold=float(threshold))
    borders = np.array(params.format.borders)
    low = rng.integers(0, borders, (4000, 2))
    first = np.hstack([low, low + rng.integers(1, borders - low + 1)])
    moved = first + rng.integers(-20, 21, first.shape)
    low = np.clip(moved[:, :2], 0, borders - 1)
    second = np.hstack([low, np.clip(moved[:, 2:], low + 1, borders)])
    near = params.near(params.codes(first), params.codes(second))
    too_much = np.array([overlap(*pair) > Fraction(threshold) for pair in zip(first, second, strict=True)])
    assert not (too_much & ~near).any()
    assert too_much.any() == (threshold != "1")
    assert not near.all()


@pytest.mark.parametrize("threshold", [0.07, 0.3, 0.4, 0.5, 0.9])
def test_areas_are_as_far_apart_as_they_can_be(threshold):
    """Of every area the smallest one that is above the threshold's part of it."""
    params = ExactParams(format={"width": 64, "height": 60}, threshold=threshold)
    share = Fraction(threshold).limit_denominator(256)
    top = 64 * 60
    apart = [int(area_code(np.array([a]))[0] - area_code(np.array([int(share * a) + 1]))[0]) for a in range(1, top + 1)]
    assert params.area_distance == max(apart)


def test_the_code_of_an_area_is_a_logarithm_in_quarters():
    assert area_code(np.array([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 1023, 1024])).tolist() == [
        *(0, 4, 6, 8, 9, 10, 11, 12, 12, 13, 39, 40),
    ]


@pytest.mark.parametrize(
    ("width", "digits"), [(1, (1,)), (8, (8,)), (9, (4, 5)), (16, (8, 8)), (17, (5, 6, 6)), (32, (8, 8, 8, 8))]
)
def test_scores_are_cut_into_digits(width, digits):
    assert ExactParams(format={"score_width": width}).digits == digits


def test_malformed_missing_and_superfluous_boxes_are_left_out():
    params = ExactParams(format={"width": 8, "height": 8, "classes": 2}, capacity=5)
    boxes = np.array([(0, 0, 4, 4), (0, 0, 9, 4), (0, 0, 4, 4), (4, 4, 8, 8), (0, 0, 4, 4), (0, 0, 8, 8), (0, 0, 0, 0)])
    verdict = params.compute(boxes, np.array([1, 9, 3, 5, 2, 9, 9]), np.array([0, 0, 0, 1, 2, 0, 0]), np.arange(7) != 2)
    assert (verdict.kept.tolist(), verdict.malformed.tolist(), verdict.overflow) == ([3, 0], [1, 4], True)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"threshold": 1.5}, ValueError, "threshold must be 0 to 1, not 1.5"),
        ({"threshold": 0.001}, ValueError, "a threshold must be a fraction with a denominator up to 256, not 0.001"),
        ({"class_agnostic": 1}, TypeError, "class_agnostic must be a bool, not 1"),
        ({"max_detections": 0}, ValueError, "max_detections must be 1 to 1024, not 0"),
        ({"max_detections": 101, "capacity": 100}, ValueError, "max_detections must be 1 to 100, not 101"),
        ({"capacity": 65537}, ValueError, "capacity must be 1 to 65536, not 65537"),
        ({"comparators": 5}, ValueError, "comparators must be 4 or 8, not 5"),
        ({"slots": 48}, ValueError, "slots must be one of 16, 32, 64, 128, not 48"),
        ({"slots": 256}, ValueError, "slots must be 16 to 128, not 256"),
    ],
)
def test_bad_parameters(given, error, message):
    with pytest.raises(error, match=f"^{re.escape(message)}"):
        ExactParams(**given)


def test_parameters_survive_json():
    params = ExactParams(format=BoxFormat(width=90, form=Form.CENTRE), threshold=0.4, max_detections=300, comparators=8)
    assert ExactParams(**json.loads(json.dumps(params.as_dict()))) == params
