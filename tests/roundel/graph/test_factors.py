"""Factors and offsets before weights: folded into them where the results are the same, at the borders too."""

import numpy as np
import pytest

from roundel.frontend import read_onnx
from roundel.golden.errors import InputError
from roundel.graph import Conv, fold
from roundel.graph.folding.factors import factors_in_readers
from tests.support.onnx_models import model, reference

IMAGE = (4, 6, 5)


def real(rng, *shape):
    return rng.normal(size=shape).astype(np.float32)


def folded(nodes, weights, outputs=("y",), shape=IMAGE):
    """The normal form, whose results onnxruntime gives for the file."""
    proto = model(nodes, shape, weights, outputs)
    graph = fold(read_onnx(proto))
    x = real(np.random.default_rng(8), 3, *shape)
    for name, values in zip(outputs, reference(proto, x), strict=True):
        np.testing.assert_allclose(graph.outputs(x)[name], values, rtol=1e-4, atol=1e-4)
    return graph


@pytest.fixture
def weights(rng):
    return {
        "s": real(rng, 4, 1, 1), "o": real(rng, 4, 1, 1), "w": real(rng, 6, 4, 3, 3), "b": real(rng, 6),
        "g": real(rng, 4, 2, 3, 3), "d": real(rng, 4, 1, 2, 2), "m": real(rng, 120, 3), "255": np.float32(255),
    }  # fmt: skip


@pytest.fixture
def rng(seed):
    return np.random.default_rng(seed)


CASES = {
    "a factor, padded": ([("Mul", ["x", "s"], "a", {}), ("Conv", ["a", "w", "b"], "y", {"pads": [1, 1, 1, 1]})], 1),
    "an image by 255": ([("Div", ["x", "255"], "a", {}), ("Conv", ["a", "w"], "y", {"pads": [0, 2, 1, 0]})], 1),
    "factor and offset": (
        [("Mul", ["x", "s"], "a", {}), ("Sub", ["a", "o"], "c", {}), ("Conv", ["c", "w"], "y", {"strides": [2, 2]})],
        1,
    ),
    "groups": ([("Add", ["o", "x"], "a", {}), ("Conv", ["a", "g"], "y", {"group": 2})], 1),
    "depthwise": ([("Mul", ["s", "x"], "a", {}), ("Conv", ["a", "d"], "y", {"group": 4, "pads": [1, 0, 0, 1]})], 1),
    "a matrix": (
        [("Flatten", ["x"], "f", {}), ("Mul", ["f", "255"], "a", {}), ("MatMul", ["a", "m"], "y", {})],
        2,
    ),
    "an offset, padded": ([("Add", ["x", "o"], "a", {}), ("Conv", ["a", "w"], "y", {"pads": [1, 1, 1, 1]})], 2),
    "a factor behind weights": (
        [("Conv", ["x", "d"], "c", {"group": 4}), ("Mul", ["c", "s"], "a", {}), ("Conv", ["a", "w"], "y", {})],
        2,
    ),
    "a factor behind a pool": (
        [("GlobalAveragePool", ["x"], "p", {}), ("Mul", ["p", "s"], "a", {}), ("Conv", ["a", "k"], "y", {})],
        2,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_factors_and_offsets_before_weights(case, weights):
    nodes, count = CASES[case]
    graph = folded(nodes, weights | {"k": weights["w"][:, :, :1, :1]})
    assert len(graph.nodes) == count


def test_all_readers_take_a_factor_or_none(weights):
    nodes = [
        ("Mul", ["x", "s"], "a", {}),
        ("Conv", ["a", "w"], "y", {"pads": [1, 1, 1, 1]}),
        ("Conv", ["a", "d"], "z", {"group": 4}),
    ]
    assert all(isinstance(node, Conv) for node in folded(nodes, weights, ("y", "z")).nodes)
    assert len(folded(nodes, weights, ("y", "z")).nodes) == 2
    assert len(folded([*nodes, ("Relu", ["a"], "r", {})], weights, ("y", "z", "r")).nodes) == 4
    assert len(folded(nodes, weights, ("y", "z", "a")).nodes) == 3


def test_weights_of_integers_take_one_factor(rng):
    """The factor of all inputs goes into the step of the weights; one for each of them does not."""
    codes, zero = rng.integers(-9, 9, (6, 4, 3, 3)).astype(np.int8), np.int8(0)
    integers = {"q": codes, "step": np.float32(0.25), "zero": zero}
    nodes = [("Mul", ["x", "s"], "a", {}), ("DequantizeLinear", ["q", "step", "zero"], "w", {})]
    nodes.append(("Conv", ["a", "w"], "y", {}))
    [conv] = folded(nodes, integers | {"s": np.float32(-0.5)}).nodes
    assert conv.step == 0.125
    np.testing.assert_array_equal(conv.weights, codes * np.float32(-0.125))
    assert len(folded(nodes, integers | {"s": real(rng, 4, 1, 1)}).nodes) == 2


def test_weights_beyond_float32_are_refused(weights):
    nodes = [("Mul", ["x", "h"], "a", {}), ("Conv", ["a", "v"], "y", {})]
    proto = model(nodes, IMAGE, {"h": np.float32(3e38), "v": weights["w"] * 100})
    with pytest.raises(InputError, match="node mul_a: folded into conv_y, it is beyond the range of float32"):
        fold(read_onnx(proto))


def test_rows_of_factors_are_one():
    """Each in a row is read by the next alone; where others read of it, or weights before take it, it stays."""
    nodes = [("Neg", [f"t{index}" if index else "x"], f"t{index + 1}", {}) for index in range(8)]
    [affine] = folded(nodes, {}, ("t8",)).nodes
    assert isinstance(affine, Conv)
    assert len(folded(nodes, {}, ("t8", "t3")).nodes) == 2


def test_rows_whose_product_is_beyond_float32_stay():
    nodes = [("Mul", ["x", "h"], "a", {}), ("Mul", ["a", "h"], "b", {}), ("Mul", ["b", "l"], "y", {})]
    proto = model(nodes, IMAGE, {"h": np.float32(1e30), "l": np.float32(1e-30)})
    assert len(factors_in_readers(read_onnx(proto)).nodes) == 2


def test_weights_take_one_factor_in(weights):
    """A second one, which others read too, stays a layer before them."""
    nodes = [
        ("Mul", ["x", "s"], "a", {}),
        ("Conv", ["a", "w"], "y", {}),
        ("Mul", ["a", "255"], "c", {}),
        ("Conv", ["c", "g"], "z", {"group": 2}),
    ]
    assert [node.name for node in folded(nodes, weights, ("y", "z")).nodes] == ["mul_a", "conv_y", "conv_z"]
