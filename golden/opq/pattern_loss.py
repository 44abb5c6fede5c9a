"""What patterns of channels cost: the energy lost under the Laplace model, and which pattern each layer takes.

[S] OPQ models weights as Laplace and allocates by a Lagrange multiplier. [R] Everything here: of the eight channels
that a lane chooses from, the block keeps those with the greatest sum of squares over its outputs. What it loses are
the lowest order statistics of eight such sums. docs/opq.md derives the formulas.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from math import comb

import numpy as np
from numpy.typing import NDArray

CANDIDATES = 8
DENSE = CANDIDATES
BIN = 1 / 16  # of a sum of squares, in units of b^2
REACH = 2048  # of the sums that are looked at: what lies beyond is below 1e-12 of 64 outputs


@cache
def lost_energy(kept: int, outputs: int) -> float:
    """Part of a Laplace layer's energy that a pattern loses, 0 to 1: the mean of the lowest of eight sums [R].

    With S the sum of `outputs` squares of Laplace weights of scale 1, whose mean is `2 outputs`, and F its
    distribution, the k-th lowest of eight has mean `integral of 1 - P(at least k of eight are below x)`.

    Parameters
    ----------
    kept
        Channels of eight that a block keeps, 0 to 8.
    outputs
        Of a block, 1 to 64.
    """
    if not 0 <= kept <= CANDIDATES or not 1 <= outputs <= 64:
        raise ValueError(f"expected 0 to 8 channels kept and 1 to 64 outputs, not {kept} and {outputs}")
    below = _distribution(outputs)
    lost = 0.0
    for rank in range(1, CANDIDATES - kept + 1):
        at_least = [
            comb(CANDIDATES, count) * below**count * (1 - below) ** (CANDIDATES - count)
            for count in range(rank, CANDIDATES + 1)
        ]
        lost += float((1 - np.sum(at_least, axis=0)).sum()) * BIN
    return lost / (CANDIDATES * 2 * outputs)


def _distribution(outputs: int) -> NDArray[np.float64]:
    """`P(S <= x)` of the sum of squares, at the middles of bins of `BIN`.

    `P(w^2 <= y) = 1 - exp(-sqrt(y))`. A bin's probability is shared by its ends so that its mean stays.
    """
    edges = np.arange(int(REACH / BIN) + 1) * BIN
    root = np.sqrt(edges)
    above = np.exp(-root)
    chance = above[:-1] - above[1:]
    partial = above * (edges + 2 * root + 2)  # the integral of y from there on
    upper = (partial[:-1] - partial[1:] - edges[:-1] * chance) / BIN
    mass = np.zeros(len(edges))
    mass[:-1] += chance - upper
    mass[1:] += upper
    mass[-1] += above[-1]
    size = 2 * len(mass)
    total = np.fft.irfft(np.fft.rfft(mass, size) ** outputs, size)[: len(mass)]
    return np.asarray(np.clip(np.cumsum(total), 0, 1))


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A layer whose pattern is chosen.

    Parameters
    ----------
    count
        Its weights.
    weight
        alpha: what a squared error counts.
    lost
        Mean squared error over all its weights by channels of eight that may be kept, 0 of 8; none: a layer without
        patterns, which keeps 8.
    """

    count: int
    weight: float
    lost: Mapping[int, float]


def allocate(layers: Mapping[str, Choice], sparsity: float) -> dict[str, int]:
    """Return the channels of eight that each layer keeps [R].

    `sum(alpha_i N_i E_i)` is least for the part of the weights that remain: a Lagrange multiplier makes each layer go
    along the lower hull of its points (part pruned, error), as far as a further step costs less than the multiplier.
    Steps are taken from the cheapest on until at least `sparsity` is reached.

    Parameters
    ----------
    layers
        By name.
    sparsity
        Part of all weights that patterns take away at least, 0 to below 1; more where layers do not have 8.

    Raises
    ------
    ValueError
        More than all layers' sparsest patterns take away.
    """
    chosen = {name: max(layer.lost, default=DENSE) for name, layer in layers.items()}
    left = sparsity * sum(layer.count for layer in layers.values())
    left -= sum(layer.count * (DENSE - chosen[name]) / CANDIDATES for name, layer in layers.items())
    moves = sorted(
        ((slope, place, name, kept) for place, (name, layer) in enumerate(layers.items())
         for slope, kept in _hull(layer)),
    )  # fmt: skip
    for _, _, name, kept in moves:
        if left <= 1e-9:
            break
        left -= layers[name].count * (chosen[name] - kept) / CANDIDATES
        chosen[name] = kept
    if left > 1e-9:
        most = 1 - sum(layer.count * chosen[name] for name, layer in layers.items()) / CANDIDATES / sum(
            layer.count for layer in layers.values()
        )
        raise ValueError(f"patterns leave out at most {most:.1%} of the weights, not {sparsity:.1%}")
    return chosen


def _hull(layer: Choice) -> list[tuple[float, int]]:
    """Return the steps along the lower hull of a layer's points: error for each weight less, and channels then kept."""
    steps, at = list[tuple[float, int]](), max(layer.lost, default=DENSE)
    while sparser := [kept for kept in layer.lost if kept < at]:
        error = layer.lost[at]

        def slope(kept: int, at: int = at, error: float = error) -> float:
            return layer.weight * (layer.lost[kept] - error) * CANDIDATES / (at - kept)

        best = min(sparser, key=lambda kept: (slope(kept), kept))
        steps.append((slope(best), best))
        at = best
    return steps
