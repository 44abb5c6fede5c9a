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
