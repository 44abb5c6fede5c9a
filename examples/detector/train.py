"""Train the detector: `python examples/detector/train.py` (needs `pip install -e .[train]`).

Writes `detector.onnx` beside itself. Scenes (`scenes.py`) are of digits of the training part alone and every one is
new; initial weights and scenes follow from `SEED`. The network is that of the last step, nothing is selected.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import torch
from network import CLASSES, PIXEL, SIZE, STRIDES, Detector, macs, to_onnx
from scenes import Scene, glyphs, scenes
from torch import Tensor
from torch.nn import functional

from roundel.data import DETECTOR

SEED = 1
STEPS = 14_000
BATCH = 16
RATE = 4e-3
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

    def __call__(self, scene: Scene) -> tuple[np.ndarray, np.ndarray]:
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


def batch_of(source: Iterator[Scene], count: int, targets: Targets) -> tuple[Tensor, Tensor, Tensor]:
    """The next scenes: images / 256, and class and box of every location."""
    batch = [next(source) for _ in range(count)]
    images = torch.tensor(np.stack([one.image for one in batch])[:, None] / PIXEL, dtype=torch.float32)
    classes, boxes = zip(*map(targets, batch), strict=True)
    return images, torch.tensor(np.stack(classes)), torch.tensor(np.stack(boxes), dtype=torch.float32)


def train(steps: int, report: bool = True) -> Detector:
    """AdamW with a one-cycle learning rate; the weights returned are a running mean of those of the last steps."""
    torch.manual_seed(SEED)
    targets, source = Targets(), scenes(glyphs()["training"], SEED)
    model = Detector()
    mean = torch.optim.swa_utils.AveragedModel(
        model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.998), use_buffers=True
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=RATE, total_steps=steps, pct_start=0.1)
    total = 0.0
    for step in range(1, steps + 1):
        images, *about = batch_of(source, BATCH, targets)
        loss = loss_of(model(images), *about, targets)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        schedule.step()
        mean.update_parameters(model)
        total += float(loss.detach())
        if report and step % 200 == 0:
            print(f"step {step} of {steps}: loss {total / 200:.3f}", flush=True)
            total = 0.0
    return mean.module.eval()


def main() -> None:
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else STEPS
    target = Path(sys.argv[2]) if len(sys.argv) > 2 else DETECTOR / "detector.onnx"
    model = train(steps)
    onnx.save(to_onnx(model), str(target))
    weights = sum(value.numel() for value in model.convs.parameters())
    print(f"{weights:,} weights and biases of convolutions, {macs():,} multiplications an image")


if __name__ == "__main__":
    main()
