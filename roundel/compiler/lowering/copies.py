"""Copies of maps as operations of the engine: to other places, in another format, or twice as large."""

import numpy as np

from roundel.compiler.lowering.columns import by_slot, identity
from roundel.compiler.lowering.kernels import POINT, dense_steps
from roundel.compiler.operation import Operation
from roundel.compiler.step_weights import kept_steps, pieces
from roundel.compiler.tensor import Tensor
from roundel.golden.engine import EngineParams


def copy(
    layer: str, source: Tensor, target: Tensor, params: EngineParams, *, shift: int = 0, upsample: bool = False
) -> Operation:
    """Copy every channel to the target's place of it, in the target's format.

    Parameters
    ----------
    layer
        Name of the layer, for messages.
    source, target
        Both exist already.
    params
        The engine's, whose rounding holds.
    shift
        Right shift in bits; a left shift if negative.
    upsample
        Whether every pixel becomes four.
    """
    weight, runtime = identity(params)
    unit = weight  # of the target, before the shift
    if shift:
        weight, unit, runtime = 1 << max(-shift, 0), 1 << max(shift, 0), {"shift": np.asarray([max(shift, 0)])}
    runtime["bias"] = np.asarray((source.offset - source.form.zero) * weight + target.form.zero * unit)
    weights = weight * np.eye(len(source.slots), dtype=np.int64)[np.newaxis]
    steps = dense_steps(pieces(layer, weights, params), POINT, source, target)
    low, high = target.form.limits
    return Operation(
        layer=layer, source=source, target=target, columns=by_slot(target, params.lanes, runtime),
        x_step=source.storage.pixel or params.lanes, low=low, high=high, upsample=upsample,
        **kept_steps(steps),
    )  # fmt: skip
