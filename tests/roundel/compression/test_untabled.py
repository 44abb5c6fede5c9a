"""Functions that the activation unit cannot do run on the host: found by calibration, told, and right."""

import json
import re

import numpy as np
import pytest

import roundel
from roundel.golden.errors import InputError
from roundel.ui import silent
from tests.support.host_models import conv
from tests.support.onnx_models import model, reference, saved

IMAGE = (3, 8, 8)
X = np.random.default_rng(5).normal(size=(6, *IMAGE)).astype(np.float32)
STEEP = {  # of "a", to "s": all rows of a case run on the host
    "root": [("Abs", ["a"], "b", {}), ("Sqrt", ["b"], "s", {})],
    "exponential": [("Exp", ["a"], "s", {})],
    "a product of steps": [("Abs", ["a"], "b", {}), ("Sqrt", ["b"], "c", {}), ("Mul", ["a", "c"], "d", {}),
                           ("Tanh", ["d"], "e", {}), ("Relu", ["e"], "s", {})],
}  # fmt: skip


def network(rows, outputs=("y",)):
    rng = np.random.default_rng(1)
    first, weights = conv(rng, "x", "a", 3, 4)
    last, others = conv(rng, "s", "y", 4, 4)
    return model([first, *rows, last], IMAGE, weights | others, outputs=outputs)


def decibels(wanted, got):
    error = np.square(wanted.astype(np.float64) - got).sum()
    return 10 * np.log10(np.square(wanted, dtype=np.float64).sum() / max(error, 1e-30))


@pytest.mark.parametrize("case", STEEP)
def test_what_no_table_holds_runs_on_the_host(case):
    proto = network(STEEP[case])
    parts = roundel.compress(proto, X, host="any")
    kinds = [part.operators for part in parts.chain.parts if not part.engine]
    assert kinds == [{row[0]: 1 for row in STEEP[case]}]
    assert parts.chain.share == 1
    assert 0 < roundel.compress(proto, X).chain.share < 1
    [wanted] = reference(proto, X)
    run = roundel.run(parts, X)
    assert run.real["y"].shape == wanted.shape
    assert decibels(wanted, run.real["y"]) > 28


def test_the_reason_is_told_everywhere(tmp_path):
    parts = roundel.compress(network(STEEP["exponential"]), X, host="any")
    said = r"exp_s: Exp\(x\) from .* is off by .* ULP .* more than 2"
    [reason] = parts.chain.without.values()
    assert re.match(said, reason)
    assert any(reason in line for line in parts.lines())
    parts.save(tmp_path / "out")
    assert json.loads((tmp_path / "out" / "parts.json").read_text())["without"] == {"s": reason}
    assert roundel.CompressedNetwork.load(tmp_path / "out").chain.without == {"s": reason}
    with pytest.raises(InputError, match=f"node {said}"):
        roundel.compress(network(STEEP["exponential"]), X, host="refuse")


@pytest.mark.parametrize("host", ["tail", "any"])
def test_the_float_network_is_divided_in_the_same_way(host, tmp_path):
    """What calibration left to the host is there as well where the float network runs part by part."""
    path = saved(tmp_path, network(STEEP["a product of steps"]))
    run = roundel.run(roundel.compress(path, X, host=host), X, original=path)
    rows = {row["tensor"]: row["sqnr_db"] for row in run.figures["chain"]}
    assert rows.keys() == ({"conv_y"} if host == "tail" else {"conv_a", "conv_y"})
    assert min(rows.values()) > 28


def test_a_step_that_the_network_gives_stays_on_the_engine():
    """A function of what is an output as well: the output is the engine's, in integers."""
    proto = network(STEEP["root"], outputs=("y", "b"))
    parts = roundel.compress(proto, X, host="any")
    assert [part.operators for part in parts.chain.parts if not part.engine] == [{"Sqrt": 1}]
    assert "b" in parts.chain.parts[0].outputs
    run = roundel.run(parts, X)
    for name, wanted in zip(("y", "b"), reference(proto, X), strict=True):
        assert decibels(wanted, run.real[name]) > 28


def test_several_functions_are_found_in_one_search():
    """All functions without a table are left to the host at once, whatever the search gives behind the first."""
    rng = np.random.default_rng(1)
    rows, weights, before = [], {}, "x"
    for index in range(4):
        row, made = conv(rng, before, f"a{index}", 3 if index == 0 else 4, 4)
        rows += [row, ("Abs", [f"a{index}"], f"b{index}", {}), ("Sqrt", [f"b{index}"], f"s{index}", {})]
        weights |= made
        before = f"s{index}"
    row, made = conv(rng, before, "y", 4, 4)
    proto = model([*rows, row], IMAGE, weights | made)
    told = []
    parts = roundel.compress(proto, X, host="any", progress=counting(told))
    assert told.count("joint search") == 1 + len(parts.chain.engine)
    assert len(set(parts.chain.without.values())) == 4
    assert len(parts.chain.engine) == 5
    [wanted] = reference(proto, X)
    assert decibels(wanted, roundel.run(parts, X).real["y"]) > 20


def counting(told):
    """Return a progress that keeps the names of what it is told of."""

    def progress(name, count):
        told.append(name)
        return silent(name, count)

    return progress


def test_functions_behind_multipliers_run_on_the_host():
    proto = network([("Tanh", ["a"], "s", {})])
    parts = roundel.compress(proto, X, host="any", requant="fixed16")
    assert [part.operators for part in parts.chain.parts if not part.engine] == [{"Tanh": 1}]
    [reason] = parts.chain.without.values()
    assert "--requant shift (with --refit" in reason
    [wanted] = reference(proto, X)
    assert decibels(wanted, roundel.run(parts, X).real["y"]) > 28


@pytest.mark.parametrize("case", ["root", "exponential"])
def test_inspect_tells_them_too(case):
    proto = network(STEEP[case])
    result = roundel.inspect(proto, host="any")
    [*blocks] = result.blocks
    assert {block.operator for block in blocks} == {row[0] for row in STEEP[case]}
    assert all("ULP" in block.reason and "--activation-error" in block.way_on for block in blocks)
    assert result.counts == {"tail": 1, "any": 2}
    assert result.shares["any"] == 1
    assert result.shares["tail"] < 1
    assert not roundel.inspect(network([("Tanh", ["a"], "s", {})])).blocks
    with pytest.raises(InputError, match="activation_error"):
        roundel.inspect(proto, activation_error=0)


def test_more_error_keeps_them_on_the_engine():
    proto = network([("Softsign", ["a"], "s", {})])
    assert roundel.compress(proto, X, activation_error=4).chain is None
    assert not roundel.inspect(network(STEEP["root"]), activation_error=20).blocks
