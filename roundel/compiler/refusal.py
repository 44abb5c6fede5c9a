"""Refusals that another engine would not make, and the search for the parameters of one that runs the network."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from roundel.golden.engine import EngineParams
from roundel.golden.errors import InputError
from roundel.golden.parameters import plain
from roundel.golden.requant import Scheme

MOST_MEMORY = 1 << 24  # bytes of the activation memory, at most
MOST_REDUCTION = 1 << 20
MOST_BIAS_WIDTH = 32
WEIGHT_BITS = 8  # of a weight of the array, at most
SHIFTS = "compress the network with --requant shift, or with --refit where it gives the scales"
"""What makes a network of one that only an engine with a scheme of shifts could run."""
ATTEMPTS = 24  # engines that are tried: more than any parameter has steps

USUAL_TURNS = 4  # cycles of a word in an activation unit that nobody chose

T = TypeVar("T")


class EngineError(InputError):
    """A layer that this engine cannot run.

    Parameters
    ----------
    message
        One line that begins with the layer's name.
    better
        Parameters with which an engine may run it; empty where no engine does.
    """

    def __init__(self, message: str, better: Mapping[str, Any]):
        super().__init__(message)
        self.better = dict(better)


def check_shifts(layer: str, what: str, params: EngineParams) -> None:
    """Raise InputError unless the engine's requantizer shifts, which `what` of a layer needs."""
    if params.scheme is not Scheme.SHIFT:
        raise InputError(f"{layer}: {what} needs an engine that shifts, not {params.scheme.value}: {SHIFTS}")


def with_way_on(compile_for: Callable[[EngineParams], T], params: EngineParams) -> T:
    """Compile for an engine; where it cannot run the network, name the parameters of one that does.

    Parameters
    ----------
    compile_for
        Compiles the network for an engine.
    params
        The engine that the user has.

    Raises
    ------
    InputError
        What `compile_for` says, and the parameters with which it succeeds, if there are any.
    """
    try:
        return compile_for(params)
    except EngineError as error:
        changes = _changes(compile_for, params, error)
        if changes is None:
            raise InputError(str(error)) from None
        named = [f"{name}={plain(value)}" for name, value in changes.items()]
        settings = " ".join(f"--set {setting}" for setting in named)
        raise InputError(f"{error}; an engine with {' and '.join(named)} runs it ({settings})") from None


def _changes(
    compile_for: Callable[[EngineParams], object], params: EngineParams, error: EngineError
) -> dict[str, Any] | None:
    """Return the parameters with which an engine runs the network; None if none is found."""
    changes: dict[str, Any] = {}
    for _ in range(ATTEMPTS):
        if not error.better or error.better.items() <= changes.items():
            return None
        changes |= error.better
        try:
            compile_for(replace(params, **changes))
        except EngineError as another:
            error = another
        except (InputError, ValueError):
            return None
        else:
            return changes
    return None


def more_memory(params: EngineParams) -> dict[str, Any]:
    """Return twice the activation memory; nothing where it is the greatest."""
    return {"memory": 2 * params.memory} if params.memory < MOST_MEMORY else {}


def wider_sums(params: EngineParams, width: int) -> dict[str, Any]:
    """Return the least reduction, else the bias, that gives the array's sums so many bits; nothing if neither does."""
    reduction = 1 << (params.reduction - 1).bit_length()
    while reduction <= MOST_REDUCTION:
        if replace(params, reduction=reduction).mac.acc_width >= width:
            return {"reduction": reduction}
        reduction *= 2
    for bias in range(params.bias_width + 1, MOST_BIAS_WIDTH + 1):
        if replace(params, bias_width=bias).mac.acc_width >= width:
            return {"bias_width": bias}
    return {}


def wider_bias(width: int) -> dict[str, Any]:
    """Return the bits of a bias; nothing if no array has so many."""
    return {"bias_width": width} if width <= MOST_BIAS_WIDTH else {}


def activation_unit(params: EngineParams) -> dict[str, Any]:
    """Return an activation unit of the usual width: a lane for every four columns."""
    return {"act_lanes": max(1, params.columns // USUAL_TURNS)}


def fewer_lanes(params: EngineParams) -> dict[str, Any]:
    """Return half the lanes and columns, so that an output block has fewer weights; nothing if there are 4."""
    return {"lanes": params.lanes // 2, "columns": params.lanes // 2} if params.lanes > 4 else {}
