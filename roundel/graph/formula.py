"""Formulas of one value: operators of ONNX, one after the other, each on results before it and on constants."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, reduce
from hashlib import sha256
from math import erf, sqrt
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[Any]
Operand = int | float | tuple[float, ...]
"""A result by its number, or a constant: one number, or one for each channel."""

QUANTIZE = "Quantize"
REACH, STEPS = 6.0, 1 << 14
"""Of the table of erf: where it ends, as erf is 1 there in binary32, and how many parts a unit has."""


@dataclass(frozen=True)
class FormulaStep:
    """An operator of a formula.

    Attributes
    ----------
    operator
        A key of `OPERATIONS`: ONNX's name.
    operands
        An `int` is the result of the step before with that number, 0 the formula's own value; all else is a constant.
    attributes
        By ONNX's names.
    """

    operator: str
    operands: tuple[Operand, ...]
    attributes: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class Formula:
    """A function of one value, the last step's result; without steps the value itself.

    Attributes
    ----------
    steps
        In the order in which they are worked out; the first one's result has the number 1.
    """

    steps: tuple[FormulaStep, ...] = ()

    def __call__(self, values: NDArray[Any], channels: int = 1) -> Values:
        """Return the function of each value, in the type of the values; infinities come out without a warning.

        Parameters
        ----------
        values
            Any shape; where constants differ between channels, (batch, channels, ...).
        channels
            Axis of the channels.
        """
        x = np.asarray(values)
        results: list[Values] = [x]
        left = self._reads
        with np.errstate(all="ignore"):
            for number, step in enumerate(self.steps, 1):
                operands = [self._operand(item, results, x, channels) for item in step.operands]
                results.append(OPERATIONS[step.operator](*operands, **dict(step.attributes)))
                for item in left.get(number, ()):
                    results[item] = np.empty(0)  # which nobody reads any more
        last = results[-1]
        return np.broadcast_to(np.asarray(last, bool if last.dtype == bool else x.dtype), x.shape)

    def _operand(self, operand: Operand, results: list[Values], x: Values, channels: int) -> Values:
        if isinstance(operand, int) and not isinstance(operand, bool):
            return results[operand]
        constant = np.asarray(operand, x.dtype)
        return constant.reshape(-1, *(1,) * (x.ndim - channels - 1)) if constant.ndim else constant

    @cached_property
    def _reads(self) -> dict[int, list[int]]:
        """The results that each step is the last one to read, by the step."""
        last = {
            item: number for number, step in enumerate(self.steps, 1) for item in step.operands if isinstance(item, int)
        }
        frees: dict[int, list[int]] = {}
        for item, number in last.items():
            frees.setdefault(number, []).append(item)
        return frees

    @cached_property
    def key(self) -> str:
        """A name that only equal formulas share."""
        return sha256(repr(self.steps).encode()).hexdigest()

    @property
    def differs(self) -> bool:
        """Whether it differs between channels."""
        return any(isinstance(item, tuple) for step in self.steps for item in step.operands)

    @property
    def smooth(self) -> "Formula":
        """The formula without quantizers in it."""
        if all(step.operator != QUANTIZE for step in self.steps):
            return self
        places, steps = [0], list[FormulaStep]()
        for step in self.steps:
            operands = tuple(places[item] if isinstance(item, int) else item for item in step.operands)
            if step.operator == QUANTIZE:
                places.append(int(operands[0]))  # type: ignore[arg-type]
                continue
            steps.append(FormulaStep(step.operator, operands, step.attributes))
            places.append(len(steps))
        return Formula(tuple(steps))

    def then(self, other: "Formula") -> "Formula":
        """Return the formula of another one of this one's result."""
        first = len(self.steps)

        def moved(step: FormulaStep) -> FormulaStep:
            return FormulaStep(
                step.operator,
                tuple(item + first if isinstance(item, int) else item for item in step.operands),
                step.attributes,
            )

        return Formula(self.steps + tuple(map(moved, other.steps)))

    def __str__(self) -> str:
        texts = ["x"]
        for step in self.steps:
            operands = [texts[item] if isinstance(item, int) else _shown(item) for item in step.operands]
            operands += [f"{name} {value:g}" for name, value in step.attributes]
            texts.append(f"{step.operator}({', '.join(operands)})"[: 2 * MOST_TEXT])
        if len(texts[-1]) <= MOST_TEXT:
            return texts[-1]
        names = [step.operator for step in self.steps]
        return f"{names[-1]} of {', '.join(dict.fromkeys(names[:-1]))}"


MOST_TEXT = 60


def _shown(operand: Operand) -> str:
    return f"{operand:g}" if isinstance(operand, float) else f"{len(operand)} numbers"  # type: ignore[arg-type]


def formula_of(*steps: tuple[Any, ...], **attributes: float) -> Formula:
    """Return a formula of (operator, operand, ...); attributes are those of the last step."""
    made = [FormulaStep(operator, tuple(operands)) for operator, *operands in steps]
    if attributes:
        made[-1] = FormulaStep(made[-1].operator, made[-1].operands, tuple(sorted(attributes.items())))
    return Formula(tuple(made))


