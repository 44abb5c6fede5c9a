"""One-shot pruning and quantization: from trained weights alone to masks, steps and integer codes.

[P] analytic, from pre-trained weights only; one codebook per layer, shared by all its channels. [S] thresholds by a
Lagrange multiplier under a Laplace model. [R] every formula here; docs/opq.md derives them.

Layer i has N_i weights, Laplace scale b_i and a weighting alpha_i of its squared error. Everything follows from its
**unit** `alpha_i^(-1/2)`: thresholds are one number times the unit, and so are steps.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import exp, log, log2
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roundel.golden.opq.laplace import (
    entropy_bits,
    floor_bits,
    laplace_distance,
    laplace_scale,
    pruned_fraction,
    pruning_distortion,
)
from roundel.golden.opq.levels import Levels, Mask, Reals, allocate_rates, falling_root, quantize_layer
from roundel.golden.opq.params import OpqParams
from roundel.golden.opq.pattern_loss import DENSE, Choice, allocate, lost_energy

Masks = Callable[[int], Mask]
"""Which weights of a layer remain if so many channels of eight do, in the shape of the weights."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LayerPlan:
    """What becomes of one layer.

    Parameters
    ----------
    name
        The layer's, for messages.
    scale
        Laplace scale b of its weights.
    distance
        How far they are from that distribution, 0 to 1 (`roundel.golden.opq.laplace.laplace_distance`).
    threshold
        beta: smaller magnitudes are pruned, greater ones are not.
    mask
        True where a weight survives, in the shape of the weights. No weight that is 0 already survives.
    values
        The weights that remain, in the same shape: `k * step`, or as they were; 0 where pruned.
    predicted, measured
        Mean squared error of pruning over all weights of the layer: of the formula, and in fact.
    levels
        The integers; None if only pruned.
    kept
        Channels of eight that the layer's pattern keeps, 8 of a layer without; None where weights are pruned one by
        one.
    """

    name: str
    scale: float
    distance: float
    threshold: float
    mask: Mask
    values: Reals
    predicted: float
    measured: float
    levels: Levels | None
    kept: int | None = None

    @property
    def sparsity(self) -> float:
        """Fraction of the weights that are pruned."""
        return 1 - float(self.mask.mean())


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Bits that the weights of one layer take.

    Parameters
    ----------
    dense
        As float32, none left out.
    codes
        The codes that are not 0, without their positions: the size that says least.
    floor
        Positions included, at the floor for Laplace weights of this density, step and scale (`floor_bits`).
    entropy
        The same without a model, from how often each code occurs (`entropy_bits`).
    """

    dense: float
    codes: float
    floor: float
    entropy: float


def opq(
    weights: Mapping[str, NDArray[Any]], params: OpqParams, patterns: Mapping[str, Masks] | None = None
) -> dict[str, LayerPlan]:
    """Prune and quantize the layers of a network.

    Parameters
    ----------
    weights
        Real weights of each layer by name, in any shape, taken as float32. Without bias, and with batch normalization
        folded in, since the hardware multiplies by these.
    params
        What to reach.
    patterns
        Of the layers that may have patterns of channels, their masks: then patterns prune, in these layers alone, and
        `sparsity` is that which they reach at least. None: weights are pruned one by one.

    Returns
    -------
    dict
        A plan for each layer, in the same order.

    Raises
    ------
    ValueError
        No layer, a layer without weights, or one with a weight that is not finite; a sparsity that patterns do not
        reach.
    """
    reals = {name: _as_float32(name, values) for name, values in weights.items()}
    if not reals:
        raise ValueError("expected the weights of at least one layer")
    scales = {name: laplace_scale(values) for name, values in reals.items()}
    units = {name: params.weighting.unit(scales[name], values.size) for name, values in reals.items()}
    kept: dict[str, int] = {}
    if patterns is not None:
        kept = pattern_choices(reals, units, params, patterns)
        multiplier = 0.0
        masks = {name: patterns[name](kept[name]) if kept[name] < DENSE else values != 0
                 for name, values in reals.items()}  # fmt: skip
    elif params.exact:
        multiplier, masks = exact_pruning(reals, units, params.sparsity)
    else:
        counts = {name: values.size for name, values in reals.items()}
        multiplier = analytic_multiplier(counts, scales, units, params.sparsity)
        masks = {name: np.asarray(np.abs(values) > multiplier * units[name]) for name, values in reals.items()}
    levels = _quantize(reals, masks, units, params)
    plans = {}
    for name, values in reals.items():
        survivors, coded = np.where(masks[name], values, 0.0).astype(np.float64), levels.get(name)
        plans[name] = LayerPlan(
            name=name,
            scale=scales[name],
            distance=laplace_distance(values, scales[name]),
            threshold=multiplier * units[name],
            mask=masks[name],
            values=survivors if coded is None else coded.values,
            predicted=pattern_distortion(kept[name], scales[name], params.columns)
            if kept
            else pruning_distortion(multiplier * units[name], scales[name]),
            measured=float(np.mean((values - survivors) ** 2)),
            levels=coded,
            kept=kept.get(name),
        )
    return plans


def pattern_distortion(kept: int, scale: float, columns: int) -> float:
    """Mean squared error, over all weights of a layer, of a pattern: its part of the Laplace model's `2 b^2` [R]."""
    return 2 * scale**2 * lost_energy(kept, columns)


