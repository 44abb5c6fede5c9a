"""What a detector learns from a scene: which object a location is about, and the loss of its logits and distances.

Heads are those of `examples/detector` and `examples/training`: at each scale logits of the classes, and distances from
the centre of a location to the sides of its box in strides of the scale. Needs torch.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

CLASSES, SIZE, STRIDES = 10, 96, (8, 16)
RANGES = ((0.0, 28.0), (20.0, 96.0))  # longer sides of the objects that a scale learns, in pixels; both learn some
RADIUS = 1.25  # strides, in x and in y, within which a location is about an object


class Targets:
    """Which object every location of every scale is about: (locations,) in the order of the outputs."""

    def __init__(self) -> None:
        centres, strides, ranges = [], [], []
        for stride, sides in zip(STRIDES, RANGES, strict=True):
            axis = (np.arange(SIZE // stride) + 0.5) * stride
            y, x = np.meshgrid(axis, axis, indexing="ij")
            centres.append(np.stack([x.ravel(), y.ravel()], axis=1))
            strides += [stride] * len(axis) ** 2
            ranges += [sides] * len(axis) ** 2
        self.centres, self.strides = np.concatenate(centres), np.array(strides, float)
        self.ranges = np.array(ranges)

    def __call__(self, scene: Any) -> tuple[np.ndarray, np.ndarray]:
        """Class of every location, -1 for none, and the box it is about; of several objects the nearest one's."""
        middle, side = (scene.boxes[:, :2] + scene.boxes[:, 2:]) / 2, scene.boxes[:, 2:] - scene.boxes[:, :2]
        away = np.abs(self.centres[:, None] - middle)
        near = (away < np.minimum(RADIUS * self.strides[:, None, None], side / 2)).all(axis=2)
        longer = side.max(axis=1)
        near &= (longer >= self.ranges[:, :1]) & (longer < self.ranges[:, 1:])
        cost = np.where(near, (away / side).max(axis=2), np.inf)
        which = cost.argmin(axis=1)
        return np.where(near.any(axis=1), scene.classes[which], -1), scene.boxes[which]


def flat(outputs: tuple[Tensor, ...], targets: Targets) -> tuple[Tensor, Tensor]:
    """Logits (batch, locations, classes) and boxes in pixels (batch, locations, 4) from the network's outputs."""
    logits = torch.cat([one.flatten(2) for one in outputs[0::2]], dim=2).transpose(1, 2)
    distances = torch.cat([one.flatten(2) for one in outputs[1::2]], dim=2).transpose(1, 2)
    distances = distances * torch.tensor(targets.strides, dtype=torch.float32)[:, None]
    centres = torch.tensor(targets.centres, dtype=torch.float32)
    return logits, torch.cat([centres - distances[..., :2], centres + distances[..., 2:]], dim=2)


def overlaps(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """IoU and generalized IoU of boxes (n, 4) with boxes (n, 4) [S: GIoU, Rezatofighi et al., CVPR 2019]."""
    inner = (torch.minimum(a[:, 2:], b[:, 2:]) - torch.maximum(a[:, :2], b[:, :2])).clamp(min=0).prod(1)
    outer = (torch.maximum(a[:, 2:], b[:, 2:]) - torch.minimum(a[:, :2], b[:, :2])).prod(1)
    union = (a[:, 2:] - a[:, :2]).prod(1) + (b[:, 2:] - b[:, :2]).prod(1) - inner
    iou = inner / (union + 1e-6)
    return iou, iou - (outer - union) / (outer + 1e-6)


def loss_of(outputs: tuple[Tensor, ...], classes: Tensor, boxes: Tensor, targets: Targets) -> Tensor:
    """Quality focal loss [S: Li et al., NeurIPS 2020], whose target is the IoU of the location's box, plus GIoU's."""
    logits, found = flat(outputs, targets)
    about = classes >= 0
    iou, generalized = overlaps(found[about], boxes[about])
    quality = torch.zeros_like(logits)
    quality[about] = functional.one_hot(classes[about], CLASSES) * iou.detach()[:, None]
    entropy = functional.binary_cross_entropy_with_logits(logits, quality, reduction="none")
    focal = (entropy * (quality - logits.sigmoid()).abs().square()).sum()
    count = about.sum().clamp(min=1)
    return (2 * focal + 2 * (1 - generalized).sum()) / count