@dataclass
class _Erf:
    """The error function between points of a table: off by less than 1e-9."""

    table: Values | None = field(default=None)

    def __call__(self, x: Values) -> Values:
        if self.table is None:
            places = np.arange(int(REACH * STEPS) + 2) / STEPS
            self.table = np.asarray(np.frompyfunc(erf, 1, 1)(places), np.float64)
        units = np.minimum(np.abs(x, dtype=np.float64), REACH) * STEPS
        low = np.where(np.isnan(units), 0, units).astype(np.int64)
        part = units - low
        return np.asarray(np.copysign(self.table[low] * (1 - part) + self.table[low + 1] * part, x), x.dtype)


error_function = _Erf()


def _sigmoid(x: Values) -> Values:
    return np.asarray(1 / (1 + np.exp(-x)))


def _softplus(x: Values) -> Values:
    return np.asarray(np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))))


def _elu(x: Values, alpha: float) -> Values:
    return np.where(x > 0, x, np.asarray(alpha, x.dtype) * np.expm1(np.minimum(x, 0)))


def _gelu(x: Values, tanh: float = 0.0) -> Values:
    if tanh:
        return np.asarray(0.5 * x * (1 + np.tanh(sqrt(2 / np.pi) * (x + 0.044715 * x * x * x))))
    return np.asarray(0.5 * x * (1 + error_function(x / sqrt(2))))


def _clip(x: Values, low: Any, high: Any) -> Values:
    return np.asarray(np.minimum(np.maximum(x, low), high))


def _shrink(x: Values, bias: float = 0.0, lambd: float = 0.5) -> Values:
    return np.where(x < -lambd, x + bias, np.where(x > lambd, x - bias, 0 * x))


def _quantize(x: Values, scale: float, zero: float, low: float, high: float) -> Values:
    units = np.rint(np.asarray(x, np.float32) / np.float32(scale))
    return np.asarray((np.clip(units + zero, low, high) - zero) * np.float32(scale), x.dtype)


def _where(condition: Values, x: Values, y: Values) -> Values:
    return np.asarray(np.where(condition, x, y))


def _of_all(operation: Callable[[Any, Any], Any]) -> Callable[..., Values]:
    return lambda *values: np.asarray(reduce(operation, values))


OPERATIONS: Mapping[str, Callable[..., Values]] = MappingProxyType(
    {
        "Abs": np.abs,
        "Add": np.add,
        "And": np.logical_and,
        "Asinh": np.arcsinh,
        "Atan": np.arctan,
        "Cast": lambda x, real: np.asarray(x).astype(np.float64) if real else np.asarray(x) != 0,
        "Ceil": np.ceil,
        "Celu": lambda x, alpha=1.0: alpha * _elu(x / alpha, 1.0),
        "Clip": _clip,
        "Cosh": np.cosh,
        "Div": np.divide,
        "Elu": lambda x, alpha=1.0: _elu(x, alpha),
        "Equal": np.equal,
        "Erf": error_function,
        "Exp": np.exp,
        "Floor": np.floor,
        "Gelu": _gelu,
        "Greater": np.greater,
        "GreaterOrEqual": np.greater_equal,
        "HardSigmoid": lambda x, alpha=0.2, beta=0.5: _clip(alpha * x + beta, 0, 1),
        "HardSwish": lambda x: x * _clip(x / 6 + 0.5, 0, 1),
        "LeakyRelu": lambda x, alpha=0.01: np.where(x < 0, alpha * x, x),
        "Less": np.less,
        "LessOrEqual": np.less_equal,
        "Log": np.log,
        "Max": _of_all(np.maximum),
        "Mean": lambda *values: np.asarray(sum(values[1:], values[0]) / len(values)),
        "Min": _of_all(np.minimum),
        "Mish": lambda x: x * np.tanh(_softplus(x)),
        "Mul": np.multiply,
        "Neg": np.negative,
        "Not": np.logical_not,
        "Or": np.logical_or,
        "PRelu": lambda x, slope: np.where(x < 0, slope * x, x),
        "Pow": np.power,
        "Quantize": _quantize,
        "Reciprocal": lambda x: 1 / x,
        "Relu": lambda x: np.maximum(x, 0),
        "Round": np.rint,
        "Selu": lambda x, alpha=1.6732631921768188, gamma=1.0507010221481323: gamma * _elu(x, alpha),
        "Shrink": _shrink,
        "Sigmoid": _sigmoid,
        "Sign": np.sign,
        "Sinh": np.sinh,
        "Softplus": _softplus,
        "Softsign": lambda x: x / (1 + np.abs(x)),
        "Sqrt": np.sqrt,
        "Sub": np.subtract,
        "Sum": _of_all(np.add),
        "Swish": lambda x, alpha=1.0: x * _sigmoid(alpha * x),
        "Tanh": np.tanh,
        "ThresholdedRelu": lambda x, alpha=1.0: np.where(x > alpha, x, 0 * x),
        "Where": _where,
        "Xor": np.logical_xor,
    }
)
"""What each operator makes of arrays, by ONNX's name; attributes have ONNX's defaults.

`Quantize` is `roundel.graph.Quantize` to the nearest."""
