"""The MAC array behind a weight decoder: which pairs fit together, and what they compute."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import ArrayLike

from roundel.golden.codec import DecoderParams, Packing
from roundel.golden.mac.params import MacParams
from roundel.golden.parameters import Params
from roundel.golden.rounding import Ints

DECODER: dict[str, Any] = {"packing": Packing.RICE, "lanes": 16, "width": 8, "slices": 4}
"""What a decoder is unless told: the one for the array that `MacParams` is unless told."""


@dataclass(frozen=True, kw_only=True)
class SparseMacParams(Params):
    """What is fixed when a decoder and an array are generated as one.

    Parameters
    ----------
    mac
        The array, or its keyword arguments.
    decoder
        The decoder before its weight port, or its keyword arguments where they are not `DECODER`. It gives weights of
        the array's width, to its lanes.

    Raises
    ------
    TypeError, ValueError
        What the two refuse, or two that do not fit together.
    """

    mac: MacParams = field(default_factory=MacParams)
    decoder: DecoderParams = field(default_factory=lambda: DecoderParams(**DECODER))

    def __post_init__(self) -> None:
        if isinstance(self.decoder, Mapping):
            self._set(decoder=DECODER | dict(self.decoder))
        super().__post_init__()
        if self.mac.lanes != self.decoder.lanes:
            raise ValueError(f"mac and decoder must have the same lanes, not {self.mac.lanes} and {self.decoder.lanes}")
        if self.mac.weight_width != self.decoder.weight_width:
            widths = f"{self.mac.weight_width} and {self.decoder.weight_width}"
            raise ValueError(f"mac and decoder must have weights of the same width, not {widths} bits")

    def compute(
        self,
        activations: ArrayLike,
        weights: ArrayLike,
        bias: ArrayLike = 0,
        runtime: Mapping[str, ArrayLike] | None = None,
    ) -> Ints:
        """Return the array's results. Parameters are those of `MacParams.compute`."""
        return self.mac.compute(activations, weights, bias, runtime)
