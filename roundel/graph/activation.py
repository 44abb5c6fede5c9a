"""Activations of a module: every chain of Relu, Clip and LeakyRelu is one leaky slope and one clamp."""

from dataclasses import dataclass
from math import frexp, inf

import numpy as np

from roundel.golden.formats import Format
from roundel.graph.nodes import Clip, LeakyRelu, Node, Relu

ACTIVATIONS = (Relu, Clip, LeakyRelu)


@dataclass(frozen=True, kw_only=True)
class Activation:
    """`min(max(leaky(x), low), high)`, where `leaky` multiplies negative values by `2**-leak`.

    Parameters
    ----------
    leak
        0 leaves negative values as they are.
    low, high
        Clamp; infinite where there is none.
    """

    leak: int = 0
    low: float = -inf
    high: float = inf

    def then(self, node: Node) -> "Activation":
        """Append a Relu, Clip or LeakyRelu: all of them are monotonic, so the chain stays one activation."""
        match node:
            case Relu():
                return self._clamped(0.0, inf)
            case Clip():
                return self._clamped(-inf if node.low is None else node.low, inf if node.high is None else node.high)
            case LeakyRelu():
                leak = self.leak + 1 - frexp(node.slope)[1] if self.signed else 0
                low, high = (end * node.slope if end < 0 else end for end in (self.low, self.high))
                return Activation(leak=leak, low=low, high=high)
        raise TypeError(f"{type(node).__name__} is no activation")

    def _clamped(self, low: float, high: float) -> "Activation":
        ends = [min(max(end, low), high) for end in (self.low, self.high)]
        return Activation(leak=self.leak if ends[0] < 0 else 0, low=ends[0], high=ends[1])

    @property
    def signed(self) -> bool:
        """Whether a result can be negative."""
        return self.low < 0

    def bounds(self, output: Format) -> tuple[int, int] | None:
        """Return the clamp in integers of `output`, the nearest ones; None where the format's own limits do it."""
        low, high = (int(output.encode(np.asarray(end))) for end in (self.low, self.high))
        return None if (low, high) == output.limits else (low, high)
