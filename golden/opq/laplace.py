"""Weights drawn from a Laplace distribution: what pruning and quantizing them costs, and the bits that they need.

[S] OPQ models the weights of each layer as Laplace. [R] The formulas: with scale b, |w| is distributed exponentially
with mean b, so `p(|w| > x) = exp(-x/b)`. A scale of 0 stands for weights that are all 0. docs/opq.md derives them.
"""

from math import exp, expm1, log2
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roundel.golden.codec import Levels
from roundel.golden.rounding import Ints


def laplace_scale(weights: NDArray[Any]) -> float:
    """Maximum-likelihood scale of weights around 0: `b = mean|w|` [R]."""
    return float(np.abs(weights).mean())


def laplace_distance(weights: NDArray[Any], scale: float) -> float:
    """Kolmogorov-Smirnov distance of weights from the Laplace distribution around 0: 0 (they fit) to 1.

    The greatest difference, at any x, of the part of the weights up to x from the model's `p(w <= x)`. For n weights
    drawn from it, below about `1.36 / sqrt(n)` in 19 of 20 cases [S]. A scale of 0 fits zeros exactly.
    """
    if not scale:
        return 0.0
    x = np.sort(np.asarray(weights, dtype=np.float64), axis=None)
    tail = np.exp(-np.abs(x) / scale) / 2
    model = np.where(x < 0, tail, 1 - tail)
    ranks = np.arange(len(x) + 1) / len(x)  # of the weights, on both sides of each step
    return float(max((ranks[1:] - model).max(), (model - ranks[:-1]).max()))


def pruned_fraction(threshold: float, scale: float) -> float:
    """Fraction of the weights with |w| <= threshold: `p = 1 - exp(-beta/b)` [R]; 0 to 1."""
    return -expm1(-threshold / scale) if scale else 1.0


def pruning_distortion(threshold: float, scale: float) -> float:
    """Mean squared error, over all weights of a layer, of setting those up to `threshold` to 0 [R].

    `E = 2 b^2 - exp(-beta/b) (beta^2 + 2 b beta + 2 b^2)`, the integral of `x^2 exp(-x/b) / b` from 0 to beta.
    """
    if not scale:
        return 0.0
    t = threshold / scale
    return max(0.0, 2 * scale**2 * (1 - exp(-t) * (1 + t + t**2 / 2)))  # rounding alone could make it negative


def rounding_distortion(step: float) -> float:
    """Mean squared error, over the weights that survive, of rounding to multiples of `step`: `Delta^2 / 12` [R].

    The error is taken as uniform within half a step, and no weight as beyond the greatest level.
    """
    return step**2 / 12


def binary_entropy(p: float) -> float:
    """`H2(p) = -p log2(p) - (1-p) log2(1-p)`, bits; `p` 0 to 1.

    Raises
    ------
    ValueError
        `p` is no probability.
    """
    if not 0 <= p <= 1:
        raise ValueError(f"p must be 0 to 1, not {p!r}")
    return 0.0 if p in (0, 1) else -p * log2(p) - (1 - p) * log2(1 - p)


def floor_bits(density: float, ratio: float, *, most: int | None = None) -> float:
    """Bits per weight, zeros included, below which no code of such integers gets on average [R].

    `H = H2(d) + d (1 + H2(rho) / (1 - rho))`: whether a weight is zero, and if not its sign, and its level. Beyond the
    threshold an exponential distribution looks as it did at 0, so levels are geometric, `p(k + 1) = rho p(k)`.

    Parameters
    ----------
    density
        d, the fraction of weights that are not 0; 0 to 1.
    ratio
        rho = exp(-Delta/b), of each level's probability to that of the level before; 0 to below 1.
    most
        Greatest magnitude, which all that is larger becomes: the last term then counts `1 - rho**(most - 1)` times, a
        yes or no for each magnitude that another one may follow. None for any magnitude.

    Raises
    ------
    ValueError
        A parameter out of its range.
    """
    if not 0 <= ratio < 1:
        raise ValueError(f"ratio must be 0 to below 1, not {ratio!r}")
    clipped = 1.0 if most is None else 1 - ratio ** (most - 1)
    return binary_entropy(density) + density * (1 + clipped * binary_entropy(ratio) / (1 - ratio))


def entropy_bits(codes: Ints) -> float:
    """Bits per integer that a code needs which knows nothing but how often each value occurs in `codes` (at least one).

    Without any model: the floor to compare with where weights are no Laplace distribution.
    """
    _, counts = np.unique(codes, return_counts=True)
    p = counts / counts.sum()
    return float(-(p * np.log2(p)).sum() + 0.0)  # + 0.0 makes -0.0 positive


def laplace_levels(rng: np.random.Generator, count: int, *, density: float, rho: float, most: int = 7) -> Levels:
    """Levels of Laplace weights, pruned and quantized.

    Parameters
    ----------
    rng, count
        Source of the weights, and how many.
    density
        Part of the weights that pruning at a threshold leaves, in expectation.
    rho
        `exp(-step / scale)`: the chance that a survivor's magnitude is in a step beyond any given one.
    most
        Greatest magnitude; all that is larger becomes it.
    """
    weights = rng.laplace(size=count)
    excess = np.abs(weights) + np.log(density)
    magnitude = np.minimum(1 + np.floor(excess / -np.log(rho)), most)
    return np.asarray(np.where(excess < 0, 0, np.copysign(magnitude, weights)).astype(np.int8))
