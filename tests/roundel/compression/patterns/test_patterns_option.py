"""`compress --patterns`: integers keep the patterns, steps are saved, results are those of the pruned network."""

import json
from dataclasses import replace

import numpy as np
import pytest

import roundel
from roundel.compiler import compile_network
from roundel.compression.patterns import parse_patterns
from roundel.compression.patterns.params import Patterns
from roundel.data import DIGITS
from roundel.golden.engine import EngineParams
from roundel.golden.errors import InputError
from roundel.golden.network import outputs
from roundel.golden.opq import ChannelPattern
from roundel.graph import Add, Flatten, MaxPool, Relu
from roundel.runtime import engine_choice
from tests.support.command import call
from tests.support.made_graphs import HALVES, conv, dense, network, node

CALIBRATION = DIGITS / "calibration.npz"
SMALLEST = EngineParams(lanes=4, columns=4, memory=1 << 12, depth=64, banks=8, beat_words=4, select=True)


def graph(seed):
    """A network whose channels between layers are free: with a sum, a branch, and a matrix product behind a map."""
    rng = np.random.default_rng(seed)
    made = network(
        (3, 8, 8),
        conv(rng, "x", "a", 3, 16),
        node(Relu, "a", "b"),
        conv(rng, "b", "c", 16, 16),
        node(Add, ("b", "c"), "d"),
        node(Relu, "d", "e"),
        conv(rng, "e", "f", 16, 20),
        node(MaxPool, "f", "g", window=HALVES),
        node(Flatten, "g", "h"),
        dense(rng, "h", "i", 320, 10),
    )
    return replace(made, names={"scores": "i"})


def images(seed, count=8):
    return np.random.default_rng(seed).uniform(-1, 1, (count, 3, 8, 8)).astype(np.float32)


def compressed(seed, patterns, engine=SMALLEST, **options):
    return roundel.compress(graph(seed), images(seed), patterns=patterns, engine=engine_choice(engine), **options)


