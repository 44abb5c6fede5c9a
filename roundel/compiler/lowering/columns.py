"""Parameters of the array's columns: values of channels at their places, and what leaves an activation as it is."""

import numpy as np

from roundel.compiler.tensor import Tensor
from roundel.golden.engine import EngineParams
from roundel.golden.requant import Scheme
from roundel.golden.rounding import Ints

ONE = int(np.float32(1).view(np.uint32))  # the bits of a scale of 1.0


def by_slot(target: Tensor, lanes: int, values: dict[str, Ints]) -> dict[str, Ints]:
    """Spread values of channels over output blocks.

    Parameters
    ----------
    target
        Tensor whose slots are the places of the channels.
    lanes
        Lanes of a plane.
    values
        By name, (channels,), or (1,) for all.

    Returns
    -------
    dict
        By name, (blocks, columns); zeros where no channel is.
    """
    planes, slots = target.storage.planes, {}
    for name, channels in values.items():
        spread = np.zeros(planes * lanes, dtype=np.int64)
        spread[target.slots] = channels
        slots[name] = spread.reshape(planes, lanes)
    return slots


def identity(params: EngineParams) -> tuple[int, dict[str, Ints]]:
    """Return a weight, and what the requantizer takes with it, so that an activation stays what it is."""
    unit = np.ones(1, dtype=np.int64)
    down = 2 if params.weight_width == 2 else 1  # the multiplier has its point behind bit 31, and 31 bits
    return {
        Scheme.SHIFT: (1, {"shift": 0 * unit}),
        Scheme.FIXED32: (1 << down, {"multiplier": unit << 31 - down, "shift": 0 * unit}),
        Scheme.FLOAT32: (1, {"scale": unit * ONE}),
    }.get(params.scheme, (1, {"multiplier": unit, "shift": 0 * unit}))
