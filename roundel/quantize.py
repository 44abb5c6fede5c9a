"""Joint quantization: a float network becomes an integer one, module by module in dataflow order.

[P] unified modules, fractional bits of weights and activations chosen jointly; [R] how: for each module the triple
(N_w, N_b, N_o) that minimises `||O - O_q||^2` on calibration images *as already quantized by the modules before it*, in
a window of a few bits around the maximum-magnitude estimate. docs/quantization.md is the normative text.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import inf, log10
from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden import layers
from golden.conv import im2col
from golden.errors import InputError
from golden.formats import Format
from golden.layers import Layer, Requantized
from golden.network import Network
from golden.rounding import Ints
from roundel.graph import Add, AveragePool, Conv, Dense, Flatten, Graph, MaxPool, Node, Reals
from roundel.modules import Module, fold, spatial, unify
from roundel.search import Options, WeightedSearch, estimate, search_input, search_output, squared_error

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What was chosen for one module, and how good it is on the calibration images.

    Parameters
    ----------
    name
        The module.
    n_x, n_w, n_b, n_o
        Fractional bits of input, weights, bias and output; None for what the module does not have.
    shift
        The requantizer's shift.
    error
        `||O - O_q||^2` over all calibration images.
    sqnr_db
        `10 log10(||O||^2 / error)`; infinite without error.
    """

    name: str
    n_x: int
    n_w: int | None
    n_b: int | None
    n_o: int
    shift: int
    error: float
    sqnr_db: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Quantized:
    """The integer network and the table of choices, in dataflow order."""

    network: Network
    choices: tuple[Choice, ...]


def quantize(
    graph: Graph, images: NDArray[Any], options: Options | None = None, progress: Progress | None = None
) -> Quantized:
    """Quantize `graph`.

    Parameters
    ----------
    graph
        The float network.
    images
        Calibration images as the network takes them, (batch, *graph.shape).
    options
        How to quantize.
    progress
        Called with (modules done, modules in all, name of the next one).

    Raises
    ------
    InputError
        Images of another shape or not finite, or a network that has no integer form here.
    """
    options = options or Options()
    if images.shape[1:] != graph.shape or not len(images) or not np.isfinite(images).all():
        expected = f"finite numbers of shape (count, {', '.join(map(str, graph.shape))})"
        raise InputError(f"calibration images: expected {expected}, not {images.shape}")
    graph = fold(graph)
    modules = unify(graph)
    if not modules:
        raise InputError(f"{graph.file}: expected a network with at least one layer")
    reals = graph.values(images)
    network = Network(source=graph.source, input=search_input(images, options), layers=())
    values, formats = {graph.source: network.encode(images)}, {graph.source: network.input}
    choices = []
    for index, module in enumerate(modules):
        if progress:
            progress(index, len(modules), module.name)
        reference = _integer_order(module.reference(reals).astype(np.float64), spatial(graph, module.tensor))
        inputs = [(values[name], formats[name]) for name in module.sources]
        layer = _Lowering(graph, module, inputs, reference, options).layer()
        result = layer.compute(*(integers for integers, _ in inputs)).outputs
        values[module.name], formats[module.name] = result, layer.output
        network = replace(network, layers=(*network.layers, layer))
        if isinstance(layer, Requantized):
            error = squared_error(result, layer.output.fraction, reference)
            choices.append(_choice(layer, inputs[0][1], error, reference))
    if progress:
        progress(len(modules), len(modules), "")
    return Quantized(network=network, choices=tuple(choices))


