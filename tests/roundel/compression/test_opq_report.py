"""The rows of the pruning and quantization report, and the distance from a Laplace distribution, by hand."""

from math import exp, isclose, log2

import numpy as np
import pytest

from roundel.compression.opq_table import opq_table
from roundel.golden.network import Window
from roundel.golden.opq import OpqParams, opq
from roundel.golden.opq.laplace import laplace_distance, laplace_scale
from roundel.graph import codes_of, graph, layer_codes, layer_weights
from tests.support.every_node import every_node, shaped

WEIGHTS = {
    "first": np.array([0.0, 0.0, 0.0, 0.0, 1.0, 1.0, -1.0, -1.0]),
    "second": np.array([[3.0, 0.0], [-3.0, 0.0]]),
}


def test_distance_is_the_greatest_gap_on_a_fine_grid(seed: int) -> None:
    for weights in (np.array([0.5, -0.25, 0.125]), np.random.default_rng(seed).normal(size=40), np.array([1.0] * 9)):
        b = laplace_scale(weights)
        x = np.linspace(-5, 5, 200_001)
        model = np.where(x < 0, np.exp(-np.abs(x) / b) / 2, 1 - np.exp(-np.abs(x) / b) / 2)
        part = (weights[:, None] <= x).mean(axis=0)
        assert isclose(laplace_distance(weights, b), np.abs(part - model).max(), abs_tol=1e-3)


def test_laplace_weights_are_near_and_others_are_not(seed: int) -> None:
    rng = np.random.default_rng(seed)
    bound = 1.36 / 100  # of 10,000 weights
    assert laplace_distance(rng.laplace(0, 0.3, (100, 100)), 0.3) < 2 * bound
    assert laplace_distance(rng.uniform(-1, 1, 10_000), 0.5) > 4 * bound
    assert laplace_distance(np.zeros(3), 0.0) == 0


def test_rows_by_hand() -> None:
    plans = opq(WEIGHTS, OpqParams(bits=2))
    first, second, total = opq_table(plans, streams={"first": 4, "second": 8})
    assert (first["layer"], first["weights"], first["pruned"], first["zeros"]) == ("first", 8, 0.5, 0.5)
    assert (first["laplace_scale"], first["width"], first["rate"], first["step"]) == (0.5, 2, 2, 0.5)
    assert first["rounding_measured"] == 0.25  # two levels of half the greatest magnitude: all saturate
    assert first["rounding_predicted"] == 0.5**2 / 12
    assert (first["float32_bytes"], first["codes_bytes"], first["entropy_bytes"]) == (32, 1, 1.5)
    rho = exp(-1)
    level = (-rho * log2(rho) - (1 - rho) * log2(1 - rho)) / (1 - rho)
    assert isclose(first["floor_bytes"], 1 + 0.5 * (1 + level))
    assert (first["ratio"], first["over_floor"]) == (8, 4 / 1.5 - 1)
    assert (second["float32_bytes"], second["stream_bytes"], second["ratio"]) == (16, 8, 2)
    assert (total["layer"], total["weights"], total["pruned"], total["width"]) == ("all", 12, 0.5, None)
    assert (total["float32_bytes"], total["stream_bytes"], total["ratio"]) == (48, 12, 4)
    assert total["entropy_bytes"] == first["entropy_bytes"] + second["entropy_bytes"]


def test_fine_tuned_codes_take_the_place_of_the_planned_ones() -> None:
    plans = opq(WEIGHTS, OpqParams(bits=2))
    codes = {"first": np.array([0, 0, 0, 0, 0, 0, -1, -1]), "second": np.zeros((2, 2), int)}
    first, second, total = opq_table(plans, codes)
    assert (first["pruned"], first["zeros"], first["codes_bytes"]) == (0.5, 0.75, 0.5)
    assert isclose(first["entropy_bytes"], -(0.25 * log2(0.25) + 0.75 * log2(0.75)))
    assert (first["stream_bytes"], first["over_floor"]) == (None, None)
    assert isclose(first["ratio"], 32 / first["entropy_bytes"])
    assert (second["zeros"], second["entropy_bytes"], second["ratio"]) == (1, 0, None)
    assert total["zeros"] == 10 / 12
    with pytest.raises(ValueError, match=r"^second: expected codes of shape \(2, 2\), not \(4,\)$"):
        opq_table(plans, codes | {"second": np.zeros(4, int)})


def test_a_layer_that_is_only_pruned_has_no_sizes() -> None:
    row = opq_table(opq(WEIGHTS, OpqParams(sparsity=0.5)))[0]
    assert row["pruned"] == row["zeros"] == 0.5
    for name in ("width", "step", "rounding_measured", "codes_bytes", "entropy_bytes", "stream_bytes", "ratio"):
        assert row[name] is None


def test_codes_of_layers(seed: int) -> None:
    rng = np.random.default_rng(seed)
    k, m = rng.integers(-7, 8, (3, 2, 1, 1)), rng.integers(-7, 8, (3, 4))
    step = np.array([0.5, 0.25, 2.0], np.float32)
    conv = graph.Conv(
        name="conv",
        inputs=("image",),
        output="a",
        weights=(k * step[:, None, None, None]).astype(np.float32),
        bias=np.zeros(3, np.float32),
        window=Window(kernel=(1, 1)),
        step=step,
    )
    flat = graph.Flatten(name="flat", inputs=("a",), output="b")
    steps = np.array([0.125, 4, 1, 0.5], np.float32)
    dense = graph.Dense(
        name="dense",
        inputs=("b",),
        output="y",
        weights=(m * steps).astype(np.float32),
        bias=np.zeros(4, np.float32),
        step=steps,
    )
    codes = layer_codes(shaped((conv, flat, dense), (2, 1, 1), ("y",)))
    assert np.array_equal(codes["conv"], k)
    assert np.array_equal(codes["dense"], m)
    assert np.array_equal(codes_of(conv), k)
    assert layer_codes(every_node(seed)) == {}
    assert list(layer_weights(every_node(seed))) == ["a.node", "l.node", "p.node"]
