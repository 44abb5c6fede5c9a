"""Quantization that the file itself states: weights that are integers already, formats that are fixed."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import frexp
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roundel.golden.errors import InputError
from roundel.golden.formats import Format, signed_width
from roundel.golden.rounding import Ints
from roundel.graph import Conv, Dense, Graph, Pointwise, PRelu, Quantize

MAX_WIDTH = 8  # of weights and activations
MAX_BIAS_WIDTH = 32


@dataclass(frozen=True, kw_only=True, eq=False)
class Given:
    """Weights that are integers already.

    Parameters
    ----------
    codes
        int64 in the shape of the node's weights, after folding (`roundel.graph.folding`).
    format
        Format of the codes: 2 to 8 bits, signed.
    fractions
        N_w of each output channel, (outputs,), where they differ; None: that of `format`.
    """

    codes: Ints
    format: Format
    fractions: tuple[int, ...] | None = None

    @property
    def weight_fractions(self) -> Ints:
        """N_w of each output channel, or () where all have the same."""
        return np.asarray(self.fractions or self.format.fraction, dtype=np.int64)


def given_weights(graph: Graph) -> Mapping[str, Given]:
    """Return the weights that are whole multiples of a step, by node.

    Raises
    ------
    InputError
        A step is no power of two, or its multiples need more than 8 bits.
    """
    weights = {}
    for node in graph.nodes:
        if isinstance(node, Conv | Dense) and node.step is not None:
            where = f"{graph.file}: node {node.name}"
            steps = np.broadcast_to(node.step, node.bias.shape)
            fractions = tuple(fraction_of(float(step), f"{where}: step of the weights") for step in steps)
            axes = (-1,) + (1,) * (node.weights.ndim - 1) if isinstance(node, Conv) else (1, -1)
            codes = np.rint(node.weights.astype(np.float64) / steps.reshape(axes)).astype(np.int64)
            width = max(node.code_width or 2, signed_width(int(codes.min(initial=0)), int(codes.max(initial=0))), 2)
            if width > MAX_WIDTH:
                raise InputError(f"{where}: expected weights of at most {MAX_WIDTH} bits, not {width}")
            form = Format(width=width, signed=True, fraction=min(fractions))
            weights[node.name] = Given(
                codes=codes, format=form, fractions=fractions if len(set(fractions)) > 1 else None
            )
    return weights


def given_bias(bias: NDArray[Any], fractions: Ints) -> Format | None:
    """Return the format of a bias that counts the accumulator's units, `2**-fractions` a channel; None of others.

    So quantized networks have it, in 32 bits. A bias of zeros is exact in any format.
    """
    units = np.ldexp(bias.astype(np.float64), fractions)
    if not bias.any() or not np.array_equal(units, np.rint(units)):
        return None
    fraction = int(fractions.max())
    integers = np.ldexp(bias.astype(np.float64), fraction)
    width = max(2, signed_width(int(integers.min()), int(integers.max())))
    return Format(width=width, signed=True, fraction=fraction) if width <= MAX_BIAS_WIDTH else None


def check_powers(graph: Graph) -> None:
    """Raise InputError if a scale is no power of two: what shifts cannot do is not approximated."""
    scales = {}
    for node in graph.nodes:
        if isinstance(node, Conv | Dense) and node.step is not None:
            scales[f"node {node.name}: step of the weights"] = [float(step) for step in node.step.ravel()]
        elif isinstance(node, Quantize):
            scales[f"node {node.name}: scale"] = [node.scale]
    wrong = {
        what: next(s for s in values if not is_power(s))
        for what, values in scales.items()
        if not all(map(is_power, values))
    }
    if wrong:
        first, scale = next(iter(wrong.items()))
        ways = "--requant keeps them, --refit moves them, `roundel advise` tells what that costs"
        if any(isinstance(node, Pointwise | PRelu) for node in graph.nodes):
            ways = "--refit moves them, as the network has activations that stand behind shifts alone"
        raise InputError(
            f"{graph.file}: {first}: expected a power of two, not {scale:.9g} (one of {len(wrong)} tensors with such "
            f"scales): {ways}"
        )


def is_power(scale: float) -> bool:
    """Whether a positive scale is a power of two."""
    return frexp(scale)[0] == 0.5


def fraction_of(scale: float, what: str) -> int:
    """Return the fractional bits of a scale that is a power of two; InputError that names `what` if it is none."""
    if not is_power(scale):
        raise InputError(f"{what}: expected a power of two, not {scale:.9g}")
    return 1 - frexp(scale)[1]
