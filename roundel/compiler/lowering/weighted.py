"""Convolutions and matrix products as operations of the engine."""

from typing import Any

import numpy as np

from roundel.compiler.area import tile_size
from roundel.compiler.lowering.columns import by_slot
from roundel.compiler.lowering.copies import copy
from roundel.compiler.lowering.kernels import POINT, covers, dense_steps, depthwise_steps, phases_of, spans
from roundel.compiler.lowering.lowering import Lowering
from roundel.compiler.operation import Operation
from roundel.compiler.refusal import check_shifts
from roundel.compiler.step_weights import Piece, kept_steps, pieces
from roundel.compiler.tensor import Tensor, dense_slots
from roundel.golden.engine import EngineParams
from roundel.golden.errors import InputError
from roundel.golden.network import Weighted, Window
from roundel.golden.rounding import Ints


def is_depthwise(layer: Weighted, channels: int) -> bool:
    """Whether every channel has outputs of its own."""
    return layer.window is not None and layer.groups == channels > 1


def window_of(layer: Weighted, source: Tensor) -> Window:
    """Return the window of a layer; a matrix product behind a flattened map has a kernel as large as the map."""
    if layer.window is not None:
        return layer.window
    storage = source.storage
    return Window(kernel=(storage.rows, storage.columns)) if source.flat else POINT


