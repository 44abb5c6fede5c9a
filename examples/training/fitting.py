"""The loop that trains the float network and all networks of integers alike. Needs torch and scikit-learn."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from examples.detector.learning import Targets, flat, loss_of, overlaps
from examples.detector.scenes import Glyphs, take

BATCH = 32
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

    def first(self, count: int) -> "Lessons":
        """The first scenes."""
        taught = tuple(values[:count] for values in self.taught)
        return Lessons(
            images=self.images[:count], classes=self.classes[:count], boxes=self.boxes[:count], taught=taught
        )

    def batches(self, seed: int, size: int) -> Iterator[tuple[Tensor, Tensor, Tensor, Outputs]]:
        """Batches without end, in a new order in each pass."""
        generator = torch.Generator().manual_seed(seed)
        while True:
            for part in torch.randperm(len(self.images), generator=generator).split(size):
                taught = tuple(values[part] for values in self.taught)
                yield self.images[part].float(), self.classes[part], self.boxes[part], taught


def fit(
    model: nn.Module,
    lessons: Lessons,
    *,
    steps: int,
    rate: float,
    seed: int,
    batch: int = BATCH,
    half: bool = False,
    name: str = "",
) -> nn.Module:
    """Train with AdamW and a one-cycle learning rate; return a running mean of the weights of the last steps.

    Parameters
    ----------
    model
        Images of whole numbers to the four outputs of a detector.
    lessons
        What to learn; outputs of a teacher count beside the objects.
    steps, rate, seed, batch
        Steps, greatest learning rate, seed of the order of the images, images of a step.
    half
        Whether convolutions compute in bfloat16: for float networks only, which it makes about twice as fast.
    name
        What progress is printed under; nothing is without one.
    """
    targets, source = Targets(), lessons.batches(seed, batch)
    model = model.to(memory_format=torch.channels_last).train()
    mean = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(DECAY), use_buffers=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=rate, total_steps=steps, pct_start=0.1)
    total = 0.0
    for step in range(1, steps + 1):
        images, classes, boxes, taught = next(source)
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            outputs = model(images)
        outputs = tuple(one.float() for one in outputs)
        loss = loss_of(outputs, classes, boxes, targets)
        if taught:
            loss = loss + distance(outputs, taught, targets)
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


def distance(outputs: Outputs, taught: Outputs, targets: Targets) -> Tensor:
    """Quality focal loss to the probabilities of a teacher, and GIoU's to its boxes, by its greatest probability."""
    logits, found = flat(outputs, targets)
    expected, wanted = flat(taught, targets)
    wished = expected.sigmoid()
    entropy = functional.binary_cross_entropy_with_logits(logits, wished, reduction="none")
    focal = (entropy * (wished - logits.sigmoid()).square()).sum()
    weight = wished.amax(dim=2).flatten()
    _, generalized = overlaps(found.flatten(0, 1), wanted.flatten(0, 1))
    return (2 * focal + 2 * ((1 - generalized) * weight).sum()) / weight.sum().clamp(min=1)
