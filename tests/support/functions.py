"""Functions of one value as exporters spell them, and random ones, as rows for `tests.support.onnx_models.model`."""

import numpy as np

ROOT2 = np.float32(2**0.5)


def number(value):
    return np.float32(value)


SPELLINGS = {
    # what it is: rows, constants, the least opset
    "silu by torch": ("silu", [("Sigmoid", ["x"], "s", {}), ("Mul", ["x", "s"], "y", {})], {}, 7),
    "silu the other way round": ("silu", [("Sigmoid", ["x"], "s", {}), ("Mul", ["s", "x"], "y", {})], {}, 7),
    "silu by exp": (
        "silu",
        [
            ("Neg", ["x"], "n", {}), ("Exp", ["n"], "e", {}), ("Add", ["e", "one"], "a", {}),
            ("Div", ["x", "a"], "y", {}),
        ],
        {"one": number(1)},
        7,
    ),
    "silu by tanh": (
        "silu",
        [
            ("Mul", ["x", "half"], "h", {}), ("Tanh", ["h"], "t", {}), ("Add", ["t", "one"], "a", {}),
            ("Mul", ["h", "a"], "y", {}),
        ],
        {"half": number(0.5), "one": number(1)},
        7,
    ),
    "swish with beta": (
        "silu (alpha 1.3)",
        [("Mul", ["x", "b"], "m", {}), ("Sigmoid", ["m"], "s", {}), ("Mul", ["x", "s"], "y", {})],
        {"b": np.full((1, 1, 1, 1), 1.3, np.float32)},
        7,
    ),
    "sigmoid by exp": (
        "sigmoid",
        [
            ("Neg", ["x"], "n", {}), ("Exp", ["n"], "e", {}), ("Add", ["one", "e"], "a", {}),
            ("Reciprocal", ["a"], "r", {}), ("Add", ["r", "zero"], "y", {}),
        ],
        {"one": number(1), "zero": number(0)},
        7,
    ),
    "hard swish by Mul": (
        "hard_swish",
        [
            ("Add", ["x", "three"], "a", {}), ("Clip", ["a", "zero", "six"], "c", {}), ("Mul", ["x", "c"], "m", {}),
            ("Mul", ["m", "sixth"], "y", {}),
        ],
        {"three": number(3), "zero": number(0), "six": number(6), "sixth": number(1 / 6)},
        11,
    ),
    "hard swish by Div before": (
        "hard_swish",
        [
            ("Add", ["x", "three"], "a", {}), ("Clip", ["a", "zero", "six"], "c", {}), ("Div", ["c", "six"], "d", {}),
            ("Mul", ["x", "d"], "y", {}),
        ],
        {"three": number(3), "zero": number(0), "six": number(6)},
        11,
    ),
    "hard swish by Div behind, as PaddlePaddle": (
        "hard_swish",
        [
            ("Add", ["x", "three"], "a", {}), ("Max", ["a", "zero"], "u", {}), ("Min", ["u", "six"], "c", {}),
            ("Mul", ["x", "c"], "m", {}), ("Div", ["m", "six"], "y", {}),
        ],
        {"three": number(3), "zero": np.zeros((1,), np.float32), "six": number(6)},
        8,
    ),
    "hard swish by HardSigmoid": (
        "hard_swish",
        [("HardSigmoid", ["x"], "s", {"alpha": 1 / 6, "beta": 0.5}), ("Mul", ["x", "s"], "y", {})],
        {},
        7,
    ),
    "hard swish by ReLU6": (
        "hard_swish",
        [
            ("Add", ["x", "three"], "a", {}), ("Relu", ["a"], "r", {}), ("Min", ["r", "six"], "c", {}),
            ("Mul", ["c", "sixth"], "d", {}), ("Mul", ["d", "x"], "y", {}),
        ],
        {"three": number(3), "six": number(6), "sixth": number(1 / 6)},
        8,
    ),
    "gelu by torch": (
        "gelu",
        [
            ("Div", ["x", "root"], "d", {}), ("Erf", ["d"], "e", {}), ("Add", ["e", "one"], "a", {}),
            ("Mul", ["x", "a"], "m", {}), ("Mul", ["m", "half"], "y", {}),
        ],
        {"root": ROOT2, "one": number(1), "half": number(0.5)},
        9,
    ),
    "gelu, the half first": (
        "gelu",
        [
            ("Mul", ["x", "half"], "h", {}), ("Mul", ["x", "over"], "d", {}), ("Erf", ["d"], "e", {}),
            ("Add", ["one", "e"], "a", {}), ("Mul", ["h", "a"], "y", {}),
        ],
        {"over": 1 / ROOT2, "one": number(1), "half": number(0.5)},
        9,
    ),
    "gelu by tanh": (
        "gelu_tanh",
        [
            ("Pow", ["x", "three"], "p", {}), ("Mul", ["p", "c"], "q", {}), ("Add", ["x", "q"], "r", {}),
            ("Mul", ["r", "k"], "s", {}), ("Tanh", ["s"], "t", {}), ("Add", ["t", "one"], "u", {}),
            ("Mul", ["x", "half"], "h", {}), ("Mul", ["h", "u"], "y", {}),
        ],
        {"three": number(3), "c": number(0.044715), "k": number((2 / np.pi) ** 0.5), "one": number(1),
         "half": number(0.5)},
        7,
    ),
    "gelu by tanh of products": (
        "gelu_tanh",
        [
            ("Mul", ["x", "x"], "p2", {}), ("Mul", ["p2", "x"], "p", {}), ("Mul", ["c", "p"], "q", {}),
            ("Add", ["q", "x"], "r", {}), ("Mul", ["k", "r"], "s", {}), ("Tanh", ["s"], "t", {}),
            ("Add", ["one", "t"], "u", {}), ("Mul", ["x", "u"], "h", {}), ("Mul", ["half", "h"], "y", {}),
        ],
        {"c": number(0.044715), "k": number((2 / np.pi) ** 0.5), "one": number(1), "half": number(0.5)},
        7,
    ),
    "quick gelu by parts": (
        "silu (alpha 1.702)",
        [("Mul", ["x", "k"], "m", {}), ("Sigmoid", ["m"], "s", {}), ("Mul", ["x", "s"], "y", {})],
        {"k": number(1.702)},
        7,
    ),
    "mish by Softplus": (
        "mish",
        [("Softplus", ["x"], "s", {}), ("Tanh", ["s"], "t", {}), ("Mul", ["x", "t"], "y", {})],
        {},
        7,
    ),
    "mish by Log": (
        "mish",
        [
            ("Exp", ["x"], "e", {}), ("Add", ["e", "one"], "a", {}), ("Log", ["a"], "l", {}), ("Tanh", ["l"], "t", {}),
            ("Mul", ["x", "t"], "y", {}),
        ],
        {"one": number(1)},
        7,
    ),
    "softplus by Log": (
        "softplus",
        [("Exp", ["x"], "e", {}), ("Add", ["one", "e"], "a", {}), ("Log", ["a"], "y", {})],
        {"one": number(1)},
        7,
    ),
    "elu by Where": (
        "elu (alpha 0.7)",
        [
            ("Exp", ["x"], "e", {}), ("Sub", ["e", "one"], "m", {}), ("Mul", ["m", "alpha"], "n", {}),
            ("Greater", ["x", "zero"], "c", {}), ("Where", ["c", "x", "n"], "y", {}),
        ],
        {"one": number(1), "alpha": number(0.7), "zero": number(0)},
        9,
    ),
    "leaky relu by Max": (
        "leaky_relu (alpha 0.1)",
        [("Mul", ["x", "k"], "m", {}), ("Max", ["x", "m"], "y", {})],
        {"k": number(0.1)},
        8,
    ),
    "leaky relu by Where": (
        "leaky_relu (alpha 0.3)",
        [("Mul", ["x", "k"], "m", {}), ("Less", ["x", "zero"], "c", {}), ("Where", ["c", "m", "x"], "y", {})],
        {"k": number(0.3), "zero": number(0)},
        9,
    ),
    "a shift by Max": (
        "LeakyRelu",
        [("Mul", ["x", "k"], "m", {}), ("Max", ["x", "m"], "y", {})],
        {"k": number(0.125)},
        8,
    ),
    "relu by Abs": (
        "Relu",
        [("Abs", ["x"], "a", {}), ("Add", ["x", "a"], "b", {}), ("Mul", ["b", "half"], "y", {})],
        {"half": number(0.5)},
        7,
    ),
    "relu by a condition": (
        "Relu",
        [("Greater", ["x", "zero"], "c", {}), ("Cast", ["c"], "k", {"to": 1}), ("Mul", ["x", "k"], "y", {})],
        {"zero": number(0)},
        9,
    ),
    "ReLU6 by hand": (
        "Relu Clip",
        [
            ("Abs", ["x"], "a", {}), ("Add", ["x", "a"], "b", {}), ("Mul", ["b", "half"], "c", {}),
            ("Min", ["c", "six"], "y", {}),
        ],
        {"half": number(0.5), "six": number(6)},
        8,
    ),
    "Microsoft's Gelu": ("gelu", [("com.microsoft:Gelu", ["x"], "y", {})], {}, 7),
    "Microsoft's QuickGelu": ("silu (alpha 1.702)", [("com.microsoft:QuickGelu", ["x"], "y", {})], {}, 7),
    "Microsoft's FastGelu": ("gelu_tanh", [("com.microsoft:FastGelu", ["x"], "y", {})], {}, 7),
    "slopes by PRelu": ("PRelu", [("PRelu", ["x", "slopes"], "y", {})], {"slopes": None}, 7),
    "slopes by Relu": (
        "PRelu",
        [
            ("Relu", ["x"], "p", {}), ("Neg", ["x"], "m", {}), ("Relu", ["m"], "n", {}),
            ("Mul", ["n", "slopes"], "s", {}), ("Sub", ["p", "s"], "y", {}),
        ],
        {"slopes": None},
        7,
    ),
    "slopes by Min and Max": (
        "PRelu",
        [
            ("Max", ["x", "zero"], "p", {}), ("Min", ["x", "zero"], "n", {}), ("Mul", ["slopes", "n"], "s", {}),
            ("Add", ["p", "s"], "y", {}),
        ],
        {"slopes": None, "zero": number(0)},
        8,
    ),
}  # fmt: skip

