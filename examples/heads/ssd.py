"""SSD: priors, a softmax over the classes and the background, offsets with variances, and suppression in the file.

[S] Liu et al., "SSD", ECCV 2016, with the order of torchvision: the background is class 0, offsets are divided by 10
and 5. Suppression by class is a `NonMaxSuppression`, as exporters that end in onnxruntime's operator write it.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from examples.heads.assigning import Objects, grid, overlap
from examples.heads.trunk import CHANNELS, LOGITS, SIZE, STRIDES, Rounder

CLASSES = 10
PRIORS = (((7.0, 12.0), (10.0, 15.0), (13.0, 18.0)), ((16.0, 24.0), (21.0, 30.0), (26.0, 36.0)))  # sides in pixels
EACH = 3
VARIANCES = (0.1, 0.2)
ABOUT = 0.5  # IoU of a prior with an object
NEGATIVES = 3  # of the background for each prior that is about an object
LEAST, IOU, MOST = 0.05, 0.45, 100  # of the suppression


class Suppression(torch.autograd.Function):
    """ONNX' NonMaxSuppression; torch itself has none."""

    @staticmethod
    def forward(context: Any, boxes: Tensor, scores: Tensor) -> Tensor:
        """Stand in for the tracer: the shape is all that it looks at."""
        return torch.zeros((1, 3), dtype=torch.int64)

    @staticmethod
    def symbolic(g: Any, boxes: Any, scores: Any) -> Any:
        """Give the operator."""
        numbers = [g.op("Constant", value_t=torch.tensor([value])) for value in (MOST, IOU, LEAST)]
        return g.op("NonMaxSuppression", boxes, scores, *numbers)


def priors() -> Tensor:
    """Centre and sides of all priors in pixels, location by location, (priors, 4)."""
    made = []
    for stride, sides in zip(STRIDES, PRIORS, strict=True):
        centres = (grid(stride) + 0.5) * stride
        made.append(torch.cat([centres.repeat_interleave(EACH, 0), torch.tensor(sides).repeat(len(centres), 1)], 1))
    return torch.cat(made)


class Ssd(nn.Module):
    """The head: offsets and classes of each scale."""

    def __init__(self) -> None:
        super().__init__()
        self.boxes = nn.ModuleList(nn.Conv2d(width, EACH * 4, 1) for width in CHANNELS)
        self.classes = nn.ModuleList(nn.Conv2d(width, EACH * (CLASSES + 1), 1) for width in CHANNELS)
        self.rounders = nn.ModuleList(Rounder(signed=True, limit=LOGITS) for _ in range(2 * len(CHANNELS)))

    def forward(self, maps: tuple[Tensor, ...]) -> list[Tensor]:
        boxes = [self.rounders[n](conv(x)) for n, (conv, x) in enumerate(zip(self.boxes, maps, strict=True))]
        classes = [self.rounders[2 + n](conv(x)) for n, (conv, x) in enumerate(zip(self.classes, maps, strict=True))]
        return [*boxes, *classes]

    @staticmethod
    def rows(raw: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Offsets (batch, priors, 4) and logits (batch, priors, classes + 1)."""
        boxes = [x.permute(0, 2, 3, 1).reshape(len(x), -1, 4) for x in raw[:2]]
        classes = [x.permute(0, 2, 3, 1).reshape(len(x), -1, CLASSES + 1) for x in raw[2:]]
        return torch.cat(boxes, 1), torch.cat(classes, 1)

    def loss(self, raw: list[Tensor], objects: Objects) -> Tensor:
        """Smooth L1 of offsets, and cross entropy with the hardest of the background."""
        offsets, logits = self.rows(raw)
        own = priors()
        corners = torch.cat([own[:, :2] - own[:, 2:] / 2, own[:, :2] + own[:, 2:] / 2], 1)
        iou = overlap(objects.boxes[:, :, None], corners) * (objects.classes >= 0)[..., None]
        best = iou.argmax(2)  # each object has a prior of its own
        iou = iou + 2 * torch.zeros_like(iou).scatter_(2, best[..., None], 1.0) * (objects.classes >= 0)[..., None]
        quality, which = iou.max(1)
        about = quality >= ABOUT
        boxes = objects.boxes.gather(1, which[..., None].expand(-1, -1, 4))
        wanted = torch.where(about, objects.classes.gather(1, which) + 1, 0)
        middle, sides = (boxes[..., :2] + boxes[..., 2:]) / 2, (boxes[..., 2:] - boxes[..., :2]).clamp(min=1)
        truth = torch.cat(
            [(middle - own[:, :2]) / own[:, 2:] / VARIANCES[0], (sides / own[:, 2:]).log() / VARIANCES[1]], 2
        )
        near = functional.smooth_l1_loss(offsets[about], truth[about], reduction="sum")
        entropy = functional.cross_entropy(logits.flatten(0, 1), wanted.flatten(), reduction="none").view_as(quality)
        hardest = entropy.detach().masked_fill(about, -1).argsort(1, descending=True).argsort(1)
        counts = about.sum(1, keepdim=True).clamp(min=1)
        counted = entropy[about].sum() + entropy[(hardest < NEGATIVES * counts) & ~about].sum()
        return (near + counted) / about.sum().clamp(min=1)

    def tail(self, raw: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Corners in pixels (n, 4), probabilities (n,) and classes (n,) of the boxes that are kept."""
        offsets, logits = self.rows(raw)
        own = priors()
        centres = offsets[..., :2] * VARIANCES[0] * own[:, 2:] + own[:, :2]
        sides = (offsets[..., 2:] * VARIANCES[1]).exp() * own[:, 2:]
        corners = torch.cat([centres - sides / 2, centres + sides / 2], 2).clamp(0, SIZE)
        scores = logits.softmax(2)[..., 1:].transpose(1, 2)
        kept = Suppression.apply(corners, scores)
        label, place = kept[:, 1], kept[:, 2]
        return corners[0][place], scores[0][label, place], label
