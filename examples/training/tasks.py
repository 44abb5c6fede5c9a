"""What is trained again: the digits, their detector, and a detector of 64 channels in every layer. Needs torch."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrize

from examples.detector.scenes import glyphs
from examples.training.fitting import Lessons, fit
from examples.training.scoring import float_ap50, held_out, integer_ap50
from examples.training.wide import OUTPUTS, Wide
from roundel.data import DETECTOR, DIGITS
from roundel.detection import Scenes
from roundel.frontend import read_onnx
from roundel.golden.network import Network, run
from roundel.graph import load_images
from roundel.qat import ChannelPattern, QatOptions, mask_channels, prepare
from roundel.qat.network import IntegerModule

CALIBRATION = 32  # scenes that the first formats are found on


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A piece of the training of a float network.

    Parameters
    ----------
    steps, rate, seed, batch, half
        As of `fit`.
    count
        Scenes to train on.
    """

    steps: int
    rate: float
    seed: int
    batch: int = 32
    half: bool = True
    count: int = 16_000


FLOAT = (
    Stage(steps=5_000, rate=3e-3, seed=41, batch=16, half=False, count=8_000),
    Stage(steps=3_000, rate=2e-3, seed=42),
)
MASKED = {4: Stage(steps=4_000, rate=2e-3, seed=43), 2: Stage(steps=5_000, rate=2e-3, seed=44)}  # by N of N:8
BEFORE = {4: None, 2: 4}  # the pattern that training with another one starts from


@dataclass(frozen=True, kw_only=True)
class Digits:
    """The classifier of `examples/digits`; the score is the share of held-out digits that are right, in points."""

    config: str = "small"
    steps: Mapping[str, int] = field(default_factory=lambda: steps_of(1_300))
    rate: float = 2e-3
    gentle: float = 0.4  # of the rate, at 8 bits
    measure: str = "digits right"
    shape: tuple[int, ...] = (8, 8, 1)

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

    def train(self, model: IntegerModule, steps: int, rate: float, seed: int) -> IntegerModule:
        """Train it on the digits of the training part, moved by up to a pixel."""
        from examples.digits.train import shifted, split

        images, labels = split()["training"]
        x, y = torch.tensor(images, dtype=torch.float32), torch.tensor(labels, dtype=torch.long)
        generator = torch.Generator().manual_seed(seed)
        optimizer = torch.optim.AdamW(model.parameters(), lr=rate)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps, pct_start=0.1)
        for _ in range(steps):
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
    config: str = "small"
    steps: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(steps_of(0), 1_200) | {"4bit": 800})
    rate: float = 1e-3
    gentle: float = 1.0  # of the rate, at 8 bits
    measure: str = "AP50"
    shape: tuple[int, ...] = (96, 96, 1)

    @cached_property
    def held_out(self) -> Scenes:
        return held_out(self.scenes)

    @property
    def images(self) -> np.ndarray:
        """Images to compare torch and golden on."""
        return self.held_out.images

    @cached_property
    def lessons(self) -> Lessons:
        """Scenes to train on."""
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

    @cached_property
    def taught(self) -> Lessons:
        """The scenes to train on, and what the float network makes of them."""
        return self.lessons.taught_by(self.teach)

    def train(self, model: IntegerModule, steps: int, rate: float, seed: int) -> IntegerModule:
        """Train it on scenes of training digits, near to the float network."""
        trained = fit(model, self.taught, steps=steps, rate=rate, seed=seed, name="integers")
        assert isinstance(trained, IntegerModule)
        return trained


@dataclass(frozen=True, kw_only=True)
class WideDetection(Detection):
    """The detector of 64 channels in every layer, for arrays of 16 x 16.

    Parameters
    ----------
    stages, masked_stages
        The training of the float network, and of that with N of N:8, by N.
    """

    count: int = 16_000
    config: str = "medium"
    steps: Mapping[str, int] = field(default_factory=lambda: steps_of(2_000))
    rate: float = 1e-3
    gentle: float = 0.4  # it starts from masked networks
    stages: tuple[Stage, ...] = FLOAT
    masked_stages: Mapping[int, Stage] = field(default_factory=lambda: MASKED)

    @cached_property
    def network(self) -> nn.Module:
        """The float network, trained where the folder does not have it yet."""
        path = self.folder / "wide.pt"
        torch.manual_seed(41)
        network: nn.Module = Wide()
        if path.exists():
            return _loaded(network, path)
        for stage in self.stages:
            network = self._stage(network, self.lessons, stage, "float")
        torch.save(network.state_dict(), path)
        return network

    def masked(self, kept: int) -> nn.Module:
        """The float network with a pattern, trained where the folder does not have it yet, from the one with more."""
        path = self.folder / f"wide_{kept}of8.pt"
        if path.exists():
            return _loaded(Wide(), path)
        before = BEFORE[kept]
        network = deepcopy(self.network if before is None else self.masked(before))
        names = mask_channels(network, ChannelPattern(kept=kept, lanes=16, columns=16))
        network = self._stage(network, self.taught, self.masked_stages[kept], f"{kept} of 8 in float")
        modules = dict(network.named_modules())
        for name in names:
            parametrize.remove_parametrizations(modules[name], "weight")
        torch.save(network.state_dict(), path)
        return network

    @staticmethod
    def _stage(network: nn.Module, lessons: Lessons, stage: Stage, name: str) -> nn.Module:
        return fit(
            network, lessons.first(stage.count), steps=stage.steps, rate=stage.rate, seed=stage.seed, batch=stage.batch,
            half=stage.half, name=name,
        )  # fmt: skip

    def teach(self, images: Tensor) -> tuple[Tensor, ...]:
        with torch.no_grad():
            outputs: tuple[Tensor, ...] = self.network(images)
        return outputs

    def prepare(self, options: QatOptions) -> IntegerModule:
        images = self.lessons.images[:CALIBRATION].numpy()
        network = self.network if options.pattern is None else self.masked(options.pattern.kept)
        return prepare(network, images, options, outputs=OUTPUTS)


def _loaded(network: nn.Module, path: Path) -> nn.Module:
    network.load_state_dict(torch.load(path))
    return network.eval()


def steps_of(steps: int) -> dict[str, int]:
    """Steps of integers by variant: half as many at 8 bits."""
    return {"4bit": steps, "4of8": steps // 2, "2of8": steps // 2, "4bit_4of8": steps}


def tasks(folder: Path) -> dict[str, Digits | Detection]:
    """All of them by name."""
    return {"digits": Digits(), "detector": Detection(folder=folder), "wide": WideDetection(folder=folder)}
