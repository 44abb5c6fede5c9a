"""Functions of one value by name, with their attributes as ONNX has them, and functions given as samples."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray

Reals = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Function:
    """A function of one real value.

    Attributes
    ----------
    name
        For reports, attributes included.
    compute
        Takes and returns float64 arrays.
    """

    name: str
    compute: Callable[[Reals], Reals]

    def __call__(self, values: ArrayLike) -> Reals:
        """Return the function of each value; infinities and NaNs come out without a warning."""
        with np.errstate(all="ignore"):
            return np.asarray(self.compute(np.asarray(values, dtype=np.float64)), dtype=np.float64)

    def check(self, low: float, high: float, resolution: float) -> None:
        """Raise ValueError unless the function is finite and continuous from `low` to `high`.

        Parameters
        ----------
        low, high
            Ends of the range.
        resolution
            A jump of more than this is one, whatever the function does around it.
        """
        points = np.linspace(low, high, 1 << 14)
        values = self(points)
        if not np.all(np.isfinite(values)):
            worst = float(points[np.flatnonzero(~np.isfinite(values))[0]])
            raise ValueError(f"{self.name} is not finite at {worst:g}: a table needs a finite function")
        # Jumps stay as large when the interval around them shrinks; slopes do not.
        jumps = np.abs(np.diff(values))
        for place in np.argsort(jumps)[::-1][:8]:
            left, right = float(points[place]), float(points[place + 1])
            for _ in range(40):
                middle = (left + right) / 2
                before, between, after = self(np.asarray([left, middle, right]))
                left, right = (left, middle) if abs(between - before) > abs(after - between) else (middle, right)
            jump = float(abs(np.diff(self(np.asarray([left, right]))[:2])[0]))
            if jump > resolution:
                raise ValueError(f"{self.name} jumps by {jump:g} at {right:g}: a table needs a continuous function")


def _erf(x: Reals) -> Reals:
    return np.asarray(np.frompyfunc(math.erf, 1, 1)(x), dtype=np.float64)


def _sigmoid(x: Reals) -> Reals:
    return np.asarray(np.exp(-np.logaddexp(0, -x)))


def _elu(x: Reals, alpha: float) -> Reals:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def _gelu_tanh(x: Reals) -> Reals:
    return np.asarray(0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))))


def _clip(x: Reals, low: float, high: float) -> Reals:
    return np.minimum(np.maximum(x, low), high)


Maker = Callable[..., Callable[[Reals], Reals]]

FUNCTIONS: Mapping[str, tuple[Maker, Mapping[str, float]]] = MappingProxyType(
    {
        "sigmoid": (lambda: _sigmoid, {}),
        "tanh": (lambda: np.tanh, {}),
        "silu": (lambda alpha: lambda x: x * _sigmoid(alpha * x), {"alpha": 1.0}),
        "hard_swish": (lambda: lambda x: x * _clip(x / 6 + 0.5, 0, 1), {}),
        "hard_sigmoid": (lambda alpha, beta: lambda x: _clip(alpha * x + beta, 0, 1), {"alpha": 0.2, "beta": 0.5}),
        "gelu": (lambda: lambda x: 0.5 * x * (1 + _erf(x / math.sqrt(2))), {}),
        "gelu_tanh": (lambda: _gelu_tanh, {}),
        "mish": (lambda: lambda x: x * np.tanh(np.logaddexp(0, x)), {}),
        "elu": (lambda alpha: lambda x: _elu(x, alpha), {"alpha": 1.0}),
        "celu": (lambda alpha: lambda x: alpha * _elu(x / alpha, 1.0), {"alpha": 1.0}),
        "selu": (
            lambda alpha, gamma: lambda x: gamma * _elu(x, alpha),
            {"alpha": 1.6732632423543772, "gamma": 1.0507009873554805},
        ),
        "softplus": (lambda: lambda x: np.logaddexp(0, x), {}),
        "leaky_relu": (lambda alpha: lambda x: np.where(x < 0, alpha * x, x), {"alpha": 0.01}),
        "relu": (lambda: lambda x: np.maximum(x, 0), {}),
        "clip": (lambda low, high: lambda x: _clip(x, low, high), {"low": 0.0, "high": 6.0}),
        "identity": (lambda: lambda x: x, {}),
    }
)
"""Functions by name: what makes one of its attributes, and the attributes with their defaults, which are ONNX's."""


def named(name: str, **attributes: float) -> Function:
    """Return a function of `FUNCTIONS`.

    Parameters
    ----------
    name
        One of its names.
    attributes
        What it takes, such as `alpha`; the others have ONNX's defaults.

    Raises
    ------
    ValueError
        No such function, or no such attribute; the message lists those there are.
    """
    if name not in FUNCTIONS:
        raise ValueError(f"an activation must be one of {', '.join(FUNCTIONS)}, not {name!r}")
    maker, defaults = FUNCTIONS[name]
    if unknown := attributes.keys() - defaults.keys():
        raise ValueError(f"{name} takes {', '.join(defaults) or 'no attributes'}, not {min(unknown)}")
    shown = ", ".join(f"{key} {value:g}" for key, value in attributes.items())
    return Function(name=f"{name} ({shown})" if shown else name, compute=maker(**{**defaults, **attributes}))


def sampled(points: ArrayLike, values: ArrayLike, *, name: str = "samples") -> Function:
    """Return the function that goes straight from sample to sample, and stays at the first and the last one beyond.

    Parameters
    ----------
    points, values
        (samples,): ascending places, and the function there.
    name
        For reports.

    Raises
    ------
    ValueError
        Fewer than two samples, different numbers of both, places that do not ascend, or numbers that are not finite.
    """
    places, heights = np.asarray(points, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if places.ndim != 1 or places.shape != heights.shape or len(places) < 2:
        raise ValueError(f"{name} must be as many places as values, at least two, not {places.shape}, {heights.shape}")
    if not (np.all(np.isfinite(places)) and np.all(np.isfinite(heights))):
        raise ValueError(f"{name} must be finite")
    if np.any(np.diff(places) <= 0):
        raise ValueError(f"{name} must have places that ascend")
    return Function(name=name, compute=lambda x: np.interp(x, places, heights))
