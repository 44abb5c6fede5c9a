"""What no unit does lies between two parts of the engine on the host, and results are near onnxruntime's."""

import numpy as np
import pytest

import roundel
from tests.support.host_models import conv
from tests.support.onnx_models import NEWEST, OLDEST, model, reference

IMAGE = (3, 8, 6)


def axes(rng, opset, since, given, **attributes):
    """Axes as an attribute, or as a constant from the opset on that has them as an input."""
    if opset < since:
        return [], attributes | {"axes": given}, {}
    return ["axes"], attributes, {"axes": np.array(given)}


def product(rng, opset):
    """A product of two maps."""
    return [("Tanh", ["a"], "b", {}), ("Mul", [["a", "c"], ["c", "a"]][rng.integers(2)], "d", {})], {}, 4


def spatial_attention(rng, opset):
    """A map times one number a place."""
    more, attributes, constants = axes(rng, opset, 18, [1], keepdims=1)
    return [("ReduceMax", ["a", *more], "m", attributes), ("Mul", ["a", "m"], "d", {})], constants, 4


def quotient(rng, opset):
    """By numbers of 1/e to e: by any, errors of 8 bits would grow without bound."""
    return [("Tanh", ["c"], "t", {}), ("Exp", ["t"], "e", {}), ("Div", ["a", "e"], "d", {})], {}, 4


def greatest(rng, opset):
    return [("Max", ["a", "c"], "d", {})], {}, 4


def greatest_of_channels(rng, opset):
    more, attributes, constants = axes(rng, opset, 18, [int(rng.choice([1, -3] if opset >= 11 else [1]))], keepdims=1)
    return [("ReduceMax", ["a", *more], "d", attributes)], constants, 1


def least(rng, opset):
    more, attributes, constants = axes(rng, opset, 18, [int(rng.integers(1, 4))], keepdims=1)
    return [("ReduceMin", ["a", *more], "d", attributes)], constants, None


def norm(rng, opset):
    more, attributes, constants = axes(rng, opset, 18, [1], keepdims=1)
    return [("ReduceL2", ["a", *more], "n", attributes), ("Div", ["a", "n"], "d", {})], constants, 4


def corners(rng, opset):
    """Linear interpolation from corner to corner."""
    if opset < 11:
        return greatest(rng, opset)
    attributes = {"mode": "linear", "coordinate_transformation_mode": "align_corners"}
    scales = np.array([1, 1, 2, 2], np.float32)
    return [("Resize", ["a", "roi", "s"], "d", attributes)], {"s": scales, "roi": np.empty(0, np.float32)}, 4


def between(rng, opset):
    """Any size that no whole factor leads to."""
    if opset < 11:
        return greatest(rng, opset)
    attributes = {"mode": str(rng.choice(["nearest", "linear", "cubic"]))}
    sizes = np.array([2, 4, int(rng.integers(9, 14)), int(rng.integers(7, 11))])
    return [("Resize", ["a", "roi", "none", "sizes"], "d", attributes)], {
        "sizes": sizes, "roi": np.empty(0, np.float32), "none": np.empty(0, np.float32)}, 4  # fmt: skip


CASES = [product, spatial_attention, quotient, greatest, greatest_of_channels, least, norm, corners, between]


@pytest.mark.parametrize("case", CASES)
def test_islands(case, seed):
    rng = np.random.default_rng(seed)
    for opset in (OLDEST, *rng.integers(OLDEST + 1, NEWEST, 2), NEWEST):
        rows, constants, channels = case(rng, int(opset))
        first, weights = conv(rng, "x", "a", 3, 4)
        second, others = conv(rng, "x", "c", 3, 4)
        before = [first, second] if any("c" in row[1] for row in rows) else [first]
        weights |= others if len(before) > 1 else {}
        size = channels or 4
        if channels is None and constants.get("axes", rows[0][3].get("axes", [0]))[0] == 1:
            size = 1
        last, others = conv(rng, "d", "y", size, 5)
        proto = model([*before, *rows, last], IMAGE, weights | others | constants, opset=int(opset), batch=2)
        images = rng.normal(size=(4, *IMAGE)).astype(np.float32)
        compressed = roundel.compress(proto, images, host="any")
        assert compressed.chain.share == 1
        assert len(compressed.chain.engine) == 2
        wanted = np.concatenate([reference(proto, images[part])[0] for part in (slice(2), slice(2, 4))])
        got = roundel.run(compressed, images).real["y"]
        assert got.shape == wanted.shape
        noise = np.square(wanted - got).mean() / np.square(wanted).mean()
        assert noise < 10**-2.5, (case.__name__, opset)
