"""What is trained again: the digits, their detector, and a detector of 64 channels in every layer. Needs torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from examples.detector.scenes import glyphs
from examples.training.fitting import Lessons, fit
from examples.training.scoring import float_ap50, held_out, integer_ap50
from examples.training.wide import OUTPUTS, Wide
from roundel.data import DETECTOR, DIGITS
from roundel.detection import Scenes
from roundel.frontend import read_onnx
from roundel.golden.network import Network, run
from roundel.graph import load_images
from roundel.qat import QatOptions, prepare
from roundel.qat.network import IntegerModule

CALIBRATION = 32  # scenes that the first formats are found on


@dataclass(frozen=True, kw_only=True)
class Digits:
    """The classifier of `examples/digits`; the score is the share of held-out digits that are right, in points."""

    lanes: int = 8
    columns: int = 8
    steps: int = 1_300
    rate: float = 2e-3
    measure: str = "digits right"

    @cached_property
    def held_out(self) -> tuple[np.ndarray, np.ndarray]:
        images = load_images(DIGITS / "heldout.npz", read_onnx(DIGITS / "digits.onnx"))
        assert images.labels is not None
        return images.images, images.labels

    @property
    def images(self) -> np.ndarray:
        """Images to compare torch and golden on."""
        return self.held_out[0]

    def float_score(self) -> float:
        """Score of the float network."""
        images, labels = self.held_out
        return 100 * float((read_onnx(DIGITS / "digits.onnx").run(images).argmax(1) == labels).mean())

    def score(self, network: Network, results: Mapping[str, str]) -> float:
        """Score of an integer network."""
        images, labels = self.held_out
        return 100 * float((run(network, network.encode(images)).argmax(1) == labels).mean())

    def prepare(self, options: QatOptions) -> IntegerModule:
        """Return the network to train."""
        return prepare(DIGITS / "digits.onnx", DIGITS / "calibration.npz", options)

    def train(self, model: IntegerModule, seed: int) -> IntegerModule:
        """Train it on the digits of the training part, moved by up to a pixel."""
        from examples.digits.train import shifted, split

        images, labels = split()["training"]
        x, y = torch.tensor(images, dtype=torch.float32), torch.tensor(labels, dtype=torch.long)
        generator = torch.Generator().manual_seed(seed)
        optimizer = torch.optim.AdamW(model.parameters(), lr=self.rate)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, self.rate, total_steps=self.steps, pct_start=0.1)
        for _ in range(self.steps):
            part = torch.randint(len(x), (64,), generator=generator)
            loss = functional.cross_entropy(model(shifted(x[part], generator)), y[part])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        return model


@dataclass(frozen=True, kw_only=True)
class Detection:
    """A detector of digits; the score is AP50 on held-out scenes, in points.

    Parameters
    ----------
    folder
        Where float networks that have to be trained first are kept.
    scenes, count
        Scenes that the score is of, and scenes to train on.
    """

    folder: Path
    scenes: int = 1_000
    count: int = 8_000
    lanes: int = 8
    columns: int = 8
    steps: int = 2_000
    rate: float = 1e-3
    measure: str = "AP50"

    @cached_property
    def held_out(self) -> Scenes:
        return held_out(self.scenes)

    @property
    def images(self) -> np.ndarray:
        """Images to compare torch and golden on."""
        return self.held_out.images

    @cached_property
    def lessons(self) -> Lessons:
        """Scenes to train on, and what the float network makes of them."""
        return Lessons.of(glyphs()["training"], 41, self.count)

    def teach(self, images: Tensor) -> tuple[Tensor, ...]:
        """Outputs of the float network."""
        found = read_onnx(DETECTOR / "detector.onnx").outputs(images.numpy())
        return tuple(torch.tensor(found[name]) for name in OUTPUTS)

    def float_score(self) -> float:
        """Score of the float network."""
        parts = [self.teach(part) for part in torch.tensor(self.images).float().split(50)]
        outputs = (torch.cat(same).numpy() for same in zip(*parts, strict=True))
        return float_ap50(dict(zip(OUTPUTS, outputs, strict=True)), self.held_out)

    def score(self, network: Network, results: Mapping[str, str]) -> float:
        """Score of an integer network."""
        return integer_ap50(network, results, self.held_out)

    def prepare(self, options: QatOptions) -> IntegerModule:
        """Return the network to train."""
        return prepare(DETECTOR / "detector.onnx", self.lessons.images[:CALIBRATION].numpy(), options)

    def train(self, model: IntegerModule, seed: int) -> IntegerModule:
        """Train it on scenes of training digits, near to the float network."""
        lessons = self.lessons.taught_by(self.teach)
        trained = fit(model, lessons, steps=self.steps, rate=self.rate, seed=seed, name="integers")
        assert isinstance(trained, IntegerModule)
        return trained


@dataclass(frozen=True, kw_only=True)
class WideDetection(Detection):
    """The detector of 64 channels in every layer, for arrays of 16 x 16."""

    lanes: int = 16
    columns: int = 16
    steps: int = 4_000
    rate: float = 1.5e-3

    @cached_property
    def network(self) -> nn.Module:
        """The float network, trained where the folder does not have it yet."""
        path = self.folder / "wide.pt"
        torch.manual_seed(41)
        network = Wide()
        if path.exists():
            network.load_state_dict(torch.load(path))
            return network.eval()
        network = fit(network, self.lessons, steps=5_000, rate=3e-3, seed=41, name="float")
        torch.save(network.state_dict(), path)
        return network

    def teach(self, images: Tensor) -> tuple[Tensor, ...]:
        with torch.no_grad():
            outputs: tuple[Tensor, ...] = self.network(images)
        return outputs

    def prepare(self, options: QatOptions) -> IntegerModule:
        images = self.lessons.images[:CALIBRATION].numpy()
        return prepare(self.network, images, options, outputs=OUTPUTS)


def tasks(folder: Path) -> dict[str, Digits | Detection]:
    """All of them by name."""
    return {"digits": Digits(), "detector": Detection(folder=folder), "wide": WideDetection(folder=folder)}
