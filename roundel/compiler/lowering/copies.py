"""Copies of maps as operations of the engine: to other places, in another format, or twice as large."""

from collections.abc import Mapping

import numpy as np

from roundel.compiler.lowering.columns import by_slot, identity
from roundel.compiler.lowering.kernels import POINT, dense_steps
from roundel.compiler.operation import Operation
from roundel.compiler.step_weights import kept_steps, pieces
from roundel.compiler.tensor import Tensor
from roundel.golden.engine import EngineParams
from roundel.golden.rounding import Ints


def copy(
    layer: str, source: Tensor, target: Tensor, params: EngineParams,
    *, shift: int = 0, upsample: bool = False, times: int = 1,
) -> Operation:  # fmt: skip
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
    times
        Channels of the target that are copies of one, neighbours.
    """
    weight, runtime = identity(params)
    unit = weight  # of the target, before the shift
    if shift:
        weight, unit, runtime = 1 << max(-shift, 0), 1 << max(shift, 0), {"shift": np.asarray([max(shift, 0)])}
    more = unit * target.form.zero
    return _copied(layer, source, target, params, weight, runtime, more, upsample=upsample, times=times)


def scaled_copy(
    layer: str, source: Tensor, target: Tensor, params: EngineParams, weight: int, runtime: Mapping[str, Ints]
) -> Operation:
    """Copy every channel, times a weight, through a requantizer that multiplies.

    Parameters
    ----------
    layer, source, target, params
        As in `copy`.
    weight
        What multiplies the source's integers, less its zero point.
    runtime
        Of the requantizer, the target's zero point among it.
    """
    return _copied(layer, source, target, params, weight, runtime, 0)


def _copied(
    layer: str, source: Tensor, target: Tensor, params: EngineParams, weight: int, runtime: Mapping[str, Ints],
    more: int, *, upsample: bool = False, times: int = 1,
) -> Operation:  # fmt: skip
    """Make a copy whose sums are `more` than the source's numbers times a weight."""
    bias = np.asarray((source.offset - source.form.zero) * weight + more)
    weights = weight * np.eye(len(source.slots), dtype=np.int64).repeat(times, axis=1)[np.newaxis]
    steps = dense_steps(pieces(layer, weights, params), POINT, source, target)
    low, high = target.form.limits
    return Operation(
        layer=layer, source=source, target=target,
        columns=by_slot(target, params.lanes, dict(runtime) | {"bias": bias}),
        x_step=source.storage.pixel or params.lanes, low=low, high=high, upsample=upsample,
        **kept_steps(steps),
    )  # fmt: skip
