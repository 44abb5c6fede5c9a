"""The trunk that all five detectors share: the layers of `examples/detector` up to its heads, with their weights.

Batch normalization is folded, as in the file. Behind every activation stands a `Rounder`, which training switches on:
a network that has met values of 8 bits loses less when it becomes integers. The exported network has none of them.
"""

from math import inf

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn
from torch.nn import functional

from examples.detector.network import LAYERS, PIXEL, SIZE, STRIDES, Layer
from roundel.data import DETECTOR

__all__ = ["CHANNELS", "LOGITS", "PIXEL", "SIZE", "STRIDES", "Rounder", "Trunk", "beyond", "rounders"]

CHANNELS = (48, 64)  # of the maps that the heads read, at strides 8 and 16
MAPS = ("pointwise8", "pointwise7")
CONVS = tuple(layer for layer in LAYERS if layer.kind == "Conv" and not layer.linear)
BITS = 8
LOGITS = 7.9  # limit of logits: their step is 1/16 then


class Rounder(nn.Module):
    """Rounds to 8 bits and a power of two as step, with a gradient as if it did not; off at first.

    The step is the smallest with which the greatest value fits that it has met: a running maximum over batches. Where
    it is `limited`, that ends at `limit`, and `beyond` is how far values of the last batch are beyond it, squared: what
    training pulls in, so that the steps of integers are as fine.
    """

    def __init__(self, *, signed: bool = False, limit: float = inf) -> None:
        super().__init__()
        self.signed, self.limit, self.most = signed, limit, 0.0
        self.on = self.limited = False
        self.beyond: Tensor | float = 0.0

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        with torch.no_grad():
            top = float(x.abs().amax())
        limit = self.limit if self.limited else inf
        self.most = min(max(top, self.most * 0.999), limit)
        if not self.on:
            return x
        self.beyond = (x.abs() - limit).clamp(min=0).square().sum() / len(x) if limit < inf else 0.0
        low, high = (-(2 ** (BITS - 1)), 2 ** (BITS - 1) - 1) if self.signed else (0, 2**BITS - 1)
        step = 2.0 ** np.ceil(np.log2(max(self.most, 1e-6) / (high + 0.5)))
        inside = x.clamp(low * step, high * step)
        return inside + (torch.round(inside / step) * step - inside).detach()


def beyond(module: nn.Module) -> Tensor | float:
    """How far the values of the last batch are beyond their limits, squared, an image."""
    return sum((part.beyond for part in module.modules() if isinstance(part, Rounder)), start=0.0)


def rounders(module: nn.Module, on: bool, limited: bool) -> None:
    """Switch all rounders of a module."""
    for part in module.modules():
        if isinstance(part, Rounder):
            part.on, part.limited = on, limited


class Trunk(nn.Module):
    """Images (batch, 1, 96, 96) of 0 to 255 / 256 to the maps at strides 8 and 16."""

    def __init__(self) -> None:
        super().__init__()
        stored = onnx.load(DETECTOR / "detector.onnx").graph.initializer
        arrays = {item.name: numpy_helper.to_array(item) for item in stored}
        self.convs = nn.ModuleDict({layer.name: self._conv(layer, arrays) for layer in CONVS})
        self.rounders = nn.ModuleDict({layer.name: Rounder() for layer in CONVS})

    @staticmethod
    def _conv(layer: Layer, arrays: dict[str, np.ndarray]) -> nn.Conv2d:
        weights = arrays[f"{layer.name}_weights"] * (PIXEL if layer.inputs == ("image",) else 1)
        groups = len(weights) if layer.depthwise else 1
        conv = nn.Conv2d(
            weights.shape[1] * groups, len(weights), layer.kernel, layer.stride, layer.kernel // 2, groups=groups
        )
        with torch.no_grad():
            conv.weight.copy_(torch.tensor(weights))
            conv.bias.copy_(torch.tensor(arrays[f"{layer.name}_bias"]))
        return conv

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        values = {"image": images}
        for layer in LAYERS:
            if layer.linear:
                continue
            x = [values[name] for name in layer.inputs]
            if layer.kind == "Upsample":
                y = functional.interpolate(x[0], scale_factor=2.0, mode="nearest")
            elif layer.kind == "Concat":
                y = torch.cat(x, dim=1)
            else:
                y = self.convs[layer.name](x[0])
                y = y if layer.residual is None else y + values[layer.residual]
                y = self.rounders[layer.name](torch.relu(y))
            values[layer.name] = y
        return tuple(values[name] for name in MAPS)
