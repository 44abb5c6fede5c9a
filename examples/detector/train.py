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
from learning import Targets, loss_of
from network import PIXEL, Detector, macs, to_onnx
from scenes import Scene, glyphs, scenes
from torch import Tensor

from roundel.data import DETECTOR

SEED = 1
STEPS = 14_000
BATCH = 16
RATE = 4e-3


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
