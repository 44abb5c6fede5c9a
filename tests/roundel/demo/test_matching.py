"""True, missed and false boxes: against a naive matcher in exact fractions, and against pycocotools."""

import io
from contextlib import contextmanager, redirect_stdout
from fractions import Fraction

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

import roundel.demo.pictures
from roundel.demo.matching import match
from roundel.demo.pictures import CLASS_COLOURS, TRUTH, draw_scenes
from roundel.detection import Objects
from roundel.golden.nms import Detections


def drawn(rng):
    """Objects, and boxes about some of them and about nothing; every score is another one."""
    count, extra = int(rng.integers(0, 7)), int(rng.integers(0, 5))
    corners = rng.integers(0, 60, (count + extra, 2))
    objects = np.hstack([corners, corners + rng.integers(8, 30, corners.shape)])[:count].astype(float)
    classes = rng.integers(0, 3, count)
    near = rng.integers(0, count, int(rng.integers(0, 3 * count))) if count else np.zeros(0, int)
    moved = objects[near] + rng.integers(-2, 3, (len(near), 4))
    other = np.hstack([corners, corners + rng.integers(8, 30, corners.shape)])[count:].astype(float)
    boxes = np.vstack([moved, other])
    labels = np.concatenate([classes[near], rng.integers(0, 3, extra)])
    labels[rng.random(len(labels)) < 0.2] = 1
    scores = rng.permutation(100)[: len(boxes)].astype(float)
    return Objects(boxes=objects, classes=classes), Detections(boxes=boxes, scores=scores, classes=labels)


def naive(objects, detections, threshold):
    """Loops over everything, in whole numbers and fractions."""
    taken, answer = {}, {}
    for index in sorted(range(len(detections)), key=lambda index: -detections.scores[index]):
        best, most = None, Fraction(0)
        for number, (thing, label) in enumerate(zip(objects.boxes, objects.classes, strict=True)):
            a, b = ([int(value) for value in corners] for corners in (thing, detections.boxes[index]))
            width = max(0, min(a[2], b[2]) - max(a[0], b[0]))
            height = max(0, min(a[3], b[3]) - max(a[1], b[1]))
            both = width * height
            whole = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both
            if number not in taken and label == detections.labels[index] and Fraction(both, whole) > most:
                best, most = number, Fraction(both, whole)
        if best is not None and most >= threshold:
            taken[best] = index
            answer[index] = best
    missed = [number for number in range(len(objects.boxes)) if number not in taken]
    return [answer.get(index) for index in range(len(detections))], missed


def coco_matches(objects, detections, threshold):
    """The object of each box as COCOeval has it, by index; None for none."""

    def rows(boxes, labels, scores):
        return [
            {"id": number + 1, "image_id": 1, "category_id": int(label), "iscrowd": 0, "score": float(score),
             "bbox": [*map(float, box[:2]), *map(float, box[2:] - box[:2])], "area": float(np.prod(box[2:] - box[:2]))}
            for number, (box, label, score) in enumerate(zip(boxes, labels, scores, strict=True))
        ]  # fmt: skip

    def dataset(annotations):
        made = COCO()
        made.dataset = {"images": [{"id": 1}], "annotations": annotations, "categories": [{"id": n} for n in range(3)]}
        made.createIndex()
        return made

    with redirect_stdout(io.StringIO()):
        truth = dataset(rows(objects.boxes, objects.classes, np.ones(len(objects.boxes))))
        answers = dataset(rows(detections.boxes, detections.labels, detections.scores))
        evaluation = COCOeval(truth, answers, "bbox")
        evaluation.params.iouThrs = np.array([threshold])
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, float("inf")]], ["all"]
        evaluation.evaluate()
    matched = {}
    for part in filter(None, evaluation.evalImgs):
        for box, thing in zip(part["dtIds"], part["dtMatches"][0], strict=True):
            matched[box - 1] = int(thing) - 1 if thing else None
    return [matched.get(index) for index in range(len(detections))]


