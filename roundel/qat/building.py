"""The modules of an integer network to train, and which of them share a format. Needs torch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils import parametrize

from roundel.golden.network import Concat, Layer, Network, Weighted
from roundel.golden.opq import ChannelPattern
from roundel.graph import Conv, Dense, Graph
from roundel.qat import layers
from roundel.qat.layers import LayerModule, RoundedModule
from roundel.qat.network import IntegerModule, Origin
from roundel.qat.options import QatOptions
from roundel.qat.weighted import WeightedModule
from roundel.quantization import ImageStatistics, Module, Quantized, feature_order

KINDS: Mapping[type[Layer], type[LayerModule]] = {**layers.MODULES, Weighted: WeightedModule}

Masks = Mapping[str, NDArray[np.bool_]]


def build(
    graph: Graph,
    quantized: Quantized,
    masks: Masks,
    options: QatOptions,
    images: NDArray[Any],
) -> IntegerModule:
    """Return the network to train.

    Parameters
    ----------
    graph
        The float network in its normal form.
    quantized
        The integer network to start from, whose layers `KINDS` all has.
    masks
        Weights that may differ from 0, in the shape of the weights, by layer.
    options
        What the integers are to be like.
    images
        The calibration images.
    """
    modules = {module.name: module for module in quantized.modules}
    steps = _Steps(quantized.network, modules, learned=options.learn_formats)
    parts: dict[str, LayerModule] = {}
    for layer in quantized.network.layers:
        module = modules.get(layer.name)
        activation = None if module is None or module.quantizer else module.activation
        if isinstance(layer, Weighted):
            parts[layer.name] = _weighted(graph, layer, module, masks.get(layer.name), options, steps)
        elif issubclass(KINDS[type(layer)], RoundedModule):
            parts[layer.name] = KINDS[type(layer)](layer, steps.of(layer), activation)
        else:
            parts[layer.name] = KINDS[type(layer)](layer)
    names = graph.names or {tensor: tensor for tensor in graph.results}
    results = {name: quantized.results[tensor] for name, tensor in names.items()}
    origin = Origin(model=Path(graph.file).name, shape=graph.shape, calibration=ImageStatistics.of(images))
    return IntegerModule(quantized.network, parts, results, origin)


def _weighted(
    graph: Graph, layer: Weighted, module: Module | None, mask: Any, options: QatOptions, steps: "_Steps"
) -> WeightedModule:
    """Return the module of a layer with weights; those that stand for a mean or a copy stay as they are."""
    node: Any = None if module is None else module.node
    activation = None if module is None or module.quantizer else module.activation
    weights, bias = _held(layer), layer.b.decode(layer.bias)
    trained = isinstance(node, Conv | Dense)
    if trained:
        matrix = _matrix(graph, node, node.weights)
        if matrix.shape == weights.shape and np.square(matrix - weights).sum() < np.square(weights).sum() / 2:
            weights, bias = matrix, node.bias
    made = WeightedModule(
        layer,
        weights=weights,
        bias=bias,
        mask=None if mask is None else _matrix(graph, node, mask),
        limits=options.search.weight_limits(layer.w.width),
        log_step=None if layer.activation is not None else steps.of(layer),
        activation=activation,
        half_gradients=options.half_gradients,
    )
    for parameter in (made.weight, made.bias):
        parameter.requires_grad_(trained)
    for parameter in (made.log_weight, made.log_bias):
        parameter.requires_grad_(trained and options.learn_formats)
    return made


def _held(layer: Weighted) -> NDArray[Any]:
    """Return what the integer weights of a layer stand for."""
    fractions = layer.w.fraction if layer.w_fractions is None else np.asarray(layer.w_fractions)
    return np.asarray(np.ldexp(layer.weights.astype(np.float64), -np.asarray(fractions)))


def _matrix(graph: Graph, node: Any, values: NDArray[Any]) -> NDArray[Any]:
    """Return values in the shape of a node's weights as golden's matrix, its rows in golden's order."""
    if isinstance(node, Conv):
        return values.transpose(2, 3, 1, 0).reshape(-1, len(values))
    order = feature_order(graph, node.inputs[0])
    return values if order is None else values[order]


class _Steps:
    """Which layers share a format, and the parameters of formats that are learned.

    Layers that only move values have the format of their source. What a concatenation joins without rounding goes on
    to share one format. Formats of the network's input, of results of tables, of what is added behind a table, and
    those that the file states stay as they are.
    """

    def __init__(self, network: Network, modules: Mapping[str, Module], *, learned: bool) -> None:
        self._roots = {name: name for name in (network.source, *(layer.name for layer in network.layers))}
        self._parameters: dict[str, nn.Parameter] = {}
        fixed = {network.source}
        for layer in network.layers:
            module = modules.get(layer.name)
            moves = not issubclass(KINDS[type(layer)], RoundedModule | WeightedModule)
            if moves or (isinstance(layer, Concat) and set(layer.inputs) == {layer.output}):
                for name in layer.sources:
                    self._roots[self._root(name)] = self._root(layer.name)
            if isinstance(layer, Weighted) and layer.activation is not None:
                fixed.update((layer.name, *layer.sources[1:]))
            if not learned or (module is not None and module.quantizer is not None):
                fixed.add(layer.name)
        self._fixed = {self._root(name) for name in fixed}

    def of(self, layer: Layer) -> nn.Parameter | None:
        """Return the parameter of a layer's result, shared with others; None where the format stays."""
        root = self._root(layer.name)
        if root in self._fixed:
            return None
        if root not in self._parameters:
            self._parameters[root] = nn.Parameter(-torch.tensor(float(layer.output.fraction)))
        return self._parameters[root]

    def _root(self, name: str) -> str:
        while self._roots[name] != name:
            name = self._roots[name]
        return name


class Masked(nn.Module):
    """Weights times a mask that stays, as a parametrization."""

    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", mask)

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weights that remain."""
        result: Tensor = weight * self.mask
        return result


def freeze(model: nn.Module, pattern: ChannelPattern) -> list[str]:
    """Mask the weights of every convolution that a pattern suits, as `roundel.qat.mask_channels` says."""
    names = []
    for name, module in list(model.named_modules()):
        if not isinstance(module, nn.Conv2d) or module.groups > 1 or not pattern.suits(module.in_channels):
            continue
        weight = module.weight.detach().double()
        matrix = (weight / weight.flatten(1).norm(dim=1).clamp(min=1e-30)[:, None, None, None]).permute(2, 3, 1, 0)
        taps = matrix.shape[0] * matrix.shape[1]
        mask = pattern.mask(matrix.reshape(-1, matrix.shape[3]).numpy(), taps)
        kernel = torch.tensor(mask).reshape(matrix.shape).permute(3, 2, 0, 1).contiguous()
        parametrize.register_parametrization(module, "weight", Masked(kernel.to(module.weight.dtype)))
        names.append(name)
    return names
