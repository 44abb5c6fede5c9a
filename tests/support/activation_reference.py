"""Activations without the golden model: functions by `math`, one word at a time in plain integers and fractions."""

import math
from fractions import Fraction

SELU_ALPHA, SELU_GAMMA = 1.6732632423543772, 1.0507009873554805


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def softplus(x: float) -> float:
    return max(x, 0) + math.log1p(math.exp(-abs(x)))


def elu(x: float, alpha: float = 1.0) -> float:
    return x if x > 0 else alpha * math.expm1(x)


REFERENCES = {
    "sigmoid": sigmoid,
    "tanh": math.tanh,
    "silu": lambda x: x * sigmoid(x),
    "hard_swish": lambda x: x * min(max(x + 3, 0), 6) / 6,
    "hard_sigmoid": lambda x: min(max(0.2 * x + 0.5, 0), 1),
    "gelu": lambda x: x * (1 + math.erf(x / math.sqrt(2))) / 2,
    "gelu_tanh": lambda x: x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2,
    "mish": lambda x: x * math.tanh(softplus(x)),
    "elu": elu,
    "celu": elu,
    "selu": lambda x: SELU_GAMMA * elu(x, SELU_ALPHA),
    "softplus": softplus,
    "leaky_relu": lambda x: x if x >= 0 else 0.01 * x,
    "relu": lambda x: max(x, 0.0),
    "clip": lambda x: min(max(x, 0.0), 6.0),
    "identity": lambda x: x,
}
"""What each name means, with the attributes that ONNX gives it where none are said."""


def naive_word(params, table, word, residual=0, slope=0):
    """Return what the unit makes of a word, in fractions: docs/activations.md, read once more."""
    magnitude = Fraction(2 * word + 1, 2)
    negative = magnitude < 0
    fold = table.fold.value
    segments, steps = params.segments, 1 << params.step_bits
    if fold == "none":
        half = segments // 2 * steps
        place = math.floor(min(abs(magnitude) / 2**table.core * steps, half - 1))
        place = half - 1 - place if negative else half + place
    else:
        place = math.floor(min(abs(magnitude) / 2**table.core * steps, segments * steps - 1))
        if fold in ("negative", "slope") and not negative:
            place = 0
    if fold == "slope":
        down, multiplier = divmod(slope, 2 * steps)
        curve = Fraction(place * multiplier, steps) * (1 if down else -1)
    else:
        number, part = divmod(place, steps)
        ends = (table.knots[number], table.knots[number + 1])
        # The step beside an even knot has that knot's value.
        far = part if number % 2 == 0 else steps - 1 - part
        even, odd = ends if number % 2 == 0 else ends[::-1]
        curve = even + Fraction(far, steps) * (odd - even)
        if fold == "odd" and negative:
            curve = -curve
    used = table.linear and not negative
    total = curve + (magnitude * 2**table.linear_shift if used else 0) + residual * 2**table.residual_shift
    whole = math.floor(total / 2**params.fraction + Fraction(1, 2))
    return min(max(whole, -128), 127) + (128 if table.unsigned else 0)