@pytest.mark.parametrize("threshold", [0.5, 0.75])
def test_as_the_naive_matcher_and_as_coco(threshold, seed):
    rng, seen = np.random.default_rng(seed), {"true": 0, "missed": 0, "false": 0}
    for _ in range(150):
        objects, detections = drawn(rng)
        answer = match(objects, detections, threshold)
        expected, missed = naive(objects, detections, threshold)
        assert (list(answer.objects), list(answer.missed)) == (expected, missed)
        coco = coco_matches(objects, detections, threshold)
        assert [taken is None for taken in coco] == [taken is None for taken in expected]
        assert answer.true == sum(taken is not None for taken in coco) == len(objects.boxes) - len(missed)
        assert answer.false == sum(taken is None for taken in coco)
        for name in seen:
            seen[name] += len(missed) if name == "missed" else getattr(answer, name)
    assert min(seen.values()) > 50


def test_a_missed_and_a_false_box_are_not_two_matches():
    """Three objects and three boxes, of which one is of another class and one stands on an object that is taken."""
    objects = Objects(boxes=np.array([[0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10.0]]), classes=np.array([1, 2, 2]))
    boxes = np.array([[0, 0, 10, 10], [20, 0, 30, 10], [20, 0, 30, 9.0]])
    answer = match(objects, Detections(boxes=boxes, scores=np.array([3.0, 2, 1]), classes=np.array([0, 2, 2])))
    assert (answer.objects, answer.missed, answer.true, answer.false) == ((None, 1, None), (0, 2), 1, 2)
    empty = Detections(boxes=np.zeros((0, 4)), scores=np.zeros(0), classes=np.zeros(0, np.int64))
    assert match(objects, empty).missed == (0, 1, 2)


def test_words_and_lines_of_the_picture(monkeypatch, tmp_path):
    """Each kind has a line of its own, and the title counts matches, not boxes."""
    figures = []

    @contextmanager
    def kept(*_):
        figures.append(Figure())
        yield figures[0]

    monkeypatch.setattr(roundel.demo.pictures, "figure", kept)
    objects = [Objects(boxes=np.array([[1, 1, 9, 9], [20, 1, 30, 9.0]]), classes=np.array([0, 1]))]
    boxes = [("true", 1), ("false", 2), ("unsure", 3)]
    frame = {
        "scene": 5, "objects": 2, "true": 1, "missed": 1, "false": 1, "unsure": 1,
        "detections": [
            {"box": [x, 1, x + 8, 9], "score": x, "probability": 0.5, "class": "7", "match": kind} for kind, x in boxes
        ],
        "missed_objects": [{"box": [20, 1, 30, 9], "class": "4"}],
    }  # fmt: skip
    draw_scenes(tmp_path / "scenes.png", np.zeros((1, 1, 32, 32)), objects, [frame])
    axes = figures[0].axes[0]
    assert axes.get_title() == "scene 5, 2 objects\n1 true, 1 missed, 1 false, 1 unsure"
    assert sorted(text.get_text() for text in axes.texts) == ["4", "7", "7?"]
    styles = {
        (patch.get_x(), to_hex(patch.get_edgecolor()), patch.get_linestyle(), patch.get_linewidth())
        for patch in axes.patches
    }
    assert {style[:2] for style in styles} == {
        (1, TRUTH), (20, TRUTH), (1, CLASS_COLOURS[0]), (2, CLASS_COLOURS[0]), (3, CLASS_COLOURS[0]),
    }  # fmt: skip
    assert len(styles) == 6  # the missed object twice: as an object, and as missed
    assert len({style[2:] for style in styles}) == 5
    assert [text.get_text() for text in figures[0].legends[0].get_texts()] == [
        "object", "true", "missed", "false", "unsure",
    ]  # fmt: skip
