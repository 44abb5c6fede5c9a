"""What requantizers cost that keep a network's scales, against shifts: area of each layer's, on reference cells."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from golden.layers import Requantized
from golden.network import Network
from golden.requant import RequantParams, Scheme
from golden.rounding import Rounding
from roundel.stimulus import Accumulators, runtime
from synth.measure import measure_operator
from synth.reference import REFERENCE

OPERATIONS = 512  # of the run that proves a netlist; area does not depend on them
GRAIN = 8  # bits: accumulators are rounded up to so many, as an array's are


@dataclass(frozen=True, kw_only=True)
class LayerArea:
    """The requantizer of one output column of a layer.

    Attributes
    ----------
    layer
        Its name.
    acc_width, out_width
        Bits that enter, rounded up, and that leave it.
    kept_um2, shift_um2
        Logic and output register: of the scheme that keeps the scales, and of a shift at run time.
    """

    layer: str
    acc_width: int
    out_width: int
    kept_um2: float
    shift_um2: float

    @property
    def saved_um2(self) -> float:
        return self.kept_um2 - self.shift_um2


def layer_areas(network: Network, done: Callable[[str], None] = lambda name: None) -> list[LayerArea]:
    """The areas of all layers of a network that keeps its scales; `done` is called after each with its name.

    Signed results in all of them: a sign changes next to nothing, and each distinct design takes a while at first.
    """
    found = []
    for layer in network.layers:
        if isinstance(layer, Requantized):
            params = replace(layer.requantizer, acc_width=-(-layer.requantizer_width // GRAIN) * GRAIN, out_signed=True)
            params = replace(params, acc_width=max(16, params.acc_width))
            shift = replace(params, scheme=Scheme.SHIFT, rounding=Rounding.HALF_UP)
            found.append(
                LayerArea(
                    layer=layer.name,
                    acc_width=params.acc_width,
                    out_width=params.out_width,
                    kept_um2=_area(params),
                    shift_um2=_area(shift),
                )
            )
            done(layer.name)
    return found


def _area(params: RequantParams) -> float:
    rng = np.random.default_rng(1)
    bits = params.acc_width - 1
    acc = np.rint(rng.laplace(scale=2.0 ** (bits - 5), size=OPERATIONS)).astype(np.int64)
    acc = np.clip(acc, -(1 << bits), (1 << bits) - 1)
    stimulus = Accumulators(source="random accumulators", layers=(acc,), shifts=(max(0, bits - 10),))
    given = {"acc": acc} | runtime(params, stimulus)
    return float(measure_operator(params, REFERENCE, given, source=stimulus.source)["area_um2"])
