"""GreedyNMS against a statement of what it keeps, in fractions, and against onnxruntime's operator."""

from fractions import Fraction

import numpy as np
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from golden.boxes import Detections
from golden.errors import InputError
from golden.greedy_nms import greedy_nms
from tests.exact import overlap

THRESHOLDS = ("0", "0.2", "0.25", "0.3", "0.5", "0.7", "1")  # decimals, so that fractions say what is meant


def stated(boxes, scores, classes, threshold):
    """The set kept, from its definition: a box is kept unless a kept box that goes before it overlaps it too much."""
    before = {
        i: [
            j
            for j in range(len(boxes))
            if (scores[j], -j) > (scores[i], -i)
            and classes[i] == classes[j]
            and overlap(boxes[i], boxes[j]) > threshold
        ]
        for i in range(len(boxes))
    }
    known = {}

    def kept(i):
        if i not in known:
            known[i] = not any(kept(j) for j in before[i])
        return known[i]

    return {i for i in before if kept(i)}


@st.composite
def scenes(draw):
    """Up to 14 boxes on a small grid, with few scores and classes, so that ties and exact thresholds happen."""
    count = draw(st.integers(0, 14))
    small, size = st.integers(0, 6), st.integers(1, 6)
    starts = [(draw(small), draw(small)) for _ in range(count)]
    boxes = [(x, y, x + draw(size), y + draw(size)) for x, y in starts]
    return boxes, [draw(st.integers(1, 4)) for _ in boxes], [draw(st.integers(0, 2)) for _ in boxes]


def detections(boxes, scores, classes):
    return Detections(boxes=np.array(boxes, float).reshape(-1, 4), scores=scores, classes=classes)


@given(scenes(), st.sampled_from(THRESHOLDS))
def test_keeps_what_the_definition_keeps(scene, threshold):
    kept = greedy_nms(detections(*scene), float(threshold)).tolist()
    assert set(kept) == stated(*scene, Fraction(threshold))
    order = [(-scene[1][i], i) for i in kept]
    assert order == sorted(set(order))


def operator(threshold):
    """A session that runs ONNX's NonMaxSuppression."""
    node = helper.make_node("NonMaxSuppression", ["boxes", "scores", "most", "iou", "least"], ["kept"])
    inputs = [
        helper.make_tensor_value_info("boxes", TensorProto.FLOAT, [1, None, 4]),
        helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, None, None]),
    ]
    constants = [
        helper.make_tensor("most", TensorProto.INT64, [1], [1 << 20]),
        helper.make_tensor("iou", TensorProto.FLOAT, [1], [threshold]),
        helper.make_tensor("least", TensorProto.FLOAT, [1], [0.0]),
    ]
    outputs = [helper.make_tensor_value_info("kept", TensorProto.INT64, [None, 3])]
    graph = helper.make_graph([node], "nms", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8)
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("threshold", [0.25, 0.4, 0.5, 0.75])
def test_keeps_what_onnxruntime_keeps(threshold, seed):
    rng = np.random.default_rng(seed)
    session = operator(threshold)
    for count in (1, 10, 300):
        starts = rng.integers(0, 64, (count, 2))
        boxes = np.hstack([starts, starts + rng.integers(1, 40, (count, 2))]).astype(np.float32)
        scores = rng.integers(1, 50, count).astype(np.float32)  # ties are common
        classes = rng.integers(0, 3, count)
        by_class = np.zeros((1, 3, count), np.float32)  # a score of 0 keeps a box out of a class
        by_class[0, classes, np.arange(count)] = scores
        (rows,) = session.run(None, {"boxes": boxes[None, :, [1, 0, 3, 2]], "scores": by_class})
        kept = greedy_nms(Detections(boxes=boxes, scores=scores, classes=classes), threshold)
        for label in range(3):
            assert kept[classes[kept] == label].tolist() == rows[rows[:, 1] == label, 2].tolist()


def test_an_overlap_equal_to_the_threshold_is_kept():
    pair = detections([(0, 0, 2, 2), (0, 0, 2, 1)], [1, 2], [0, 0])
    assert greedy_nms(pair, 0.5).tolist() == [1, 0]
    assert greedy_nms(pair, 0.4999).tolist() == [1]


def test_classes_never_meet():
    assert greedy_nms(detections([(0, 0, 2, 2)] * 4, [1, 2, 2, 3], [5, 7, 7, 5]), 0.5).tolist() == [3, 1]


def test_nothing_in_nothing_out():
    assert greedy_nms(detections([], [], []), 0.5).tolist() == []


@pytest.mark.parametrize("threshold", [-0.1, 1.5, float("nan")])
def test_the_threshold_is_a_share(threshold):
    with pytest.raises(InputError, match=f"^threshold must be 0 to 1, not {threshold}$"):
        greedy_nms(detections([(0, 0, 2, 2)], [1], [0]), threshold)
