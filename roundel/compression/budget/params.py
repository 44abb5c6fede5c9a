"""What a network may cost: a part of what it costs with weights of 8 bits."""

from dataclasses import dataclass
from enum import Enum

from roundel.golden.parameters import Params


class Cost(Enum):
    """What is counted of an image on the engine."""

    CYCLES = "cycles"  # from start to done, loads and stores included, by the cycle model
    ENERGY = "energy"  # of array, decoder and requantizers on gates, pJ
    BYTES = "bytes"  # of the program: descriptors, parameters and weight streams


class Sensitivity(Enum):
    """What tells how much a layer's bits matter."""

    IMAGES = "images"  # the error of the network's results on calibration images, of the layer's rounded weights alone
    WEIGHTS = "weights"  # the error of the weights, relative to their squares: no image is run


@dataclass(frozen=True, kw_only=True)
class Budget(Params):
    """A budget.

    Parameters
    ----------
    cost
        What is counted.
    ratio
        The part of that cost with all weights of 8 bits on the same engine, above 0 and at most 1.
    sensitivity
        See `Sensitivity`.

    Raises
    ------
    TypeError, ValueError
        A parameter of the wrong kind or out of its range.
    """

    cost: Cost
    ratio: float
    sensitivity: Sensitivity = Sensitivity.IMAGES

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.ratio, bool) or not isinstance(self.ratio, int | float):
            raise TypeError(f"ratio must be a number, not {self.ratio!r}")
        if not 0 < self.ratio <= 1:  # NaN included
            raise ValueError(f"ratio must be above 0 and at most 1, not {self.ratio}")

    def __str__(self) -> str:
        return f"{self.cost.value}={self.ratio:g}"


def parse_budget(text: str, sensitivity: Sensitivity = Sensitivity.IMAGES) -> Budget:
    """Return the budget that `COST=RATIO` names.

    Raises
    ------
    ValueError
        Another form, an unknown cost, or a ratio out of range.
    """
    names = ", ".join(cost.value for cost in Cost)
    name, mark, number = text.partition("=")
    if not mark or name not in {cost.value for cost in Cost}:
        raise ValueError(f"expected COST=RATIO with a cost of {names}, such as cycles=0.6, not {text!r}")
    try:
        ratio = float(number)
    except ValueError:
        raise ValueError(f"expected a number behind {name}=, such as {name}=0.6, not {number!r}") from None
    return Budget(cost=Cost(name), ratio=ratio, sensitivity=sensitivity)
