"""YOLOX: at each location an objectness, ten classes, a centre and the logarithms of two sides. No anchors.

[S] Ge et al., "YOLOX", 2021. Three convolutions a scale; the score is the product of objectness and class.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from examples.heads.assigning import Objects, aligned, complete_overlap, grids, strides
from examples.heads.trunk import CHANNELS, LOGITS, Rounder

CLASSES = 10
SPREAD = 10  # locations of an object
REACH = 1.95  # strides, and logarithms of them: limit of the numbers of a box


class YoloX(nn.Module):
    """The head: box, objectness and classes of each scale, side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.boxes = nn.ModuleList(nn.Conv2d(width, 4, 1) for width in CHANNELS)
        self.objects = nn.ModuleList(nn.Conv2d(width, 1, 1) for width in CHANNELS)
        self.classes = nn.ModuleList(nn.Conv2d(width, CLASSES, 1) for width in CHANNELS)
        limits = (REACH, LOGITS, LOGITS) * len(CHANNELS)
        self.rounders = nn.ModuleList(Rounder(signed=True, limit=limit) for limit in limits)
        for conv in (*self.boxes, *self.objects):
            nn.init.normal_(conv.weight, std=0.01)
        for conv in (*self.objects, *self.classes):
            nn.init.constant_(conv.bias, -3.0)

    def forward(self, maps: tuple[Tensor, ...]) -> list[Tensor]:
        parts = []
        for n, x in enumerate(maps):
            kinds = (self.boxes[n], self.objects[n], self.classes[n])
            parts.append([self.rounders[3 * n + place](conv(x)) for place, conv in enumerate(kinds)])
        return [torch.cat(part, 1) for part in parts]

    def loss(self, raw: list[Tensor], objects: Objects) -> Tensor:
        """Cross entropy of objectness, of classes with the IoU, and IoU of boxes."""
        rows = torch.cat([x.flatten(2) for x in raw], 2).transpose(1, 2)
        sides = rows[..., 2:4].exp() * strides()
        centres = (rows[..., :2] + grids()) * strides()
        boxes = torch.cat([centres - sides / 2, centres + sides / 2], 2)
        thing, logits = rows[..., 4], rows[..., 5:]
        assigned = aligned(thing[..., None].sigmoid() * logits.sigmoid(), boxes, objects, SPREAD)
        about, quality = assigned.about, assigned.quality
        total = quality.sum().clamp(min=1)
        entropy = functional.binary_cross_entropy_with_logits
        there = entropy(thing, quality * about, reduction="none").sum()
        hot = functional.one_hot(assigned.classes[about], CLASSES).float()
        classes = (entropy(logits[about], hot, reduction="none").sum(1) * quality[about]).sum()
        near = ((1 - complete_overlap(boxes[about], assigned.boxes[about])) * quality[about]).sum()
        return (there + classes + 5 * near) / total

    def tail(self, raw: list[Tensor]) -> Tensor:
        """(1, locations, 5 + classes): centre, size, objectness, classes."""
        chances = [torch.cat([x[:, :4], x[:, 4:5].sigmoid(), x[:, 5:].sigmoid()], 1) for x in raw]
        rows = torch.cat([x.flatten(2) for x in chances], 2).permute(0, 2, 1)
        centres, sides = (rows[..., :2] + grids()[None]) * strides()[None], rows[..., 2:4].exp() * strides()[None]
        return torch.cat([centres, sides, rows[..., 4:]], 2)
