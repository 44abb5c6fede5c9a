"""What locations are about, and losses of boxes: shared by the heads.

Objects of a batch are padded to the same number: boxes (batch, objects, 4) as corners in pixels, and classes (batch,
objects), -1 where there is none.
"""

from dataclasses import dataclass
from math import pi

import numpy as np
import torch
from torch import Tensor

from examples.heads.trunk import SIZE, STRIDES

SCORE_POWER, OVERLAP_POWER = 0.5, 6.0  # of TAL, as published


@dataclass(frozen=True, kw_only=True, eq=False)
class Objects:
    """What is there, in each image of a batch."""

    boxes: Tensor
    classes: Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class Assigned:
    """What each location is about: `about` (batch, locations), its box, its class and how good it is, 0 to 1."""

    about: Tensor
    boxes: Tensor
    classes: Tensor
    quality: Tensor


def grid(stride: int) -> Tensor:
    """x and y of the locations of a scale, row by row, (locations, 2)."""
    axis = torch.arange(SIZE // stride, dtype=torch.float32)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return torch.stack([x.flatten(), y.flatten()], 1)


def grids() -> Tensor:
    """Locations of all scales, (locations, 2)."""
    return torch.cat([grid(stride) for stride in STRIDES])


def strides() -> Tensor:
    """The stride of each location, (locations, 1)."""
    return torch.cat([torch.full(((SIZE // stride) ** 2, 1), float(stride)) for stride in STRIDES])


def overlap(a: Tensor, b: Tensor) -> Tensor:
    """IoU of boxes, broadcast."""
    inner = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0).prod(-1)
    areas = (a[..., 2:] - a[..., :2]).clamp(min=0).prod(-1) + (b[..., 2:] - b[..., :2]).clamp(min=0).prod(-1)
    return inner / (areas - inner + 1e-6)


def complete_overlap(a: Tensor, b: Tensor) -> Tensor:
    """Complete IoU [S: CIoU, Zheng et al., AAAI 2020] of boxes (n, 4) with boxes (n, 4)."""
    iou = overlap(a, b)
    outer = torch.maximum(a[:, 2:], b[:, 2:]) - torch.minimum(a[:, :2], b[:, :2])
    apart = (a[:, :2] + a[:, 2:] - b[:, :2] - b[:, 2:]).square().sum(1) / 4
    a_side, b_side = (a[:, 2:] - a[:, :2]).clamp(min=1e-3), b[:, 2:] - b[:, :2]
    turned = torch.atan(b_side[:, 0] / b_side[:, 1]) - torch.atan(a_side[:, 0] / a_side[:, 1])
    shape = 4 / pi**2 * turned.square()
    with torch.no_grad():
        weight = shape / (1 - iou + shape + 1e-6)
    return iou - apart / (outer.square().sum(1) + 1e-6) - weight * shape


def aligned(scores: Tensor, boxes: Tensor, objects: Objects, count: int) -> Assigned:
    """Task-aligned assignment [S: TOOD, Feng et al., ICCV 2021]: the `count` best locations inside of each object.

    Parameters
    ----------
    scores, boxes
        Probabilities (batch, locations, classes) and corners in pixels (batch, locations, 4), as the head has them.
    objects
        What is there.
    count
        Locations of an object; 1 for a head whose boxes are not suppressed.
    """
    scores, boxes = scores.detach(), boxes.detach()
    centres = (grids() + 0.5) * strides()
    there = objects.classes >= 0
    low, high = objects.boxes[:, :, None, :2], objects.boxes[:, :, None, 2:]
    inside = ((centres > low) & (centres < high)).all(-1) & there[..., None]
    iou = overlap(objects.boxes[:, :, None], boxes[:, None])
    own = objects.classes.clamp(min=0)[:, :, None].expand(-1, -1, boxes.shape[1])
    score = scores.transpose(1, 2).gather(1, own)
    alignment = (score**SCORE_POWER * iou**OVERLAP_POWER + 1e-12) * inside
    best = alignment.topk(count, dim=2)
    chosen = torch.zeros_like(alignment).scatter_(2, best.indices, 1.0) * (alignment > 0)
    taken = chosen * (iou + 1e-6)  # of several objects the one that overlaps most
    which = taken.argmax(1)
    chosen = chosen * torch.zeros_like(chosen).scatter_(1, which[:, None], 1.0)
    alignment = alignment * chosen
    most = alignment.amax(2, keepdim=True)
    quality = (alignment / (most + 1e-12) * (iou * chosen).amax(2, keepdim=True)).amax(1)
    return Assigned(
        about=chosen.sum(1) > 0,
        boxes=objects.boxes.gather(1, which[..., None].expand(-1, -1, 4)),
        classes=objects.classes.gather(1, which),
        quality=quality,
    )


def targets(assigned: Assigned, classes: int) -> Tensor:
    """The quality at the class of each location, 0 elsewhere: (batch, locations, classes)."""
    chances = torch.zeros((*assigned.about.shape, classes))
    hot = torch.nn.functional.one_hot(assigned.classes.clamp(min=0), classes)
    return chances + hot * (assigned.quality * assigned.about)[..., None]


def padded(boxes: list[np.ndarray], classes: list[np.ndarray]) -> Objects:
    """The objects of a batch."""
    most = max(map(len, classes))
    corners, labels = torch.zeros((len(boxes), most, 4)), torch.full((len(boxes), most), -1)
    for place, (own, kinds) in enumerate(zip(boxes, classes, strict=True)):
        corners[place, : len(own)] = torch.tensor(own, dtype=torch.float32)
        labels[place, : len(kinds)] = torch.tensor(kinds)
    return Objects(boxes=corners, classes=labels)
