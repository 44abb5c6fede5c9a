"""Layers that move values: parts and permutations of channels as views, pixels out of channels as places of results."""

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from roundel.compiler.lowering.copies import copy
from roundel.compiler.lowering.lowering import Lowering
from roundel.compiler.lowering.weighted import checked_window, depthwise_slots, is_depthwise, slots_in_lanes, weighted
from roundel.compiler.operation import Operation
from roundel.compiler.tensor import Storage, Tensor, dense_slots
from roundel.golden.engine import EngineParams, Opcode, field_limits
from roundel.golden.errors import InputError
from roundel.golden.network import DepthToSpace, Interpolate, Network, Select, Weighted
from roundel.golden.rounding import Ints

MOST_ACROSS = field_limits(Opcode.COMPUTE, "skip")[1] + 1  # pixels of a row that a pixel can become


def view(layer: Select, source: Tensor) -> Tensor:
    """Return some of a tensor's channels where they are: the planes that hold them, and their slots."""
    if max(layer.channels) >= len(source.slots):
        raise InputError(f"{layer.name}: channel {max(layer.channels)} of {len(source.slots)}")
    slots, storage = source.slots[list(layer.channels)], source.storage
    if storage.pixel:
        return replace(source, name=layer.name, slots=slots)
    first, last = int(slots.min()) // storage.lanes, int(slots.max()) // storage.lanes
    if (first, last) != (0, storage.planes - 1):
        storage = Storage(
            name=layer.name, rows=storage.rows, columns=storage.columns, planes=last - first + 1,
            lanes=storage.lanes, parent=(storage, first),
        )  # fmt: skip
    return replace(source, name=layer.name, storage=storage, slots=slots - first * storage.lanes)


def spreads(network: Network) -> dict[str, DepthToSpace]:
    """Return the layers whose results become pixels at once, by name: convolutions that nothing else reads."""
    readers: dict[str, list[object]] = {}
    for layer in network.layers:
        for name in layer.sources:
            readers.setdefault(name, []).append(layer)
    return {
        layer.name: reader
        for layer in network.weighted
        for reader in readers.get(layer.name, [])[:1]
        if isinstance(reader, DepthToSpace)
        and len(readers[layer.name]) == 1
        and layer.name not in network.output_names
        and layer.window is not None
        and layer.residual is None
    }


def outside(network: Network, heads: Collection[str]) -> set[str]:
    """Return the layers that make pixels for the host alone, which can do so itself: results that nothing else reads.

    Of an interpolation by many columns the host makes the last step.

    Parameters
    ----------
    network
        The network.
    heads
        Layers that the box decoder reads.
    """
    read = {name for layer in network.layers for name in layer.sources} | set(heads)
    kinds = DepthToSpace | Interpolate
    return {layer.name for layer in network.layers if isinstance(layer, kinds) and layer.name not in read}


def pixels_outside(moved: DepthToSpace, source: Tensor) -> Tensor:
    """Return the larger map as the host sees it in the smaller one."""
    order = moved.order(len(source.slots))
    return replace(source, name=moved.name, slots=source.slots[order.ravel()], pixels=moved.factor)


def can_spread(layer: Weighted, moved: DepthToSpace, source: Tensor) -> bool:
    """Whether the blocks of a convolution's results can be pixels: each block then has results of one pixel only."""
    plain = moved.by_channel if is_depthwise(layer, len(source.slots)) else True
    return plain and source.storage.interleave == 1


def check_across(layer: DepthToSpace) -> None:
    """Raise InputError for more pixels side by side than the engine makes of one."""
    if layer.factor[1] > MOST_ACROSS:
        message = f"the engine makes at most {MOST_ACROSS} pixels of one in a row, not {layer.factor[1]}"
        raise InputError(f"{layer.name}: {message}")


def spread(layer: Weighted, moved: DepthToSpace, source: Tensor, target: Tensor, params: EngineParams) -> Operation:
    """Make the operation of a convolution whose results become pixels: a phase for each pixel that a pixel becomes.

    Parameters
    ----------
    layer, moved
        The convolution, and what makes pixels of its results' channels.
    source, target
        The maps that the operation reads and writes; both exist already. The target is the larger map.
    params
        The engine.
    """
    order, planes = moved.order(len(layer.bias)), target.storage.planes
    narrow = _pixel_blocks(target, moved, order)
    if is_depthwise(layer, len(source.slots)):  # its blocks are those of each plane, pixel by pixel
        narrow = replace(narrow, slots=slots_in_lanes(target.slots, params.lanes, moved.pixels))
        operation = weighted(layer, source, None, narrow, params)
        by_pixel = np.arange(planes * moved.pixels).reshape(planes, moved.pixels).T.ravel()
        steps = tuple(operation.steps[block] for block in by_pixel)
        columns = {name: values[by_pixel] for name, values in operation.columns.items()}
        operation = replace(operation, steps=steps, columns=columns)
    else:
        operation = weighted(layer, source, None, narrow, params)
    return replace(_wide(operation, moved, target), macs=_products(layer, operation, order))


