"""Layers that join tensors: sums, and concatenations, planes of one source behind those of another."""

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from roundel.compiler.lowering.columns import by_slot
from roundel.compiler.lowering.copies import copy, scaled_copy
from roundel.compiler.lowering.kernels import POINT, dense_steps
from roundel.compiler.lowering.lowering import Lowering
from roundel.compiler.operation import Operation
from roundel.compiler.refusal import check_shifts
from roundel.compiler.step_weights import Piece, Steps, joined, kept_steps, pieces
from roundel.compiler.tensor import Storage, Tensor, dense_slots
from roundel.golden.engine import EngineParams
from roundel.golden.errors import InputError
from roundel.golden.network import LIFT, Add, Concat
from roundel.golden.requant import Scheme
from roundel.golden.rounding import Ints, Rounding


def add(layer: Add, x: Tensor, y: Tensor, target: Tensor, params: EngineParams) -> Operation:
    """Make a sum: the operand with more fractional bits is multiplied by weights of 1, the other is the residual.

    With scales that are multiplied both operands are sources, each with a step for every 8 bits of its multiplier.

    Parameters
    ----------
    layer
        The layer.
    x, y, target
        Operands and result; all exist already. Operands are both unsigned bytes or neither, where scales multiply.
    params
        The engine.

    Raises
    ------
    InputError
        A leak that the engine has not.
    """
    if layer.total is not None:
        return _scaled_sum(layer, x, y, target, params)
    source, residual = (x, y) if x.form.fraction >= y.form.fraction else (y, x)
    up = source.form.fraction - residual.form.fraction
    runtime = dict(layer.runtime()) | {"residual_shift": np.asarray(up)}
    runtime["bias"] = np.asarray(source.offset - source.form.zero + ((residual.offset - residual.form.zero) << up))
    steps = dense_steps([Piece(np.eye(len(source.slots), dtype=np.int8)[np.newaxis])], POINT, source, target)
    return Operation(
        layer=layer.name, source=source, residual=residual, target=target,
        columns=by_slot(target, params.lanes, runtime), x_step=params.lanes,
        low=layer.limits[0], high=layer.limits[1], leak=layer.leak, **kept_steps(steps),
    )  # fmt: skip


def _scaled_sum(layer: Add, x: Tensor, y: Tensor, target: Tensor, params: EngineParams) -> Operation:
    """Make a sum of products of both operands."""
    if layer.leak:
        check_shifts(layer.name, "a leak", params)
    terms = list(zip((x, y), layer.multipliers, strict=True))
    bias = sum((tensor.offset - tensor.form.zero) * multiplier for tensor, multiplier in terms)
    blocks: list[list[Steps]] = []
    for number, (tensor, multiplier) in enumerate(terms):
        weights = multiplier * np.eye(len(tensor.slots), dtype=np.int64)[np.newaxis]
        steps = dense_steps(pieces(layer.name, weights, params), POINT, tensor, target)
        blocks.append([replace(block, plane=block.plane + number * x.storage.planes) for block in steps])
    return Operation(
        layer=layer.name, source=x, addend=y, target=target,
        columns=by_slot(target, params.lanes, dict(layer.runtime()) | {"bias": np.asarray(bias)}), x_step=params.lanes,
        low=layer.limits[0], high=layer.limits[1], **kept_steps([joined(pair) for pair in zip(*blocks, strict=True)]),
    )  # fmt: skip


def lower_add(lowering: Lowering, layer: Add, x: Tensor, y: Tensor) -> Tensor:
    """Lower a sum, whose operands must lie in the same way: one is copied where they do not."""
    if (x.storage.rows, x.storage.columns, len(x.slots)) != (y.storage.rows, y.storage.columns, len(y.slots)):
        raise InputError(f"{layer.name}: the engine adds tensors of one shape, not {x.shape} and {y.shape}")
    slots = x.slots if np.array_equal(x.slots, y.slots) else dense_slots(len(x.slots))
    x, y = (lowering.repacked(layer.name, operand, slots) for operand in (x, y))
    if layer.total is not None and x.raw != y.raw:
        x, y = (operand if operand.raw else lowering.unsigned(layer.name, operand) for operand in (x, y))
    target = lowering.make(layer.name, layer.output, x.storage.rows, x.storage.columns, slots, flat=x.flat)
    lowering.operations.append(add(layer, x, y, target, lowering.params))
    return target


