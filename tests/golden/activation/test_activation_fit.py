"""Tables of every function: their error against `math` and onnxruntime, and what is refused."""

import math

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

from roundel.golden.activation import (
    FUNCTIONS,
    ActivationParams,
    ActivationTable,
    Function,
    Goal,
    best_table,
    fit_table,
    named,
    sampled,
)
from roundel.golden.formats import Format
from tests.support.activation_reference import REFERENCES

PARAMS = ActivationParams()
RANGES = (4, 8, 16, 32)
LIMITS = dict.fromkeys(("silu", "gelu", "gelu_tanh", "hard_swish", "mish", "elu", "softplus"), 1.0)
"""ULP at any input; 2 for all others."""


def output_of(name: str, low: float, high: float) -> Format:
    """The finest scale of 8 bits, a power of two, that holds the output; 1 counts as held in steps of 1/256."""
    if name in ("sigmoid", "hard_sigmoid"):
        return Format(width=8, signed=False, fraction=8)
    if name == "tanh":
        return Format(width=8, signed=True, fraction=7)
    values = [REFERENCES[name](low + (high - low) * step / 4096) for step in range(4097)]
    signed = min(values) < 0
    need = max(max(values) / (127 if signed else 255), -min(values) / 128)
    return Format(width=8, signed=signed, fraction=-math.ceil(math.log2(need) - 1e-9))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_are_what_their_names_say(name):
    points = np.linspace(-40, 40, 1601)
    expected = [REFERENCES[name](float(point)) for point in points]
    assert np.allclose(named(name)(points), expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("reach", RANGES)
@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name not in ("identity", "relu", "clip")])
def test_error_of_every_function(name, reach):
    """The figures of docs/activations.md: no accumulator of 20 bits is farther from the function than that."""
    low, high = -reach, reach * (1 - 2**-7)
    output = output_of(name, low, high)
    fitted = best_table(PARAMS, named(name), low=low, high=high, output=output)
    limit = LIMITS.get(name, 2.0)
    assert fitted.max_error <= limit
    # What a requantizer that rounds down makes of accumulators, by a way of its own: floor, then clamp.
    accumulators = np.linspace(low, high, 5003)
    words = np.clip(np.floor(accumulators / fitted.word.scale), -1024, 1023).astype(np.int64)
    results = PARAMS.compute(words, fitted.table)
    exact = np.array([REFERENCES[name](float(x)) for x in accumulators]) / output.scale
    errors = np.abs(results - exact)
    assert errors.max() <= fitted.max_error + 1e-9
    assert abs(errors.mean() - fitted.mean_error) < 0.02


