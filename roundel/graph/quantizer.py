"""The node of quantization dialects: a tensor rounded to what integers can mean, still in float."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from roundel.golden.network import InputRounding
from roundel.graph.nodes import Node, Reals

ROUNDINGS: Mapping[str, InputRounding] = MappingProxyType(
    {
        "ROUND": InputRounding.HALF_EVEN,
        "FLOOR": InputRounding.FLOOR,
        "CEIL": InputRounding.CEIL,
        "ROUND_TO_ZERO": InputRounding.TO_ZERO,
        "UP": InputRounding.AWAY,
        "HALF_UP": InputRounding.HALF_AWAY,
        "HALF_DOWN": InputRounding.HALF_TO_ZERO,
        "HALF_CEIL": InputRounding.HALF_UP,
        "HALF_FLOOR": InputRounding.HALF_DOWN,
        "HALF_ODD": InputRounding.HALF_ODD,
    }
)  # QONNX's names, and three for what it makes of a zero point; ROUND, ties to even, is also what QDQ means


@dataclass(frozen=True, kw_only=True, eq=False)
class Quantize(Node):
    """The nearest number that an integer of a quantization dialect can mean: a tensor quantized and back, in float.

    Parameters
    ----------
    scale
        Distance of two neighbours, positive.
    zero_point
        The integer that means 0.
    low, high
        Least and greatest integer.
    rounding
        A key of `ROUNDINGS`.
    """

    scale: float
    zero_point: int
    low: int
    high: int
    rounding: str = "ROUND"

    def compute(self, *inputs: Reals) -> Reals:
        """Round the input to numbers that integers from `low` to `high` mean, float32; any shape."""
        scale = np.float32(self.scale)
        return np.asarray((self.codes(inputs[0]) - self.zero_point) * scale, np.float32)

    @property
    def grid(self) -> tuple[float, int, int, int]:
        """Scale, zero point, least and greatest integer: what its results are, however they were rounded."""
        return self.scale, self.zero_point, self.low, self.high

    def codes(self, values: Reals) -> Reals:
        """Return the integers of float32 numbers of any shape, as floating-point numbers."""
        units = ROUNDINGS[self.rounding].compute(np.asarray(values, np.float32) / np.float32(self.scale))
        return np.clip(units + self.zero_point, self.low, self.high)