def lower_concat(lowering: Lowering, layer: Concat, *sources: Tensor) -> Tensor:
    """Lay planes one behind the other: each source's own where they can be made there, else a copy."""
    first, lanes = sources[0].storage, lowering.params.lanes
    if any((part.storage.rows, part.storage.columns) != (first.rows, first.columns) for part in sources):
        raise InputError(f"{layer.name}: expected maps of one size")
    if any(part.flat for part in sources) and (first.rows, first.columns) != (1, 1):
        raise InputError(f"{layer.name}: the engine cannot concatenate flattened maps")
    parts: list[Ints] = []
    children: dict[Storage, int] = {}  # and their first planes
    planes, shared = 0, _shared(lowering, layer, sources)
    for index, source in enumerate(sources):
        storage, slots = shared.get(index, (None, source.slots))
        if storage is None:
            part = _part(lowering, layer, index, source, children)
            storage, slots = part.storage, part.slots
        if storage not in children:
            children[storage] = planes
            planes += storage.planes
        parts.append(slots + children[storage] * lanes)
    slots = np.concatenate(parts)
    whole = Storage(name=layer.name, rows=first.rows, columns=first.columns, planes=planes, lanes=lanes)
    lowering.joined.add(whole)
    for child, plane in children.items():
        child.parent = (whole, plane)
    return Tensor(name=layer.name, form=layer.output, storage=whole, slots=slots, flat=sources[0].flat)


def _shared(lowering: Lowering, layer: Concat, sources: Sequence[Tensor]) -> dict[int, tuple[Storage, Ints]]:
    """Return the sources that are parts of one map and together all of it, by number, with the map and their slots.

    As the halves of a split map are: the map itself can be a part of the greater storage then.
    """
    maps: dict[Storage, dict[int, Ints]] = {}
    for index, source in enumerate(sources):
        storage, slots = source.storage, source.slots
        while storage in lowering.views and storage.parent is not None:
            storage, plane = storage.parent
            slots = slots + plane * storage.lanes
        maps.setdefault(storage, {})[index] = slots
    shared: dict[int, tuple[Storage, Ints]] = {}
    for storage, parts in maps.items():
        taken = np.concatenate(list(parts.values()))
        whole = set(taken // storage.lanes) == set(range(storage.planes)) and len(set(taken)) == len(taken)
        free = lowering.is_made(storage) and storage.parent is None
        if whole and free and not any(converts(layer, index) for index in parts):
            shared |= {index: (storage, slots) for index, slots in parts.items()}
    return shared


def _part(lowering: Lowering, layer: Concat, index: int, source: Tensor, taken: Collection[Storage]) -> Tensor:
    """Return a source that may become a part of a greater storage: itself, or a copy in the output's format."""
    storage = source.storage
    if lowering.is_made(storage) and storage.parent is None and storage not in taken and not converts(layer, index):
        return source
    slots = dense_slots(len(source.slots))
    if converts(layer, index):
        return _rescaled(lowering, layer, index, source, slots)
    target = lowering.make(f"{layer.name}.{index}", layer.output, storage.rows, storage.columns, slots)
    lowering.operations.append(copy(layer.name, source, target, lowering.params))
    return target


def _rescaled(lowering: Lowering, layer: Concat, index: int, source: Tensor, slots: Ints) -> Tensor:
    """Return a copy of a source in the output's format."""
    target = lowering.make(f"{layer.name}.{index}", layer.output, source.storage.rows, source.storage.columns, slots)
    if layer.requant is Scheme.SHIFT:
        shift = layer.shifts[index]
        if shift > 0 and layer.output.zero and layer.rounding not in (Rounding.FLOOR, Rounding.HALF_UP):
            raise InputError(f"{layer.name}: a zero point behind a shift that rounds {layer.rounding.value}")
        operation = copy(layer.name, source, target, lowering.params, shift=shift)
    else:
        operation = scaled_copy(layer.name, source, target, lowering.params, 1 << LIFT, layer.runtime(index))
    lowering.operations.append(operation)
    return target


def converts(layer: Concat, index: int) -> bool:
    """Whether a source's integers change on their way into the output."""
    form, output = layer.inputs[index], layer.output
    same = (form.fraction, form.mantissa, form.zero) == (output.fraction, output.mantissa, output.zero)
    within = output.limits[0] <= form.limits[0] and form.limits[1] <= output.limits[1]
    raw = {end.width == 8 and not end.signed for end in (form, output)}
    return not (same and within and len(raw) == 1)
