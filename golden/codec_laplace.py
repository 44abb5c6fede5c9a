"""The model that codecs of sparse weights are measured against: pruned Laplace weights, uniform steps."""

import numpy as np

from golden.codec_params import Levels


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


def entropy_floor(*, density: float, rho: float, most: int | None = 7) -> float:
    """Bits per weight below which no code of `laplace_levels` comes, in expectation.

    [R] `H2(d) + d (1 + H2(rho) / (1 - rho))` for any magnitude (`most` None); for magnitudes clipped to `most` the last
    term is `(1 - rho**(most - 1))` times that: a yes or no for each magnitude that another one may follow.
    """
    clipped = 1.0 if most is None else 1 - rho ** (most - 1)
    return _entropy(density) + density * (1 + clipped * _entropy(rho) / (1 - rho))


def _entropy(chance: float) -> float:
    """H2: the entropy of one yes or no, in bits."""
    return float(-chance * np.log2(chance) - (1 - chance) * np.log2(1 - chance))
