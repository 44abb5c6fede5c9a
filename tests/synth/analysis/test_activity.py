"""Activity files and accesses of memories, written by hand: what is asked of each, and what is said of bad ones."""

import json
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest

from roundel.golden.errors import InputError
from roundel.synth.analysis import Memory, MemoryUse, memories, read_saif
from roundel.synth.analysis.activity import Activity
from tests.support.toy import netlist, toy_library

CELLS = {"u0": "DFF D=d CK=clk Q=q", "u1": "INV A=q Y=y"}


def saif(*nets: str, instance: str = "top") -> str:
    return f"(SAIFILE (DURATION 8) (INSTANCE {instance} (NET {' '.join(nets)})))"


def item(name: str, low: int, high: int, toggles: int) -> str:
    return f"({name} (T0 {low}) (T1 {high}) (TX 0) (TC {toggles}))"


def test_constants_and_times(tmp_path):
    """A name that is tied to a constant says nothing of it; a net of which no time is known was never 1."""
    net = netlist(tmp_path, toy_library(tmp_path), "clk d", "y", CELLS)
    net = replace(net, signals=net.signals | {"low": 0, "high": 1})
    path = tmp_path / "a.saif"
    path.write_text(
        saif(item("clk", 1, 0, 1), item("d", 0, 0, 0), item("q", 0, 1, 3), item("low", 0, 8, 9), item("high", 8, 0, 9))
    )
    seen = read_saif(path, net, scope="top")
    assert seen.cycles == 0.5
    assert seen.density[:2].tolist() == [0, 0]
    assert seen.probability[:2].tolist() == [0, 1]
    nets = [net.signals[name] for name in ("clk", "d", "q")]
    assert seen.density[nets].tolist() == [2, 0, 6]
    assert seen.probability[nets].tolist() == [0, 0, 1]


def test_the_first_of_several_missing_nets_is_named(tmp_path):
    net = netlist(tmp_path, toy_library(tmp_path), "clk d", "y", CELLS)
    path = tmp_path / "a.saif"
    path.write_text(saif(item("clk", 4, 4, 8)))
    with pytest.raises(InputError, match=r"a\.saif: 2 nets of top are missing under 'top', such as 'd'"):
        read_saif(path, net, scope="top")


def test_without_a_clock_cycles_must_be_given(tmp_path):
    net = netlist(tmp_path, toy_library(tmp_path), "a", "y", {"u": "INV A=a Y=y"})
    path = tmp_path / "a.saif"
    path.write_text(saif(item("a", 4, 4, 8)))
    with pytest.raises(InputError, match="the clock of top never toggles, expected a run of at least one cycle"):
        read_saif(path, net, scope="top")
    assert read_saif(path, net, scope="top", cycles=4).density[net.signals["a"]] == 2


@pytest.mark.parametrize("cycles", [0, -1.0, float("nan")])
def test_cycles_are_positive(cycles):
    with pytest.raises(ValueError, match="cycles must be positive, not"):
        Activity(cycles=cycles, density=np.zeros(2), probability=np.zeros(2))
    assert Activity(cycles=0.5, density=np.zeros(2), probability=np.zeros(2)).cycles == 0.5


def test_accesses_are_the_time_that_enables_are_high(tmp_path):
    """64 edges are 32 cycles: an enable that is high a quarter of the time is 8 accesses."""
    pins = {"RD_EN": "input", "WR_EN": "input", "RD_DATA": "output"}
    cells = {
        name: {
            "type": "$mem_v2",
            "parameters": {"SIZE": f"{depth:b}", "WIDTH": "1"},
            "port_directions": pins,
            "connections": {"RD_EN": [read, 99], "WR_EN": [write, 99], "RD_DATA": data},
        }
        for name, depth, read, write, data in (("table", 6, 11, 12, [21, 22, 23]), ("queue", 4, 13, 14, [24]))
    }
    names = {"clk": 10, "ra": 11, "wa": 12, "rb": 13, "wb": 14, "always": 99}
    module = {
        "ports": {"clk": {"direction": "input", "bits": [10]}},
        "netnames": {name: {"bits": [bit]} for name, bit in names.items()},
        "cells": cells,
    }
    (tmp_path / "g.json").write_text(json.dumps({"modules": {"unit_memory": module, "unit": {}}}))
    times = {"clk": (4, 4, 64), "ra": (6, 2, 9), "wa": (0, 8, 1), "rb": (8, 0, 0), "wb": (7, 1, 3), "always": (0, 8, 5)}
    nets = saif(*(item(name, *values) for name, values in times.items()), instance="unit_memory")
    (tmp_path / "a.saif").write_text(nets.replace("(INSTANCE", "(INSTANCE unit (INSTANCE") + ")")
    assert memories._count(tmp_path / "g.json", "unit", tmp_path / "a.saif") == MemoryUse(
        cycles=32,
        memories=(
            Memory(name="table", width=3, depth=6, reads=8, writes=32),
            Memory(name="queue", width=1, depth=4, reads=0, writes=4),
        ),
    )


def test_what_is_simulated_to_count_accesses(tmp_path, monkeypatch):
    asked = {}

    @contextmanager
    def proven(design, what, **settings):
        asked.update(settings, what=what, design=design)
        yield None, tmp_path / "run"

    (tmp_path / "gathered.v").write_text("module unit(a);\nendmodule\n")
    monkeypatch.setattr(memories, "_gather", lambda verilog, top: tmp_path)
    monkeypatch.setattr(memories, "proven", proven)
    monkeypatch.setattr(memories, "_count", lambda *given: given)
    given = memories.memory_use("VERILOG", "unit", bench="bench", config={"a": 1}, stimulus=print)
    assert given == (tmp_path / "gathered.json", "unit", tmp_path / "run" / "dump.saif")
    design = asked.pop("design")
    assert design.sources[0].startswith(
        "// verilator lint_off CASEOVERLAP\n/* verilator tracing_off */\nmodule unit(a);"
    )
    assert (design.top, design.trace, design.optimize) == ("unit", "saif", 0)
    assert asked == {"what": "the RTL of unit", "bench": "bench", "config": {"a": 1}, "stimulus": print}


def test_bits_of_a_memory():
    memory = Memory(name="m", width=5, depth=16, reads=7, writes=4)
    assert (memory.bits, memory.moved) == (80, 5 * 11)


def test_nothing_but_the_memories_is_recorded():
    text = "module unit(a);\n  unit_memory unit_memory (\n  );\nendmodule\nmodule unit_memory(b);\nendmodule\n"
    state, recorded = "on", []
    for line in memories._quiet(text, "unit_memory").splitlines():
        if "tracing_" in line:
            state = "off" if "tracing_off" in line else "on"
        elif state == "on":
            recorded.append(line.strip())
    assert recorded[0] == "unit_memory unit_memory ("
    assert recorded[-2:] == ["module unit_memory(b);", "endmodule"]
    assert "module unit(a);" not in recorded
