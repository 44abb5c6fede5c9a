"""YOLOv3-tiny, YOLOv5n and YOLOv8n, with their decoding of boxes behind the heads as exports have it.

[S] Layers and widths: Redmon's darknet (`yolov3-tiny.cfg`), the public tables of layers of YOLOv5 (n, version 6) and
YOLOv8 (n). 80 classes.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from examples.zoo.networks.blocks import Conv, CrossStage, CrossStageSplit, PoolsInARow

CLASSES = 80
BINS = 16  # of a side's distribution in YOLOv8


def leaky() -> nn.Module:
    return nn.LeakyReLU(0.1)


def grid(rows: int, columns: int) -> Tensor:
    """(rows, columns, 2): x and y of each location."""
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    return torch.stack([x, y], -1).float()


class YoloV3Tiny(nn.Module):
    """Seven convolutions with pools between them, two scales; results are the raw maps."""

    def __init__(self) -> None:
        super().__init__()
        sizes = (3, 16, 32, 64, 128, 256)
        stages: list[nn.Module] = []
        for inputs, outputs in pairwise(sizes):
            stages += [Conv(inputs, outputs, 3, activation=leaky), nn.MaxPool2d(2)]
        self.fine = nn.Sequential(*stages[:-1])
        self.last_pool = nn.MaxPool2d(2, 1)
        self.deep = nn.Sequential(Conv(512, 1024, 3, activation=leaky), Conv(1024, 256, activation=leaky))
        self.middle = Conv(256, 512, 3, activation=leaky)
        self.coarse_head = nn.Sequential(Conv(256, 512, 3, activation=leaky), nn.Conv2d(512, 3 * (5 + CLASSES), 1))
        self.turn = Conv(256, 128, activation=leaky)
        self.fine_head = nn.Sequential(Conv(384, 256, 3, activation=leaky), nn.Conv2d(256, 3 * (5 + CLASSES), 1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        fine = self.fine(x)
        coarse = self.middle(functional.max_pool2d(fine, 2))
        coarse = self.deep(self.last_pool(functional.pad(coarse, (0, 1, 0, 1))))
        enlarged = functional.interpolate(self.turn(coarse), scale_factor=2.0)
        return self.coarse_head(coarse), self.fine_head(torch.cat([enlarged, fine], 1))


class YoloV5n(nn.Module):
    """C3 blocks, SPPF, a path down and one up again; boxes by anchors: (1, boxes, 85)."""

    ANCHORS = (
        ((10, 13), (16, 30), (33, 23)),
        ((30, 61), (62, 45), (59, 119)),
        ((116, 90), (156, 198), (373, 326)),
    )

    def __init__(self) -> None:
        super().__init__()
        stem = Conv(3, 16, 6, 2, pad=2)
        self.third = nn.Sequential(
            stem, Conv(16, 32, 3, 2), CrossStage(32, 32), Conv(32, 64, 3, 2), CrossStage(64, 64, 2)
        )
        self.fourth = nn.Sequential(Conv(64, 128, 3, 2), CrossStage(128, 128, 3))
        self.fifth = nn.Sequential(Conv(128, 256, 3, 2), CrossStage(256, 256), PoolsInARow(256, 256), Conv(256, 128))
        self.up = nn.Sequential(CrossStage(256, 128, shortcut=False), Conv(128, 64))
        self.results = nn.ModuleList(
            [
                CrossStage(128, 64, shortcut=False),
                CrossStage(128, 128, shortcut=False),
                CrossStage(256, 256, shortcut=False),
            ]
        )
        self.down = nn.ModuleList([Conv(64, 64, 3, 2), Conv(128, 128, 3, 2)])
        self.heads = nn.ModuleList(nn.Conv2d(width, 3 * (5 + CLASSES), 1) for width in (64, 128, 256))

    def forward(self, x: Tensor) -> Tensor:
        third = self.third(x)
        fourth = self.fourth(third)
        fifth = self.fifth(fourth)
        middle = self.up(torch.cat([functional.interpolate(fifth, scale_factor=2.0), fourth], 1))
        fine = self.results[0](torch.cat([functional.interpolate(middle, scale_factor=2.0), third], 1))
        half = self.results[1](torch.cat([self.down[0](fine), middle], 1))
        coarse = self.results[2](torch.cat([self.down[1](half), fifth], 1))
        maps = [head(part) for head, part in zip(self.heads, (fine, half, coarse), strict=True)]
        return torch.cat([self.boxes(part, scale) for scale, part in enumerate(maps)], 1)

    def boxes(self, x: Tensor, scale: int) -> Tensor:
        """Boxes of a scale: centre and size in pixels, probability, classes."""
        rows, columns = x.shape[2:]
        stride = 8 << scale
        y = x.view(1, 3, 5 + CLASSES, rows, columns).permute(0, 1, 3, 4, 2).sigmoid()
        centre = (y[..., :2] * 2 - 0.5 + grid(rows, columns)) * stride
        size = (y[..., 2:4] * 2) ** 2 * torch.tensor(self.ANCHORS[scale]).float().view(1, 3, 1, 1, 2)
        return torch.cat([centre, size, y[..., 4:]], -1).view(1, -1, 5 + CLASSES)


class YoloV8n(nn.Module):
    """C2f blocks, SPPF, two branches a scale, sides as distributions of 16 bins: (1, 84, boxes)."""

    def __init__(self) -> None:
        super().__init__()
        self.third = nn.Sequential(
            Conv(3, 16, 3, 2),
            Conv(16, 32, 3, 2),
            CrossStageSplit(32, 32, 1, shortcut=True),
            Conv(32, 64, 3, 2),
            CrossStageSplit(64, 64, 2, shortcut=True),
        )
        self.fourth = nn.Sequential(Conv(64, 128, 3, 2), CrossStageSplit(128, 128, 2, shortcut=True))
        fifth = CrossStageSplit(256, 256, 1, shortcut=True)
        self.fifth = nn.Sequential(Conv(128, 256, 3, 2), fifth, PoolsInARow(256, 256))
        self.up = CrossStageSplit(384, 128)
        self.results = nn.ModuleList([CrossStageSplit(192, 64), CrossStageSplit(192, 128), CrossStageSplit(384, 256)])
        self.down = nn.ModuleList([Conv(64, 64, 3, 2), Conv(128, 128, 3, 2)])
        self.sides = nn.ModuleList(self.branch(width, 4 * BINS, 4 * BINS) for width in (64, 128, 256))
        self.classes = nn.ModuleList(self.branch(width, CLASSES, CLASSES) for width in (64, 128, 256))

    @staticmethod
    def branch(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
        return nn.Sequential(Conv(inputs, hidden, 3), Conv(hidden, hidden, 3), nn.Conv2d(hidden, outputs, 1))

    def forward(self, x: Tensor) -> Tensor:
        third = self.third(x)
        fourth = self.fourth(third)
        fifth = self.fifth(fourth)
        middle = self.up(torch.cat([functional.interpolate(fifth, scale_factor=2.0), fourth], 1))
        fine = self.results[0](torch.cat([functional.interpolate(middle, scale_factor=2.0), third], 1))
        half = self.results[1](torch.cat([self.down[0](fine), middle], 1))
        coarse = self.results[2](torch.cat([self.down[1](half), fifth], 1))
        parts = (fine, half, coarse)
        maps = [
            torch.cat([sides(part), classes(part)], 1)
            for sides, classes, part in zip(self.sides, self.classes, parts, strict=True)
        ]
        return self.boxes(maps)

    def boxes(self, maps: list[Tensor]) -> Tensor:
        """Centre and size in pixels of every box, and its classes, from the maps of all scales."""
        flat = torch.cat([part.view(1, 4 * BINS + CLASSES, -1) for part in maps], 2)
        sides, classes = flat.split((4 * BINS, CLASSES), 1)
        locations = torch.cat([(grid(*part.shape[2:]) + 0.5).view(-1, 2) for part in maps]).T[None]
        strides = torch.cat(
            [torch.full((1, part.shape[2] * part.shape[3]), 8.0 * 2**n) for n, part in enumerate(maps)], 1
        )
        chances = sides.view(1, 4, BINS, -1).softmax(2)
        reach = (chances * torch.arange(BINS).float().view(1, 1, BINS, 1)).sum(2)
        first, second = locations - reach[:, :2], locations + reach[:, 2:]
        return torch.cat([(first + second) / 2 * strides, (second - first) * strides, classes.sigmoid()], 1)
