"""Operators that move values from ONNX to the engine: exact on integers, and cheap there."""

import numpy as np
import pytest

from roundel.frontend import read_onnx
from roundel.golden.engine import Opcode
from roundel.golden.network import outputs
from roundel.quantization import QuantizeOptions, quantize
from tests.roundel.compiler.test_compile import check, engine
from tests.roundel.frontend.operators.test_onnx_moves import focus, shuffle
from tests.support.onnx_models import model, reference, saved


def whole(seed, *shape, most=1):
    """Random whole numbers, few of them not 0, so that sums stay within 8 bits."""
    rng = np.random.default_rng(seed)
    return (rng.integers(-most, most + 1, shape) * (rng.random(shape) < 0.4)).astype(np.float32)


def transposed(kernel, stride, pads, extra=0, groups=1):
    weights = {"w": whole(1, 8, 12 // groups, kernel, kernel), "b": whole(2, 12, most=5), "v": whole(3, 6, 12, 3, 3)}
    about = {"strides": [stride] * 2, "pads": [pads] * 4, "output_padding": [extra] * 2, "group": groups}
    rows = [("ConvTranspose", ["x", "w", "b"], "t", about), ("Relu", ["t"], "r", {})]
    return [*rows, ("Conv", ["r", "v"], "y", {"pads": [1, 1, 1, 1]})], (8, 5, 6), weights


def shuffled():
    rows, weights = shuffle("c", "s", 2, (12, 5, 6))
    weights |= {"w": whole(1, 12, 4, 1, 1), "v": whole(2, 12, 1, 3, 3), "u": whole(3, 6, 6, 1, 1)}
    grouped, deep = {"group": 2}, {"group": 12, "pads": [1, 1, 1, 1]}
    return [("Conv", ["x", "w"], "c", grouped), *rows, ("Conv", ["s", "v"], "d", deep),
            ("Relu", ["d"], "r", {}), ("Conv", ["r", "u"], "y", grouped)], (8, 5, 6), weights  # fmt: skip


def halves():
    """What two halves of a map become, joined and shuffled: ShuffleNet's second version."""
    weights = {"w": whole(1, 8, 8, 1, 1), "v": whole(2, 8, 8, 1, 1), "one": np.array([1])}
    weights |= {name: np.array([value]) for name, value in (("zero", 0), ("eight", 8), ("sixteen", 16))}
    rows = [("Conv", ["x", "w"], "c", {}), ("Concat", ["c", "x"], "a", {"axis": 1})]
    moved, more = shuffle("a", "s", 2, (16, 5, 6))
    rows += [*moved, ("Slice", ["s", "zero", "eight", "one"], "left", {})]
    rows += [("Slice", ["s", "eight", "sixteen", "one"], "right", {}), ("Conv", ["right", "v"], "r", {})]
    return [*rows, ("Concat", ["left", "r"], "y", {"axis": 1})], (8, 5, 6), weights | more


def focused():
    rows, weights = focus()
    weights["w"] = whole(1, 9, 12, 3, 3)
    return [*rows, ("Conv", ["all", "w"], "y", {"pads": [1, 1, 1, 1]})], (3, 8, 10), weights


def padded():
    weights = {"p": np.array([0, 0, 1, 0, 0, 0, 2, 1]), "w": whole(1, 6, 8, 3, 3)}
    rows = [("Pad", ["x", "p"], "a", {}), ("Conv", ["a", "w"], "c", {"strides": [2, 2]}), ("Relu", ["c"], "r", {})]
    return [*rows, ("Pad", ["r", "p"], "b", {}), ("MaxPool", ["b"], "y", {"kernel_shape": [3, 3]})], (8, 7, 8), weights


def pixels():
    weights = {"w": whole(1, 6, 2, 3, 3)}
    rows = [("DepthToSpace", ["x"], "d", {"blocksize": 2}), ("Conv", ["d", "w"], "c", {"pads": [1, 1, 1, 1]})]
    return [*rows, ("SpaceToDepth", ["c"], "y", {"blocksize": 2})], (8, 4, 5), weights


def linear(coordinates, *factors):
    about = {"mode": "linear", "coordinate_transformation_mode": coordinates}
    return [("Resize", ["x", "", "s"], "y", about)], (8, 5, 6), {"s": np.array([1, 1, *factors], np.float32)}


def reduced(operator, axis):
    return [(operator, ["x", "axes"], "y", {})], (8, 4, 8), {"axes": np.array([axis])}


BORDER = {"kernel_shape": [2, 2], "pads": [1, 1, 0, 1], "ceil_mode": 1, "strides": [2, 1]}

NETWORKS = {
    "linear by 2": linear("half_pixel", 2, 2),
    "linear by 4, 2": linear("asymmetric", 4, 2),
    "linear by 1, 4": linear("half_pixel", 1, 4),
    "means at borders": ([("AveragePool", ["x"], "y", BORDER)], (8, 6, 7), {}),
    "means of rows": reduced("ReduceMean", 2),
    "means of columns": reduced("ReduceMean", 3),
    "means of channels": reduced("ReduceMean", 1),
    "sums of columns": reduced("ReduceSum", -1),
    "greatest of rows": reduced("ReduceMax", 2),
    "kernel 2, stride 2": transposed(2, 2, 0),
    "kernel 4, stride 2": transposed(4, 2, 1),
    "kernel 3, stride 2": transposed(3, 2, 1, extra=1),
    "kernel 3, stride 2, odd": transposed(3, 2, 1),
    "kernel 8, stride 4": transposed(8, 4, 2),
    "kernel 3, stride 1": transposed(3, 1, 1),
    "groups, kernel 4, stride 2": transposed(4, 2, 1, groups=4),
    "shuffled": shuffled(),
    "halves": halves(),
    "focused": focused(),
    "padded": padded(),
    "pixels": pixels(),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_integers_are_onnxruntime_s_and_the_engine_s(name, tmp_path):
    rows, shape, weights = NETWORKS[name]
    proto = model(rows, shape, weights, batch=4, opset=18)
    graph = read_onnx(saved(tmp_path, proto))
    images = whole(9, 4, *shape, most=2)
    (expected,) = reference(proto, images)
    assert np.abs(expected).max() < 128
    network = quantize(graph, images, QuantizeOptions(per_channel=False, bias_bits=16)).network
    codes = network.encode(images)
    (got,) = outputs(network, codes).values()
    assert np.array_equal(network.output.decode(got), expected.transpose(0, 2, 3, 1))
    for config in ("tiny", "small"):
        compiled = check(network, codes[0], engine(config), trace=False)
        if "stride" in name and "odd" not in name:  # no pass over the pixels but that of the convolution behind
            layers = [task.layer for task in compiled.tasks if task.opcode is Opcode.COMPUTE]
            assert len(set(layers)) == 2


@pytest.mark.parametrize(("kernel", "stride", "pads"), [(2, 2, 0), (4, 2, 1), (3, 2, 1), (8, 4, 2)])
def test_no_zero_is_multiplied(kernel, stride, pads, tmp_path):
    """The engine takes a beat for each value and tap of a transposed convolution of as many channels as lanes."""
    weights = {"w": np.ones((8, 8, kernel, kernel), np.float32)}
    about = {"strides": [stride] * 2, "pads": [pads] * 4, "output_padding": [kernel % 2] * 2}
    graph = read_onnx(saved(tmp_path, model([("ConvTranspose", ["x", "w"], "y", about)], (8, 6, 5), weights)))
    images = whole(9, 2, 8, 6, 5, most=2)
    network = quantize(graph, images, QuantizeOptions(bias_bits=16)).network
    compiled = check(network, network.encode(images)[0], engine("small"), trace=False)
    computes = [task for task in compiled.tasks if task.opcode is Opcode.COMPUTE]
    beats = [task.steps[0] * positions(task.values) for task in computes]
    assert sum(beats) == 6 * 5 * kernel**2
    assert sum(task.macs for task in computes) == 6 * 5 * 8 * 8 * kernel**2


def positions(values):
    """Output positions of a COMPUTE."""
    down, across = (
        (values[f"tiles_{axis}"] - 1) * values[f"tile_{side}"] + values[f"last_{side}"] for axis, side in ("yh", "xw")
    )
    return down * across
