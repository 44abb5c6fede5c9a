"""Every form of head in double precision, against loops written from the families' published definitions."""

from dataclasses import replace
from math import exp, sqrt

import numpy as np
import pytest

from roundel.detection import Detector, HeadForm, Scale
from roundel.golden.nms import BoxFormat, Detections, NmsParams

ROWS, COLUMNS, STRIDE, CLASSES = 6, 9, 16, 4
WIDTH, HEIGHT = COLUMNS * STRIDE, ROWS * STRIDE
ANCHORS = ((20.0, 11.0), (9.0, 30.0))
DEFAULTS = ((14.0, 14.0), (28.0, 10.0))  # of SSD


def s(value: float) -> float:
    return 1 / (1 + exp(-value))


def softmax(values: np.ndarray) -> np.ndarray:
    powers = np.array([exp(value) for value in values])
    return powers / powers.sum()


def around(x: float, y: float, w: float, h: float) -> list[float]:
    return [x - w / 2, y - h / 2, x + w / 2, y + h / 2]


def yolov3(t, obj, cls, x, y, prior):
    """Redmon 2018: bx = sigmoid(tx) + cx, bw = pw exp(tw)."""
    w, h = (ANCHORS[prior][i] * exp(t[2 + i]) for i in range(2))
    return around((s(t[0]) + x) * STRIDE, (s(t[1]) + y) * STRIDE, w, h), [s(obj) * s(c) for c in cls]


def yolov5(t, obj, cls, x, y, prior):
    """YOLOv5 6.0: (2 sigmoid - 0.5 + grid) stride, (2 sigmoid)^2 anchor."""
    w, h = (ANCHORS[prior][i] * (2 * s(t[2 + i])) ** 2 for i in range(2))
    centre = [(2 * s(t[i]) - 0.5 + place) * STRIDE for i, place in enumerate((x, y))]
    return around(*centre, w, h), [s(obj) * s(c) for c in cls]


def yolox(t, obj, cls, x, y, prior):
    """YOLOX: (t + grid) stride, exp(t) stride."""
    values = [(t[0] + x) * STRIDE, (t[1] + y) * STRIDE, exp(t[2]) * STRIDE, exp(t[3]) * STRIDE]
    return around(*values), [s(obj) * s(c) for c in cls]


def yolov8(t, obj, cls, x, y, prior):
    """Generalized focal loss: each distance is the mean of a distribution over 0 to bins - 1, in strides."""
    left, top, right, bottom = (sum(k * p for k, p in enumerate(softmax(side))) for side in t.reshape(4, 6))
    corners = [x + 0.5 - left, y + 0.5 - top, x + 0.5 + right, y + 0.5 + bottom]
    return [value * STRIDE for value in corners], list(cls)


def fcos(t, obj, cls, x, y, prior):
    """FCOS as torchvision has it: distances in strides behind ReLU, square root of centerness times class."""
    left, top, right, bottom = (max(value, 0) * STRIDE for value in t)
    cx, cy = (x + 0.5) * STRIDE, (y + 0.5) * STRIDE
    return [cx - left, cy - top, cx + right, cy + bottom], [sqrt(s(obj) * s(c)) for c in cls]


def ssd(t, obj, cls, x, y, prior):
    """Raw values times their variances, which the detector has in its weights; the background comes first."""
    w, h = DEFAULTS[prior]
    cx, cy = (x + 0.5) * STRIDE + t[0] * 16, (y + 0.5) * STRIDE + t[1] * 16
    return around(cx, cy, w * exp(t[2]), h * exp(t[3])), list(softmax(cls)[1:])


def centernet(t, obj, cls, x, y, prior):
    """Objects as points: (grid + offset) stride, sides as they are."""
    return around((x + t[0]) * STRIDE, (y + t[1]) * STRIDE, t[2] * STRIDE, t[3] * STRIDE), list(cls)


