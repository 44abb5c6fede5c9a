"""YOLOv8: at each location ten logits, and each side's distance as a distribution of 16 bins. No anchors.

[S] Heads of YOLOv8; distributions: Li et al., "Generalized Focal Loss", NeurIPS 2020. The tail is written as its own
exporter writes it: maps of all scales joined, a softmax, its mean by a convolution with the numbers 0 to 15.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from examples.heads.assigning import Objects, aligned, complete_overlap, grids, strides, targets
from examples.heads.trunk import CHANNELS, LOGITS, Rounder

CLASSES, BINS = 10, 16
SPREAD = 10  # locations of an object


class YoloV8(nn.Module):
    """The head: maps of the trunk to raw maps, one tensor a scale."""

    def __init__(self) -> None:
        super().__init__()
        self.sides = nn.ModuleList(nn.Conv2d(width, 4 * BINS, 1) for width in CHANNELS)
        self.classes = nn.ModuleList(nn.Conv2d(width, CLASSES, 1) for width in CHANNELS)
        self.rounders = nn.ModuleList(Rounder(signed=True, limit=LOGITS) for _ in range(2 * len(CHANNELS)))
        self.mean = nn.Conv2d(BINS, 1, 1, bias=False).requires_grad_(False)
        self.mean.weight.data[:] = torch.arange(BINS, dtype=torch.float32).view(1, BINS, 1, 1)
        for conv in self.classes:
            nn.init.constant_(conv.bias, -4.0)

    def forward(self, maps: tuple[Tensor, ...]) -> list[Tensor]:
        return [
            torch.cat([self.rounders[2 * n](self.sides[n](x)), self.rounders[2 * n + 1](self.classes[n](x))], 1)
            for n, x in enumerate(maps)
        ]

    def corners(self, raw: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Corners in pixels (batch, locations, 4), logits (batch, locations, classes), and logits of the bins."""
        sides, classes = torch.cat([x.flatten(2) for x in raw], 2).split((4 * BINS, CLASSES), 1)
        bins = sides.unflatten(1, (4, BINS)).permute(0, 3, 1, 2)
        reach = bins.softmax(3) @ torch.arange(BINS, dtype=torch.float32)
        centres = grids() + 0.5
        boxes = torch.cat([centres - reach[..., :2], centres + reach[..., 2:]], 2) * strides()
        return boxes, classes.transpose(1, 2), bins

    def loss(self, raw: list[Tensor], objects: Objects) -> Tensor:
        """Cross entropy with the alignment, CIoU, and that of the two bins beside the distance."""
        return self.loss_of(raw, objects, SPREAD)

    def loss_of(self, raw: list[Tensor], objects: Objects, count: int) -> Tensor:
        """The loss with so many locations of an object."""
        boxes, logits, bins = self.corners(raw)
        assigned = aligned(logits.sigmoid(), boxes, objects, count)
        wanted = targets(assigned, CLASSES)
        about, weight = assigned.about, assigned.quality[assigned.about]
        total = wanted.sum().clamp(min=1)
        entropy = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none").sum()
        near = ((1 - complete_overlap(boxes[about], assigned.boxes[about])) * weight).sum()
        centres = (grids() + 0.5).expand(len(boxes), -1, -1)[about]
        corners = (assigned.boxes / strides())[about]
        reach = torch.cat([centres - corners[:, :2], corners[:, 2:] - centres], 1)
        return (0.5 * entropy + 7.5 * near + 1.5 * (_bins_loss(bins[about], reach) * weight).sum()) / total

    def tail(self, raw: list[Tensor]) -> Tensor:
        """(1, 4 + classes, locations): centre, size, probabilities."""
        joined = torch.cat([x.view(1, 4 * BINS + CLASSES, -1) for x in raw], 2)
        sides, classes = joined.split((4 * BINS, CLASSES), 1)
        reach = self.mean(sides.view(1, 4, BINS, -1).transpose(2, 1).softmax(1)).view(1, 4, -1)
        centres, steps = (grids() + 0.5).T[None], strides().T
        first, second = reach.chunk(2, 1)
        low, high = centres - first, centres + second
        return torch.cat([torch.cat([(low + high) / 2, high - low], 1) * steps, classes.sigmoid()], 1)


def _bins_loss(bins: Tensor, reach: Tensor) -> Tensor:
    """Cross entropy (n,) of distributions (n, 4, bins) with the two whole numbers beside a distance (n, 4)."""
    reach = reach.clamp(0, BINS - 1 - 0.01)
    low = reach.long()
    entropy = [
        functional.cross_entropy(bins.flatten(0, 1), place.flatten(), reduction="none").view(reach.shape)
        for place in (low, low + 1)
    ]
    return (entropy[0] * (low + 1 - reach) + entropy[1] * (reach - low)).mean(1)