UNARY = {
    "Celu": 12, "Elu": 7, "Gelu": 20, "HardSigmoid": 7, "HardSwish": 14, "LeakyRelu": 7, "Mish": 18, "Selu": 7,
    "Shrink": 9, "Softplus": 7, "Softsign": 7, "Tanh": 7, "ThresholdedRelu": 10, "Atan": 7,
    "Exp": 7, "Erf": 9, "Abs": 7, "Asinh": 9, "Cosh": 9, "Sinh": 9,
}  # fmt: skip
"""Operators of one tensor, and the opset that has them first."""


def attributes(rng, operator):
    """Random attributes of an operator, as it may have them."""
    alpha = {"alpha": float(rng.uniform(0.05, 1.6))}
    given = {
        "Celu": alpha, "Elu": alpha, "LeakyRelu": {"alpha": float(rng.uniform(-0.4, 1.4))},
        "HardSigmoid": {"alpha": float(rng.uniform(0.05, 0.5)), "beta": float(rng.uniform(0.1, 0.9))},
        "Selu": {"alpha": float(rng.uniform(1, 2)), "gamma": float(rng.uniform(0.5, 1.5))},
        "Gelu": {"approximate": str(rng.choice(["none", "tanh"]))},
        "Shrink": {"bias": (bias := float(rng.uniform(0.1, 1))), "lambd": bias},
        "ThresholdedRelu": {"alpha": 0.0},
    }.get(operator, {})  # fmt: skip
    return given if rng.integers(3) or operator in ("Shrink", "ThresholdedRelu") else {}


