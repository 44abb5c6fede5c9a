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
