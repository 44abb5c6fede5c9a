"""The loop that trains the float network and all networks of integers alike. Needs torch and scikit-learn."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from examples.detector.learning import Targets, loss_of
from examples.detector.scenes import Glyphs, take

BATCH = 16
CLIP = 5.0  # greatest norm of a step's gradient
DECAY = 0.995  # of the running mean of weights

Outputs = tuple[Tensor, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Lessons:
    """Scenes as training takes them: images (count, 1, 96, 96) uint8, class and box of every location.

    `taught` has the outputs of a network that is to be come near to; none without one.
    """

    images: Tensor
    classes: Tensor
    boxes: Tensor
    taught: Outputs = ()

    @classmethod
    def of(cls, glyphs: Glyphs, seed: int, count: int) -> "Lessons":
        """The first `count` scenes of a seed, as `examples.detector.scenes` makes them."""
        found, targets = take(glyphs, seed, count), Targets()
        classes, boxes = zip(*map(targets, found), strict=True)
        return cls(
            images=torch.tensor(np.stack([scene.image for scene in found])[:, None]),
            classes=torch.tensor(np.stack(classes)),
            boxes=torch.tensor(np.stack(boxes), dtype=torch.float32),
        )

    def taught_by(self, teacher: nn.Module) -> "Lessons":
        """Return the same with the outputs of a network."""
        with torch.no_grad():
            parts = [teacher(part.float()) for part in self.images.split(BATCH)]
        return replace(self, taught=tuple(torch.cat(same) for same in zip(*parts, strict=True)))

    def batches(self, seed: int) -> Iterator[tuple[Tensor, Tensor, Tensor, Outputs]]:
        """Batches without end, in a new order in each pass."""
        generator = torch.Generator().manual_seed(seed)
        while True:
            for part in torch.randperm(len(self.images), generator=generator).split(BATCH):
                taught = tuple(values[part] for values in self.taught)
                yield self.images[part].float(), self.classes[part], self.boxes[part], taught


def fit(
    model: nn.Module,
    lessons: Lessons,
    *,
    steps: int,
    rate: float,
    seed: int,
    name: str = "",
) -> nn.Module:
    """Train with AdamW and a one-cycle learning rate; return a running mean of the weights of the last steps.

    Parameters
    ----------
    model
        Images of whole numbers to the four outputs of a detector.
    lessons
        What to learn; outputs of a teacher count beside the objects.
    steps, rate, seed
        Steps, greatest learning rate, seed of the order of the images.
    name
        What progress is printed under; nothing is without one.
    """
    targets, source = Targets(), lessons.batches(seed)
    mean = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(DECAY), use_buffers=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=rate, total_steps=steps, pct_start=0.1)
    total = 0.0
    for step in range(1, steps + 1):
        images, classes, boxes, taught = next(source)
        outputs = model(images)
        loss = loss_of(outputs, classes, boxes, targets)
        if taught:
            loss = loss + distance(outputs, taught)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        schedule.step()
        mean.update_parameters(model)
        total += float(loss.detach())
        if name and step % 100 == 0:
            print(f"{name}: step {step} of {steps}: loss {total / 100:.3f}", flush=True)
            total = 0.0
    return mean.module.eval()


def distance(outputs: Outputs, expected: Outputs) -> Tensor:
    """Mean over the outputs of the squared difference relative to the variance of what is expected."""
    parts = [(y - x).square().mean() / x.var() for y, x in zip(outputs, expected, strict=True)]
    return torch.stack(parts).mean()
