"""Areas of each layer's requantizer on reference cells: one that keeps the network's scales, against a shift."""

from dataclasses import dataclass, replace

import numpy as np

from roundel.evaluation import Accumulators, runtime
from roundel.golden.network import Network, Requantized
from roundel.golden.requant import RequantParams, Scheme
from roundel.golden.rounding import Rounding
from roundel.synth.cells import REFERENCE
from roundel.synth.measure import measure_operator
from roundel.ui import Done

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
        """Area that a shift saves, um2."""
        return self.kept_um2 - self.shift_um2


def requantized(network: Network) -> list[Requantized]:
    """Return the layers that have a requantizer."""
    return [layer for layer in network.layers if isinstance(layer, Requantized)]


def layer_areas(network: Network, done: Done = lambda name: None) -> tuple[LayerArea, ...]:
    """Return the areas of all `requantized` layers of a network that keeps its scales; call `done` after each.

    Signed results in all of them: a sign changes next to nothing, and each distinct design takes a while at first.
    """
    areas = []
    for layer in requantized(network):
        areas.append(_layer_area(layer))
        done(layer.name)
    return tuple(areas)


def _layer_area(layer: Requantized) -> LayerArea:
    width = max(16, -(-layer.requantizer_width // GRAIN) * GRAIN)
    kept = replace(layer.requantizer, scheme=layer.requant, acc_width=width, out_signed=True)
    shift = replace(kept, scheme=Scheme.SHIFT, rounding=Rounding.HALF_UP)
    return LayerArea(
        layer=layer.name,
        acc_width=width,
        out_width=kept.out_width,
        kept_um2=_area(kept),
        shift_um2=_area(shift),
    )


def _area(params: RequantParams) -> float:
    rng = np.random.default_rng(1)
    bits = params.acc_width - 1
    acc = np.rint(rng.laplace(scale=2.0 ** (bits - 5), size=OPERATIONS)).astype(np.int64)
    acc = np.clip(acc, -(1 << bits), (1 << bits) - 1)
    stimulus = Accumulators(source="random accumulators", layers=(acc,), shifts=(max(0, bits - 10),))
    given = {"acc": acc} | runtime(params, stimulus)
    return float(measure_operator(params, REFERENCE, given, source=stimulus.source)["area_um2"])