def random_function(rng, opset, steps):
    """Rows of operators on `x` and on one another, the last one's result `y`, and their constants."""
    rows, constants, names = [], {}, ["x"]

    def constant():
        name = f"c{len(constants)}"
        value = float(rng.choice([0.5, 1, 2, 3, 6, -1, 1 / 6, 0.1, float(rng.normal())]))
        shape = ((), (1,), (1, 1, 1, 1))[int(rng.integers(3))]
        constants[name] = np.full(shape, value, np.float32)
        return name

    unary = sorted(name for name, since in UNARY.items() if since <= opset)
    for place in range(steps):
        output, last = ("y" if place == steps - 1 else f"t{place}"), names[-1]
        other = str(rng.choice(names)) if rng.integers(2) else constant()
        kind = int(rng.integers(5))
        if kind < 2:
            operator = str(rng.choice([*unary, "Sigmoid", "Relu", "Neg"]))
            rows.append((operator, [last], output, attributes(rng, operator)))
        elif kind < 4:
            pair = [last, other] if rng.integers(2) else [other, last]
            operators = ["Add", "Mul", "Sub", "Max", "Min"][: 5 if opset >= 8 else 3]  # of equal shapes before
            rows.append((str(rng.choice(operators)), pair, output, {}))
        else:
            rows.append(("Div", [last, constant()], output, {}))
        names.append(output)
    return rows, constants