def depthwise_slots(layer: Weighted, source: Tensor) -> Ints:
    """Slots of the outputs: in the lanes of their channels, `outputs / channels` planes for each of the source's."""
    return slots_in_lanes(source.slots, source.storage.lanes, len(layer.bias) // layer.groups)


def slots_in_lanes(slots: Ints, lanes: int, times: int) -> Ints:
    """Return `times` slots for each of `slots`, in its lane: those of a plane are in as many planes."""
    plane, lane = np.divmod(slots, lanes)
    return np.asarray(((plane[:, None] * times + np.arange(times)) * lanes + lane[:, None]).ravel())


def weighted(
    layer: Weighted, source: Tensor, residual: Tensor | None, target: Tensor, params: EngineParams
) -> Operation:
    """Make the operation of a weighted layer.

    Parameters
    ----------
    layer
        The layer.
    source, target
        The maps that the operation reads and writes; both exist already.
    residual
        The map that is added before the clamp, or behind the activation, which lies as the target does; None adds none.
    params
        The engine.
    """
    if layer.leak:
        check_shifts(layer.name, "a leak", params)
    up = layer.accumulator_fractions - layer.product_fractions
    weights = layer.weights << up if up.any() else layer.weights
    columns = dict(layer.runtime())
    columns["bias"] = (layer.aligned_bias << up) + source.offset * weights.sum(axis=0)
    activation, limits = layer.activation, layer.limits
    if activation is not None:
        limits = layer.output.limits
        if activation.slopes is not None:
            columns["zero_point"] = np.array(activation.slopes, dtype=np.int64)
    elif residual is not None:
        columns["residual_shift"] = layer.accumulator_fractions - residual.form.fraction
        columns["bias"] += (residual.offset - residual.form.zero) << columns["residual_shift"]
    channels = len(source.slots)
    if is_depthwise(layer, channels):
        made = _depthwise(layer, weights, source, target, params)
    else:
        made = _dense(layer, weights, source, target, params)
    storage = target.storage
    return Operation(
        layer=layer.name, source=source, residual=residual, target=target,
        columns=by_slot(target, params.lanes, columns),
        pad=source.byte(source.form.zero), low=limits[0], high=limits[1], leak=layer.leak,
        activation=None if activation is None else activation.table,
        macs=storage.rows * storage.columns * layer.weights.size, **made,
    )  # fmt: skip


def _dense(layer: Weighted, weights: Ints, source: Tensor, target: Tensor, params: EngineParams) -> dict[str, Any]:
    window, outputs = window_of(layer, source), weights.shape[1]
    channels, taps = len(source.slots), window.taps
    blocks = weights.reshape(taps, 1, -1, layer.groups, outputs // layer.groups)
    own = np.eye(layer.groups, dtype=np.int64)[:, np.newaxis, :, np.newaxis]
    full = weights if layer.groups == 1 else blocks * own
    parts = pieces(layer.name, full.reshape(taps, channels, outputs), params)
    steps = dense_steps(parts, window, source, target)
    pixel, phases = source.storage.pixel_bytes, phases_of(window, source.storage)
    return kept_steps(steps) | {
        "stride": phases * window.stride[0] // source.storage.advance, "phases": phases,
        "x_step": window.stride[1] * pixel,
    }  # fmt: skip


def _depthwise(layer: Weighted, weights: Ints, source: Tensor, target: Tensor, params: EngineParams) -> dict[str, Any]:
    window, lanes = window_of(layer, source), params.lanes
    blocks = target.storage.planes
    spread = np.zeros((layer.taps, blocks * lanes), dtype=np.int64)
    spread[:, target.slots] = weights
    parts = pieces(layer.name, spread.reshape(*window.kernel, blocks, lanes), params)
    groups = covers(window, params.taps, tile_size(target.storage, params.depth), params.columns)
    factor = blocks // source.storage.planes
    steps = [
        depthwise_steps(
            [Piece(part.weights[:, :, block], part.scale) for part in parts],
            window,
            groups,
            source,
            block // factor,
            params.taps,
        )
        for block in range(blocks)
    ]
    geometry = spans(window, groups)
    own = {"depthwise": True, "stride": window.stride[0], "x_step": geometry["x_step"] * lanes}
    return geometry | kept_steps(steps) | own


def lower_weighted(lowering: Lowering, layer: Weighted, source: Tensor, residual: Tensor | None = None) -> Tensor:
    """Lower a convolution or a matrix product."""
    window, channels = checked_window(layer, source), len(source.slots)
    rows, columns = window.output_size(source.storage.height, source.storage.columns)
    if is_depthwise(layer, channels):
        slots = depthwise_slots(layer, source)
        residual = None if residual is None else lowering.repacked(layer.name, residual, slots)
    else:
        slots = dense_slots(len(layer.bias)) if residual is None else residual.slots
    if residual is not None and residual.storage.pixel:
        raise InputError(f"{layer.name}: a residual must be in planes")
    flat = source.flat if layer.window is None else False
    target = lowering.make(layer.name, layer.output, rows, columns, slots, flat=flat)
    operation = weighted(layer, source, residual, target, lowering.params)
    lowering.operations += _gathered(lowering, layer, source, operation)
    return target


def _gathered(lowering: Lowering, layer: Weighted, source: Tensor, operation: Operation) -> list[Operation]:
    """Return the operation of a group convolution, or a copy of its input and one that reads that.

    A group's channels that lie in many planes, as shuffled ones do, cost a step for each plane: a copy in which
    they are neighbours may cost less.
    """
    dense = dense_slots(len(source.slots))
    if layer.groups == 1 or operation.depthwise or source.storage.pixel or np.array_equal(source.slots, dense):
        return [operation]
    storage = source.storage
    packed = lowering.make(f"{layer.name}.copy", source.form, storage.rows, storage.columns, dense)
    first = copy(layer.name, source, packed, lowering.params)
    second = weighted(layer, packed, operation.residual, operation.target, lowering.params)
    rows, columns = operation.target.storage.rows, operation.target.storage.columns
    saved = (operation.kept - second.kept) * rows * columns
    return [first, second] if saved > first.kept * storage.rows * storage.columns else [operation]


def checked_window(layer: Weighted, source: Tensor) -> Window:
    """Return the window of a layer, whose input has the right number of channels."""
    window, channels = window_of(layer, source), len(source.slots)
    expected = len(layer.weights) * layer.groups // window.taps
    if expected != channels or (layer.window is not None and source.flat):
        raise InputError(f"{layer.name}: expected {expected} input channels, not {channels}")
    return window
