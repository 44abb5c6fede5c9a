"""How to fine-tune: what `roundel.compression.finetuning` and its training loop both read."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from roundel.golden.parameters import check_integer

Augment = Callable[[Any, Any], Any]
"""Called with a batch of images and a `torch.Generator`; gives the batch to train on."""


@dataclass(frozen=True, kw_only=True)
class FinetuneOptions:
    """How to fine-tune.

    Parameters
    ----------
    epochs
        Passes over all images, at least 1.
    learning_rate
        Learning rate of Adam, above 0; it rises for a tenth of all steps and falls to 0 as a cosine over the others.
    batch
        Images a step, at least 1.
    distill
        Weight of the distance to the float network's results, 0 to 1; what remains is that of the labels.
    weight_decay
        Part of every weight, times the learning rate, that each step takes off it, 0 to 1: more codes become 0 or
        small, and streams shorter.
    temperature
        By which scores are divided before they are compared with the float network's, above 0.
    seed
        Seed of the order of the images and of augmentation.

    Raises
    ------
    TypeError, ValueError
        A parameter of the wrong kind or out of its range.
    """

    epochs: int = 30
    learning_rate: float = 2e-3
    batch: int = 64
    distill: float = 0.5
    weight_decay: float = 0.0
    temperature: float = 2.0
    seed: int = 1

    def __post_init__(self) -> None:
        for name, low in (("epochs", 1), ("batch", 1), ("seed", 0)):
            check_integer(name, getattr(self, name), low, 2**31 - 1)
        for name, allowed in {
            "learning_rate": "above 0 to 1",
            "temperature": "above 0 to 1000",
            "distill": "0 to 1",
            "weight_decay": "0 to 1",
        }.items():
            value, most = getattr(self, name), float(allowed.split()[-1])
            if not isinstance(value, int | float) or isinstance(value, bool):
                raise TypeError(f"{name} must be a number, not {value!r}")
            if not 0 <= value <= most or (allowed.startswith("above") and value == 0):
                raise ValueError(f"{name} must be {allowed}, not {value}")