@dataclass(frozen=True, eq=False)
class _Lowering:
    """One module on its way to an integer layer.

    Parameters
    ----------
    graph, module
        What to lower.
    inputs
        What its sources hold on the calibration images, and their formats.
    reference
        What it should give, in the integer network's order of axes.
    options
        How to quantize.
    """

    graph: Graph
    module: Module
    inputs: list[tuple[Ints, Format]]
    reference: Reals
    options: Options

    def layer(self) -> Layer:
        """The integer layer with the best fractional bits."""
        if not np.isfinite(self.reference).all():
            where = f"{self.graph.file}: node {self.module.name}"
            raise InputError(f"{where}: expected finite results on the calibration images, but some are infinite")
        try:
            return self._layer(self.module.node)
        except ValueError as error:  # a layer refuses, such as one whose summands are hopelessly far apart
            raise InputError(f"{self.graph.file}: node {error}") from error

    def _layer(self, node: Node) -> Layer:
        match node:
            case Conv() | Dense():
                return self._weighted(node)
            case Add():
                return self._add()
            case AveragePool():
                return self._average(node)
            case MaxPool():
                return layers.MaxPool(**self._common(self.inputs[0][1]), window=node.window)
            case Flatten():
                return layers.Flatten(**self._common(self.inputs[0][1]))
        raise ValueError(f"{node.name}: {type(node).__name__} has no integer form")

    def _common(self, output: Format) -> dict[str, Any]:
        return {"name": self.module.name, "sources": self.module.sources, "output": output}

    def _output(self, signed: bool) -> Format:
        """The output's format before its fractional bits are chosen; ReLU makes it unsigned, which gains a bit."""
        return Format(width=self.options.activation_bits, signed=signed and not self.module.relu, fraction=0)

    def _weighted(self, node: Conv | Dense) -> Layer:
        integers, x = self.inputs[0]
        if isinstance(node, Conv):
            matrix, window = node.matrix, node.window
            columns = im2col(integers, window)
        else:
            matrix, window = _integer_rows(node.weights, spatial(self.graph, node.inputs[0])), None
            columns = integers
        residual = self.inputs[1] if len(self.inputs) > 1 else None
        found = WeightedSearch(
            columns=columns,
            weights=matrix,
            bias=node.bias,
            x=x,
            residual=residual,
            output=self._output(signed=True),
            target=self.reference.reshape(-1, len(node.bias)),
            options=self.options,
        ).best()
        return layers.Weighted(
            **self._common(found.output),
            rounding=self.options.rounding,
            weights=found.w.encode(matrix),
            bias=found.b.encode(node.bias),
            x=x,
            w=found.w,
            b=found.b,
            window=window,
            residual=residual[1] if residual else None,
        )

    def _add(self) -> Layer:
        (_, x), (_, y) = self.inputs
        output = replace(self._output(x.signed or y.signed), fraction=max(x.fraction, y.fraction))
        return self._finish(layers.Add(**self._common(output), rounding=self.options.rounding, x=x, y=y))

    def _average(self, node: AveragePool) -> Layer:
        x = self.inputs[0][1]
        window = node.over(self.graph.shapes[node.inputs[0]])
        w = Format(width=self.options.weight_bits, signed=True, fraction=0)
        if window.taps & (window.taps - 1) == 0:
            w = replace(w, fraction=window.taps.bit_length() - 1)  # exact: the multiplier is 1
        else:
            w = replace(w, fraction=estimate(np.asarray(1 / window.taps), w))
        output = replace(self._output(x.signed), fraction=x.fraction + w.fraction)
        rounding = self.options.rounding
        return self._finish(layers.AveragePool(**self._common(output), rounding=rounding, x=x, w=w, window=window))

    def _finish(self, layer: Requantized) -> Layer:
        """A layer without weights of its own, made with shift 0, gets the best fractional bits of its output."""
        accumulators = layer.compute(*(integers for integers, _ in self.inputs)).accumulators
        assert accumulators is not None
        target = self.reference.reshape(accumulators.shape)
        _, output = search_output(accumulators, layer.accumulator_fraction, layer.output, target, self.options)
        return replace(layer, output=output)


def _integer_order(values: Reals, flattened: tuple[int, ...] | None) -> Reals:
    """A float tensor (batch, channels, rows, columns), or the features of one, in the integer order: channel last."""
    if flattened is not None:
        values = values.reshape(-1, *flattened).transpose(0, 2, 3, 1)
        return values.reshape(len(values), -1)
    return values.transpose(0, 2, 3, 1) if values.ndim == 4 else values


def _integer_rows(weights: Reals, flattened: tuple[int, ...] | None) -> Reals:
    """The rows of a matrix that multiplies the features of a (channels, rows, columns) map, in the integer order."""
    return weights if flattened is None else _integer_order(weights.T, flattened).T


def _choice(layer: Requantized, x: Format, error: float, reference: Reals) -> Choice:
    power = float(np.vdot(reference, reference))
    weighted = layer if isinstance(layer, layers.Weighted) else None
    return Choice(
        name=layer.name,
        n_x=x.fraction,
        n_w=weighted.w.fraction if weighted else None,
        n_b=weighted.b.fraction if weighted else None,
        n_o=layer.output.fraction,
        shift=layer.shift,
        error=error,
        sqnr_db=10 * log10(power / error) if power and error else inf,
    )
