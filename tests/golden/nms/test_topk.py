"""The best boxes of an image: against lexsort and onnxruntime's TopK, and what the parameters refuse."""

import json

import numpy as np
import pytest

from roundel.golden.nms import (
    METHODS,
    BoxFormat,
    ExactParams,
    GreedyParams,
    NmsParams,
    TopKParams,
    best,
    suppression_of,
)

FORM = {"width": 60, "height": 50, "classes": 5}


def drawn(rng, params, count, levels):
    """Boxes of an image, some of them malformed, with scores of few levels."""
    low = rng.integers(0, 40, (count, 2))
    boxes = np.hstack([low, low + rng.integers(0, 10, (count, 2))])
    return boxes, rng.integers(0, levels, count), rng.integers(0, 6, count)


@pytest.mark.parametrize("levels", [1, 3, 256, 1 << 30])
@pytest.mark.parametrize("count", [1, 7, 100, 400])
def test_the_best_are_those_of_lexsort(count, levels, seed):
    scores = np.random.default_rng(seed).integers(0, levels, 300)
    assert best(scores, count).tolist() == np.lexsort((np.arange(300), -scores))[:count].tolist()


@pytest.mark.parametrize("count", [1, 20, 300])
def test_the_best_are_those_of_onnxruntime(count, seed):
    onnxruntime = pytest.importorskip("onnxruntime")
    from onnx import TensorProto, helper

    scores = np.random.default_rng(seed).integers(0, 50, 300).astype(np.float32)
    node = helper.make_node("TopK", ["scores", "k"], ["values", "indices"], largest=1, sorted=1)
    graph = helper.make_graph(
        [node],
        "top",
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [300])],
        [helper.make_tensor_value_info("indices", TensorProto.INT64, None)],
        [helper.make_tensor("k", TensorProto.INT64, [1], [count])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    assert best(scores, count).tolist() == session.run(None, {"scores": scores})[0].tolist()


@pytest.mark.parametrize("capacity", [1, 2, 30, 1000])
def test_the_unit_keeps_the_best_well_formed_boxes(capacity, seed):
    rng = np.random.default_rng(seed)
    params = TopKParams(format=FORM, capacity=capacity, candidates=1000)
    boxes, scores, labels = drawn(rng, params, 600, 40)
    present = rng.random(600) < 0.8
    good = [
        n for n, (x1, y1, x2, y2) in enumerate(boxes.tolist()) if present[n] and x1 < x2 and y1 < y2 and labels[n] < 5
    ]
    expected = sorted(good, key=lambda n: (-scores[n], n))[:capacity]
    verdict = params.compute(boxes, scores, labels, present)
    assert verdict.kept.tolist() == expected
    assert set(verdict.malformed) == set(np.flatnonzero(present)) - set(good)
    assert not verdict.overflow


@pytest.mark.parametrize("agnostic", [False, True])
def test_the_best_take_part_in_exact_suppression(agnostic, seed):
    rng = np.random.default_rng(seed)
    few = ExactParams(format=FORM, capacity=40, candidates=900, class_agnostic=agnostic, threshold=0.3)
    boxes, scores, labels = drawn(rng, few, 800, 100)
    taking = TopKParams(format=FORM, capacity=40, candidates=900).compute(boxes, scores, labels).kept
    groups = 0 * labels if agnostic else labels
    greedy = GreedyParams(format=FORM, threshold=0.3).compute(boxes[taking], scores[taking], groups[taking])
    verdict = few.compute(boxes, scores, labels)
    assert verdict.kept.tolist() == taking[greedy.kept].tolist()
    assert not verdict.overflow
    assert ExactParams(format=FORM, capacity=40).compute(boxes, scores, labels).overflow


def test_boxes_beyond_the_candidates_are_dropped_and_reported():
    params = TopKParams(format=FORM, capacity=2, candidates=3)
    boxes, labels = np.tile([0, 0, 9, 9], (4, 1)), np.zeros(4, np.int64)
    verdict = params.compute(boxes, np.array([1, 2, 3, 9]), labels)
    assert (verdict.kept.tolist(), verdict.overflow) == ([2, 1], True)


@pytest.mark.parametrize(("capacity", "held"), [(1, 2), (2, 4), (300, 512), (341, 512), (342, 1024), (1024, 2048)])
def test_half_of_the_capacity_is_free_for_boxes_that_come_later(capacity, held):
    assert TopKParams(capacity=capacity).held == held
    assert TopKParams(capacity=capacity, candidates=capacity).held == capacity


def test_the_kind_of_suppression_follows_from_the_method():
    assert suppression_of({"method": "none", "capacity": 5}) == TopKParams(capacity=5)
    assert suppression_of({"method": "exact", "threshold": 0.4}) == ExactParams(threshold=0.4)
    assert suppression_of({"method": "psrr"}) == NmsParams(method="psrr")
    assert suppression_of({"class_key": True}) == NmsParams(class_key=True)
    for params in (TopKParams(), ExactParams(candidates=5000, max_detections=3), NmsParams(method="maxpool")):
        assert suppression_of(json.loads(json.dumps(params.as_dict()))) == params
    assert METHODS[-2:] == ("exact", "none")


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"method": "best"}, r"method must be one of .*guarded.*exact, none, not 'best'"),
        ({"method": "none", "threshold": 0.4}, "threshold is no parameter of method 'none'"),
        ({"method": "none", "candidates": 299}, "candidates must be 300 to 16777216, not 299"),
        ({"method": "exact", "candidates": 3}, "candidates must be 1024 to 16777216, not 3"),
        ({"method": "none", "capacity": 0}, "capacity must be 1 to 65536, not 0"),
    ],
)
def test_what_is_refused(values, text):
    with pytest.raises((TypeError, ValueError), match=text):
        suppression_of(values)


def test_a_unit_has_its_own_method():
    with pytest.raises(ValueError, match="method must be 'none', not 'exact'"):
        TopKParams(method="exact")
    with pytest.raises(ValueError, match="method must be 'exact', not 'none'"):
        ExactParams(method="none")


def test_a_contract_is_what_decides_what_is_kept():
    slow, quick = ExactParams(comparators=4, slots=32), ExactParams(comparators=8)
    assert slow.contract() == quick.contract()
    others = (
        {"threshold": 0.4},
        {"class_agnostic": True},
        {"max_detections": 9},
        {"candidates": 2000},
        {"capacity": 9},
    )
    contracts = [ExactParams(**other).contract() for other in others]
    assert all(contract not in (slow.contract(), *contracts[:n]) for n, contract in enumerate(contracts))
    assert ExactParams(candidates=1024).contract() == slow.contract()
    assert TopKParams(format=BoxFormat(classes=3)).contract() != TopKParams().contract()
