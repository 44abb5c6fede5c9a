"""Pools and upsampling as operations of the engine."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from roundel.compiler.area import Area, tile_size, whole
from roundel.compiler.lowering.areas import areas_of, by_area
from roundel.compiler.lowering.columns import by_slot, identity
from roundel.compiler.lowering.copies import copy
from roundel.compiler.lowering.kernels import covers, depthwise_steps, run_steps, spans
from roundel.compiler.lowering.lowering import Lowering
from roundel.compiler.operation import Operation
from roundel.compiler.refusal import check_shifts
from roundel.compiler.step_weights import Piece, kept_steps, pieces
from roundel.compiler.tensor import Tensor
from roundel.golden.cycles import UNWRITTEN
from roundel.golden.engine import EngineParams
from roundel.golden.errors import InputError
from roundel.golden.network import AveragePool, Layer, MaxPool, Upsample, Window, window_count
from roundel.golden.requant import Scheme
from roundel.golden.rounding import Ints


def average(layer: AveragePool, source: Tensor, target: Tensor, params: EngineParams, multiplier: int) -> Operation:
    """Make a mean: a depthwise convolution whose weights are the multiplier of every tap.

    Parameters
    ----------
    layer
        The layer.
    source, target
        The maps that the operation reads and writes; both exist already.
    params
        The engine.
    multiplier
        That of all the target's windows.

    Raises
    ------
    InputError
        A leak that the engine has not.
    """
    runtime = dict(layer.runtime())
    if params.scheme is Scheme.SHIFT:
        spare = min(int(runtime["shift"].min()), (multiplier & -multiplier).bit_length() - 1) if multiplier else 0
        multiplier, runtime = multiplier >> spare, {"shift": runtime["shift"] - spare}
    elif layer.leak:
        check_shifts(layer.name, "a leak", params)
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
        source=source, target=target, columns=by_slot(target, lanes, dict(columns)), depthwise=True,
        stride=window.stride[0], x_step=geometry.pop("x_step") * lanes,
        **kept_steps(steps), **geometry, **fields,  # type: ignore[arg-type]
    )  # fmt: skip


def lower_average(lowering: Lowering, layer: AveragePool, source: Tensor) -> Tensor:
    """Lower a mean: where windows at the border have fewer values, an operation for each area of one number of them."""
    target = _pooled(lowering, layer, layer.window, source)
    counts = np.asarray([[layer.window.taps]])
    if not layer.count_padding:
        counts = window_count(source.storage.rows, source.storage.columns, layer.window)
    multipliers = layer.multipliers(counts)
    areas = [whole(target.storage)]
    if len(np.unique(multipliers)) > 1:
        areas = list(areas_of(multipliers, multipliers.T))

    def make(area: Area, part: Tensor) -> Operation:
        own = multipliers[min(area.first, len(multipliers) - 1), min(area.left, multipliers.shape[1] - 1)]
        return average(layer, source, part, lowering.params, int(own))

    by_area(lowering, layer.name, target, areas, make)
    return target


def lower_maximum(lowering: Lowering, layer: MaxPool, source: Tensor) -> Tensor:
    """Lower a maximum."""
    target = _pooled(lowering, layer, layer.window, source)
    lowering.operations.append(maximum(layer, source, target, lowering.params))
    return target


def _pooled(lowering: Lowering, layer: Layer, window: Window, source: Tensor) -> Tensor:
    rows, columns = window.output_size(source.storage.rows, source.storage.columns)
    return lowering.make(layer.name, layer.output, rows, columns, source.slots)


def lower_upsample(lowering: Lowering, layer: Upsample, source: Tensor) -> Tensor:
    """Lower an upsampling: copies that double both directions, as many as the factor asks for."""
    if layer.factor & (layer.factor - 1):
        raise InputError(f"{layer.name}: the engine upsamples by powers of two, not by {layer.factor}")
    left, target = layer.factor, source
    while left > 1:
        left //= 2
        name = layer.name if left == 1 else f"{layer.name}.{layer.factor // left}"
        storage = target.storage
        made = lowering.make(name, layer.output, 2 * storage.rows, 2 * storage.columns, source.slots)
        lowering.operations.append(copy(layer.name, target, made, lowering.params, upsample=True))
        target = made
    return replace(target, name=layer.name)
