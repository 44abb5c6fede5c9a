"""Weights rounded by a layer's results, and corrected biases: against brute force, and against onnxruntime's floats."""

from itertools import product

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from roundel.frontend import read_onnx
from roundel.golden.network import outputs
from roundel.graph import Conv, fold
from roundel.quantization import QuantizeOptions, quantize, real_values
from roundel.quantization.weight_rounding import LEAST_DAMPING, rounded

SHAPE = (6, 10, 10)


def damped(columns: np.ndarray, wanted: np.ndarray, codes: np.ndarray) -> float:
    """What the rounding makes least, by plain sums: the error of all results, and a part of the weights' own."""
    power = np.square(columns.astype(float)).sum() / columns.shape[1]
    part = max(LEAST_DAMPING, columns.shape[1] / len(columns))
    own = (np.rint(power * part) + 1) * np.square(codes - wanted).sum()
    return float(np.square(columns @ (codes - wanted)).sum() + own)


def alike(seed: int, positions: int, size: int) -> np.ndarray:
    """Inputs that have much in common."""
    rng = np.random.default_rng(seed)
    return np.clip(rng.integers(0, 100, (positions, 1)) + rng.integers(-20, 20, (positions, size)), 0, 255)


@pytest.mark.parametrize("seed", range(6))
def test_no_step_of_one_weight_is_better_and_few_integers_nearby_are(seed: int) -> None:
    columns, wanted = alike(seed, 40, 4), np.random.default_rng(seed).uniform(-6, 6, (4, 3))
    nearest = np.rint(wanted).astype(np.int64)
    found = rounded(columns, wanted, nearest, (-7, 6), 1, 1, centred=False)
    assert found.min() >= -7
    assert found.max() <= 6
    for output in range(3):
        goal, mine = wanted[:, [output]], found[:, [output]]
        reached = damped(columns, goal, mine)
        steps = [mine + sign * np.eye(4, dtype=np.int64)[:, [place]] for place in range(4) for sign in (-1, 1)]
        assert reached <= min(damped(columns, goal, tried) for tried in steps if abs(tried).max() <= 6) * (1 + 1e-3)
        around = [np.floor(goal) + np.reshape(more, (4, 1)) for more in product((-1, 0, 1, 2), repeat=4)]
        best = min(damped(columns, goal, tried) for tried in around)
        before = damped(columns, goal, nearest[:, [output]])
        assert best * (1 - 1e-3) <= reached <= before
        assert before - reached >= 0.5 * (before - best)  # most of what brute force over 256 of them finds


def test_results_do_not_depend_on_the_order_of_positions() -> None:
    columns, wanted = alike(7, 300, 90), np.random.default_rng(8).normal(0, 30, (90, 16))
    nearest = np.rint(wanted).astype(np.int64)
    first = rounded(columns, wanted, nearest, (-128, 127), 1, 9, centred=True)
    again = rounded(columns[::-1], wanted, nearest, (-128, 127), 1, 9, centred=True)
    assert np.array_equal(first, again)
    assert (first != nearest).any()


def test_pruned_weights_stay_zero() -> None:
    columns, wanted = alike(11, 200, 40), np.random.default_rng(12).normal(0, 20, (40, 8))
    wanted[np.random.default_rng(13).random(wanted.shape) < 0.5] = 0
    nearest = np.rint(wanted).astype(np.int64)
    found = rounded(columns, wanted, nearest, (-128, 127), 1, 1, centred=True)
    assert not found[wanted == 0].any()
    assert (found != nearest).any()


def test_groups_are_layers_by_themselves() -> None:
    columns, wanted = alike(9, 200, 9 * 4), np.random.default_rng(10).normal(0, 20, (9 * 2, 6))
    nearest = np.rint(wanted).astype(np.int64)
    whole = rounded(columns, wanted, nearest, (-128, 127), 2, 9, centred=False)
    for group in range(2):
        inputs = columns.reshape(200, 9, 2, 2)[:, :, group].reshape(200, 18)
        place = slice(3 * group, 3 * group + 3)
        alone = rounded(inputs, wanted[:, place], nearest[:, place], (-128, 127), 1, 9, centred=False)
        assert np.array_equal(whole[:, place], alone)


