"""A one-to-one head, as of YOLOv10: an object has one box, nothing is suppressed, and a top-k ends the network.

[S] Wang et al., "YOLOv10", NeurIPS 2024: consistent dual assignments. The head is YOLOv8's behind a depthwise and a
pointwise convolution at each scale, by which neighbours learn of each other; in training a second head beside it, with
ten locations an object, teaches the trunk. The exported network has the first alone.
"""

import torch
from torch import Tensor, nn

from examples.heads.assigning import Objects, grids, strides
from examples.heads.trunk import CHANNELS, Rounder
from examples.heads.yolov8 import BINS, CLASSES, SPREAD, YoloV8

MOST = 50  # boxes that leave the network


class OneToOne(YoloV8):
    """The head behind its two convolutions, and the one beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.near = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1, groups=width) for width in CHANNELS)
        self.mixed = nn.ModuleList(nn.Conv2d(width, width, 1) for width in CHANNELS)
        self.between = nn.ModuleList(Rounder() for _ in range(2 * len(CHANNELS)))
        self.beside = YoloV8()
        self.many: list[Tensor] = []

    def forward(self, maps: tuple[Tensor, ...]) -> list[Tensor]:
        if self.training:
            self.many = self.beside(maps)
        made = []
        for n, x in enumerate(maps):
            y = self.between[2 * n](torch.relu(self.near[n](x)))
            made.append(self.between[2 * n + 1](torch.relu(self.mixed[n](y))))
        return super().forward(tuple(made))

    def loss(self, raw: list[Tensor], objects: Objects) -> Tensor:
        """Both heads', with the same alignment."""
        return self.loss_of(raw, objects, 1) + self.beside.loss_of(self.many, objects, SPREAD)

    def tail(self, raw: list[Tensor]) -> Tensor:
        """(1, MOST, 6): corners, probability, class of the best boxes, the best first."""
        joined = torch.cat([x.view(1, 4 * BINS + CLASSES, -1) for x in raw], 2)
        sides, classes = joined.split((4 * BINS, CLASSES), 1)
        reach = self.mean(sides.view(1, 4, BINS, -1).transpose(2, 1).softmax(1)).view(1, 4, -1)
        centres = (grids() + 0.5).T[None]
        first, second = reach.chunk(2, 1)
        boxes = torch.cat([centres - first, centres + second], 1) * strides().T
        boxes, scores = boxes.transpose(1, 2), classes.sigmoid().transpose(1, 2)
        index = scores.amax(2).topk(MOST).indices[..., None]
        boxes, scores = boxes.gather(1, index.expand(-1, -1, 4)), scores.gather(1, index.expand(-1, -1, CLASSES))
        best, place = scores.flatten(1).topk(MOST)
        boxes = boxes.gather(1, (place // CLASSES)[..., None].expand(-1, -1, 4))
        return torch.cat([boxes, best[..., None], (place % CLASSES)[..., None].float()], 2)
