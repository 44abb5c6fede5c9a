"""Which unit suppresses the boxes of an image: its kind of parameters, told by the method."""

from collections.abc import Mapping
from typing import Any, TypeAlias

from roundel.golden.nms.exact import ExactParams
from roundel.golden.nms.greedy import GreedyParams
from roundel.golden.nms.integer import NmsParams
from roundel.golden.nms.presets import PRESETS
from roundel.golden.nms.topk import TopKParams

Suppression: TypeAlias = NmsParams | ExactParams | TopKParams
"""Parameters of a unit that may end an engine. All have `format`, `capacity`, `lanes`, `compute` and `contract`."""

_KINDS: Mapping[str, type[ExactParams] | type[TopKParams]] = {kind.METHOD: kind for kind in (ExactParams, TopKParams)}
METHODS = (*PRESETS, *_KINDS)
"""What may suppress the boxes of an engine: the presets of `NmsParams`, the exact GreedyNMS, and none."""


def kind_of(method: object) -> type[Suppression]:
    """Return the class of parameters that a method has; None, which is how a command line has `none`, is a method."""
    return _KINDS.get(TopKParams.METHOD if method is None else str(method), NmsParams)


def suppression_of(values: Mapping[str, Any]) -> Suppression:
    """Make the parameters of a suppression unit of keyword arguments, among which `method` tells its kind.

    Without a method, and with that of a preset, they are those of `NmsParams`.

    Raises
    ------
    TypeError, ValueError
        An unknown method, or what the class refuses.
    """
    method = values.get("method", NmsParams.method)
    method = TopKParams.METHOD if method is None else method
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, not {method!r}")
    kind = kind_of(method)
    unknown = [name for name in values if name not in kind.__dataclass_fields__]
    if unknown:
        raise TypeError(f"{unknown[0]} is no parameter of method {method!r}")
    return kind(**{**values, "method": method})


def candidates_of(params: Suppression | GreedyParams) -> int:
    """Return how many boxes an image may send to a unit: those beyond are dropped."""
    return params.top.candidates if isinstance(params, ExactParams | TopKParams) else params.capacity
