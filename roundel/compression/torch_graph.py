"""The nodes of a float network (`roundel.graph.graph`) as torch operations, so that gradients flow. Needs torch."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from roundel import graph
from roundel.golden.network import Window
from roundel.graph import Conv, Dense, Graph, Node

Operation = Callable[..., Tensor]


def run(
    network: Graph, images: Tensor, weights: Mapping[str, Tensor], biases: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Every tensor of the network by name, as `Graph.values`.

    Parameters
    ----------
    network
        The nodes; the weights and biases they hold are not looked at.
    images
        (batch, *network.shape), float32.
    weights, biases
        Parameters of each `Conv` and `Dense` node by its name, in the shapes that the node has.
    """
    values = {network.source: images}
    for node in network.nodes:
        inputs = [values[name] for name in node.inputs]
        if isinstance(node, Conv | Dense):
            values[node.output] = _weighted(node, inputs[0], weights[node.name], biases[node.name])
        else:
            values[node.output] = OPERATIONS[type(node)](node, *inputs)
    return values


def supports(node: Node) -> bool:
    """Whether `run` knows this kind of node."""
    return isinstance(node, Conv | Dense) or type(node) in OPERATIONS


def _weighted(node: Conv | Dense, x: Tensor, weights: Tensor, bias: Tensor) -> Tensor:
    if isinstance(node, Dense):
        return x @ weights + bias
    stride, dilation = node.window.stride, node.window.dilation
    return functional.conv2d(_padded(x, node.window), weights, bias, stride, 0, dilation, node.groups)


def _padded(x: Tensor, window: Window, fill: float = 0.0) -> Tensor:
    """With the window's own padding, which need not be symmetric as that of torch's operators is."""
    top, left, bottom, right = window.pad
    return functional.pad(x, (left, right, top, bottom), value=fill) if any(window.pad) else x


def _affine(node: Any, x: Tensor) -> Tensor:
    shape = (-1,) + (1,) * (x.ndim - 2)
    return x * torch.as_tensor(node.scale).reshape(shape) + torch.as_tensor(node.offset).reshape(shape)


def _clip(node: Any, x: Tensor) -> Tensor:
    return torch.clamp(x, node.low, node.high)


def _max_pool(node: Any, x: Tensor) -> Tensor:
    window = node.window
    padded = _padded(x, window, -torch.inf)
    return functional.max_pool2d(padded, window.kernel, window.stride, 0, window.dilation)


def _average_pool(node: Any, x: Tensor) -> Tensor:
    """Pool by a convolution of each channel: torch's own pooling has neither dilation nor padding of one side."""
    shape, channels = tuple(x.shape[1:]), x.shape[1]
    window = node.over(shape)
    ones = torch.ones(channels, 1, *window.kernel)
    total = functional.conv2d(_padded(x, window), ones, None, window.stride, 0, window.dilation, channels)
    return total / torch.as_tensor(node.counts(shape))


def _quantize(node: Any, x: Tensor) -> Tensor:
    """Round, with a gradient that passes straight through, and not at all where the integer is clamped."""
    low, high = ((end - node.zero_point) * node.scale for end in (node.low, node.high))
    bounded = x.clamp(low, high)
    return bounded - bounded.detach() + torch.as_tensor(node.compute(x.detach().numpy()))


def _upsample(node: Any, x: Tensor) -> Tensor:
    return x.repeat_interleave(node.factor, dim=2).repeat_interleave(node.factor, dim=3)


def _interpolate(node: Any, x: Tensor) -> Tensor:
    high, wide = (torch.as_tensor(node.weights(x.shape[axis + 2], axis)) for axis in (0, 1))
    return high @ x @ wide.T


def _depth_to_space(node: Any, x: Tensor) -> Tensor:
    channels, rows, columns = node.result_shape(tuple(x.shape[1:]))
    split = (channels, *node.factor) if node.by_channel else (*node.factor, channels)
    parts = x.reshape(len(x), *split, *x.shape[2:])
    parts = parts if node.by_channel else parts.permute(0, 3, 1, 2, 4, 5)
    return parts.permute(0, 1, 4, 2, 5, 3).reshape(len(x), channels, rows, columns)


def _crop(node: Any, x: Tensor) -> Tensor:
    (top, left), (down, across), (rows, columns) = node.first, node.step, node.size
    return x[:, :, top : top + (rows - 1) * down + 1 : down, left : left + (columns - 1) * across + 1 : across]


def _pad(node: Any, x: Tensor) -> Tensor:
    top, left, bottom, right = node.pad
    return functional.pad(x, (left, right, top, bottom), value=node.value)


OPERATIONS: dict[type[Node], Operation] = {
    graph.Add: lambda _, x, y: x + y,
    graph.Affine: _affine,
    graph.AveragePool: _average_pool,
    graph.Clip: _clip,
    graph.Concat: lambda _, *inputs: torch.cat(inputs, dim=1),
    graph.Crop: _crop,
    graph.DepthToSpace: _depth_to_space,
    graph.Fill: lambda node, x: functional.pad(x, (0, 0, 0, 0, 0, node.count), value=node.value),
    graph.Flatten: lambda _, x: x.flatten(1),
    graph.Gate: lambda _, x, factors: x * factors,
    graph.Interpolate: _interpolate,
    graph.LeakyRelu: lambda node, x: functional.leaky_relu(x, node.slope),
    graph.MaxPool: _max_pool,
    graph.Pad: _pad,
    graph.Quantize: _quantize,
    graph.Relu: lambda _, x: torch.relu(x),
    graph.Select: lambda node, x: x[:, list(node.channels)],
    graph.Upsample: _upsample,
}
