"""How much the network loses where a layer's weights have fewer bits, or a pattern."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from roundel.compression.budget.params import Sensitivity
from roundel.compression.budget.variants import LayerVariant, LayerVariants
from roundel.golden.formats import Format
from roundel.graph import Conv, Dense, Graph, Reals
from roundel.quantization import QuantizeOptions, estimate
from roundel.ui import Progress

IMAGES = 4  # calibration images that are run at most
FINER = 2  # fractional bits beyond the estimate that are tried: the greatest weights are clipped then

Losses = NDArray[np.float64]
Weighted = Conv | Dense


def sensitivities(
    variants: LayerVariants,
    images: NDArray[np.float32],
    choices: Mapping[str, Sequence[LayerVariant]],
    options: QuantizeOptions,
    sensitivity: Sensitivity,
    progress: Progress,
) -> dict[str, Losses]:
    """Return the loss of each layer as each of its variants, as if all others kept their real weights.

    With images it is the sum over the network's results of `||y - y_q||^2 / ||y||^2`, where y_q is the result with this
    layer's weights pruned and rounded and nothing else: errors that are small and independent add up. Without, it is
    `||w - w_q||^2 / ||w||^2` of the weights.

    Parameters
    ----------
    variants
        The network and its patterns.
    images
        Calibration images, of which at most `IMAGES` are run.
    choices
        What each layer may be, by the name of its node.
    options
        How weights are rounded.
    sensitivity
        By images or by weights alone.
    progress
        Told of every layer.
    """
    graph = variants.graph
    nodes = {node.name: node for node in graph.nodes if isinstance(node, Weighted) and node.name in choices}
    some = images[np.linspace(0, len(images) - 1, min(IMAGES, len(images))).round().astype(int)]
    effect = Effect(graph, some) if sensitivity is Sensitivity.IMAGES else None
    losses = {}
    with progress("sensitivity of layers", len(nodes)) as step:
        for name, node in nodes.items():
            each = []
            for width, kept in choices[name]:
                rounded = rounded_weights(replace(node, weights=variants.weights(node, kept)), width, options)
                each.append(relative(rounded, node.weights) if effect is None else effect.of(node, rounded))
            losses[name] = np.asarray(each, np.float64)
            step(name)
    return losses


class Effect:
    """What a change of one layer's weights does to the results.

    Parameters
    ----------
    graph
        The network.
    images
        What it runs on.
    """

    def __init__(self, graph: Graph, images: NDArray[np.float32]) -> None:
        self.graph = graph
        self.values = graph.values(images)

    def of(self, node: Weighted, weights: Reals) -> float:
        """Return the relative squared error of all results together; only what depends on the layer is run again."""
        changed: dict[str, Reals] = {}
        with np.errstate(over="ignore", invalid="ignore"):
            for other in self.graph.nodes:
                if other is node:
                    inputs = [self.values[name] for name in node.inputs]
                    changed[node.output] = replace(node, weights=weights).compute(*inputs)
                elif any(name in changed for name in other.inputs):
                    inputs = [changed[name] if name in changed else self.values[name] for name in other.inputs]
                    changed[other.output] = other.compute(*inputs)
        results = dict.fromkeys(self.graph.results)
        return sum(relative(changed[name], self.values[name]) for name in results if name in changed)


def relative(values: Reals, reference: Reals) -> float:
    """Return `||values - reference||^2 / ||reference||^2`; 0 where there is nothing to lose."""
    difference = values.astype(np.float64) - reference
    power = float(np.vdot(reference.astype(np.float64), reference))
    return float(np.vdot(difference, difference)) / power if power else 0.0


def rounded_weights(node: Weighted, bits: int, options: QuantizeOptions) -> Reals:
    """Return weights as so many bits hold them, with the fractional bits of the least squared error.

    One number of fractional bits for the layer, or with `per_channel` one for every output.
    """
    axis = 0 if isinstance(node, Conv) else 1
    outputs = np.moveaxis(node.weights, axis, 0).astype(np.float64)
    low, high = options.weight_limits(bits)
    form = Format(width=bits, signed=True, fraction=0)
    rows = outputs.reshape(len(outputs) if options.per_channel else 1, -1)
    best = np.zeros_like(rows)
    for place, row in enumerate(rows):
        first = estimate(row, form)
        tries = [_rounded(row, fraction, low, high) for fraction in range(first, first + FINER + 1)]
        best[place] = min(tries, key=lambda tried: float(((tried - row) ** 2).sum()))
    return np.ascontiguousarray(np.moveaxis(best.reshape(outputs.shape), 0, axis), dtype=np.float32)


def _rounded(values: Losses, fraction: int, low: int, high: int) -> Losses:
    return np.clip(np.floor(np.ldexp(values, fraction) + 0.5), low, high) * 2.0**-fraction
