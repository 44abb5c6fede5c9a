"""What `compile` would refuse is told by `compress` before the search, with the engine that runs the network."""

from contextlib import contextmanager

import numpy as np
import pytest

import roundel
from roundel.compiler import layer_rows
from roundel.data import DIGITS
from roundel.golden.errors import InputError
from roundel.golden.network import Window
from roundel.graph import AveragePool
from roundel.runtime import engine_choice
from tests.support.command import call
from tests.support.made_graphs import conv, network, node

IMAGES = np.random.default_rng(2).uniform(0, 1, (3, 8, 8, 8)).astype(np.float32)
QDQ = (DIGITS / "digits_qdq.onnx", DIGITS / "calibration.npz")


def graph():
    rng = np.random.default_rng(1)
    return network((8, 8, 8), conv(rng, "x", "m", 8, 8), conv(rng, "m", "y", 8, 8))


def stages(graph_or_file, images, engine, **options):
    """What the compression told of before it ended, and its refusal or result."""
    told = []

    @contextmanager
    def progress(what, _):
        told.append(what)
        yield lambda *_: None

    try:
        return told, roundel.compress(graph_or_file, images, engine=engine_choice(engine), progress=progress, **options)
    except InputError as error:
        return told, str(error)


@pytest.mark.parametrize(
    ("engine", "message"),
    [
        ({"config": "tiny", "rounding": "floor"}, "tiny: conv_m: rounds half_up, the engine floor; an engine with "
         "rounding=half_up runs it (--set rounding=half_up)"),
        ({"config": "small", "scheme": "fixed16"}, "small: conv_m: requantizes by shift, the engine by fixed16; an "
         "engine with scheme=shift and rounding=half_up runs it (--set scheme=shift --set rounding=half_up)"),
    ],
)  # fmt: skip
def test_refusals_come_before_the_search(engine, message):
    told, refusal = stages(graph(), IMAGES, engine)
    assert message in refusal
    assert told == []


def test_memory_of_one_layer():
    whole = network((64, 32, 32), node(AveragePool, "x", "y", window=Window(kernel=(31, 31))))
    images = np.random.default_rng(2).uniform(0, 1, (2, 64, 32, 32)).astype(np.float32)
    told, refusal = stages(whole, images, "tiny")
    assert refusal.startswith("tiny: averagepool_y: what it needs at once does not fit into 8191 words on chip")
    assert refusal.endswith("an engine with memory=65536 runs it (--set memory=65536)")
    assert told == []
    _, runs = stages(whole, images, {"config": "tiny", "memory": 65536})
    assert not isinstance(runs, str)


def test_a_bias_that_is_too_wide_is_told_behind_the_search():
    """It depends on the formats that the search chooses."""
    told, refusal = stages(graph(), IMAGES, {"config": "tiny", "bias_width": 4})
    assert "tiny: conv_m: a bias of" in refusal
    assert "runs it (--set bias_width=" in refusal
    assert told


def test_an_engine_that_runs_it_is_told():
    small = stages(*QDQ, "tiny", requant="fixed16")[1]
    size = len(roundel.compile(small, "tiny").compiled.image)
    figures = {"name": "tiny", "scheme": "fixed16", "rounding": "half_even", "program_bytes": size}
    assert small.report["engine"] == figures
    [line] = [line for line in small.lines() if line.startswith("- Runs on the engine tiny, scheme=fixed16")]
    assert f"{size:,} bytes" in line
    assert stages(graph(), IMAGES, "tiny")[1].report["engine"]["scheme"] == "shift"


def test_the_command(tmp_path, capsys):
    arguments = ("compress", QDQ[0], "--calibration", QDQ[1], "--requant", "fixed16", "-o", tmp_path / "out")
    assert call(*arguments, "--config", "small", "--set", "scheme=shift") == 2
    error = capsys.readouterr().err
    assert "requantizes by fixed16, the engine by shift; an engine with scheme=fixed16 and rounding=half_even" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()
    assert call(*arguments, "--config", "small", "--set", "lane=3") == 2
    assert "unit engine has no parameter 'lane'" in capsys.readouterr().err


def test_weights_end_where_digits_of_the_array_do():
    """On arrays of 4 bits at 119, where the network of the same file has weights beyond without the option."""
    engine = engine_choice({"config": "small", "weight_width": 4})
    files = DIGITS / "digits.onnx", DIGITS / "calibration.npz"
    most = []
    for clip in (False, True):
        made = roundel.compress(*files, engine=engine, clip_digits=clip)
        most.append(max(int(layer.weights.max()) for layer in made.network.weighted))
        further = sum(row["steps_further"] for row in layer_rows(roundel.compile(made, engine.params).compiled))
        assert (further == 0) == clip
    assert most[0] > 119 >= most[1]


def test_digits_without_an_array_are_refused():
    with pytest.raises(InputError, match=r"^--clip-digits: expected --config"):
        roundel.compress(DIGITS / "digits.onnx", DIGITS / "calibration.npz", clip_digits=True)