def pnet(t, obj, cls, x, y, prior):
    """MTCNN: corners of a cell of 12 pixels, moved by parts of its side, here times 16; the background comes last."""
    cell = [x * STRIDE, y * STRIDE, x * STRIDE + 12, y * STRIDE + 12]
    return [corner + 16 * move for corner, move in zip(cell, t, strict=True)], list(softmax(cls)[:-1])


FAMILIES = {
    "yolov3": (yolov3, HeadForm(score="product", box="centre", centre="sigmoid", side="exp"), {"priors": ANCHORS}),
    "yolov5": (
        yolov5,
        HeadForm(score="product", box="centre", centre="sigmoid", sigmoid=(2, -0.5), side="square_sigmoid"),
        {"priors": ANCHORS},
    ),
    "yolox": (yolox, HeadForm(score="product", box="centre", side="exp"), {"priors": ((16, 16),), "unit": 4}),
    "yolov8": (yolov8, HeadForm(box="dfl", bins=6), {"offset": 0.5}),
    "fcos": (fcos, HeadForm(score="product", root=True, side="relu"), {"unit": 4, "offset": 0.5}),
    "ssd": (
        ssd,
        HeadForm(score="softmax", background=0, box="centre", side="exp"),
        {"priors": DEFAULTS, "unit": 4, "offset": 0.5},
    ),
    "centernet": (centernet, HeadForm(box="centre", side="linear"), {"unit": 4}),
    "pnet": (pnet, HeadForm(score="softmax", box="corners"), {"priors": ((0, 0, 12, 12),), "unit": 4}),
}


def detector(form: HeadForm, fields: dict, threshold: float = -100.0) -> Detector:
    scale = Scale(
        cls="c",
        box="b",
        objectness="o" if form.score == "product" else "",
        stride=STRIDE,
        **({"offset": 0.0} | fields),
    )
    size = BoxFormat(width=WIDTH, height=HEIGHT, classes=CLASSES)
    return Detector(classes=tuple("abcd"), threshold=threshold, scales=(scale,), nms=NmsParams(format=size), form=form)


