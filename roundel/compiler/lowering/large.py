"""Means of whole maps that are larger than the activation memory: plane by plane, and partial sums in bands.

A partial sum S of a few values has more bits than a byte. It is kept as two bytes: `T = -S / 128`, rounded in any way,
and what is left, `S + 128 * T`, which the residual adds. All of them are added up at the end: the result is exact.
"""

from dataclasses import replace

import numpy as np

from roundel.compiler.lowering.lowering import Lowering
from roundel.compiler.lowering.pools import average, lower_average, whole_mean
from roundel.compiler.lowering.weighted import lower_weighted
from roundel.compiler.operation import Operation
from roundel.compiler.step_weights import pieces
from roundel.compiler.tensor import Storage, Tensor
from roundel.golden.formats import Format
from roundel.golden.network import AveragePool, Weighted, Window
from roundel.golden.requant import Scheme
from roundel.golden.rounding import Rounding

SIDE = 8  # rows and columns of a partial sum: 64 values of 8 bits are less than 128 * 128
SHIFT = 7  # bits of the lower part


def lower_mean(lowering: Lowering, layer: AveragePool, source: Tensor) -> Tensor:
    """Lower a mean; of whole maps that do not fit into the memory in parts that do."""
    storage, params = source.storage, lowering.params
    held = layer.window
    if (*held.kernel, *held.pad) != (storage.rows, storage.columns, 0, 0, 0, 0) or storage.pixel:
        return lower_average(lowering, layer, source)
    room = params.words - storage.planes - 1
    if storage.words <= room:
        return lower_average(lowering, layer, source)
    target = lowering.make(layer.name, layer.output, 1, 1, source.slots)
    whole = average(layer, source, target, params, layer.multiplier, lowering)
    if whole.source is not source:  # but sums of it, which the operation before writes
        lowering.operations.append(whole)
        return target
    for plane in np.unique(source.slots // params.lanes).tolist():
        own, result = _plane(source, plane), _plane(target, plane)
        if own.storage.words > room and params.scheme is Scheme.SHIFT:
            lowering.operations.append(_in_bands(lowering, layer, own, result))
        else:
            lowering.operations.append(average(layer, own, result, params, layer.multiplier))
    return target


def _plane(tensor: Tensor, plane: int) -> Tensor:
    """Return the channels of a tensor that lie in a plane."""
    storage, own = tensor.storage, tensor.slots // tensor.storage.lanes == plane
    held = Storage(
        name=tensor.name, rows=storage.rows, columns=storage.columns, planes=1, lanes=storage.lanes,
        parent=(storage, plane),
    )  # fmt: skip
    return replace(tensor, storage=held, slots=tensor.slots[own] - plane * storage.lanes)


def _in_bands(lowering: Lowering, layer: AveragePool, source: Tensor, target: Tensor) -> Operation:
    """Make the mean of a plane by partial sums, which are made in bands of the map as any convolution is."""
    storage, params = source.storage, lowering.params
    kernel = min(SIDE, storage.rows), min(SIDE, storage.columns)
    window = Window(kernel=kernel, stride=kernel, pad=(0, 0, -storage.rows % kernel[0], -storage.columns % kernel[1]))
    upper = Format(width=8, signed=True, fraction=layer.x.fraction - SHIFT, mantissa=layer.x.mantissa)
    lower = replace(upper, fraction=layer.x.fraction)
    tops = lower_weighted(lowering, _sums(layer, source, window, -1, upper, params.rounding), source)
    rests = lower_weighted(lowering, _sums(layer, source, window, 1, lower, params.rounding, upper), source, tops)
    made = rests.storage
    both = Storage(
        name=layer.name, rows=made.rows, columns=made.columns, planes=2 * made.planes, lanes=made.lanes
    )  # fmt: skip
    lowering.joined.add(both)
    made.parent, tops.storage.parent = (both, 0), (both, made.planes)
    weights = np.full(made.lanes, layer.multiplier)
    parts = [pieces(layer.name, weights, params), pieces(layer.name, -weights << SHIFT, params)]
    return whole_mean(
        list(zip(parts, (0, made.planes), strict=True)), replace(rests, storage=both), target, params,
        columns=dict(layer.runtime()) | {"bias": np.zeros(1, dtype=np.int64)}, layer=layer.name,
        low=layer.limits[0], high=layer.limits[1], leak=layer.leak,
    )  # fmt: skip


def _sums(
    layer: AveragePool, source: Tensor, window: Window, weight: int, output: Format, rounding: Rounding,
    residual: Format | None = None,
) -> Weighted:  # fmt: skip
    """Return the convolution of each channel that adds up windows, times 1 or -1, and a residual."""
    channels = len(source.slots)
    unit = Format(width=2, signed=True, fraction=0)
    return Weighted(
        name=layer.name, sources=layer.sources, output=output, rounding=rounding,
        weights=np.full((window.taps, channels), weight), bias=np.zeros(channels, dtype=np.int64), x=layer.x, w=unit,
        b=replace(unit, fraction=layer.x.fraction, mantissa=layer.x.mantissa), window=window, residual=residual,
        groups=channels,
    )  # fmt: skip