OPERATORS = {
    "sigmoid": ("Sigmoid", {}),
    "tanh": ("Tanh", {}),
    "hard_swish": ("HardSwish", {}),
    "hard_sigmoid": ("HardSigmoid", {}),
    "gelu": ("Gelu", {}),
    "gelu_tanh": ("Gelu", {"approximate": "tanh"}),
    "mish": ("Mish", {}),
    "elu": ("Elu", {}),
    "celu": ("Celu", {}),
    "selu": ("Selu", {}),
    "softplus": ("Softplus", {}),
    "leaky_relu": ("LeakyRelu", {}),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_against_onnxruntime(name):
    """The float operator on dequantized accumulators of 16 bits, quantized: at most one step off, one more where 2."""
    operator, attributes = OPERATORS[name]
    kind = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node(operator, ["x"], ["y"], **attributes)],
        "g",
        [kind("x", TensorProto.FLOAT, [None])],
        [kind("y", TensorProto.FLOAT, [None])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    accumulators = np.arange(-(1 << 15), 1 << 15, 3)
    reals = (accumulators * 2.0**-12).astype(np.float32)
    output = output_of(name, -8, 8 * (1 - 2**-7))
    exact = session.run(None, {"x": reals})[0].astype(np.float64)
    fitted = best_table(PARAMS, named(name), low=-8, high=8 * (1 - 2**-7), output=output)
    words = np.clip(accumulators >> (12 - fitted.word.fraction), -1024, 1023)
    results = PARAMS.compute(words, fitted.table)
    kept = reals <= 8 * (1 - 2**-7)
    assert np.abs(results - exact / output.scale)[kept].max() <= LIMITS.get(name, 2.0) + 1e-4
    assert np.abs(results - output.encode(exact))[kept].max() <= math.ceil(LIMITS.get(name, 2.0))


def test_zero_points_and_any_scale():
    """A scale of onnxruntime's quantizer, its zero point kept; words have a scale of the same mantissa."""
    output = Format.of_scale(width=8, signed=False, scale=8.3 / 255, zero=9)
    fitted = best_table(PARAMS, named("silu"), low=-8, high=8, output=output)
    assert fitted.word.mantissa == output.mantissa
    words = np.floor(np.linspace(-8, 8, 1001) / fitted.word.scale).clip(-1024, 1023).astype(np.int64)
    exact = [REFERENCES["silu"](x) / output.scale + 9 for x in np.linspace(-8, 8, 1001)]
    assert np.abs(PARAMS.compute(words, fitted.table) - exact).max() <= 1.0


def test_a_histogram_moves_the_error_to_where_inputs_are_rare():
    output = Format(width=8, signed=True, fraction=7)
    places = np.random.default_rng(1).normal(0.7, 0.05, 5000)
    histogram = np.histogram(places, bins=64, range=(-4, 4))
    low, high = -4, 4 * (1 - 2**-7)
    even, shaped = (
        best_table(PARAMS, named("tanh"), low=low, high=high, output=output, histogram=given)
        for given in (None, histogram)
    )
    means = []
    for fitted in (even, shaped):
        words = np.floor(places / fitted.word.scale).astype(np.int64)
        means.append(np.abs(PARAMS.compute(words, fitted.table) - np.tanh(places) * 128).mean())
    assert means[1] < means[0] - 0.01


def test_samples_are_a_function_like_any_other():
    points = np.linspace(-3, 3, 61)
    wave = sampled(points, np.sin(points), name="wave")
    fitted = best_table(PARAMS, wave, low=-3, high=2.97, output=Format(width=8, signed=True, fraction=7))
    assert fitted.max_error <= 2
    words = np.floor(np.linspace(-3, 2.97, 997) / fitted.word.scale).astype(np.int64)
    exact = np.interp(np.linspace(-3, 2.97, 997), points, np.sin(points)) * 128
    assert np.abs(PARAMS.compute(words, fitted.table) - exact).max() <= 2


BYTE = Format(width=8, signed=True, fraction=4)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: np.sign(x), r"f jumps by 2 at .*: a table needs a continuous function"),
        (lambda x: np.floor(x / 3), r"f jumps by 1 at"),
        (lambda x: np.log(x), r"f is not finite at -8: a table needs a finite function"),
        (lambda x: 1 / (x - 1), r"f jumps by .* at 1"),
        (lambda x: np.tanh(x) + np.exp(-50 * (x - 7.3) ** 2), r"f from -8 to 7.9 is off by .* ULP of 0.0625 at [67]"),
        (lambda x: np.sin(20 * x), r"f from -8 to 7.9 is off by .* ULP of 0.0625 at .*, more than 2"),
    ],
)
def test_functions_that_are_no_tables(function, message):

    with pytest.raises(ValueError, match=message):
        best_table(PARAMS, Function(name="f", compute=function), low=-8, high=7.9, output=BYTE)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: named("swish"), "an activation must be one of sigmoid, tanh, .* not 'swish'"),
        (lambda: named("elu", beta=1), "elu takes alpha, not beta"),
        (lambda: named("tanh", alpha=1), "tanh takes no attributes, not alpha"),
        (lambda: sampled([0], [1]), "samples must be as many places as values, at least two"),
        (lambda: sampled([0, 0], [1, 2]), "samples must have places that ascend"),
        (lambda: sampled([0, 1], [1, math.inf]), "samples must be finite"),
        (lambda: best_table(PARAMS, named("silu"), low=4, high=-4, output=BYTE), "must go from a number to a greater"),
        (
            lambda: best_table(PARAMS, named("silu"), low=-4, high=4, output=Format(width=4, signed=True, fraction=0)),
            "an activation gives 8 bits, not 4",
        ),
        (
            lambda: best_table(PARAMS, named("silu"), low=-4, high=3.9, output=BYTE, histogram=([1, -1], [0, 1, 2])),
            "a histogram must be counts from 0 on",
        ),
        (
            lambda: best_table(PARAMS, named("silu"), low=-4, high=3.9, output=BYTE, histogram=([1, 1], [0, 1, 1])),
            "one more ascending edge than counts",
        ),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_least_squares_before_least_maximum():
    """Weights move only where the greatest error asks for it, and then it is less."""
    goal = Goal(
        params=PARAMS,
        function=named("mish"),
        low=-8,
        high=7.9375,
        word=Format(width=11, signed=True, fraction=7),
        output=Format(width=8, signed=True, fraction=4),
    )
    shape = ActivationTable(knots=(0,) * 17, core=6, linear=True)
    squares, moved, bounded = (fit_table(goal, shape, bound=bound, rounds=8) for bound in (9.0, 0.0, 1.0))
    assert squares.max_error > 1 > bounded.max_error >= moved.max_error
    assert squares.mean_error < moved.mean_error


@pytest.mark.parametrize("side", [-1, 1])
def test_the_outermost_words_know_the_extremes_of_all_that_they_stand_for(side):
    """A peak of a tenth beyond the words, between points that are evenly spaced."""
    places = np.sort(side * np.array([0, 21.95, 22, 22.05, 40]))
    peak = sampled(places.tolist(), [2.0 if abs(place) == 22 else 0.0 for place in places])
    word, output = Format(width=11, signed=True, fraction=7), Format(width=8, signed=True, fraction=5)
    goal = Goal(params=PARAMS, function=peak, low=-40, high=40, word=word, output=output)
    assert goal.spans[-1 if side > 0 else 0] == pytest.approx(64, abs=6)  # found on a fine grid
    assert goal.spans[0 if side > 0 else -1] == 0
