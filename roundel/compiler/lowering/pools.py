"""Pools and upsampling as operations of the engine."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from roundel.compiler.area import Area, tile_size, whole
from roundel.compiler.lowering.areas import areas_of, by_area
from roundel.compiler.lowering.columns import by_slot, identity
from roundel.compiler.lowering.copies import copy
from roundel.compiler.lowering.kernels import covers, depthwise_steps, run_steps, spans
from roundel.compiler.lowering.lowering import Lowering
from roundel.compiler.lowering.moves import repeated
from roundel.compiler.lowering.sums import digit_weights, maker
from roundel.compiler.operation import Operation
from roundel.compiler.refusal import EngineError, check_shifts
from roundel.compiler.step_weights import Piece, joined, kept_steps, pieces
from roundel.compiler.tensor import Tensor
from roundel.golden.cycles import UNWRITTEN
from roundel.golden.engine import EngineParams
from roundel.golden.errors import InputError
from roundel.golden.network import AveragePool, Layer, MaxPool, Upsample, Window, window_count
from roundel.golden.requant import Scheme
from roundel.golden.rounding import Ints

FACTORS = (3, 2)  # of upsampling, one after another
REACH = 64  # rows of a map at once, of a maximum of all of them: steps reach 127
SINGLE = Window(kernel=(1, 1))
SAVED = 2  # times fewer cycles that are worth a map between the maxima of columns and of rows


def average(
    layer: AveragePool, source: Tensor, target: Tensor, params: EngineParams, multiplier: int,
    lowering: Lowering | None = None,
) -> Operation:  # fmt: skip
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
    lowering
        The network's, if the operation that makes the source may write sums for it.

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
        word = np.full(params.lanes, multiplier)
        parts = pieces(layer.name, word, params)
        if lowering is not None and (
            made := _from_sums(lowering, word, parts, source, target, columns=runtime, **fields)
        ):
            return made
        return whole_mean([(parts, 0)], source, target, params, columns=runtime, **fields)
    pad = source.byte(source.form.zero)
    return _by_lane(weights, layer.window, source, target, params, columns=runtime, pad=pad, **fields)


def whole_mean(
    weights: Sequence[tuple[Sequence[Piece], int]], source: Tensor, target: Tensor, params: EngineParams,
    *, apart: int = 1, columns: Mapping[str, Ints], **fields: Any,
) -> Operation:  # fmt: skip
    """Make a sum of whole maps: the planes of the target are the rows of a single output block.

    Parameters
    ----------
    weights
        Weights of a word, (lanes,), in pieces, and the plane of the source that the first of the target's adds up.
    source, target, params
        As of `average`.
    apart
        Planes of the source from what a plane of the target adds up to what the next one does.
    columns
        The requantizer's parameters, one for all channels.
    **fields
        Further ones of the operation.
    """
    storage = source.storage
    taps = min(params.taps, storage.rows * storage.columns)
    steps = joined([run_steps(list(parts), source, first, taps) for parts, first in weights])
    return Operation(
        source=source, target=target, steps=(steps.kept(),), dense=len(steps), depthwise=True, runs=apart,
        columns={name: np.full((1, params.lanes), value.item()) for name, value in columns.items()},
        lead=taps - 1, x_step=params.lanes, pad=128 if source.raw else 0, **fields,
    )  # fmt: skip


def _from_sums(
    lowering: Lowering, word: Ints, plain: Sequence[Piece], source: Tensor, target: Tensor, **fields: Any
) -> Operation | None:
    """Make a mean of a whole map from sums of its rows, and let the operation before write them; None if it cannot."""
    digits = digit_weights(target.name, word, lowering.params)
    found = None if digits is None else maker(lowering, source, digits, plain)
    if digits is None or found is None:
        return None
    number, before = found
    assert before.sums is not None
    made = whole_mean(digits, before.sums, target, lowering.params, apart=len(digits), **fields)
    try:
        made.check_sums(lowering.params)
    except InputError:
        return None
    lowering.operations[number] = before
    return made


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
    if len(pieces(layer.name, np.array([weight]), params)) > 1:
        raise EngineError(f"{layer.name}: a maximum needs weights of {weight}", {"scales": True})
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
        return average(layer, source, part, lowering.params, int(own), lowering)

    by_area(lowering, layer.name, target, areas, make)
    return target


def lower_maximum(lowering: Lowering, layer: MaxPool, source: Tensor) -> Tensor:
    """Lower a maximum, one after another where that takes far fewer steps: of columns, then of rows."""
    windows = _windows(layer, source)
    for window in [window for window in windows if window != SINGLE] or windows[:1]:
        target = _pooled(lowering, layer, window, source)
        lowering.operations.append(maximum(replace(layer, window=window), source, target, lowering.params))
        source = target
    return source


def _windows(layer: MaxPool, source: Tensor) -> list[Window]:
    """Return windows whose maxima, one after another, are those of a layer."""
    window, rows = layer.window, source.storage.rows
    (high, wide), (down, across), (skip, beside) = window.kernel, window.stride, window.dilation
    top, left, bottom, right = window.pad
    columns = Window(kernel=(1, wide), stride=(1, across), dilation=(1, beside), pad=(0, left, 0, right))
    if high == rows > REACH and not (top or bottom) and skip == 1:  # of all rows: some of them first
        some = Window(kernel=(REACH, 1), stride=(REACH, 1), pad=(0, 0, -rows % REACH, 0))
        return [columns, some, Window(kernel=(-(-rows // REACH), 1))]
    apart = [columns, Window(kernel=(high, 1), stride=(down, 1), dilation=(skip, 1), pad=(top, 0, bottom, 0))]
    less = SAVED * _maximum_cycles(source, apart) <= _maximum_cycles(source, [window])
    return apart if min(window.kernel) > 1 and less else [window]


def _maximum_cycles(source: Tensor, windows: Sequence[Window]) -> int:
    """Cycles of a plane of maxima, one after another: a beat for each result and tap."""
    rows, columns, cycles = source.storage.rows, source.storage.columns, 0
    for window in windows:
        rows, columns = window.output_size(rows, columns)
        cycles += window.taps * max(rows * columns, UNWRITTEN)
    return cycles


def _pooled(lowering: Lowering, layer: Layer, window: Window, source: Tensor) -> Tensor:
    rows, columns = window.output_size(source.storage.rows, source.storage.columns)
    return lowering.make(layer.name, layer.output, rows, columns, source.slots)


def lower_upsample(lowering: Lowering, layer: Upsample, source: Tensor) -> Tensor:
    """Lower an upsampling: copies, each by a prime factor, the greatest first; 2 is the engine's own."""
    left, target = layer.factor, source
    while left > 1:
        by = next((factor for factor in FACTORS if left % factor == 0), None)
        if by is None:
            raise InputError(f"{layer.name}: the engine upsamples by products of 2 and 3, not by {layer.factor}")
        left //= by
        name = layer.name if left == 1 else f"{layer.name}.{layer.factor // left}"
        storage = target.storage
        made = lowering.make(name, layer.output, by * storage.rows, by * storage.columns, source.slots)
        doubled = copy(layer.name, target, made, lowering.params, upsample=True) if by == 2 else None
        lowering.operations.append(doubled or repeated(layer.name, by, target, made, lowering.params))
        target = made
    return replace(target, name=layer.name)
