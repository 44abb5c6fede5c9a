"""Nodes that apply a function of one value, and the names of functions, found by what they compute."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import frexp, log
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roundel.golden.activation import Function, named
from roundel.graph.formula import Formula, formula_of
from roundel.graph.nodes import Affine, Clip, LeakyRelu, Node, Reals, Relu, check_size

WIDE = 16.0
"""A function must be finite and continuous from minus this to this."""
JUMP = 1 / 256  # part of a function's range there that it may jump by
MOST_SLOPE = 63 / 32  # of a channel's negative values
TOLERANCE = 2e-5  # part of a value and 1 by which two functions that are the same may differ

Attributes = Mapping[str, float]


@dataclass(frozen=True, kw_only=True, eq=False)
class Pointwise(Node):
    """A function of each value alone.

    Parameters
    ----------
    formula
        The function, the same for all channels.
    """

    formula: Formula

    @property
    def function(self) -> Function:
        """The function under its name, in binary64 and without quantizers in it: what tables are fitted to."""
        return function_of(self.formula.smooth)

    def compute(self, *inputs: Reals) -> Reals:
        """Return the function of each value, in the type of the input; any shape."""
        return np.asarray(self.formula(inputs[0]))


@dataclass(frozen=True, kw_only=True, eq=False)
class PRelu(Node):
    """x from 0 on, below it x times the slope of its channel, (channels,)."""

    slopes: Reals

    def compute(self, *inputs: Reals) -> Reals:
        """Return the result for a tensor (batch, channels, ...); ValueError for another number of channels."""
        check_size(inputs[0].shape[1], len(self.slopes))
        slopes = self.slopes.reshape(-1, *(1,) * (inputs[0].ndim - 2))
        return np.where(inputs[0] < 0, slopes * inputs[0], inputs[0])


FORMULAS: Mapping[str, Formula] = MappingProxyType(
    {
        "sigmoid": formula_of(("Sigmoid", 0)),
        "tanh": formula_of(("Tanh", 0)),
        "hard_swish": formula_of(("HardSwish", 0)),
        "gelu": formula_of(("Div", 0, 2**0.5), ("Erf", 1), ("Add", 2, 1.0), ("Mul", 0, 3), ("Mul", 4, 0.5)),
        "gelu_tanh": formula_of(
            ("Mul", 0, 0),
            ("Mul", 0, 1),
            ("Mul", 2, 0.044715),
            ("Add", 0, 3),
            ("Mul", 4, (2 / np.pi) ** 0.5),
            ("Tanh", 5),
            ("Add", 6, 1.0),
            ("Mul", 0, 7),
            ("Mul", 8, 0.5),
        ),
        "mish": formula_of(("Softplus", 0), ("Tanh", 1), ("Mul", 0, 2)),
        "softplus": formula_of(("Softplus", 0)),
    }
)
"""Functions without attributes, in operators of ONNX's opset 14."""


def named_formula(name: str, **attributes: float) -> Formula:
    """Return the formula of a function of `roundel.golden.activation`, in operators of ONNX's opset 14."""
    match name:
        case "silu":
            alpha = attributes.get("alpha", 1.0)
            if alpha == 1:
                return formula_of(("Sigmoid", 0), ("Mul", 0, 1))
            return formula_of(("Mul", 0, alpha), ("Sigmoid", 1), ("Mul", 0, 2))
        case "hard_sigmoid":
            return formula_of(("HardSigmoid", 0), **attributes)
        case "elu" | "celu" | "selu":
            return formula_of((name.capitalize(), 0), **attributes)
        case "leaky_relu":
            return formula_of(("LeakyRelu", 0), **attributes)
        case "clip":
            return formula_of(("Clip", 0, attributes["low"], attributes["high"]))
    return FORMULAS[name]


@lru_cache(maxsize=1 << 12)
def known(formula: Formula) -> tuple[str, tuple[tuple[str, float], ...]] | None:
    """Return the name and attributes of a function of `roundel.golden.activation` that a formula computes.

    `affine` (scale, offset), `relu` and `clip` are names as well. Functions are compared at samples; those of a formula
    that are no numbers, where its own steps overflow, do not count.

    Parameters
    ----------
    formula
        The same for all channels.
    """
    places = _places()
    values = np.asarray(formula(places), np.float64)
    sure = np.isfinite(values)
    if not sure[np.abs(places) <= WIDE].all():
        return None

    def at(place: float) -> float:
        return float(np.asarray(formula(np.asarray(place)), np.float64))

    for name, attributes in _candidates(at, values[sure]):
        result = _reference(name, attributes)(places)[sure]
        if (np.abs(result - values[sure]) <= TOLERANCE * (1 + np.abs(values[sure]))).all():
            return name, tuple(sorted(attributes.items()))
    return None


def _reference(name: str, attributes: Attributes) -> Any:
    if name == "affine":
        return lambda x: attributes["scale"] * x + attributes["offset"]
    return named(name, **attributes)


def _places() -> NDArray[np.float64]:
    """Return samples: dense near 0, sparse to where large bounds of a clamp lie."""
    near = np.linspace(-20, 20, 1601) + 0.0123
    far, little = 20 * 1.07 ** np.arange(100), 10.0 ** -np.arange(2, 7)
    return np.sort(np.concatenate([-far, near, -little, [0.0], little, far]))


