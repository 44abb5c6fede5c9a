"""The Laplace model of weights against integrals and entropies computed from their definition."""

from math import exp, isclose

import numpy as np
import pytest

from roundel.golden.opq import laplace


@pytest.mark.parametrize("scale", [0.03, 1.0, 7.5])
@pytest.mark.parametrize("ratio", [0.0, 0.01, 0.7, 1.609, 6.0])
def test_pruning_against_integrals(scale: float, ratio: float) -> None:
    edges = np.linspace(-ratio * scale, ratio * scale, 20_001)
    x, width = (edges[1:] + edges[:-1]) / 2, edges[1] - edges[0]
    density = np.exp(-np.abs(x) / scale) / (2 * scale)
    assert isclose(laplace.pruned_fraction(ratio * scale, scale), density.sum() * width, rel_tol=1e-6)
    assert isclose(laplace.pruning_distortion(ratio * scale, scale), (x**2 * density).sum() * width, rel_tol=1e-5)


def test_rounding_against_an_integral() -> None:
    x, width = np.linspace(-12, 12, 400_001, retstep=True)
    error = x - 0.5 * np.rint(x / 0.5)
    integral = float((error**2 * np.exp(-np.abs(x)) / 2).sum() * width)
    assert isclose(laplace.rounding_distortion(0.5), integral, rel_tol=0.02)  # the uniform error is an approximation


@pytest.mark.parametrize(("threshold", "step"), [(1.6, 0.7), (2.3, 0.4), (0.1, 3.0)])
def test_floor_against_the_entropy_of_the_cells(threshold: float, step: float) -> None:
    edges = threshold + step * np.arange(400)
    tail = np.exp(-edges / 1.0)
    cells = np.concatenate([[1 - tail[0]], np.repeat((tail[:-1] - tail[1:]) / 2, 2)])
    cells = cells[cells > 0]
    entropy = float(-(cells * np.log2(cells)).sum())
    assert isclose(laplace.floor_bits(exp(-threshold), exp(-step)), entropy, rel_tol=1e-9)


def test_ends_of_the_floor() -> None:
    assert laplace.floor_bits(0.0, 0.9) == 0
    assert laplace.floor_bits(1.0, 0.0) == 1  # signs alone
    assert laplace.floor_bits(0.5, 0.5) == 2.5  # 1 + 0.5 (1 + 1 / 0.5)
    for bad in ((1.1, 0.5), (-0.1, 0.5), (0.5, 1.0), (0.5, -0.1)):
        with pytest.raises(ValueError, match=r"must be 0 to"):
            laplace.floor_bits(*bad)


@pytest.mark.parametrize(
    ("weights", "distance"),
    [
        ([0.0], 0.5),  # all of the weights at 0, half of the model's on either side
        ([1.0], 1 - exp(-1) / 2),  # below 1 the model has all but half of exp(-1), the weights nothing
        ([-1.0, -1.0, 5.0], 2 / 3 - exp(-1) / 2),
        ([-1.0, 0.0, 1.0], max(exp(-1) / 2, 1 / 2 - 1 / 3, 1 - exp(-1) / 2 - 2 / 3)),
    ],
)
def test_distance_by_hand(weights: list[float], distance: float) -> None:
    assert isclose(laplace.laplace_distance(np.array(weights), 1.0), distance, rel_tol=1e-12)
    assert isclose(laplace.laplace_distance(np.array(weights[::-1]) / 8, 0.125), distance, rel_tol=1e-12)


def test_distance_of_zeros() -> None:
    assert laplace.laplace_distance(np.zeros(3), 0.0) == 0


def test_entropy_by_hand() -> None:
    assert laplace.entropy_bits(np.array([0, 0, 0, 0, 1, 1, -1, 2])) == 1.75
    assert laplace.entropy_bits(np.zeros(5, dtype=np.int64)) == 0
