"""Networks that nobody's exporter writes, but files hold: all give what onnxruntime does, within 8 bits."""

import numpy as np
import pytest

import roundel
from tests.support.host_models import conv
from tests.support.made_graphs import ratio_db
from tests.support.onnx_models import model, reference

RNG = np.random.default_rng(3)
X = RNG.normal(size=(6, 3, 8, 8)).astype(np.float32)
CONV, WEIGHTS = conv(RNG, "x", "a", 3, 4)
OTHER, OTHER_WEIGHTS = conv(RNG, "b", "y", 3, 4)
HALVES = {"low": np.float32(-0.5), "high": np.float32(0.5), "minus": np.float32(-1.5)}
CHANNELS = {"m": RNG.normal(size=(3, 1, 1)).astype(np.float32)}


def unnamed(proto, *names):
    """The network with these names for its first operators, and none for the others."""
    for node, name in zip(proto.graph.node, (*names, *[""] * len(proto.graph.node)), strict=False):
        node.name = name
    return proto


def near(proto, host="tail"):
    """Compress and run on golden, and compare with onnxruntime's float network."""
    run = roundel.run(roundel.compress(proto, X, host=host), X)
    for item, wanted in zip(proto.graph.output, reference(proto, X), strict=True):
        assert run.real[item.name].shape == wanted.shape
        assert ratio_db(wanted, run.real[item.name]) > 30, item.name


def test_a_mean_without_a_name_that_drops_its_axes():
    near(unnamed(model([CONV, ("ReduceMean", ["a"], "y", {"axes": [2, 3], "keepdims": 0})], (3, 8, 8), WEIGHTS)))


def test_an_operator_whose_result_has_the_name_of_another_operator():
    near(unnamed(model([CONV, ("Add", ["a", "a"], "y", {})], (3, 8, 8), WEIGHTS), "y"))


@pytest.mark.parametrize("first", [("Relu", ["a"], "r", {}), ("Max", ["a", "high"], "r", {})])
def test_a_clamp_below_0_of_what_is_not_negative(first):
    rows = [CONV, first, ("Identity", ["r"], "z", {}), ("DepthToSpace", ["r"], "d", {"blocksize": 2})]
    near(model([*rows, ("Min", ["d", "low"], "y", {})], (3, 8, 8), WEIGHTS | HALVES, outputs=("y", "z")))


def test_arithmetic_of_the_image_before_anything_else():
    rows = [("Sub", ["x", "m"], "s", {}), ("Neg", ["s"], "n", {}), ("Mul", ["n", "minus"], "b", {})]
    near(model([*rows, OTHER], (3, 8, 8), OTHER_WEIGHTS | CHANNELS | HALVES, outputs=("y", "b")))


@pytest.mark.parametrize("host", ["tail", "any"])
def test_what_the_host_makes_of_the_image_itself(host):
    near(model([CONV, ("Softmax", ["x"], "y", {"axis": 1})], (3, 8, 8), WEIGHTS, outputs=("a", "y")), host)


def test_a_border_of_zeros_before_a_maximum_on_the_host():
    """By itself onnxruntime merges the two, with other results where all values are negative."""
    border = {"p": np.array([0, 0, 1, 1, 0, 0, 1, 1])}
    rows = [CONV, ("Exp", ["a"], "e", {}), ("Neg", ["e"], "n", {}), ("Pad", ["n", "p"], "b", {})]
    near(model([*rows, ("MaxPool", ["b"], "y", {"kernel_shape": [3, 3]})], (3, 8, 8), WEIGHTS | border))


def test_a_tensor_with_the_name_that_a_quantizer_of_a_part_would_have():
    b, b_weights = conv(np.random.default_rng(4), "x", "b", 3, 4)
    last, last_weights = conv(np.random.default_rng(5), "q", "y", 8, 2)
    quantizer = {"s": np.float32(2**-5), "z": np.float32(0), "n": np.float32(7)}
    quant = ("qonnx.custom_op.general:Quant", ["c", "s", "z", "n"], "q", {"narrow": 1})
    outputs = []
    for name in ("other", "q.0"):
        rows = [CONV, b, ("Relu", ["a"], name, {}), ("Concat", ["a", "b"], "c", {"axis": 1}), quant, last]
        rows.append(("Add", [name, name], "d", {}))
        weights, domains = WEIGHTS | b_weights | last_weights | quantizer, ("qonnx.custom_op.general",)
        proto = model(rows, (3, 8, 8), weights, outputs=("y", "d"), domains=domains)
        outputs.append(roundel.run(roundel.compress(proto, X), X).real)
    assert all((outputs[0][name] == outputs[1][name]).all() for name in ("y", "d"))
