"""Stimulus for measuring decoders: the digits network's sparse weights, and weights of known statistics."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from roundel.data import DIGITS
from roundel.frontend import read_onnx
from roundel.golden.codec import CodecParams, DecoderParams, Packing, encode
from roundel.golden.errors import InputError
from roundel.golden.network import Network
from roundel.golden.opq import laplace_levels
from roundel.golden.rounding import Ints, limits
from roundel.graph import load_images
from roundel.quantization import StreamOptions, array_order, quantize
from roundel.synth.measure import WeightStreams

DIGITS_NETWORK = "digits network"
ZEROS = (0.5, 0.8, 0.9, 0.95)
RHO = 0.7  # of magnitudes up to 7, which codes of 4 bits hold
WEIGHTS = 1 << 15  # of a stream: a segment
WIDTH = 4
COLUMNS = 16  # of the array that the digits network's weights are ordered for
SET = ("bus", "width")
FORMATS: tuple[dict[str, Any], ...] = (
    {"packing": Packing.MASK, "bus": 64, "lanes": 8},
    {"packing": Packing.MASK, "bus": 128, "lanes": 16},
    {"packing": Packing.RELATIVE, "bus": 32, "lanes": 16},
    {"packing": Packing.RICE, "bus": 32, "lanes": 16, "slices": 1},
    {"packing": Packing.RICE, "bus": 32, "lanes": 16, "slices": 4},
)
"""Each with the narrowest bus that does not slow it down."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Example:
    """Weights to pack in every format.

    Attributes
    ----------
    source
        What they are, for reports.
    zeros
        Part of them that is zero, 0 to 1, about.
    network
        Whose layers they are, in the array's order, a stream each; without one they are Laplace weights.
    """

    source: str
    zeros: float
    network: Network | None = None

    def streams(self, params: DecoderParams) -> WeightStreams:
        """Return what a decoder of these parameters is given."""
        codec = CodecParams(packing=params.packing, width=params.width, lanes=params.lanes, slices=params.slices)
        streams = tuple(encode(weights, codec) for weights in self._weights(params))
        return WeightStreams(source=self.source, streams=streams)

    def _weights(self, params: DecoderParams) -> list[Ints]:
        if self.network is None:
            return [laplace_weights(WEIGHTS, self.zeros, params.width)]
        options = StreamOptions(packing=params.packing, lanes=params.lanes, columns=COLUMNS, slices=params.slices)
        return [array_order(layer, options) for layer in self.network.weighted]


def laplace_weights(count: int, zeros: float, width: int, *, seed: int = 1) -> Ints:
    """Draw pruned weights of a Laplace distribution.

    Parameters
    ----------
    count
        How many.
    zeros
        Share of zeros, 0 to 1.
    width
        Bits of a weight; more make finer steps, so that the greatest magnitude stays as rare.
    seed
        Seed of the weights.

    Returns
    -------
    ndarray
        Integers, (count,).
    """
    most = limits(width, True)[1]
    rho = RHO ** ((limits(WIDTH, True)[1] - 1) / (most - 1))
    return laplace_levels(np.random.default_rng(seed), count, density=1 - zeros, rho=rho, most=most).astype(np.int64)


def examples() -> list[Example]:
    """Return the digits network, and Laplace weights at each of `ZEROS`.

    Raises
    ------
    InputError
        The example's files are not beside the program.
    """
    graph = read_onnx(DIGITS / "digits_sparse.onnx")
    images = load_images(DIGITS / "calibration.npz", graph).images
    network = quantize(graph, images).network
    zeros = float(np.mean(np.concatenate([layer.weights.ravel() for layer in network.weighted]) == 0))
    return [
        Example(source=DIGITS_NETWORK, zeros=zeros, network=network),
        *(Example(source=f"Laplace, {zeros:.0%} zeros", zeros=zeros) for zeros in ZEROS),
    ]


def variants(common: Mapping[str, Any]) -> list[DecoderParams]:
    """Parameters of every row, with codes of 4 bits unless set.

    Parameters
    ----------
    common
        Keyword arguments of `DecoderParams` for all, of those in `SET`.

    Raises
    ------
    InputError
        A parameter that makes the rows differ, or a bad one.
    """
    if fixed := [name for name in common if name not in SET]:
        raise InputError(f"compare decoder: {fixed[0]} cannot be set, only {' and '.join(SET)}")
    if common.get("width", WIDTH) < WIDTH:
        raise InputError(
            f"compare decoder: width must be {WIDTH} to 8, as the digits network has codes of {WIDTH} bits"
        )
    try:
        return [DecoderParams(**({"width": WIDTH} | form | dict(common))) for form in FORMATS]
    except (TypeError, ValueError) as error:
        raise InputError(f"compare decoder: {error}") from None