def _candidates(at: Any, values: NDArray[np.float64]) -> Iterator[tuple[str, dict[str, float]]]:
    """Give the functions that a formula may be, with the attributes that it has then."""
    zero, one, minus = at(0.0), at(1.0), at(-1.0)
    first, last = float(values[0]), float(values[-1])
    yield "affine", {"scale": (one - minus) / 2, "offset": zero}
    yield "relu", {}
    if abs(one - 1) < TOLERANCE * 4:
        yield "leaky_relu", {"alpha": -minus}
    low, high = float(values.min()), float(values.max())
    yield "clip", {"low": low if first == low else -np.inf, "high": high if last == high else np.inf}
    for name in FORMULAS:
        yield name, {}
    if 0 < one < 1:
        yield "silu", _rounded(alpha=log(one / (1 - one)))
    near = (at(1e-3) - at(-1e-3)) / 2e-3
    yield "hard_sigmoid", _rounded(alpha=near, beta=zero)
    if first < 0:
        yield "elu", _rounded(alpha=-first)
        yield "celu", _rounded(alpha=-first)
        if one:
            yield "selu", {"alpha": -first / one, "gamma": one}


def _rounded(**attributes: float) -> dict[str, float]:
    """Return attributes without what binary32 constants and cancellation leave of them."""
    rounded = {name: float(f"{value:.6g}") for name, value in attributes.items()}
    return {name: value for name, value in rounded.items() if (name, value) not in (("alpha", 1.0),)}


def function_nodes(*, name: str, source: str, output: str, formula: Formula, channels: int) -> Node:
    """Return the node that computes a formula: of those that are cheaper than a table, where one does.

    Parameters
    ----------
    name, source, output
        Of the node, and of the tensors that it reads and makes.
    formula
        The function; with quantizers in it a node that has them, which `fold` leaves out.
    channels
        Of the tensor.

    Raises
    ------
    ValueError
        No unit computes it: it is not finite or not continuous from -16 to 16, or differs between channels in more than
        the slope of negative values.
    """
    common: dict[str, Any] = {"name": name, "inputs": (source,), "output": output}
    smooth = formula.smooth
    if smooth is not formula:
        check(smooth)
        return Pointwise(**common, formula=formula)
    if formula.differs:
        return PRelu(**common, slopes=_slopes(formula, channels))
    match known(formula):
        case ("affine", attributes):
            ends = dict(attributes)
            scale, offset = (np.full(channels, ends[key], np.float32) for key in ("scale", "offset"))
            return Affine(**common, scale=scale, offset=offset)
        case ("relu", _):
            return Relu(**common)
        case ("clip", attributes):
            ends = dict(attributes)
            low, high = (None if np.isinf(ends[key]) else ends[key] for key in ("low", "high"))
            return Clip(**common, low=low, high=high)
        case ("leaky_relu", ((_, alpha),)) if 0 < alpha < 1 and frexp(np.float32(alpha))[0] == 0.5:
            return LeakyRelu(**common, slope=float(np.float32(alpha)))
        case (kind, attributes):
            return Pointwise(**common, formula=named_formula(kind, **dict(attributes)))
    check(formula)
    return Pointwise(**common, formula=formula)


@lru_cache(maxsize=1 << 12)
def function_of(formula: Formula) -> Function:
    """Return a formula as a function with a name: that of `roundel.golden.activation`, or its operators."""
    match known(formula):
        case (kind, attributes) if kind != "affine":
            return named(kind, **dict(attributes))
    return Function(name=str(formula), compute=formula)


@lru_cache(maxsize=1 << 12)
def why_not(formula: Formula) -> str | None:
    """Return why a formula is no function that a table can hold, if so."""
    places = np.linspace(-WIDE, WIDE, 4097)
    values = np.asarray(formula(places))
    if values.dtype == bool:
        return "it says yes or no"
    if not np.isfinite(values).all():
        return f"it is not finite at {places[int(np.argmin(np.isfinite(values)))]:g}"
    try:
        Function(name="it", compute=formula).check(-WIDE, WIDE, max(float(np.ptp(values)), 1e-30) * JUMP)
    except ValueError as error:
        return str(error).partition(":")[0]
    return None


def check(formula: Formula) -> None:
    """Raise ValueError for a formula that is no function that a table can hold."""
    if why := why_not(formula):
        raise ValueError(f"a function of one value, {formula}: {why}: a table needs a finite and continuous function")


def _slopes(formula: Formula, channels: int) -> Reals:
    """Return the slope of each channel's negative values; ValueError for anything else that differs by channel."""
    places = _places()
    values = np.asarray(formula(np.broadcast_to(places, (1, channels, len(places)))), np.float64)[0]
    slopes = -np.asarray(formula(np.full((1, channels, 1), -1.0)), np.float64)[0]
    wanted = np.where(places < 0, slopes * places, places)
    if values.shape != wanted.shape or not (np.abs(values - wanted) <= TOLERANCE * (1 + np.abs(wanted))).all():
        raise ValueError("a function that differs between channels: supported is a slope of negative values (PRelu)")
    if np.abs(slopes).max() > MOST_SLOPE:
        raise ValueError(f"slopes of negative values must be at most {MOST_SLOPE:g}, not {np.abs(slopes).max():g}")
    return np.asarray(slopes[:, 0], np.float32)