def drawn(made: Detector, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {name: rng.normal(0, 1, (1, *shape)) for name, shape in made.shapes(made.scales[0]).items()}


def expected(family, made: Detector, tensors: dict[str, np.ndarray]):
    """Every location's boxes within the image and scores, as loops over locations and priors."""
    scale, found = made.scales[0], []
    priors = scale.prior_count
    box, cls = (tensors[name][0].reshape(priors, -1, ROWS, COLUMNS) for name in ("b", "c"))
    for y in range(ROWS):
        for x in range(COLUMNS):
            for prior in range(priors):
                objectness = tensors["o"][0, prior, y, x] if "o" in tensors else 0.0
                corners, scores = family(box[prior, :, y, x], objectness, cls[prior, :, y, x], x, y, prior)
                limits = (WIDTH, HEIGHT, WIDTH, HEIGHT)
                corners = [min(max(value, 0), limit) for value, limit in zip(corners, limits, strict=True)]
                if corners[0] < corners[2] and corners[1] < corners[3]:
                    found.append((corners, scores))
    return found


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("every_class", [False, True])
def test_families(name: str, every_class: bool, seed: int) -> None:
    family, form, fields = FAMILIES[name]
    least = -0.2 if form.score == "logit" else 0.15
    values = {field: getattr(form, field) for field in form.__dataclass_fields__} | {"every_class": every_class}
    made = detector(HeadForm(**values), fields, least)
    tensors = drawn(made, seed)
    rows = []
    for corners, scores in expected(family, made, tensors):
        labels = range(CLASSES) if every_class else [int(np.argmax(scores))]
        rows += [(*corners, scores[label], label) for label in labels if scores[label] >= least]
    [found] = made.detections(tensors)
    assert 5 < len(rows) < CLASSES * ROWS * COLUMNS * 2
    got = np.hstack([found.boxes, found.scores[:, None], found.labels[:, None]])
    np.testing.assert_allclose(got, np.array(rows), rtol=1e-12, atol=1e-12)


def test_peaks(seed: int) -> None:
    """A class counts where no neighbour has more of it: by loops."""
    made = detector(HeadForm(box="centre", side="linear", peaks=True, every_class=True), {"unit": 4})
    tensors = drawn(made, seed)
    tensors["b"] = np.abs(tensors["b"])
    heat = tensors["c"][0]
    wanted = set()
    for label in range(CLASSES):
        for y in range(ROWS):
            for x in range(COLUMNS):
                window = heat[label, max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]
                if heat[label, y, x] == window.max():
                    wanted.add((label, heat[label, y, x]))
    [found] = made.detections(tensors)
    assert set(zip(found.labels.tolist(), found.scores.tolist(), strict=True)) <= wanted
    assert len(found) > len(wanted) / 2  # others lie outside of the image


def test_limit_keeps_the_best(seed: int) -> None:
    _, form, fields = FAMILIES["yolov8"]
    made = detector(form, fields)
    fewer = detector(HeadForm(box="dfl", bins=6, limit=4, max_detections=2), fields)
    tensors = drawn(made, seed)
    [every], [best] = made.detections(tensors), fewer.detections(tensors)
    assert sorted(best.scores) == sorted(every.scores)[-4:]
    free = replace(fewer, suppresses=False)
    assert best.scores[free.kept(best)].tolist() == sorted(every.scores)[:-3:-1]


def test_suppression_by_class_or_over_all() -> None:
    made = detector(HeadForm(side="relu"), {"unit": 4, "offset": 0.5})
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 9], [0, 0, 10, 9.5], [30, 30, 40, 40.0]])
    rows = Detections(boxes=boxes, scores=np.array([3.0, 2.0, 1.0, 0.5]), classes=np.array([0, 1, 0, 0]))
    assert made.kept(rows).tolist() == [0, 1, 3]
    assert detector(HeadForm(side="relu", agnostic=True), {"unit": 4}).kept(rows).tolist() == [0, 3]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"score": "best"}, "score must be one of logit, product, softmax, not 'best'"),
        ({"box": "dfl", "side": "exp"}, "side of dfl must be one of linear, not exp"),
        ({"bins": 1}, "bins must be 2 to 64, not 1"),
        ({"iou": 1.5}, r"iou must be 0 to 1, not 1\.5"),
        ({"iou": float("nan")}, "iou must be finite, not nan"),
        ({"sigmoid": [1]}, r"sigmoid must be 2 numbers, not \[1\]"),
        ({"root": True}, "root must be false for the score logit"),
        ({"limit": 0}, "limit must be 1 to 65536, not 0"),
        ({"peaks": 1}, "peaks must be a bool, not 1"),
    ],
)
def test_refuses_a_form(fields: dict, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        HeadForm(**fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"priors": ((1.0, 2.0),) * 10}, "priors must be a list of at most 9"),
        ({"priors": ((1.0, float("nan")),)}, "priors must be finite, not nan"),
        ({"priors": ((1.0, -2.0),)}, r"priors must have sides above 0, not \[1\.0, -2\.0\]"),
        ({"priors": ((1.0, 2.0, 3.0, 4.0),)}, "priors must have 2 numbers for centre"),
        ({}, "priors must be 1 to 9 for the box centre, not none"),
        ({"stride": 0.0}, r"stride must be 0\.0625 to 4096, not 0\.0"),
        ({"stride": float("inf")}, "stride must be finite, not inf"),
        ({"offset": 20}, r"offset must be within \+-16, not 20"),
        ({"objectness": ""}, "objectness must name an output for the score product, not be ''"),
    ],
)
def test_refuses_a_scale(fields: dict, message: str) -> None:
    form = HeadForm(score="product", box="centre", side="exp")
    with pytest.raises((TypeError, ValueError), match=message):
        Scale(**({"cls": "c", "box": "b", "objectness": "o", "stride": 8} | fields)).check(form)
