"""Functions behind the last products: the host computes them exactly, or the engine gives integers (`late`)."""

import numpy as np
import pytest

import roundel
from roundel.golden.engine import Engine
from roundel.golden.errors import InputError
from roundel.golden.network import outputs
from tests.support.host_models import conv
from tests.support.onnx_models import model, reference, saved

IMAGE = (3, 8, 8)
X = np.random.default_rng(5).normal(size=(6, *IMAGE)).astype(np.float32)
ENDS = {  # of "a", with what the engine's result is called
    "sigmoid": [("Sigmoid", ["a"], "y", {})],
    "quantized": [("Sigmoid", ["a"], "b", {}), ("QuantizeLinear", ["b", "scale", "zero"], "q", {}),
                  ("DequantizeLinear", ["q", "scale", "zero"], "y", {})],
    "a factor behind": [("Sigmoid", ["a"], "b", {}), ("Mul", ["b", "two"], "y", {})],
}  # fmt: skip


def decibels(wanted, got):
    error = np.square(wanted.astype(np.float64) - got).sum()
    return 10 * np.log10(np.square(wanted, dtype=np.float64).sum() / max(error, 1e-30))


def network(rows, outputs=("y",), bias=0):
    row, weights = conv(np.random.default_rng(1), "x", "a", 3, 4)
    weights["a_b"] += np.float32(bias)
    weights |= {"scale": np.float32(2.0**-8), "zero": np.uint8(0), "two": np.float32(2)}
    needed = {name for other in (row, *rows) for name in other[1]}
    return model([row, *rows], IMAGE, {name: weights[name] for name in weights if name in needed}, outputs=outputs)


@pytest.mark.parametrize("case", ENDS)
def test_integers_of_the_last_function(case, tmp_path):
    """The engine's result is the network's own output, in golden and as it is compiled; `--float` compares it."""
    path = saved(tmp_path, network(ENDS[case]))
    compressed = roundel.compress(path, X, late=True, host="refuse")
    assert compressed.chain is None
    assert list(compressed.results) == ["y"]
    [layer] = [layer for layer in compressed.network.layers if layer.name == compressed.results["y"]]
    assert layer.activation is not None
    assert not layer.output.signed
    [wanted] = reference(network(ENDS[case]), X)
    run = roundel.run(compressed, X, original=path)
    assert decibels(wanted, run.real["y"]) > 35
    assert run.figures["import"]["images"] == len(X)
    program, codes = roundel.compile(compressed, "small"), compressed.network.encode(X[:1])
    regions = program.compiled.regions(codes[0])
    Engine(params=program.params, regions=regions).run()
    for tensor, values in outputs(compressed.network, codes).items():
        np.testing.assert_array_equal(program.compiled.read(tensor, regions), values[0])


def test_the_host_keeps_small_probabilities_apart():
    """Where all are below a step of 8 bits, the engine gives hardly any number but 0, and the host their order."""
    proto = network(ENDS["sigmoid"], bias=-9)
    usual, late = roundel.compress(proto, X), roundel.compress(proto, X, late=True)
    assert list(usual.results) == ["a"]
    [wanted] = reference(proto, X)
    ratios = roundel.run(usual, X).real["y"] / wanted
    assert 0.7 < ratios.min() < ratios.max() < 1.4
    assert len(np.unique(roundel.run(late, X).real["y"][wanted < 2**-9])) < 3


def test_parts_keep_what_was_asked_for(tmp_path):
    """Behind what the host computes in the middle, the last part ends in integers as well, and `--float` finds it."""
    row, weights = conv(np.random.default_rng(2), "b", "c", 4, 4)
    first, others = conv(np.random.default_rng(1), "x", "a", 3, 4)
    rows = [first, ("Sin", ["a"], "b", {}), row, ("Sigmoid", ["c"], "y", {})]
    proto = model(rows, IMAGE, weights | others)
    path = saved(tmp_path, proto)
    compressed = roundel.compress(path, X, host="any", late=True)
    assert [part.outputs for part in compressed.chain.engine][-1] == ("y",)
    compressed.save(tmp_path / "out")
    run = roundel.run(tmp_path / "out", X, original=path)
    assert np.abs(run.real["y"] - reference(proto, X)[0]).max() < 0.05
    assert {row["tensor"] for row in run.figures["chain"]} == {"conv_a", "conv_c"}
    assert not roundel.compress(path, X, host="any").chain.late


def test_inspect_tells_both():
    proto = network(ENDS["sigmoid"])
    assert [block.operator for block in roundel.inspect(proto).blocks] == ["Sigmoid"]
    assert "--late" in roundel.inspect(proto).blocks[0].way_on
    assert not roundel.inspect(proto, late=True).blocks
    with pytest.raises((InputError, TypeError), match="late"):
        roundel.compress(proto, X, late="yes")