def model(seed: int) -> onnx.ModelProto:
    """A convolution, a depthwise one, a sum of both and a product by a matrix."""
    rng, constants = np.random.default_rng(seed), list[TensorProto]()

    def held(name: str, values: np.ndarray) -> str:
        constants.append(numpy_helper.from_array(values.astype(np.float32), name))
        return name

    nodes = [
        helper.make_node("Conv", ["x", held("w0", rng.normal(0, 0.2, (8, 6, 3, 3))), held("b0", rng.normal(size=8))],
                         ["c0"], "c0", pads=[1] * 4),
        helper.make_node("Relu", ["c0"], ["r0"], "r0"),
        helper.make_node("Conv", ["r0", held("w1", rng.normal(0, 0.4, (8, 1, 3, 3))), held("b1", rng.normal(size=8))],
                         ["c1"], "c1", pads=[1] * 4, group=8),
        helper.make_node("Add", ["c1", "r0"], ["s"], "s"),
        helper.make_node("Conv", ["s", held("w2", rng.normal(0, 0.3, (5, 8, 1, 1))), held("b2", rng.normal(size=5))],
                         ["y"], "y"),
    ]  # fmt: skip
    image = helper.make_tensor_value_info("x", TensorProto.FLOAT, (None, *SHAPE))
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, (None, 5, 10, 10))
    graph = helper.make_graph(nodes, "cured", [image], [result], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 16)], ir_version=8)


def errors(proto: onnx.ModelProto, **options: bool) -> tuple[np.ndarray, np.ndarray]:
    """Mean and mean square of the error of each channel of the result, against onnxruntime, on other images."""
    rng = np.random.default_rng(1)
    common = rng.uniform(0, 1, (24, 1, *SHAPE[1:]))
    pictures = (common + rng.uniform(0, 0.3, (24, *SHAPE))).astype(np.float32)
    asked = QuantizeOptions(weight_bits=4, bias_bits=16, per_channel=True, **options)
    made = quantize(fold(read_onnx(proto.SerializeToString())), pictures[:16], asked)
    others = pictures[16:]
    [wanted] = onnxruntime.InferenceSession(proto.SerializeToString()).run(None, {"x": others})
    codes = outputs(made.network, made.network.encode(others))
    [found] = real_values(made.network, SHAPE, codes).values()
    return (found - wanted).mean(axis=(0, 2, 3)), np.square(found - wanted).mean(axis=(0, 2, 3))


@pytest.mark.parametrize("seed", range(3))
def test_both_leave_less_error_to_results_on_other_images(seed: int) -> None:
    proto = model(seed)
    mean, square = errors(proto)
    corrected, less = errors(proto, correct_biases=True)
    assert np.abs(corrected).max() < np.abs(mean).max() / 3
    assert less.sum() < square.sum()
    _, rounded_error = errors(proto, round_to_results=True, correct_biases=True)
    assert rounded_error.sum() < 0.9 * less.sum()


def test_what_they_did_is_told_and_never_worse() -> None:
    graph = fold(read_onnx(model(5).SerializeToString()))
    pictures = np.random.default_rng(2).uniform(-1, 1, (4, *SHAPE)).astype(np.float32)
    asked = QuantizeOptions(bias_bits=16, correct_biases=True, round_to_results=True)
    made = quantize(graph, pictures, asked)
    layers = sum(isinstance(node, Conv) for node in graph.nodes)
    assert [(row.name, row.layers) for row in made.cures] == [("rounding", layers), ("bias", layers)]
    assert all(row.gain_db >= 0 and row.better <= layers for row in made.cures)
    assert not quantize(graph, pictures, QuantizeOptions()).cures


def test_zeros_and_dead_channels_are_left_alone() -> None:
    proto = model(6)
    weights = numpy_helper.to_array(proto.graph.initializer[0]).copy()
    weights[2] = 0
    proto.graph.initializer[0].CopyFrom(numpy_helper.from_array(weights, "w0"))
    bias = numpy_helper.to_array(proto.graph.initializer[1]).copy()
    bias[2] = -1  # and so 0 behind ReLU
    proto.graph.initializer[1].CopyFrom(numpy_helper.from_array(bias, "b0"))
    pictures = np.zeros((2, *SHAPE), np.float32)
    made = quantize(fold(read_onnx(proto.SerializeToString())), pictures,
                    QuantizeOptions(correct_biases=True, round_to_results=True))  # fmt: skip
    assert not made.network.layers[0].weights[:, 2].any()  # type: ignore[attr-defined]
