"""The MAC array: which numbers it takes, how wide its sums are, and what it must return."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from roundel.golden.formats import signed_width
from roundel.golden.network import matmul
from roundel.golden.parameters import Params, check_bool, check_integer
from roundel.golden.requant import RequantParams
from roundel.golden.rounding import Ints, limits


class Structure(Enum):
    """How a column forms its sum of products; the results are the same. `docs/mac.md` compares them."""

    PAIRS = "pairs"  # sums of lane pairs chosen by weight bits: smallest in gates
    PRODUCT = "product"  # one multiplier per lane: what FPGAs have ready-made


def product_limits(act_width: int, act_signed: bool, weight_width: int) -> tuple[int, int]:
    """Least and greatest product of one activation and one weight."""
    corners = [a * w for a in limits(act_width, act_signed) for w in limits(weight_width, True)]
    return min(corners), max(corners)


def acc_width(*, reduction: int, act_width: int, act_signed: bool, weight_width: int, bias_width: int) -> int:
    """Bits of an accumulator that no input can overflow: `reduction` products and a bias; at least 16.

    [R] The least and the greatest sum are reached (all products at a corner, the bias at its limit), so no narrower
    accumulator would do.
    """
    low, high = product_limits(act_width, act_signed, weight_width)
    bias_low, bias_high = limits(bias_width, True)
    return max(16, signed_width(reduction * low + bias_low, reduction * high + bias_high))


@dataclass(frozen=True, kw_only=True)
class MacParams(Params):
    """What is fixed when an array is generated.

    Parameters
    ----------
    lanes, columns
        Products per column and beat, and columns (output channels) side by side; 1 to 64 each.
    depth
        Output positions whose partial sums the accumulator memory holds, 1 to 65536.
    act_width, act_signed
        Activations: 2 to 8 bits.
    weight_width
        Weights: 2 to 8 bits, two's complement.
    reduction
        Largest number of products in one sum (kernel height x width x input channels), 1 to 2**20.
    bias_width
        Bits of the aligned bias, two's complement, 2 to 32.
    requant
        The requantizer behind every column, or its keyword arguments. Its `acc_width` is derived: whatever it says is
        replaced.
    per_channel
        Whether every column has run-time requantizer parameters of its own, or all share those of column 0.
    structure
        See `Structure`; a string names it too.

    Raises
    ------
    TypeError, ValueError
        A parameter of the wrong kind or out of range, or an accumulator beyond 48 bits; the message echoes it.
    """

    lanes: int = 16
    columns: int = 16
    depth: int = 256
    act_width: int = 8
    act_signed: bool = False
    weight_width: int = 8
    reduction: int = 4608
    bias_width: int = 24
    requant: RequantParams = field(default_factory=RequantParams)
    per_channel: bool = True
    structure: Structure = Structure.PAIRS

    def __post_init__(self) -> None:
        super().__post_init__()
        ranges = {
            "lanes": (1, 64),
            "columns": (1, 64),
            "depth": (1, 1 << 16),
            "act_width": (2, 8),
            "weight_width": (2, 8),
            "reduction": (1, 1 << 20),
            "bias_width": (2, 32),
        }
        for name, (low, high) in ranges.items():
            check_integer(name, getattr(self, name), low, high)
        for name in ("act_signed", "per_channel"):
            check_bool(name, getattr(self, name))
        self._set(requant=replace(self.requant, acc_width=self.acc_width))

    @property
    def acc_width(self) -> int:
        """Bits of an accumulator, see `acc_width` of this module."""
        return acc_width(
            reduction=self.reduction,
            act_width=self.act_width,
            act_signed=self.act_signed,
            weight_width=self.weight_width,
            bias_width=self.bias_width,
        )

    @property
    def dot_width(self) -> int:
        """Bits of the sum of `lanes` products."""
        low, high = product_limits(self.act_width, self.act_signed, self.weight_width)
        return signed_width(self.lanes * low, self.lanes * high)

    def accumulate(self, activations: ArrayLike, weights: ArrayLike, bias: ArrayLike = 0) -> Ints:
        """`activations @ weights + bias`, exactly.

        Parameters
        ----------
        activations
            (positions, products): integers of `act_width` bits; at most `reduction` products.
        weights
            (products, channels): integers of `weight_width` bits.
        bias
            (channels,) or a scalar: integers of `bias_width` bits, aligned to the products.

        Returns
        -------
        (positions, channels), integers of `acc_width` bits.
        """
        acts = checked("activations", activations, limits(self.act_width, self.act_signed))
        held = checked("weights", weights, limits(self.weight_width, True))
        offset = checked("bias", bias, limits(self.bias_width, True))
        if acts.ndim != 2 or held.ndim != 2 or acts.shape[1] != held.shape[0]:
            raise ValueError(f"activations {acts.shape} and weights {held.shape} must be (m, k) and (k, n)")
        if acts.shape[1] > self.reduction:
            raise ValueError(f"a sum must have at most {self.reduction} products, not {acts.shape[1]}")
        if offset.ndim and offset.shape != held.shape[1:]:
            raise ValueError(f"bias must have shape {held.shape[1:]}, not {offset.shape}")
        return matmul(acts, held) + offset

    def compute(
        self,
        activations: ArrayLike,
        weights: ArrayLike,
        bias: ArrayLike = 0,
        runtime: Mapping[str, ArrayLike] | None = None,
    ) -> Ints:
        """Return what the array returns for a layer: `accumulate`, then the requantizer.

        Parameters
        ----------
        runtime
            The requantizer's run-time parameters, per channel (channels,) or scalar; tables have one more axis.

        Returns
        -------
        (positions, channels), integers of `requant.out_width` bits.
        """
        return self.requant.compute(self.accumulate(activations, weights, bias), runtime)


def checked(name: str, values: ArrayLike, bounds: tuple[int, int]) -> Ints:
    """`values` as int64, or a ValueError that names them when one is no integer or out of `bounds`."""
    array: NDArray[Any] = np.asarray(values)
    if array.dtype.kind not in "iub":
        raise TypeError(f"{name} must be integers, not {array.dtype}")
    low, high = bounds
    if array.size and not (low <= array.min() and array.max() <= high):
        raise ValueError(f"{name} must be {low} to {high}, not {array.min()} to {array.max()}")
    return array.astype(np.int64)
