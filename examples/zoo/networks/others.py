"""YOLOX-nano, CenterNet on ResNet-18, and a U-Net.

[S] YOLOX (Ge et al., 2021) of depth 1/3 and width 1/4 with separable convolutions; CenterNet (Zhou et al., 2019) with
three transposed convolutions of 256 channels; U-Net (Ronneberger et al., 2015) with padded convolutions and batch
normalization, four levels from 32 channels on.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from examples.zoo.networks.blocks import Conv, CrossStage, PoolsBeside, Separable

CLASSES = 80


class YoloXNano(nn.Module):
    """Focus, separable convolutions, three scales of two branches: (1, locations, 85)."""

    def __init__(self) -> None:
        super().__init__()

        def stage(inputs: int, outputs: int, count: int, *, shortcut: bool = True) -> CrossStage:
            return CrossStage(inputs, outputs, count, shortcut=shortcut, second=Separable)

        self.third = nn.Sequential(
            Conv(12, 16, 3), Separable(16, 32, 3, 2), stage(32, 32, 1), Separable(32, 64, 3, 2), stage(64, 64, 3)
        )
        self.fourth = nn.Sequential(Separable(64, 128, 3, 2), stage(128, 128, 3))
        last = (PoolsBeside(256, 256), stage(256, 256, 1, shortcut=False), Conv(256, 128))
        self.fifth = nn.Sequential(Separable(128, 256, 3, 2), *last)
        self.up = nn.Sequential(stage(256, 128, 1, shortcut=False), Conv(128, 64))
        widths = (64, 128, 256)
        self.results = nn.ModuleList(
            stage(inputs, outputs, 1, shortcut=False) for inputs, outputs in zip((128, 128, 256), widths, strict=True)
        )
        self.down = nn.ModuleList([Separable(64, 64, 3, 2), Separable(128, 128, 3, 2)])
        self.stems = nn.ModuleList(Conv(width, 64) for width in widths)
        self.classes = nn.ModuleList(nn.Sequential(Separable(64, 64), Separable(64, 64)) for _ in widths)
        self.sides = nn.ModuleList(nn.Sequential(Separable(64, 64), Separable(64, 64)) for _ in widths)
        self.class_heads = nn.ModuleList(nn.Conv2d(64, CLASSES, 1) for _ in widths)
        self.side_heads = nn.ModuleList(nn.Conv2d(64, 4, 1) for _ in widths)
        self.object_heads = nn.ModuleList(nn.Conv2d(64, 1, 1) for _ in widths)

    def forward(self, x: Tensor) -> Tensor:
        quarters = (x[..., ::2, ::2], x[..., 1::2, ::2], x[..., ::2, 1::2], x[..., 1::2, 1::2])
        third = self.third(torch.cat(quarters, 1))
        fourth = self.fourth(third)
        fifth = self.fifth(fourth)
        middle = self.up(torch.cat([functional.interpolate(fifth, scale_factor=2.0), fourth], 1))
        fine = self.results[0](torch.cat([functional.interpolate(middle, scale_factor=2.0), third], 1))
        half = self.results[1](torch.cat([self.down[0](fine), middle], 1))
        coarse = self.results[2](torch.cat([self.down[1](half), fifth], 1))
        scales = [self.scale(number, part).flatten(2) for number, part in enumerate((fine, half, coarse))]
        return torch.cat(scales, 2).permute(0, 2, 1)

    def scale(self, number: int, x: Tensor) -> Tensor:
        """Sides, the chance that there is an object, and classes, of one scale."""
        x = self.stems[number](x)
        sides, classes = self.sides[number](x), self.classes[number](x)
        thing = self.object_heads[number](sides).sigmoid()
        return torch.cat([self.side_heads[number](sides), thing, self.class_heads[number](classes).sigmoid()], 1)


class CenterNet(nn.Module):
    """ResNet-18, three transposed convolutions, maps of centres, sizes and offsets."""

    def __init__(self) -> None:
        super().__init__()
        from torchvision.models import resnet18

        body = resnet18(weights=None)
        self.body = nn.Sequential(*list(body.children())[:-2])
        up: list[nn.Module] = []
        for inputs in (512, 256, 256):
            up += [nn.ConvTranspose2d(inputs, 256, 4, 2, 1, bias=False), nn.BatchNorm2d(256), nn.ReLU()]
        self.up = nn.Sequential(*up)
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Conv2d(256, 64, 3, 1, 1), nn.ReLU(), nn.Conv2d(64, outputs, 1))
            for outputs in (CLASSES, 2, 2)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = self.up(self.body(x))
        return self.heads[0](x).sigmoid(), self.heads[1](x), self.heads[2](x)


class UNet(nn.Module):
    """Four levels down by pools, four up by transposed convolutions, with what was there before beside it."""

    WIDTHS = (32, 64, 128, 256, 512)

    def __init__(self) -> None:
        super().__init__()

        def pair(inputs: int, outputs: int) -> nn.Sequential:
            first, second = Conv(inputs, outputs, 3, activation=nn.ReLU), Conv(outputs, outputs, 3, activation=nn.ReLU)
            return nn.Sequential(first, second)

        widths = self.WIDTHS
        self.down = nn.ModuleList(pair(*sizes) for sizes in zip((3, *widths), widths, strict=False))
        around = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.enlarge = nn.ModuleList(nn.ConvTranspose2d(inputs, outputs, 2, 2) for inputs, outputs in around)
        self.up = nn.ModuleList(pair(*sizes) for sizes in around)
        self.head = nn.Conv2d(widths[0], 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        kept = []
        for level in self.down:
            x = level(x)
            kept.append(x)
            if level is not self.down[-1]:
                x = functional.max_pool2d(x, 2)
        for enlarge, level, before in zip(self.enlarge, self.up, kept[-2::-1], strict=True):
            x = level(torch.cat([before, enlarge(x)], 1))
        return self.head(x)
