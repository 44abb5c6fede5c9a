"""GreedyNMS against a statement of what it keeps, in fractions, and against other programs; then RTL against golden."""

import json
from fractions import Fraction

import numpy as np
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from roundel.golden.errors import InputError
from roundel.golden.nms import BoxFormat, Detections, Form, GreedyParams, greedy_nms
from roundel.graph import read_npz
from roundel.hw.emit import to_verilog
from roundel.hw.nms import GreedyNms
from roundel.sim.runner import Design, run
from roundel.sim.stimuli import clusters
from tests.support import rtl
from tests.support.exact import overlap
from tests.support.outside import need

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


def codes(boxes, form):
    """What stands for corners of whole pixels, with one fraction bit."""
    x1, y1, x2, y2 = np.array(boxes, int).reshape(-1, 4).T
    corners, centre = (2 * x1, 2 * y1, 2 * x2, 2 * y2), (x1 + x2, y1 + y2, 2 * (x2 - x1), 2 * (y2 - y1))
    return np.stack(corners if form is Form.CORNERS else centre, axis=1)


@given(scenes(), st.sampled_from(THRESHOLDS), st.sampled_from(Form))
def test_the_integer_model_keeps_what_the_definition_keeps(scene, threshold, form):
    frame = BoxFormat(width=12, height=12, fraction=1, form=form, score_width=3, classes=3)
    params = GreedyParams(format=frame, threshold=float(threshold))
    boxes, scores, classes = scene
    kept = params.compute(codes(boxes, form), np.array(scores, int), np.array(classes, int)).kept.tolist()
    assert set(kept) == stated(*scene, Fraction(threshold))
    order = [(-scores[i], i) for i in kept]
    assert order == sorted(set(order))


@pytest.mark.parametrize("form", Form)
@pytest.mark.parametrize("threshold", [0, 0.3, 0.4, 0.45, 0.5, 0.7, 1])
def test_the_integer_model_keeps_what_the_float_one_keeps(threshold, form, seed):
    rng = np.random.default_rng(seed)
    params = GreedyParams(format={"width": 320, "height": 200, "fraction": 2, "form": form}, threshold=threshold)
    starts = rng.integers(0, 80, (400, 2))
    boxes = np.hstack([starts, starts + rng.integers(1, 60, (400, 2))]) / 2  # exact in quarters, centres too
    found = Detections(boxes=boxes, scores=rng.integers(0, 300, 400) / 7, classes=rng.integers(0, 4, 400))
    assert params.format.exact(found)
    kept = params.compute(*params.format.encode(found), found.classes).kept
    assert kept.tolist() == greedy_nms(found, threshold).tolist()


def test_malformed_missing_and_superfluous_boxes_are_left_out():
    params = GreedyParams(format={"width": 8, "height": 8, "classes": 2}, capacity=5)
    boxes = np.array([(0, 0, 4, 4), (0, 0, 9, 4), (0, 0, 4, 4), (4, 4, 8, 8), (0, 0, 4, 4), (0, 0, 8, 8), (0, 0, 0, 0)])
    verdict = params.compute(boxes, np.array([1, 9, 3, 5, 2, 9, 9]), np.array([0, 0, 0, 1, 2, 0, 0]), np.arange(7) != 2)
    assert (verdict.kept.tolist(), verdict.malformed.tolist(), verdict.overflow) == ([3, 0], [1, 4], True)


def test_keeps_what_torchvision_keeps(seed):
    operators = need("torchvision").ops
    torch = need("torch")
    rng = np.random.default_rng(seed)
    for threshold in (0.25, 0.5, 0.75):
        starts = rng.integers(0, 64, (300, 2))
        boxes = np.hstack([starts, starts + rng.integers(1, 40, (300, 2))]).astype(np.float32)
        scores = rng.permutation(300).astype(np.float32)  # torchvision leaves open what becomes of ties
        classes = rng.integers(0, 3, 300)
        wanted = operators.batched_nms(*map(torch.from_numpy, (boxes, scores, classes)), threshold)
        kept = greedy_nms(Detections(boxes=boxes, scores=scores, classes=classes), threshold)
        assert kept.tolist() == wanted.tolist()


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"format": None}, TypeError, "format must be a BoxFormat, not None"),
        ({"threshold": "half"}, TypeError, "threshold must be a number, not 'half'"),
        ({"threshold": True}, TypeError, "threshold must be a number, not True"),
        ({"threshold": float("nan")}, ValueError, "threshold must be 0 to 1, not nan"),
        ({"threshold": -0.01}, ValueError, "threshold must be 0 to 1, not -0.01"),
        ({"threshold": 1.01}, ValueError, "threshold must be 0 to 1, not 1.01"),
        ({"capacity": 0}, ValueError, "capacity must be 1 to 65536, not 0"),
        ({"capacity": 10.0}, TypeError, "capacity must be an integer, not 10.0"),
        ({"lanes": 8}, ValueError, "lanes must be 1 to 4, not 8"),
        ({"lanes": 4, "capacity": 18}, ValueError, "capacity must be a multiple of lanes, not 18; 16 is one"),
    ],
)
def test_bad_parameters(given, error, message):
    with pytest.raises(error, match=f"^{message}$"):
        GreedyParams(**given)


def test_parameters_survive_json():
    params = GreedyParams(format={"width": 90, "form": "centre", "fraction": 2}, threshold=0.4, lanes=2, capacity=64)
    assert GreedyParams(**json.loads(json.dumps(params.as_dict()))) == params


@pytest.mark.parametrize("case", rtl.rtl_cases("greedy_nms"))
def test_rtl_equals_golden(case, seed):
    rtl.check(case, seed)


@pytest.mark.parametrize("lanes", [1, 4])
def test_a_file_of_boxes_through_the_rtl(lanes, tmp_path, seed):
    settings = {"format": {"width": 120, "height": 90, "classes": 2}, "lanes": lanes, "capacity": 64}
    params = GreedyParams(**settings)
    rng = np.random.default_rng(seed)
    images = [clusters(rng, params.format, count) for count in (0, 40, 0, 64, 3)]
    columns = {name: np.concatenate([getattr(one, name) for one in images]) for name in ("boxes", "scores", "labels")}
    ends = np.cumsum([len(one) for one in images])
    np.savez(tmp_path / "boxes.npz", ends=ends, **columns)
    unit = GreedyNms(params)
    result = run(
        Design(sources=(to_verilog(unit, "greedy_nms"),), top="greedy_nms"),
        "roundel.sim.benches.tb_greedy_nms",
        seed=seed,
        config={"params": settings, "latency": unit.latency, "stimulus": str(tmp_path / "boxes.npz")},
        folder=tmp_path / "run",
    )
    assert result.passed, result.failures
    found = read_npz(result.folder / "kept.npz")
    kept, scans, beats = [], 0, 0
    for one, end in zip(images, ends, strict=True):
        detections = Detections(boxes=one.boxes, scores=one.scores, classes=one.labels)
        kept.append(greedy_nms(detections, 0.5) + end - len(one))
        scans += len(kept[-1]) + 1
        beats += max(1, -(-len(one) // lanes)) * (len(kept[-1]) + 2)  # to load them, and in every scan
    assert found["kept"].tolist() == np.concatenate(kept).tolist()
    assert len(found["arrivals"]) == scans
    assert beats + unit.scan_overhead * scans <= found["cycles"] <= beats + unit.latency * scans
