"""A map times a vector that the network makes itself: the last step of squeeze-and-excite."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from roundel.golden.formats import Format, signed_width
from roundel.golden.network.base import Array, Part, Requantized
from roundel.golden.network.blocks import image_blocks
from roundel.golden.requant import Factor, Scheme
from roundel.golden.rounding import Ints


@dataclass(frozen=True, kw_only=True, eq=False)
class Gate(Requantized):
    """Every channel of a map times a number of its own, the second source, and one requantization [R].

    Parameters
    ----------
    x
        Format of the map.
    gate
        Format of the numbers, one a channel.
    """

    x: Format
    gate: Format

    def __post_init__(self) -> None:
        if self.requant is Scheme.SHIFT and self.gate.mantissa != 1:
            raise ValueError(f"{self.name}: mantissa of gate must be 1 to be shifted, not {self.gate.mantissa}")
        self._check_requantizer()

    @property
    def expects(self) -> tuple[Format, ...]:
        """Formats of the map and of its factors."""
        return self.x, self.gate

    @property
    def accumulator_fractions(self) -> Ints:
        """Fractional bits of the products, (1,)."""
        return np.asarray([self.x.fraction + self.gate.fraction])

    @property
    def requantizer_width(self) -> int:
        """Signed bits that hold any product."""
        ends = ([limit - form.zero for limit in form.limits] for form in self.expects)
        products = np.multiply.outer(*ends)
        return signed_width(int(products.min()), int(products.max()))

    @property
    def _alike(self) -> tuple[Format, ...]:
        return (self.x,)

    @property
    def _factor(self) -> Factor:
        shifts = self.shifts
        return Factor(
            x=self.x.mantissa, w=np.full(shifts.shape, self.gate.mantissa), o=self.output.mantissa, shift=shifts
        )

    def sums(self, *inputs: Array) -> Iterator[tuple[Part, Array]]:
        """Multiply a map (batch, ..., channels) and factors, (batch, 1, ..., channels) or (batch, channels).

        Raises
        ------
        ValueError
            Another number of factors than one a channel of each image.
        """
        (x, factors), integers = inputs, self.integers(*inputs)
        shape = (len(x), *(1 for _ in x.shape[1:-1]), x.shape[-1])
        if factors.size != len(x) * x.shape[-1]:
            raise ValueError(f"{self.name}: expected a factor for each of {x.shape[-1]} channels, not {factors.shape}")
        factors = factors.reshape(shape).astype(integers) - self.gate.zero
        for part in image_blocks(x):
            products = (x[part].astype(integers) - self.x.zero) * factors[part]
            yield part, products.reshape(-1, x.shape[-1])
