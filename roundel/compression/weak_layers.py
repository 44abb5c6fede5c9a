"""Layers of which quantization leaves less than `LEAST_DB`, and the likely cause of each.

[R] The error is told apart on some calibration images: what the format of the result alone does to the float result,
clamping and rounding; what integer weights and biases add to it on float inputs; and the rest, which the integer inputs
add. The greatest of the three is named.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roundel.golden.formats import Format
from roundel.golden.network import Layer, Network, Weighted, im2col, steps
from roundel.graph import Graph, Node, Reals
from roundel.quantization import LEAST_DB, Quantized, integer_order, sqnr_db

SAMPLE, VALUES = 16, 1 << 20  # most calibration images on which causes are told apart, and values of them
HELD = 1 << 24  # values of all tensors of those images
SHOWN = 8  # layers of which the cause is named
MOST_BITS = 8  # that an activation or a weight can be given


@dataclass(frozen=True, kw_only=True, eq=False)
class Tensors:
    """Every tensor of both networks on some images, by layer: real numbers and integers in one order of axes.

    `functions` has the functions of one value behind layers.
    """

    network: Network
    real: Mapping[str, Reals]
    codes: Mapping[str, NDArray[np.integer[Any]]]
    functions: Mapping[str, Node] = field(default_factory=dict)

    def form(self, name: str) -> Format:
        """Return the format of a layer's result, or of the input."""
        if name == self.network.source:
            return self.network.input
        return next(layer.output for layer in self.network.layers if layer.name == name)

    def sqnr(self, name: str) -> float:
        """SQNR of a tensor in dB."""
        real = np.asarray(self.real[name], dtype=np.float64)
        apart = self.form(name).decode(self.codes[name]) - real
        return sqnr_db(float(np.square(real).sum()), float(np.square(apart).sum()))


def weak_layers(graph: Graph, quantized: Quantized, images: NDArray[np.generic]) -> list[str]:
    """Return a line for each layer whose SQNR on the calibration images is below `LEAST_DB`, in dataflow order.

    Parameters
    ----------
    graph
        The float network that was quantized, folded.
    quantized
        The integer network.
    images
        Calibration images, as the network takes them; causes are told apart on the first ones.
    """
    weak = [choice for choice in quantized.choices if choice.sqnr_db < LEAST_DB]
    if not weak:
        return []
    count = max(1, min(SAMPLE, VALUES // images[0].size, HELD // sum(map(prod, graph.shapes.values()))))
    tensors = _tensors(graph, quantized, images[:count])
    layers = {layer.name: layer for layer in quantized.network.layers}
    lines = [
        f"layer {choice.name}: {_decibels(choice.sqnr_db)}, less than {LEAST_DB:g} dB: "
        + likely_cause(layers[choice.name], tensors)
        for choice in weak[:SHOWN]
    ]
    more = [choice.name for choice in weak[SHOWN:]]
    return lines + ([f"layers below {LEAST_DB:g} dB besides: {', '.join(more)}"] if more else [])


def likely_cause(layer: Layer, tensors: Tensors) -> str:
    """Return what explains most of a layer's error, in words."""
    form, name = layer.output, layer.name
    real = np.asarray(tensors.real[name], dtype=np.float64)
    error = _mean_square(form.decode(tensors.codes[name]) - real)
    if not real.any():
        return "its float result is 0 on all calibration images, from which nothing can be chosen"
    stored = _mean_square(form.decode(form.encode(real)) - real)
    weights = _weights_error(layer, real, tensors) if isinstance(layer, Weighted) else 0.0
    inputs = error - weights - stored
    if inputs > max(stored, weights):
        worst = min(layer.sources, key=tensors.sqnr)
        return f"its input {worst} has only {_decibels(tensors.sqnr(worst))}"
    if not isinstance(layer, Weighted) or stored > weights:
        return _format_cause(real, form)
    if layer.w.width != layer.b.width:
        return _weights_cause(layer) if layer.w.width < layer.b.width else _biases_cause(layer)
    return f"{_weights_cause(layer)}, or {_biases_cause(layer)}"


def _format_cause(real: NDArray[np.float64], form: Format) -> str:
    """Say what the format of a result does to it: its ends, or its step."""
    low, high = (float(form.decode(np.array(end))) for end in form.limits)
    beyond = real - np.clip(real, low, high)
    way_on = " (--activation-bits)" if form.width < MOST_BITS else ""
    if _mean_square(beyond) >= form.scale**2 / 12:
        share = float((np.abs(beyond) > form.scale / 2).mean())
        return f"{share:.2%} of its values are beyond {low:.4g} to {high:.4g}, which its {form.width} bits{way_on} hold"
    most, usual = float(np.abs(real).max()), _mean_square(real) ** 0.5
    return (
        f"its values, {usual:.3g} (root mean square), are small against the step of {form.scale:.3g}, with which its "
        f"{form.width} bits{way_on} reach its greatest, {most:.3g}"
    )


def _weights_cause(layer: Weighted) -> str:
    way_on = "--weight-bits" if layer.w.width < MOST_BITS else "--per-channel"
    return f"its weights of {layer.w.width} bits ({way_on})"


def _biases_cause(layer: Weighted) -> str:
    ends = int(((layer.bias == layer.b.limits[0]) | (layer.bias == layer.b.limits[1])).sum())
    clamped = f", {ends} of {len(layer.bias)} at the ends of their range" if ends else ""
    return f"its biases of {layer.b.width} bits (--bias-bits){clamped}"


def _tensors(graph: Graph, quantized: Quantized, images: NDArray[np.generic]) -> Tensors:
    network, values = quantized.network, graph.values(images)
    codes = network.encode(images)
    real = {network.source: integer_order(graph, graph.source, values[graph.source])}
    real |= {module.name: integer_order(graph, module.tensor, values[module.tensor]) for module in quantized.modules}
    held = {step.layer.name: step.results for step in steps(network, codes)}
    functions = {module.name: module.function for module in quantized.modules if module.function is not None}
    return Tensors(network=network, real=real, codes={network.source: codes, **held}, functions=functions)


def _weights_error(layer: Weighted, real: NDArray[np.float64], tensors: Tensors) -> float:
    """Mean square of what the integer weights and biases alone add, on the float network's tensors and unrounded."""
    x = np.asarray(tensors.real[layer.sources[0]], dtype=np.float64) / layer.x.scale + layer.x.zero
    columns = x.reshape(-1, x.shape[-1]) if layer.window is None else im2col(x, layer.window, layer.x.zero)
    units = np.ldexp(layer.x.mantissa * layer.weight_mantissas, -layer.product_fractions)
    sums = np.asarray((columns @ layer.dense_weights.astype(np.float64) + layer.aligned_bias) * units, np.float64)
    if layer.activation is not None:
        sums = np.asarray(tensors.functions[layer.name].compute(sums), np.float64)
    if layer.residual is not None:
        sums = sums + np.asarray(tensors.real[layer.sources[1]], dtype=np.float64).reshape(sums.shape)
    sums = np.where(sums < 0, np.ldexp(sums, -layer.leak), sums)
    ends = real.min(), real.max()  # of the activation, if there is one
    return _mean_square(np.clip(sums.reshape(real.shape), *ends) - real)


def _mean_square(values: NDArray[Any]) -> float:
    return float(np.square(values).mean())


def _decibels(value: float) -> str:
    return f"{value:.1f} dB of signal to error"
