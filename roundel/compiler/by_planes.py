"""Pairs of layers that hand over a map plane by plane, as it does not fit on chip: an expansion and a depthwise layer.

A depthwise layer reads a plane of what the layer before makes, and nothing else of it. So each plane is made and read
before the next one, and the map need not go through the outer memory.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from roundel.compiler.operation import Operation
from roundel.compiler.step_weights import Steps
from roundel.compiler.tensor import Storage, Tensor


def in_planes(operations: Sequence[Operation], fixed: Collection[Storage], words: int) -> list[Operation]:
    """Return operations, pairs of which work plane by plane where the map between them does not fit beside theirs.

    Parameters
    ----------
    operations
        In their order.
    fixed
        Maps that are kept: results of the network, and those that others read.
    words
        Of the activation memory.
    """
    uses: dict[Storage, list[int]] = {}
    for number, operation in enumerate(operations):
        for tensor in (*operation.operands, operation.target, *([operation.sums] if operation.sums else [])):
            uses.setdefault(tensor.storage.root[0], []).append(number)
    made: list[Operation] = []
    for number, operation in enumerate(operations):
        root = operation.source.storage.root[0]
        apart = uses[root] == [number - 1, number] and root not in fixed
        if apart and made and _fits(made[-1], operation, words):
            made[-1:] = _pairs(made[-1], operation)
        else:
            made.append(operation)
    return made


def _fits(first: Operation, second: Operation, words: int) -> bool:
    """Whether a map is made by one operation and read by a depthwise one, is too large, and has planes that are not."""
    between, source, result = first.target.storage, first.source.storage.root[0], second.target.storage
    plain = first.target.storage is second.source.storage and between.root[0] is between
    plain &= not (first.residual or first.sums or first.runs or first.gate) and first.phases == first.across == 1
    plain &= second.depthwise and not (second.runs or second.gate or second.residual)
    plain &= second.phases == second.across == 1 and first.blocks == between.planes > 1
    if not plain or result.root[0] is not result or second.blocks % between.planes:
        return False
    whole = source.words + between.words + result.words
    return whole > words > source.words + (between.words + result.words) // between.planes


def _pairs(first: Operation, second: Operation) -> Iterator[Operation]:
    """Give both operations for each plane of the map between them."""
    between, planes = first.target.storage, first.target.storage.planes
    factor = second.blocks // planes
    for plane in range(planes):
        storage = replace(between, name=f"{between.name}.{plane}", planes=1)
        held = _plane(first.target, plane, 1, storage)
        yield _part(first, plane, 1, planes, target=held)
        results = {"target": _inner(second.target, plane * factor, factor)}
        if second.sums is not None:
            count = second.sums.storage.planes // planes
            results["sums"] = _inner(second.sums, plane * count, count)
        yield _part(second, plane * factor, factor, planes, source=held, **results)


def _inner(tensor: Tensor, first: int, count: int) -> Tensor:
    """Return some planes of a tensor, which stay a part of it."""
    whole = tensor.storage
    part = Storage(
        name=whole.name, rows=whole.rows, columns=whole.columns, planes=count, lanes=whole.lanes, parent=(whole, first)
    )
    return _plane(tensor, first, count, part)


def _plane(tensor: Tensor, first: int, count: int, storage: Storage) -> Tensor:
    """Return the channels of a tensor in some planes, in another storage."""
    lanes = storage.lanes
    own = (tensor.slots >= first * lanes) & (tensor.slots < (first + count) * lanes)
    return replace(tensor, storage=storage, slots=tensor.slots[own] - first * lanes)


def _part(operation: Operation, first: int, count: int, parts: int, **tensors: Any) -> Operation:
    """Return an operation for some of its output blocks."""
    blocks = range(first, first + count)
    columns = {name: values[np.array(blocks) % len(values)] for name, values in operation.columns.items()}
    steps = tuple(operation.steps[block] for block in blocks)
    if "source" in tensors:
        steps = tuple(_of_first_plane(block) for block in steps)
    return replace(
        operation, steps=steps, columns=columns, dense=operation.dense // parts, macs=operation.macs // parts, **tensors
    )


def _of_first_plane(steps: Steps) -> Steps:
    return replace(steps, plane=np.zeros_like(steps.plane))
