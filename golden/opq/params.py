"""The parameters of one-shot pruning and quantization (`roundel.golden.opq.plan`)."""

from dataclasses import dataclass
from enum import Enum
from math import sqrt

from roundel.golden.parameters import Params, check_bool, check_integer

LEAST_WIDTH = 2  # bits of a code: -1, 0, 1


class Weighting(Enum):
    """How much a squared error counts in each layer, alpha [R]: nothing published settles it."""

    GLOBAL = "global"  # 1: one threshold and one step everywhere
    LAYER = "layer"  # 1/(2 b^2): relative to the layer's variance, which gives Laplace layers one sparsity
    SIZE = "size"  # 1/(2 b^2 N): and per layer, not per weight, which prunes large layers more

    def unit(self, scale: float, count: int) -> float:
        """`alpha^(-1/2)` of a layer of `count` weights and Laplace scale `scale`."""
        match self:
            case Weighting.GLOBAL:
                return 1.0
            case Weighting.LAYER:
                return sqrt(2) * scale
            case Weighting.SIZE:
                return sqrt(2 * count) * scale


@dataclass(frozen=True, kw_only=True)
class OpqParams(Params):
    """What is asked of the whole network.

    Parameters
    ----------
    sparsity
        P, the fraction of all weights that become 0; 0 to below 1.
    bits
        R, the mean of `log2(range / step)` over the weights that survive, 2 to `max_width`; None leaves them real.
    max_width
        Most bits of a code in any layer, 2 to 16. With `bits` equal to it, every layer has `2^bits - 1` levels at most.
    weighting
        See `Weighting`; a string names it too.
    power_of_two
        Whether steps are rounded to the nearest power of two, by ratio: then they are shifts.
    patterns, columns
        Channels of eight that a layer's pattern may keep in a block of so many outputs: some of 8 (no pattern), 4, 2
        and 1; 1 to 64.
    exact
        Whether the multiplier is found on the weights themselves, which meets `sparsity`; else on the Laplace model.

    Raises
    ------
    TypeError, ValueError
        A parameter of the wrong kind or out of its range.
    """

    sparsity: float = 0.0
    bits: float | None = None
    max_width: int = 8
    weighting: Weighting = Weighting.SIZE
    power_of_two: bool = False
    patterns: tuple[int, ...] = (8, 4, 2)
    columns: int = 16
    exact: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_integer("max_width", self.max_width, LEAST_WIDTH, 16)
        for name in ("power_of_two", "exact"):
            check_bool(name, getattr(self, name))
        check_integer("columns", self.columns, 1, 64)
        if not self.patterns or not set(self.patterns) <= {8, 4, 2, 1}:
            raise ValueError(f"patterns must be some of 8, 4, 2 and 1 channels of eight, not {self.patterns}")
        _check_number("sparsity", self.sparsity)
        if not 0 <= self.sparsity < 1:
            raise ValueError(f"sparsity must be 0 to below 1, not {self.sparsity}")
        if self.bits is not None:
            _check_number("bits", self.bits)
            if not LEAST_WIDTH <= self.bits <= self.max_width:
                raise ValueError(f"bits must be {LEAST_WIDTH} to max_width = {self.max_width}, not {self.bits}")


def _check_number(name: str, value: object) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError(f"{name} must be a number, not {value!r}")
