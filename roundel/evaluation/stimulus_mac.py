"""Stimulus for measuring MAC arrays: a layer of the digits network, cut to the array's shape."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from roundel.evaluation.stimulus import digits_network
from roundel.golden.errors import InputError
from roundel.golden.mac import MacParams, Schedule, schedule
from roundel.golden.network import Step, Weighted, steps
from roundel.golden.requant import Scheme

POSITIONS = 256  # output positions driven: enough for steady activity, few enough for a gate-level simulation
PRODUCTS = 144  # of each sum: nine blocks of 16 lanes


@dataclass(frozen=True, kw_only=True, eq=False)
class MacExample:
    """A layer of real activations and weights.

    Attributes
    ----------
    source
        Where it comes from, for reports.
    step
        One run of the layer, 8-bit weights and unsigned 8-bit activations.
    """

    source: str
    step: Step

    def variants(self, common: Mapping[str, Any]) -> list[MacParams]:
        """Weights of 8 bits and, their upper halves, of 4, in both structures, with the `shift` requantizer."""
        arrays: list[MacParams] = []
        for bits in (8, 4):
            for structure in ("pairs", "product"):
                try:
                    params = MacParams(**({"weight_width": bits, "structure": structure} | dict(common)))
                except (TypeError, ValueError) as error:
                    raise InputError(f"compare mac: {error}") from None
                if params not in arrays:
                    arrays.append(params)
        return arrays

    def beats(self, params: MacParams) -> Schedule:
        """Return the layer's first positions, products and channels on an array of these parameters."""
        layer, columns = self.step.layer, self.step.columns
        assert isinstance(layer, Weighted)
        assert columns is not None
        if params.requant.scheme is not Scheme.SHIFT or params.act_width < 8 or params.act_signed:
            raise InputError("compare mac: its stimulus is for unsigned 8-bit activations and the shift requantizer")
        acts = columns[:POSITIONS, :PRODUCTS]
        held = layer.weights[:PRODUCTS, : params.columns] >> (8 - params.weight_width)
        shift = np.minimum(layer.shift, (1 << params.requant.runtime_fields[0].width) - 1)
        return schedule(params, acts, held, 0, {"shift": shift})


def mac_example(images: int) -> MacExample:
    """Return the digits network's largest layer on its first `images` held-out digits."""
    network, encoded = digits_network(images)
    weighted = [step for step in steps(network, encoded) if isinstance(step.layer, Weighted)]
    largest = max(weighted, key=lambda step: step.layer.weights.size)  # type: ignore[attr-defined]
    return MacExample(source=f"digits network, layer {largest.layer.name}", step=largest)
