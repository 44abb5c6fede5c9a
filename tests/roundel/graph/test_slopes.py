"""Slopes below -1: channels turn around in the weights before them, and float results stay."""

import numpy as np
import pytest

from roundel.frontend import read_onnx
from roundel.graph import Conv, Dense, PRelu, fold
from tests.support.onnx_models import model, reference

SLOPES = np.float32([-1.278, 1.012, -0.5, -1.0, -1.9, 1.9])


def both(rows, constants, shape=(4, 6, 5), outputs=("y",)):
    """The normal form and its results, and those of onnxruntime, for the same images."""
    proto = model(rows, shape, constants, outputs)
    graph = fold(read_onnx(proto))
    x = np.random.default_rng(3).normal(size=(3, *shape)).astype(np.float32)
    return graph, [(graph.outputs(x)[name], values) for name, values in zip(outputs, reference(proto, x), strict=True)]


def steep(limit, slopes=SLOPES):
    return np.where(slopes < -1, np.float32(limit), slopes)


@pytest.mark.parametrize("pooled", [False, True])
def test_slopes_below_minus_1_turn_around(pooled):
    rng = np.random.default_rng(1)
    constants = {"w": rng.normal(size=(6, 4, 3, 3)).astype(np.float32), "b": rng.normal(size=6).astype(np.float32)}
    constants["s"] = steep(-1.9).reshape(6, 1, 1)
    rows = [("Conv", ["x", "w", "b"], "a", {}), ("PRelu", ["a", "s"], "c" if pooled else "y", {})]
    if pooled:
        rows.append(("MaxPool", ["c"], "y", {"kernel_shape": [2, 2]}))
    graph, results = both(rows, constants)
    [slopes] = [node.slopes for node in graph.nodes if isinstance(node, PRelu)]
    np.testing.assert_allclose(slopes, np.where(SLOPES < -1, -1 / 1.9, SLOPES), rtol=1e-6)
    [node] = [node for node in graph.nodes if isinstance(node, Conv)]
    np.testing.assert_allclose(node.weights[0], -1.9 * constants["w"][0], rtol=1e-6)
    assert np.array_equal(node.weights[1:4], constants["w"][1:4])
    for given, wanted in results:
        np.testing.assert_allclose(given, wanted, rtol=1e-4, atol=1e-4)


def test_sums_that_others_read_stay():
    rng = np.random.default_rng(2)
    constants = {"w": rng.normal(size=(6, 4, 1, 1)).astype(np.float32), "s": steep(-1.5).reshape(6, 1, 1)}
    rows = [("Conv", ["x", "w"], "a", {}), ("PRelu", ["a", "s"], "y", {}), ("Relu", ["a"], "z", {})]
    graph, results = both(rows, constants, outputs=("y", "z"))
    [slopes] = [node.slopes for node in graph.nodes if isinstance(node, PRelu)]
    assert np.array_equal(slopes, steep(-1.5))
    for given, wanted in results:
        np.testing.assert_allclose(given, wanted, rtol=1e-4, atol=1e-4)


def test_a_matrix_turns_its_columns():
    rng = np.random.default_rng(3)
    constants = {"m": rng.normal(size=(120, 6)).astype(np.float32), "s": steep(-1.25)}
    graph, results = both(
        [("Flatten", ["x"], "f", {}), ("MatMul", ["f", "m"], "a", {}), ("PRelu", ["a", "s"], "y", {})], constants
    )
    assert any(isinstance(node, Dense) for node in graph.nodes)
    [slopes] = [node.slopes for node in graph.nodes if isinstance(node, PRelu)]
    assert slopes.min() >= -1
    for given, wanted in results:
        np.testing.assert_allclose(given, wanted, rtol=1e-4, atol=1e-3)
