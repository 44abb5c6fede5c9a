"""YOLOv5: three anchors a location; centre and size through sigmoids, objectness times class.

[S] The public definition of YOLOv5 (and v7): centre = 2 sigmoid - 1/2, side = (2 sigmoid)^2 times the anchor's; an
anchor is about an object whose sides are less than four times its own, and the other way round, in the cell of its
centre and the two nearest.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from examples.heads.assigning import Objects, complete_overlap, grid, overlap
from examples.heads.trunk import CHANNELS, LOGITS, SIZE, STRIDES, Rounder

CLASSES, PRIORS, WIDTH = 10, 3, 15
ANCHORS = (((6.0, 11.0), (8.0, 13.0), (11.0, 16.0)), ((14.0, 21.0), (18.0, 27.0), (24.0, 34.0)))  # sides in pixels
REACH = 3.9  # limit of the numbers of a box, of which sigmoids are taken
RATIO = 2.5  # greatest of an object's side and an anchor's; 4 in YOLOv5, whose objects differ more


class YoloV5(nn.Module):
    """The head: a convolution a scale."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(width, PRIORS * WIDTH, 1) for width in CHANNELS)
        limits = (REACH, LOGITS, LOGITS) * len(CHANNELS)
        self.rounders = nn.ModuleList(Rounder(signed=True, limit=limit) for limit in limits)
        for conv in self.convs:
            nn.init.normal_(conv.weight, std=0.01)
            conv.bias.data.view(PRIORS, WIDTH)[:] = torch.tensor([0.0] * 4 + [-4.0] + [-2.0] * CLASSES)

    def forward(self, maps: tuple[Tensor, ...]) -> list[Tensor]:
        return [self._rounded(conv(x), n) for n, (conv, x) in enumerate(zip(self.convs, maps, strict=True))]

    def _rounded(self, x: Tensor, scale: int) -> Tensor:
        """Box, objectness and classes with a step each, as they are split in integers."""
        if not self.training:
            return x
        parts = x.unflatten(1, (PRIORS, WIDTH)).split((4, 1, CLASSES), 2)
        return torch.cat([self.rounders[3 * scale + n](part) for n, part in enumerate(parts)], 2).flatten(1, 2)

    def loss(self, raw: list[Tensor], objects: Objects) -> Tensor:
        """CIoU, cross entropy of objectness with the IoU, and of classes."""
        total, count = torch.zeros(()), (objects.classes >= 0).sum().clamp(min=1)
        for n, (x, stride) in enumerate(zip(raw, STRIDES, strict=True)):
            cells = SIZE // stride
            y = x.unflatten(1, (PRIORS, WIDTH)).permute(0, 1, 3, 4, 2)  # (batch, priors, rows, columns, 15)
            image, prior, row, column, boxes, classes = _matched(objects, n)
            there = torch.zeros((len(x), PRIORS, cells, cells))
            if len(image):
                own = y[image, prior, row, column]
                place = torch.stack([column, row], 1)
                centres = (own[:, :2].sigmoid() * 2 - 0.5 + place) * stride
                sides = (own[:, 2:4].sigmoid() * 2) ** 2 * torch.tensor(ANCHORS[n])[prior]
                corners = torch.cat([centres - sides / 2, centres + sides / 2], 1)
                quality = overlap(corners, boxes).detach()
                order = quality.argsort()  # of several objects at a place the best one counts
                there[image[order], prior[order], row[order], column[order]] = quality[order]
                hot = functional.one_hot(classes, CLASSES).float()
                entropy = functional.binary_cross_entropy_with_logits(own[:, 5:], hot, reduction="none").sum(1)
                total = total + (2 * (1 - complete_overlap(corners, boxes)) + 0.5 * entropy).sum() / count
            entropy = functional.binary_cross_entropy_with_logits(y[..., 4], there, reduction="none")
            total = total + 2 * (entropy * (there - y[..., 4].sigmoid().detach()).abs()).sum() / count
        return total

    def tail(self, raw: list[Tensor]) -> Tensor:
        """(1, boxes, 15): centre, size, objectness, classes."""
        rows = []
        for x, stride, anchors in zip(raw, STRIDES, ANCHORS, strict=True):
            cells = SIZE // stride
            y = x.view(1, PRIORS, WIDTH, cells, cells).permute(0, 1, 3, 4, 2).contiguous().sigmoid()
            centres, sides, chances = y.split((2, 2, 1 + CLASSES), 4)
            centres = (centres * 2 + (grid(stride).view(1, 1, cells, cells, 2) - 0.5)) * stride
            sides = (sides * 2) ** 2 * torch.tensor(anchors).view(1, PRIORS, 1, 1, 2)
            rows.append(torch.cat([centres, sides, chances], 4).view(1, -1, WIDTH))
        return torch.cat(rows, 1)


def _matched(objects: Objects, scale: int) -> tuple[Tensor, ...]:
    """Image, prior, row, column, box and class of every place that is about an object."""
    stride, anchors = STRIDES[scale], torch.tensor(ANCHORS[scale])
    image, number = torch.nonzero(objects.classes >= 0, as_tuple=True)
    boxes, classes = objects.boxes[image, number], objects.classes[image, number]
    ratio = (boxes[:, None, 2:] - boxes[:, None, :2]) / anchors
    suits = torch.maximum(ratio, 1 / ratio).amax(2) < RATIO  # (objects, priors)
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2 / stride
    cells = SIZE // stride
    parts = []
    for shift in ((0.0, 0.0), (0.5, 0.0), (-0.5, 0.0), (0.0, 0.5), (0.0, -0.5)):
        moved = middle - torch.tensor(shift)
        place = moved.floor().long()
        other = (place != middle.floor().long()).any(1) if any(shift) else torch.ones(len(place), dtype=torch.bool)
        valid = other & ((place >= 0) & (place < cells)).all(1)
        which, prior = torch.nonzero(suits & valid[:, None], as_tuple=True)
        parts.append((image[which], prior, place[which, 1], place[which, 0], boxes[which], classes[which]))
    return tuple(torch.cat(part) for part in zip(*parts, strict=True))
