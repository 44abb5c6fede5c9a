"""Pools, copies and sums as operations of the engine."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from roundel.compiler.area import tile_size
from roundel.compiler.operation import Operation, Piece, by_slot, identity, pieces
from roundel.compiler.refusal import SHIFTS
from roundel.compiler.steps import POINT, covers, dense_steps, depthwise_steps, run_steps, spans
from roundel.compiler.tensor import Tensor
from roundel.golden.cycles import UNWRITTEN
from roundel.golden.engine import EngineParams
from roundel.golden.errors import InputError
from roundel.golden.network import Add, AveragePool, MaxPool, Window, window_count
from roundel.golden.requant import Scheme
from roundel.golden.rounding import Ints


def average(layer: AveragePool, source: Tensor, target: Tensor, params: EngineParams) -> Operation:
    """Make a mean: a depthwise convolution whose weights are the multiplier of every tap.

    Parameters
    ----------
    layer
        The layer.
    source, target
        The maps that the operation reads and writes; both exist already.
    params
        The engine.

    Raises
    ------
    InputError
        Windows whose taps differ in number, or a leak that the engine has not.
    """
    _check_counts(layer, source)
    multiplier, runtime = layer.multiplier, dict(layer.runtime())
    if params.scheme is Scheme.SHIFT:
        spare = min(int(runtime["shift"].min()), (multiplier & -multiplier).bit_length() - 1) if multiplier else 0
        multiplier, runtime = multiplier >> spare, {"shift": runtime["shift"] - spare}
    elif layer.leak:
        raise InputError(f"{layer.name}: a leak needs an engine that shifts, not {params.scheme.value}: {SHIFTS}")
    runtime["bias"] = np.asarray((source.offset - source.form.zero) * multiplier * layer.window.taps)
    weights = np.zeros((*layer.window.kernel, target.storage.planes * params.lanes), dtype=np.int64)
    weights[..., target.slots] = multiplier
    fields: dict[str, Any] = {"layer": layer.name, "low": layer.limits[0], "high": layer.limits[1], "leak": layer.leak}
    held, storage = layer.window, source.storage
    if (*held.kernel, *held.pad) == (storage.rows, storage.columns, 0, 0, 0, 0) and not storage.pixel:
        return _whole(weights[0, 0], source, target, params, columns=runtime, **fields)
    pad = source.byte(source.form.zero)
    return _by_lane(weights, layer.window, source, target, params, columns=runtime, pad=pad, **fields)


def _whole(
    weights: Ints, source: Tensor, target: Tensor, params: EngineParams, *, columns: Mapping[str, Ints], **fields: Any
) -> Operation:
    """Make a mean of whole maps from the weights of a word, (slots,)."""
    storage, lanes = source.storage, params.lanes
    parts = pieces(target.name, weights.reshape(-1, lanes), params)
    taps = min(params.taps, storage.rows * storage.columns)
    steps = tuple(
        run_steps([Piece(part.weights[plane], part.scale) for part in parts], source, plane, taps).kept()
        for plane in range(target.storage.planes)
    )
    return Operation(
        source=source, target=target, steps=steps, columns=by_slot(target, lanes, dict(columns)),
        depthwise=True, runs=True, lead=taps - 1, x_step=lanes, pad=128 if source.raw else 0,
        dense=len(steps) * len(parts) * -(-storage.rows * storage.columns // taps), **fields,
    )  # fmt: skip


def _check_counts(layer: AveragePool, source: Tensor) -> None:
    if layer.count_padding:
        return
    counts = np.unique(window_count(source.storage.rows, source.storage.columns, layer.window))
    if len(set(layer.w.encode(1 / np.maximum(counts, 1)).tolist()) | {layer.multiplier}) > 1:
        raise InputError(f"{layer.name}: the engine cannot average windows of {counts.tolist()} taps in one layer")


def maximum(layer: MaxPool, source: Tensor, target: Tensor, params: EngineParams) -> Operation:
    """Make a maximum, in which every tap is a step.

    Parameters
    ----------
    layer
        The layer.
    source, target
        The maps that the operation reads and writes; both exist already.
    params
        The engine.
    """
    weight, runtime = identity(params)
    low, high = source.range
    runtime["bias"] = np.asarray(low * weight)
    weights = np.zeros((*layer.window.kernel, target.storage.planes * params.lanes), dtype=np.int64)
    weights[..., target.slots] = weight
    return _by_lane(
        weights, layer.window, source, target, params, alone=True, layer=layer.name, columns=runtime, maximum=True,
        pad=source.byte(source.form.limits[0]), low=low, high=high, flip_target=source.raw,
    )  # fmt: skip


def _by_lane(
    weights: Ints, window: Window, source: Tensor, target: Tensor, params: EngineParams,
    *, columns: Mapping[str, Ints], alone: bool = False, **fields: object,
) -> Operation:  # fmt: skip
    """Make a depthwise operation from weights (kernel rows, kernel columns, slots)."""
    lanes, planes = params.lanes, target.storage.planes
    held = pieces(target.name, weights.reshape(*window.kernel, planes, lanes), params)
    groups = covers(window, 1 if alone else params.taps, tile_size(target.storage, params.depth), UNWRITTEN)
    steps = [
        depthwise_steps(
            [Piece(part.weights[:, :, plane], part.scale) for part in held], window, groups, source, plane, params.taps
        )
        for plane in range(planes)
    ]
    geometry = spans(window, groups)
    return Operation(
        source=source, target=target, steps=tuple(block.kept() for block in steps), dense=sum(map(len, steps)),
        columns=by_slot(target, lanes, dict(columns)), depthwise=True, stride=window.stride[0],
        x_step=geometry.pop("x_step") * lanes, **geometry, **fields,  # type: ignore[arg-type]
    )  # fmt: skip


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
        layer=layer, source=source, target=target, steps=tuple(block.kept() for block in steps),
        dense=sum(map(len, steps)), columns=by_slot(target, params.lanes, runtime),
        x_step=source.storage.pixel or params.lanes, low=low, high=high, upsample=upsample,
    )  # fmt: skip


def add(layer: Add, x: Tensor, y: Tensor, target: Tensor, params: EngineParams) -> Operation:
    """Make a sum: the operand with more fractional bits is multiplied by weights of 1, the other is the residual.

    Parameters
    ----------
    layer
        The layer.
    x, y, target
        Operands and result; all exist already.
    params
        The engine.

    Raises
    ------
    InputError
        The engine's requantizer does not shift.
    """
    if params.scheme is not Scheme.SHIFT:
        raise InputError(f"{layer.name}: a sum needs an engine that shifts, not {params.scheme.value}: {SHIFTS}")
    source, residual = (x, y) if x.form.fraction >= y.form.fraction else (y, x)
    up = source.form.fraction - residual.form.fraction
    runtime = dict(layer.runtime()) | {"residual_shift": np.asarray(up)}
    runtime["bias"] = np.asarray(source.offset - source.form.zero + ((residual.offset - residual.form.zero) << up))
    steps = dense_steps([Piece(np.eye(len(source.slots), dtype=np.int8)[np.newaxis])], POINT, source, target)
    return Operation(
        layer=layer.name, source=source, residual=residual, target=target, steps=tuple(block.kept() for block in steps),
        dense=sum(map(len, steps)), columns=by_slot(target, params.lanes, runtime), x_step=params.lanes,
        low=layer.limits[0], high=layer.limits[1], leak=layer.leak,
    )  # fmt: skip