@pytest.mark.parametrize(("name", "kept"), [("4:8", 4), ("2:8", 2)])
def test_all_layers_take_a_pattern(name, kept, seed):
    """As golden's patterns count it on the integers, and the compiler's steps; nothing breaks it."""
    made = compressed(seed, name)
    rows = {row["layer"]: row for row in made.report["patterns"]}
    pattern = ChannelPattern(kept=kept, lanes=4, columns=4)
    assert set(rows) == {"conv_c", "conv_f", "dense_i"}
    for layer in made.network.weighted:
        if layer.name in rows:
            assert pattern.breaches(layer.weights, 16 if layer.name == "dense_i" else 9) == 0
            row = rows[layer.name]
            assert (row["kept"], row["further"]) == (kept, 0)
            words = 8 // kept
            channels = {"conv_c": 16, "conv_f": 16, "dense_i": 20}[layer.name]
            ratio = -(-channels // (4 * words)) / -(-channels // 4)
            assert row["steps"] == ratio * row["dense"]
    assert sum(row["energy"] - row["unordered"] for row in rows.values()) > 0
    assert made.report["size"]["zeros"] > 0.4


def test_results_are_those_of_the_pruned_network(seed):
    """Whose channels are in the file's order: as near as 8 bits are."""
    made, float_graph = compressed(seed, "4:8"), graph(seed)
    kept = made.report["patterns"]
    assert all(row["kept"] == 4 for row in kept)
    codes = outputs(made.network, made.network.encode(images(seed)))[made.network.output_names[0]]
    integers = made.network.layers[-1].output.decode(codes)
    real = float_graph.run(images(seed))
    assert np.corrcoef(integers.ravel(), real.ravel())[0, 1] > 0.5  # half of random weights are gone
    dense_made = compressed(seed, "dense", sparsity=0.0)
    codes = outputs(dense_made.network, dense_made.network.encode(images(seed)))[dense_made.network.output_names[0]]
    error = dense_made.network.layers[-1].output.decode(codes) - real
    assert (error**2).mean() < 1e-3 * (real**2).mean()


def test_sparsity_chooses_among_patterns(seed):
    """At least so many weights go, in the layers that lose least; bits go together with them."""
    made = compressed(seed, "dense,4:8,2:8", sparsity=0.3, bits=4)
    rows = made.report["patterns"]
    assert made.report["size"]["zeros"] >= 0.3
    assert {row["kept"] for row in rows} <= {8, 4, 2}
    assert len({row["kept"] for row in rows}) > 1
    assert {layer.w.width for layer in made.network.weighted} == {4}


def test_what_breaks_a_pattern_is_counted():
    """One output of each layer has all of its weights again: its blocks take further steps, up to those without."""
    made = compressed(1, "4:8")

    def further(network):
        compiled = compile_network(network, (8, 8, 3), SMALLEST)
        return sum(task.further for task in compiled.tasks if task.layer == "conv_c")

    assert further(made.network) == 0
    layers = [
        replace(layer, weights=np.where(layer.weights == 0, 1, layer.weights)) if layer.name == "conv_c" else layer
        for layer in made.network.layers
    ]
    partly = [
        replace(layer, weights=np.where(np.arange(16) == 0, changed.weights, layer.weights))
        if layer.name == "conv_c" else layer
        for layer, changed in zip(made.network.layers, layers, strict=True)
    ]  # fmt: skip
    assert further(replace(made.network, layers=tuple(partly))) > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patterns": "3:8"}, "--patterns: expected some of dense, 4:8, 2:8, 1:8 between commas, each once, not '3:8'"),
        ({"patterns": "4:8,4:8"}, "each once, not '4:8,4:8'"),
        ({"patterns": "2:4"}, "--patterns: expected 4:8 in place of 2:4"),
        ({"patterns": "4:8,2:8"}, "--patterns 4:8,2:8: expected --sparsity or --budget as well"),
        ({"patterns": "2:8", "engine": {"config": "small", "beat_words": 4, "select": True}},
         "--patterns 2:8: small has 4 banks, beats of 4 words and lanes that select: expected --set banks=8, or a "
         "pattern that it has"),
        ({"patterns": "1:8", "engine": "small"},
         "--patterns 1:8: small has 4 banks, beats of 1 words and no lanes that select: expected --set banks=8 --set "
         "beat_words=8 --set select=true"),
        ({"patterns": "4:8", "engine": "small"}, "expected --set beat_words=2 --set select=true, or a pattern that"),
        ({"patterns": "4:8", "sparsity": 0.9}, "--sparsity 0.9: patterns leave out at most"),
        ({"patterns": "4:8", "sparsity": 0.2, "budget": "cycles=0.5"}, "expected --sparsity or --budget, which both"),
    ],
)  # fmt: skip
def test_refused(options, message):
    with pytest.raises(InputError) as caught:
        compressed(1, **options)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_networks_without_such_layers():
    small = network((3, 8, 8), conv(np.random.default_rng(1), "x", "a", 3, 16))
    with pytest.raises(InputError, match="--patterns 4:8: expected a layer that reads more than 16 channels, but"):
        roundel.compress(small, images(1), patterns="4:8")
    with pytest.raises(InputError, match="weights are integers already, expected none of --patterns"):
        roundel.compress(DIGITS / "digits_sparse.onnx", CALIBRATION, patterns="4:8", lanes=8, columns=8)


def test_parse():
    assert parse_patterns("2:8,dense", 8, 8) == Patterns(kept=(8, 2), lanes=8, columns=8)
    assert str(parse_patterns("1:8,4:8,dense", 16, 16)) == "dense,4:8,1:8"


def test_command(tmp_path, capsys):
    arguments = ["--calibration", CALIBRATION, "--config", "small", "--set", "beat_words=2", "--set", "select=true"]
    assert call("compress", DIGITS / "digits.onnx", *arguments, "--patterns", "4:8", "-o", tmp_path) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "Patterns of channels, layers: 3 4:8; " in told
    assert "Steps of these layers on small: " in told
    assert "## Patterns of channels" in (tmp_path / "report.md").read_text()
    assert len(json.loads((tmp_path / "report.json").read_text())["patterns"]) == 3
    assert call("compress", DIGITS / "digits.onnx", *arguments, "--patterns", "2:8", "-o", tmp_path / "no") == 2
    assert "small has 4 banks" in " ".join(capsys.readouterr().err.split())
