"""Detectors whose files end in maps, and leave boxes to their users or make them behind a TopK."""

import numpy as np
import onnx

from tests.support.head_models import Tail


def branch(t: Tail, stride: int, channels: int) -> str:
    """Return the map of a head that has a convolution of 3 x 3 of its own before it, as CenterNet's have."""
    rng = np.random.default_rng(len(t.nodes))
    inner = t("Relu", t("Conv", t.head(stride, 8), rng.normal(0, 0.3, (6, 8, 3, 3)), pads=[1, 1, 1, 1]))
    return str(t("Conv", inner, rng.normal(0, 0.4, (channels, 6, 1, 1)), rng.normal(0.8, 0.2, channels)))


def centerface() -> onnx.ModelProto:
    """Heat map, sides, offsets and landmarks, y before x: (1, 1 | 2 | 2 | 10, rows, columns)."""
    t = Tail()
    return t.model(t("Sigmoid", t.head(4, 1)), t.head(4, 2), t.head(4, 2), t.head(4, 10))


def centernet(classes: int = 3) -> onnx.ModelProto:
    """Heat maps, sides and offsets, of branches with inputs of their own: (1, classes | 2 | 2, rows, columns)."""
    t = Tail()
    return t.model(t("Sigmoid", branch(t, 4, classes)), branch(t, 4, 2), branch(t, 4, 2))


def pnet() -> onnx.ModelProto:
    """Moves of corners, then two-way softmax: (1, 4 | 2, rows, columns), four cells less than half the image."""
    t = Tail(48, 64)
    moves, chances = t.head(2, 4, crop=5), t("Softmax", t.head(2, 2, crop=5), axis=1)
    return t.model(moves, chances)


def centernet_selected(classes: int = 3, most: int = 30, strides: bool = False) -> onnx.ModelProto:
    """The same with `ctdet_decode` behind: peaks, the best of each class and of all, and what is gathered there.

    Rows of corners, score and class, in pixels or in strides: (1, most, 6).
    """
    t = Tail()
    columns = t.grid(4)[1]
    heat, sides, offsets = t("Sigmoid", branch(t, 4, classes)), branch(t, 4, 2), branch(t, 4, 2)
    highest = t("MaxPool", heat, kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[1, 1])
    peaks = t("Mul", heat, t("Cast", t("Equal", heat, highest), to=1))
    each, places = t("TopK", t("Reshape", peaks, [1, classes, -1]), [most], outputs=2, axis=2)
    best, order = t("TopK", t("Reshape", each, [1, -1]), [most], outputs=2, axis=1)
    label = t("Cast", t("Div", order, [most]), to=1)
    place = t("GatherElements", t("Reshape", places, [1, -1]), order, axis=1)
    y, x = t("Cast", t("Div", place, [columns]), to=1), t("Cast", t("Mod", place, [columns]), to=1)
    index = t("Tile", t("Unsqueeze", place, [2]), [1, 1, 2])
    side, offset = (
        t("GatherElements", t("Reshape", t("Transpose", item, perm=[0, 2, 3, 1]), [1, -1, 2]), index, axis=1)
        for item in (sides, offsets)
    )
    centre = t("Add", t("Concat", t("Unsqueeze", x, [2]), t("Unsqueeze", y, [2]), axis=2), offset)
    half = t("Div", side, 2.0)
    corners = t("Concat", t("Sub", centre, half), t("Add", centre, half), axis=2)
    corners = corners if strides else t("Mul", corners, 4.0)
    return t.model(t("Concat", corners, t("Unsqueeze", best, [2]), t("Unsqueeze", label, [2]), axis=2))


def twins(form: str) -> onnx.ModelProto:
    """Two heads at one resolution: distances, or exponential sides of one anchor each; (1, boxes, 4 + 2)."""
    t, rows = Tail(), []
    for side in (1.0, 3.0):
        raw, places = t("Reshape", t.head(8, 4), [1, 4, -1]), t.places(8).reshape(-1, 2).T[None]
        first, second = t("Split", raw, [2, 2], outputs=2, axis=1)
        if form == "distances":
            low = t("Sub", places + 0.5, t("Mul", t("Exp", first), side))
            high = t("Add", places + 0.5, t("Mul", t("Exp", second), side))
        else:
            half, centre = t("Mul", t("Exp", second), side / 2), t("Add", first, places)
            low, high = t("Sub", centre, half), t("Add", centre, half)
        scores = t("Sigmoid", t("Reshape", t.head(8, 2), [1, 2, -1]))
        box = t("Mul", t("Concat", low, high, axis=1), 8.0)
        rows.append(t("Concat", box, scores, axis=1))
    table = t("Transpose", t("Concat", *rows, axis=2), perm=[0, 2, 1])
    boxes, scores = t("Split", table, [4, 2], outputs=2, axis=2)
    return t.model(boxes, scores)
