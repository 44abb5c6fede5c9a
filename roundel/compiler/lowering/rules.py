"""Lowering: layers become operations on tensors, each with a layout in memory; a rule for each kind of layer."""

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

from roundel.compiler.lowering.gates import lower_gate
from roundel.compiler.lowering.inputs import Shape, input_tensor, lower_fill
from roundel.compiler.lowering.interpolation import lower_interpolate
from roundel.compiler.lowering.joins import converts, lower_add, lower_concat
from roundel.compiler.lowering.large import lower_mean
from roundel.compiler.lowering.lowering import Lowering
from roundel.compiler.lowering.moves import can_spread, lower_select, lower_spread, outside, spreads
from roundel.compiler.lowering.pools import lower_maximum, lower_upsample
from roundel.compiler.lowering.weighted import lower_weighted
from roundel.compiler.refusal import EngineError, activation_unit, check_shifts
from roundel.compiler.tensor import Tensor
from roundel.golden.engine import EngineParams
from roundel.golden.errors import InputError
from roundel.golden.network import (
    Add,
    AveragePool,
    Concat,
    DepthToSpace,
    Fill,
    Flatten,
    Gate,
    Interpolate,
    Layer,
    MaxPool,
    Network,
    Requantized,
    Select,
    Upsample,
    Weighted,
)
from roundel.golden.requant import Scheme


def lower_network(network: Network, shape: Shape, params: EngineParams, heads: Collection[str] = ()) -> Lowering:
    """Lower a network.

    Parameters
    ----------
    network
        What to compile.
    shape
        Shape of an image: (rows, columns, channels), or (features,).
    params
        The engine's.
    heads
        Layers that the box decoder reads.

    Raises
    ------
    InputError
        A layer that the engine cannot run, by its name.
    """
    lowering = Lowering(params, outside(network, heads))
    tensors = lowering.tensors
    tensors[network.source] = input_tensor(network, shape, params.lanes)
    spreading = spreads(network)
    for layer in network.layers:
        if layer.name in tensors:
            continue  # made by the layer before it
        _check(layer, params)
        moved = spreading.get(layer.name)
        sources = [tensors[name] for name in layer.sources]
        try:
            if isinstance(layer, Weighted) and moved is not None and can_spread(layer, moved, sources[0]):
                tensors[moved.name] = lower_spread(lowering, moved, sources[0], layer)
                continue
            tensors[layer.name] = RULES[type(layer)](lowering, layer, *sources)
        except InputError:
            raise
        except (ValueError, KeyError) as error:
            raise InputError(f"{layer.name}: cannot be compiled for images of {shape} ({error})") from None
    return lowering


def _check(layer: Layer, engine: EngineParams) -> None:
    """Raise InputError for another requantizer than the engine's, where the layer needs one."""
    if isinstance(layer, Weighted) and layer.activation is not None:
        _check_unit(layer, engine)
        return
    if isinstance(layer, Concat):
        shifts = [shift for index, shift in enumerate(layer.shifts) if converts(layer, index)]
        exact = layer.requant is Scheme.SHIFT and not any(shift > 0 for shift in shifts)
    elif isinstance(layer, Requantized):
        shifts = layer.shifts.tolist()
        exact = layer.requant is Scheme.SHIFT and not any(shifts) and not layer.leak
    else:
        return
    if shifts and layer.requant is not engine.scheme:
        message = f"{layer.name}: requantizes by {layer.requant.value}, the engine by {engine.scheme.value}"
        raise EngineError(message, {"scheme": layer.requant, "rounding": layer.rounding})
    if shifts and not exact and layer.rounding is not engine.rounding:
        message = f"{layer.name}: rounds {layer.rounding.value}, the engine {engine.rounding.value}"
        raise EngineError(message, {"rounding": layer.rounding})


def _check_unit(layer: Weighted, engine: EngineParams) -> None:
    """Raise InputError unless the engine has an activation unit, behind a requantizer that shifts."""
    check_shifts(layer.name, "an activation", engine)
    if not engine.act_lanes:
        message = f"{layer.name}: has an activation, but the engine no activation unit (act_lanes=0)"
        raise EngineError(message, activation_unit(engine))


def _flatten(_: Lowering, layer: Flatten, source: Tensor) -> Tensor:
    """Return the same map, seen as features."""
    return replace(source, name=layer.name, flat=True)


RULES: dict[type, Callable[..., Any]] = {
    Weighted: lower_weighted,
    AveragePool: lower_mean,
    MaxPool: lower_maximum,
    Upsample: lower_upsample,
    Fill: lower_fill,
    Flatten: _flatten,
    Add: lower_add,
    Concat: lower_concat,
    Gate: lower_gate,
    DepthToSpace: lower_spread,
    Interpolate: lower_interpolate,
    Select: lower_select,
}
