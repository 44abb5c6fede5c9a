"""A map times one number a channel: a depthwise operation whose weights the network makes itself."""

from collections.abc import Iterator

import numpy as np

from roundel.compiler.lowering.columns import by_slot
from roundel.compiler.lowering.lowering import Lowering
from roundel.compiler.operation import Operation
from roundel.compiler.refusal import EngineError, check_shifts
from roundel.compiler.step_weights import Steps
from roundel.compiler.tensor import Tensor
from roundel.golden.engine import MOST_SCALE, EngineParams
from roundel.golden.errors import InputError
from roundel.golden.formats import signed_width
from roundel.golden.network import Gate

HALF = 128
"""What unsigned bytes of 8 bits lose when they are taken as signed ones."""
HALF_BITS = 7
CONSTANT = 64
"""The greatest power of two that a step's data can be, as signed bytes."""


def gate(layer: Gate, source: Tensor, factors: Tensor, target: Tensor, params: EngineParams) -> Operation:
    """Make a product: a step of weights that are the factors, and one for what the map's own zero adds.

    With s and w what the array sees of an element x and a factor f, the product is `(s + a) * (w + b)`: b is 128 for
    unsigned factors of 8 bits, which the map as its own residual makes up for, else 0; a is 128 for unsigned maps of 8
    bits, less the zero of the map's format. `a * w` is a step beyond the border, where all data are one constant.

    Parameters
    ----------
    layer
        The layer.
    source, factors, target
        Map, factors at the map's slots, and result; all exist already.
    params
        The engine.
    """
    a, b = source.offset - source.form.zero, factors.offset
    most = (HALF + abs(a)) * (HALF + b)
    width = signed_width(-most, most)
    if width > params.mac.acc_width:
        raise InputError(f"{layer.name}: sums need {width} bits, but the array's have {params.mac.acc_width}")
    constants = list(_constants(a, MOST_SCALE * params.scales))
    pad = constants[0][0] if constants else 0
    steps = tuple(_steps(block, constants, params) for block in range(target.storage.planes))
    columns = dict(layer.runtime()) | {"bias": np.asarray(a * b), "residual_shift": np.asarray(HALF_BITS)}
    storage = target.storage
    return Operation(
        layer=layer.name, source=source, gate=factors, target=target, residual=source if b else None,
        columns=by_slot(target, params.lanes, columns), steps=steps, dense=sum(map(len, steps)), depthwise=True,
        x_step=params.lanes, pad=pad + source.offset & 0xFF, low=layer.limits[0], high=layer.limits[1],
        leak=layer.leak, macs=storage.rows * storage.columns * len(target.slots),
    )  # fmt: skip


def _constants(total: int, most: int) -> Iterator[tuple[int, int]]:
    """Give the data of the steps beyond the border, the same in all, and their scales; together they are `total`."""
    if -HALF < total < HALF:
        yield from [(total, 0)] if total else []
    elif most:
        yield total // 4, 1
    else:
        yield from [(CONSTANT, 0)] * (total // CONSTANT)


def _steps(block: int, constants: list[tuple[int, int]], params: EngineParams) -> Steps:
    """Return the steps of an output block; their weights stand for the factors, and differ from block to block."""
    count, lanes = 1 + len(constants), params.lanes
    weights = np.zeros((count, lanes, lanes), np.int8)
    weights[:, :, 0] = 1 + block % 2
    none = np.zeros(count, np.int64)
    scale = np.array([0, *(scale for _, scale in constants)])
    return Steps(plane=none + block, row=none, byte=none, weights=weights, scale=scale)


def lower_gate(lowering: Lowering, layer: Gate, source: Tensor, factors: Tensor) -> Tensor:
    """Lower a product; factors that lie in another way than the map's channels are copied."""
    params, storage = lowering.params, source.storage
    if not params.gates:
        message = f"{layer.name}: multiplies by numbers that the network makes, but the engine has no gates"
        raise EngineError(message, {"gates": True})
    if (factors.storage.rows, factors.storage.columns, len(factors.slots)) != (1, 1, len(source.slots)):
        raise InputError(f"{layer.name}: the engine multiplies a map by one number a channel, not by {factors.shape}")
    if factors.form.zero:
        raise InputError(f"{layer.name}: the engine's factors have no zero point, but that is {factors.form.zero}")
    if factors.raw:
        check_shifts(layer.name, "a product with unsigned factors of 8 bits", params)
    width = factors.form.width + (not factors.form.signed and not factors.raw)
    if width > params.weight_width:
        message = f"{layer.name}: factors of {width} bits, but the array's weights have {params.weight_width}"
        raise EngineError(message, {"weight_width": width})
    factors = lowering.repacked(layer.name, factors, source.slots)
    target = lowering.make(layer.name, layer.output, storage.rows, storage.columns, source.slots, flat=source.flat)
    lowering.operations.append(gate(layer, source, factors, target, params))
    return target