def _products(layer: Weighted, operation: Operation, order: Ints) -> int:
    """Count the products of a convolution whose pixels have kernels of their own: only taps that a pixel has."""
    storage, inner = operation.target.storage, len(layer.weights) // layer.taps
    taps = layer.weights.reshape(layer.taps, inner, -1)[:, :, order]  # taps, channels, pixels, results
    used = np.count_nonzero(taps.any(axis=(1, 3)))
    return int(used * inner * order.shape[1] * storage.rows * storage.columns)


def spread_copy(moved: DepthToSpace, source: Tensor, target: Tensor, params: EngineParams) -> Operation:
    """Make a copy that makes pixels of channels; parameters as `spread`."""
    narrow = _pixel_blocks(target, moved, moved.order(len(source.slots)))
    return _wide(copy(moved.name, source, narrow, params), moved, target)


def repeated(layer: str, factor: int, source: Tensor, target: Tensor, params: EngineParams) -> Operation:
    """Make a copy of which every pixel becomes `factor` x `factor` of a larger map, all of them phases of it."""
    pixels, channels = factor * factor, len(source.slots)
    moved = DepthToSpace(
        name=layer, sources=(layer,), output=target.form, factor=(factor, factor), by_channel=True
    )  # fmt: skip
    narrow = _pixel_blocks(target, moved, moved.order(channels * pixels))
    return _wide(copy(layer, source, narrow, params, times=pixels), moved, target)


def wide_slots(layer: Weighted | None, source: Tensor, channels: int) -> Ints:
    """Return the slots of the larger map's channels: dense, or in the lanes of a depthwise convolution's channels."""
    if layer is None or not is_depthwise(layer, len(source.slots)):
        return dense_slots(channels)
    return slots_in_lanes(source.slots, source.storage.lanes, channels // len(source.slots))


def _pixel_blocks(target: Tensor, moved: DepthToSpace, order: Ints) -> Tensor:
    """Return a map of the results before they are pixels: planes of the first pixel, then of the second, ..."""
    storage, (pixels, channels) = target.storage, order.shape
    slots = np.empty(pixels * channels, dtype=np.int64)
    slots[order] = np.arange(pixels)[:, None] * storage.planes * storage.lanes + target.slots
    rows, columns = storage.rows // moved.factor[0], storage.columns // moved.factor[1]
    held = Storage(
        name=target.name, rows=rows, columns=columns, planes=pixels * storage.planes, lanes=storage.lanes
    )  # fmt: skip
    return replace(target, storage=held, slots=slots)


def _wide(operation: Operation, moved: DepthToSpace, target: Tensor) -> Operation:
    """Let the blocks of an operation be pixels of its target."""
    down, across = moved.factor
    return replace(operation, target=target, phases=down, across=across)


def lower_select(lowering: Lowering, layer: Select, source: Tensor) -> Tensor:
    """Return channels where they are."""
    part = view(layer, source)
    if part.storage is not source.storage:
        lowering.views.add(part.storage)
    return part


def lower_spread(lowering: Lowering, moved: DepthToSpace, source: Tensor, layer: Weighted | None = None) -> Tensor:
    """Lower what makes pixels of channels: those of a convolution's results, or of a map, copied.

    Of a result of the network the host can make pixels: of a map always, of a convolution's results where that
    takes no more steps, as it does for few channels.
    """
    rows, columns, channels = source.storage.height, source.storage.columns, len(source.slots)
    if layer is None and moved.name in lowering.outside:
        return pixels_outside(moved, source)
    if layer is not None:
        (rows, columns), channels = checked_window(layer, source).output_size(rows, columns), len(layer.bias)
    slots = wide_slots(layer, source, moved.order(channels).shape[1])
    target = lowering.make(moved.name, moved.output, rows * moved.factor[0], columns * moved.factor[1], slots)
    operation = (
        spread_copy(moved, source, target, lowering.params)
        if layer is None
        else spread(layer, moved, source, target, lowering.params)
    )
    if layer is not None and moved.name in lowering.outside:
        slots = depthwise_slots(layer, source) if is_depthwise(layer, len(source.slots)) else dense_slots(channels)
        narrow = lowering.make(moved.name, moved.output, rows, columns, slots)
        plain = replace(weighted(layer, source, None, narrow, lowering.params), macs=operation.macs)
        if plain.kept <= operation.kept or moved.factor[1] > MOST_ACROSS:
            lowering.operations.append(plain)
            return pixels_outside(moved, narrow)
    check_across(moved)
    lowering.operations.append(operation)
    return target
