"""Schedules on the RTL of the array: outputs as they come, the clock, and what is said when something is wrong."""

import tempfile
from dataclasses import replace

import numpy as np
import pytest

import roundel.benchmarks.array
from roundel.benchmarks.array import generate_array, simulate
from roundel.golden.errors import ToolError
from roundel.golden.mac import MacParams, schedule
from roundel.golden.mac.tiling import assemble
from roundel.golden.requant import RequantParams
from roundel.golden.rounding import Rounding
from roundel.sim.runner import Result

PARAMS = MacParams(
    lanes=4, columns=4, depth=8, act_width=8, act_signed=True, reduction=18, bias_width=16, requant=RequantParams()
)  # builds in seconds


@pytest.fixture(scope="module")
def operands():
    """Ragged in all directions: 21 positions, 18 products, 5 channels."""
    rng = np.random.default_rng(5)
    return rng.integers(-128, 128, (21, 18)), rng.integers(-128, 128, (18, 5)), rng.integers(-999, 999, 5)


@pytest.fixture(scope="module")
def beats(operands):
    acts, weights, bias = operands
    return schedule(PARAMS, acts, weights, bias, {"shift": 9})


def test_rtl_gives_the_matrix_product(operands, beats):
    replay = simulate(generate_array("mac", PARAMS), beats)
    assert replay.faults == ()
    acts, weights, bias = operands
    expected = np.clip((acts @ weights + bias + 256) >> 9, -128, 127)
    np.testing.assert_array_equal(assemble(PARAMS, replay.outputs, 21, 5), expected)
    assert len(beats.position) == 21 * 5 * 2 < replay.cycles  # blocks of 4 products and of 4 channels
    assert replay.speed > 0


def test_rtl_that_rounds_otherwise_is_found(beats):
    other = generate_array("mac", replace(PARAMS, requant=replace(PARAMS.requant, rounding=Rounding.FLOOR)))
    replay = simulate(replace(generate_array("mac", PARAMS), verilog=other.verilog), beats)
    assert replay.faults
    assert 0 < np.count_nonzero(replay.outputs != beats.outputs) < beats.outputs.size


def test_a_simulation_without_results_is_a_tool_error(beats, monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(
        roundel.benchmarks.array, "run", lambda *_, **__: Result(1, ("matches_golden: stream dried up",))
    )
    with pytest.raises(ToolError, match=r"mac gave no results: matches_golden: stream dried up\nlog: .*run.log"):
        simulate(generate_array("mac", PARAMS), beats)
