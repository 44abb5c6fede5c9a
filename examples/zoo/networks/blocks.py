"""Blocks that several detectors share: a convolution with its activation, cross-stage blocks, pyramids of pools.

[S] Structures of the papers and of public model tables: CSPNet (Wang et al., 2020), YOLOX (Ge et al., 2021), the
tables of layers of YOLOv5 and YOLOv8. Written anew, with random weights.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn


class Conv(nn.Sequential):
    """Convolution, batch normalization, activation (SiLU if none is given)."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 1,
        stride: int = 1,
        *,
        pad: int | None = None,
        groups: int = 1,
        activation: Callable[[], nn.Module] = nn.SiLU,
    ) -> None:
        padding = kernel // 2 if pad is None else pad
        conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)
        super().__init__(conv, nn.BatchNorm2d(outputs), activation())


class Separable(nn.Sequential):
    """A depthwise convolution and a pointwise one, each with its activation."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__(Conv(inputs, inputs, kernel, stride, groups=inputs), Conv(inputs, outputs))


class Bottleneck(nn.Module):
    """Two convolutions, and the input beside them: it is added behind the second activation."""

    def __init__(
        self,
        channels: int,
        *,
        kernels: tuple[int, int] = (1, 3),
        shortcut: bool = True,
        second: Callable[[int, int, int], nn.Module] = Conv,
    ) -> None:
        super().__init__()
        self.first = Conv(channels, channels, kernels[0])
        self.second = second(channels, channels, kernels[1])
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        y = self.second(self.first(x))
        return x + y if self.shortcut else y


class CrossStage(nn.Module):
    """As C3 of YOLOv5 and CSPLayer of YOLOX: half of the channels go through `count` bottlenecks, half around them."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        count: int = 1,
        *,
        shortcut: bool = True,
        second: Callable[[int, int, int], nn.Module] = Conv,
    ) -> None:
        super().__init__()
        hidden = outputs // 2
        self.way = Conv(inputs, hidden)
        self.around = Conv(inputs, hidden)
        blocks = [Bottleneck(hidden, shortcut=shortcut, second=second) for _ in range(count)]
        self.blocks = nn.Sequential(*blocks)
        self.joined = Conv(2 * hidden, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.joined(torch.cat([self.blocks(self.way(x)), self.around(x)], 1))


class CrossStageSplit(nn.Module):
    """As C2f of YOLOv8: one convolution, split; what every bottleneck gives is kept."""

    def __init__(self, inputs: int, outputs: int, count: int = 1, *, shortcut: bool = False) -> None:
        super().__init__()
        self.hidden = outputs // 2
        self.first = Conv(inputs, outputs)
        blocks = [Bottleneck(self.hidden, kernels=(3, 3), shortcut=shortcut) for _ in range(count)]
        self.blocks = nn.ModuleList(blocks)
        self.joined = Conv((2 + count) * self.hidden, outputs)

    def forward(self, x: Tensor) -> Tensor:
        parts = list(self.first(x).split((self.hidden, self.hidden), 1))
        for block in self.blocks:
            parts.append(block(parts[-1]))
        return self.joined(torch.cat(parts, 1))


class PoolsInARow(nn.Module):
    """As SPPF: three maximum pools one after the other, and what each gives side by side."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 5) -> None:
        super().__init__()
        self.first = Conv(inputs, inputs // 2)
        self.pool = nn.MaxPool2d(kernel, 1, kernel // 2)
        self.joined = Conv(2 * inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        parts = [self.first(x)]
        for _ in range(3):
            parts.append(self.pool(parts[-1]))
        return self.joined(torch.cat(parts, 1))


class PoolsBeside(nn.Module):
    """As SPP: maximum pools of several sizes beside one another."""

    def __init__(self, inputs: int, outputs: int, kernels: Sequence[int] = (5, 9, 13)) -> None:
        super().__init__()
        self.first = Conv(inputs, inputs // 2)
        self.pools = nn.ModuleList(nn.MaxPool2d(kernel, 1, kernel // 2) for kernel in kernels)
        self.joined = Conv(inputs // 2 * (1 + len(kernels)), outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return self.joined(torch.cat([x, *(pool(x) for pool in self.pools)], 1))
