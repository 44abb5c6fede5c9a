"""Train and export the detectors: `python -m examples.heads.train [NAME ...]` (needs `pip install -e .[train]`).

Writes `NAME.onnx` into roundel/data/heads. The trunk starts from the detector of `examples/detector`, the head anew;
scenes are of digits of the training part alone. In the second half of training values are rounded to 8 bits
(`trunk.Rounder`), and a short second training pulls those of the head into the ranges in which 8 bits are fine enough.
The network is a running mean of the weights of the last steps; nothing is selected.
"""

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from examples.detector.scenes import Scene, glyphs, take
from examples.heads.assigning import Objects, padded
from examples.heads.one_to_one import OneToOne
from examples.heads.ssd import Ssd
from examples.heads.trunk import PIXEL, SIZE, Trunk, beyond, rounders
from examples.heads.yolov5 import YoloV5
from examples.heads.yolov8 import YoloV8
from examples.heads.yolox import YoloX
from roundel.data import HEADS

SEED = 21
BATCH, SCENES = 16, 8_000
STEPS, RATE = 2_000, 2e-3
SETTLING_RATE, PULL = 5e-4, 0.02
OPSET = 17
FAMILIES: dict[str, Callable[[], nn.Module]] = {
    "yolov5": YoloV5,
    "yolov8": YoloV8,
    "yolox": YoloX,
    "ssd": Ssd,
    "one_to_one": OneToOne,
}
SETTLING = dict.fromkeys(FAMILIES, 400) | {"one_to_one": 1_200}
OUTPUTS = {"ssd": ["boxes", "scores", "labels"]}
NAMED = ("yolov5", "yolov8", "one_to_one")
"""Whose exporter writes the names of the classes into the file."""


class Network(nn.Module):
    """A trunk and a head: raw maps in training, what the file gives otherwise."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.trunk, self.head = Trunk(), head

    def forward(self, images: Tensor) -> list[Tensor] | Tensor | tuple[Tensor, ...]:
        raw = self.head(self.trunk(images))
        return raw if self.training else self.head.tail(raw)


def batches(found: Sequence[Scene]) -> Iterator[tuple[Tensor, Objects]]:
    """Batches of scenes without end, in a new order in each pass: images / 256, and what is on them."""
    while True:
        for part in torch.randperm(len(found)).split(BATCH):
            batch = [found[place] for place in part]
            images = torch.tensor(np.stack([scene.image for scene in batch])[:, None] / PIXEL, dtype=torch.float32)
            yield images, padded([scene.boxes for scene in batch], [scene.classes for scene in batch])


def train(name: str, found: Sequence[Scene], steps: int = STEPS) -> Network:
    """The first training."""
    torch.manual_seed(SEED)
    return _stepped(name, Network(FAMILIES[name]()), found, steps, RATE, settling=False)


def settle(name: str, weights: Mapping[str, Tensor], found: Sequence[Scene]) -> Network:
    """The second training, of the weights that the first one left; that of two heads is longer."""
    torch.manual_seed(SEED + 1)
    model = Network(FAMILIES[name]())
    model.load_state_dict(weights)
    return _stepped(name, model, found, SETTLING[name], SETTLING_RATE, settling=True)


def _stepped(name: str, model: Network, found: Sequence[Scene], steps: int, rate: float, *, settling: bool) -> Network:
    """AdamW with a one-cycle learning rate; the weights returned are a running mean."""
    source = batches(found)
    decay = torch.optim.swa_utils.get_ema_multi_avg_fn(0.99 if settling else 0.998)
    mean = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=decay)
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=rate, total_steps=steps, pct_start=0.1)
    total = 0.0
    for step in range(1, steps + 1):
        rounders(model, settling or step > steps // 2, limited=settling)
        images, objects = next(source)
        loss = model.head.loss(model(images), objects)
        loss = loss + PULL * beyond(model) if settling else loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        schedule.step()
        mean.update_parameters(model)
        total += float(loss.detach())
        if step % 200 == 0:
            print(f"{name}: step {step} of {steps}: loss {total / 200:.3f}", flush=True)
            total = 0.0
    return mean.module.eval()


def export(name: str, model: Network, file: Path) -> None:
    """Write the network with its tail, for an image of whole numbers 0 to 255."""
    with torch.no_grad():
        model.trunk.convs["conv1"].weight /= PIXEL
    outputs = OUTPUTS.get(name, ["output"])
    image = torch.zeros((1, 1, SIZE, SIZE))
    torch.onnx.export(
        model, (image,), file, dynamo=False, opset_version=OPSET, input_names=["image"], output_names=outputs
    )
    written = onnx.load(file)
    if name in NAMED:
        onnx.helper.set_model_props(written, {"names": str({number: str(number) for number in range(10)})})
        onnx.save(written, file)
    onnx.checker.check_model(written, full_check=True)


def main() -> None:
    reader = argparse.ArgumentParser(
        prog="python -m examples.heads.train", description=(__doc__ or "").partition("\n")[0]
    )
    reader.add_argument("names", nargs="*", choices=[*FAMILIES, []], help="all without any")
    reader.add_argument("--steps", type=int, default=STEPS)
    reader.add_argument("--folder", type=Path, default=HEADS)
    options = reader.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    print(f"seed {SEED}")
    found = take(glyphs()["training"], SEED, SCENES)
    for name in options.names or FAMILIES:
        file = options.folder / f"{name}.onnx"
        first = train(name, found, options.steps)
        export(name, settle(name, first.state_dict(), found), file)
        print(f"{name}: {file.name}, {file.stat().st_size:,} bytes", flush=True)


if __name__ == "__main__":
    main()