def pattern_choices(
    weights: Mapping[str, Reals], units: Mapping[str, float], params: OpqParams, patterns: Mapping[str, Masks]
) -> dict[str, int]:
    """Return the channels of eight that each layer keeps, 8 where it has no pattern [R].

    Parameters
    ----------
    weights, units
        By layer: weights, and `alpha^(-1/2)` (`Weighting.unit`).
    params
        Its `patterns` are the choice; with `exact` errors are those of the weights themselves, else the model's.
    patterns
        Masks of the layers that may have one.
    """

    def lost(name: str, kept: int) -> float:
        values = weights[name].astype(np.float64)
        if kept == DENSE:
            return 0.0
        if not params.exact:
            return pattern_distortion(kept, laplace_scale(values), params.columns)
        return float(np.mean(np.where(patterns[name](kept), 0, values) ** 2))

    layers = {
        name: Choice(
            count=values.size,
            weight=units[name] ** -2 if units[name] else 0.0,
            lost={kept: lost(name, kept) for kept in params.patterns} if name in patterns else {},
        )
        for name, values in weights.items()
    }
    return allocate(layers, params.sparsity)


def analytic_multiplier(
    counts: Mapping[str, int], scales: Mapping[str, float], units: Mapping[str, float], sparsity: float
) -> float:
    """`sqrt(lambda)`: this times a layer's unit is its threshold, under the Laplace model [S] (how: [R]).

    `sum(alpha_i N_i E_i)` is least at a given `sum(N_i p_i)` where `alpha_i dE_i/dp_i = lambda`. As
    `dE_i = beta_i^2 dp_i`, that is `beta_i = sqrt(lambda / alpha_i)`. Bisection of the logarithm, between the values at
    which the first and the last layer reach the sparsity; with the weighting `layer` they coincide, a closed form.
    0 if enough weights are 0 already.

    Parameters
    ----------
    counts, scales, units
        By layer: weights, scale b of the Laplace model, and `alpha^(-1/2)` (`Weighting.unit`).
    sparsity
        Fraction of all weights that become 0.
    """
    live = [name for name in scales if scales[name]]
    kept = (1 - sparsity) * sum(counts.values())
    total = sum(counts[name] for name in live)
    if total <= kept:
        return 0.0
    ends = [log(total / kept) * scales[name] / units[name] for name in live]

    def excess(exponent: float) -> float:
        """How many weights too many survive."""
        survivors = (counts[n] * (1 - pruned_fraction(2**exponent * units[n], scales[n])) for n in live)
        return sum(survivors) - kept

    return float(2 ** falling_root(excess, log2(min(ends)), log2(max(ends))))


def exact_pruning(
    weights: Mapping[str, Reals], units: Mapping[str, float], sparsity: float
) -> tuple[float, dict[str, Mask]]:
    """`sqrt(lambda)` and the masks with which `round(P sum(N_i))` weights are pruned [R].

    The same rule on the weights themselves: those with the least `sqrt(alpha_i) |w|` go, so no other choice of as many
    has a lower `sum(alpha_i w^2)`. Of equal ones the first go first, in order of the layers and of C. Zeros always go.

    Parameters
    ----------
    weights, units
        By layer: weights of any shape, and `alpha^(-1/2)` (`Weighting.unit`).
    sparsity
        Fraction P of all weights that become 0.
    """
    # a unit of 0 belongs to a layer of zeros
    relative = [np.abs(values).ravel() / (units[name] or 1.0) for name, values in weights.items()]
    everything = np.concatenate(relative)
    count = max(round(sparsity * everything.size), int((everything == 0).sum()))
    multiplier = float(np.partition(everything, count - 1)[count - 1]) if count else 0.0
    alive = everything >= multiplier
    equal = np.flatnonzero(everything == multiplier)
    alive[equal[: count - int((~alive).sum())]] = False
    ends = np.cumsum([values.size for values in weights.values()])[:-1]
    parts = zip(weights.items(), np.split(alive, ends), strict=True)
    masks = {name: part.reshape(values.shape) for (name, values), part in parts}
    return multiplier, masks


def sizes(plan: LayerPlan) -> Sizes:
    """Return what a quantized layer takes; add up those of all layers for the network.

    Raises
    ------
    ValueError
        The layer is only pruned: it has no codes.
    """
    levels, count = plan.levels, plan.mask.size
    if levels is None:
        raise ValueError(f"{plan.name}: expected a plan with levels, made with bits")
    nonzero = int(np.count_nonzero(levels.codes))
    ratio = exp(-levels.step / plan.scale) if nonzero else 0.0
    return Sizes(
        dense=32.0 * count,
        codes=float(levels.width * nonzero),
        floor=floor_bits(nonzero / count, ratio) * count,
        entropy=entropy_bits(levels.codes) * count,
    )


def _quantize(
    weights: Mapping[str, Reals], masks: Mapping[str, Mask], units: Mapping[str, float], params: OpqParams
) -> dict[str, Levels]:
    """Return the levels of every layer; none if only pruning is asked for."""
    if params.bits is None:
        return {}
    survivors = {name: int(mask.sum()) for name, mask in masks.items()}
    ranges = {n: 2 * float(np.abs(weights[n][masks[n]]).max()) for n in weights if survivors[n]}
    rates = allocate_rates(ranges, units, survivors, params.bits, params.max_width)
    return {name: quantize_layer(name, weights[name], masks[name], rates.get(name, 0.0), params) for name in weights}


def _as_float32(name: str, values: NDArray[Any]) -> Reals:
    """Return the weights of a layer, as networks store them, in the float64 that sums of them need."""
    with np.errstate(over="ignore"):
        reals = np.asarray(values, dtype=np.float32).astype(np.float64)
    if not reals.size:
        raise ValueError(f"{name}: expected at least one weight")
    if not np.isfinite(reals).all():
        raise ValueError(f"{name}: weights must be finite in float32")
    return reals
