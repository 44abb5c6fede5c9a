"""`roundel generate`: files for other tools, named configurations, and a unit on a board up to its bitstream."""

import importlib.util
import json
import re
import shlex
import subprocess
from fractions import Fraction

import pytest

from roundel.generator import parse_settings
from roundel.generator.board import build_board
from roundel.generator.files import bus_interfaces
from roundel.golden.engine import CONFIGS, EngineParams
from roundel.golden.errors import InputError
from roundel.golden.nms import ExactParams, NmsParams, TopKParams
from roundel.golden.requant import RequantParams
from roundel.hw.emit import ports, to_verilog
from roundel.hw.units import UNITS
from roundel.sim.runner import Design, run
from roundel.synth.fpga import build_ecp5, constraints, find_pll, wrapper
from roundel.synth.fpga.build import MappedMemory, Use
from tests.support.command import call
from tests.support.outside import need

SMALL = ("--set", "scheme=shift_const", "--set", "shift=3", "--set", "acc_width=16", "--set", "out_width=4")


def read_core(text: str) -> dict:
    """A core file as nested dictionaries and lists: the part of YAML that such a file needs, by indentation."""
    first, *lines = text.splitlines()
    assert first == "CAPI=2:"

    def value(word: str):
        if word.startswith(("[", "{")):
            return json.loads(word) if '"' in word else word.strip("[]").split(", ")
        return json.loads(word) if word.startswith('"') else word

    def block(indent: int):
        found = None
        while lines and len(lines[0]) - len(lines[0].lstrip()) == indent:
            line = lines.pop(0).strip()
            if line.startswith("- "):
                found = [*(found or []), line[2:]]
                continue
            key, _, word = line.partition(":")
            found = (found or {}) | {key: value(word.strip()) if word.strip() else block(indent + 2)}
        return found

    core = block(0)
    assert not lines
    return core


def test_files_of_other_tools_stand_beside_the_verilog(tmp_path):
    assert call("generate", "decoder", "--set", "config=mask_8", "--freq", "80", "-o", tmp_path) == 0
    names = {"decoder.v", "decoder.f", "decoder.sdc", "decoder.core", "manifest.json"}
    assert {path.name for path in tmp_path.iterdir()} == names
    assert (tmp_path / "decoder.f").read_text().split() == ["decoder.v"]
    core = read_core((tmp_path / "decoder.core").read_text())
    # CAPI2: VLNV of four parts, filesets with files and their type, targets that name filesets and a top level.
    assert re.fullmatch(r"roundel::decoder:\d+\.\d+\.\d+", core["name"])
    assert core["filesets"]["rtl"] == {"files": ["decoder.v"], "file_type": "verilogSource"}
    assert core["filesets"]["constraints"] == {"files": ["decoder.sdc"], "file_type": "SDC"}
    assert core["targets"]["default"] == {"filesets": ["rtl"], "toplevel": "decoder"}
    assert core["targets"]["lint"]["flow"] == "lint"
    assert core["targets"]["lint"]["flow_options"]["tool"] == "verilator"
    assert core["targets"]["synth"]["filesets"] == ["rtl", "constraints"]


def test_fusesoc_takes_the_core(tmp_path):
    fusesoc = need("fusesoc")
    assert call("generate", "requant", *SMALL, "-o", tmp_path) == 0
    command = [fusesoc, "--cores-root", ".", "run", "--setup", "--target", "lint", "roundel::requant"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.glob("build/*/lint/src/*/requant.v"))


def test_timing_constraints_name_every_port_once(tmp_path):
    assert call("generate", "mac", "--set", "config=3x1_single_position", "--freq", "62.5", "-o", tmp_path) == 0
    lines = [line for line in (tmp_path / "mac.sdc").read_text().splitlines() if not line.startswith("#")]
    assert lines[0] == "create_clock -name clk -period 16.000 [get_ports clk]"
    sheet = json.loads((tmp_path / "manifest.json").read_text())
    kinds = {"set_input_delay": "in", "set_output_delay": "out"}
    found = []
    for line in lines[1:]:
        command, rest = line.split(" -clock clk 4.800 [get_ports ")
        found.append((kinds[command], rest.strip("{}]").removesuffix("[*")))
    assert found == [(port["direction"], port["name"]) for port in sheet["ports"] if port["name"] != "clk"]


@pytest.mark.parametrize(
    ("pairs", "changed"),
    [
        ([], {}),
        (["depth=64", "config=8x2_codebook"], {"depth": 64}),
        (["config=8x2_codebook", "requant.out_width=5"], {"requant": {"scheme": "codebook", "out_width": 5}}),
    ],
)
def test_settings_change_a_named_configuration(pairs, changed):
    row = UNITS["mac"]
    found = parse_settings(row, ["config=8x2_codebook", *pairs])
    assert row.params(**found) == row.params(**{**row.configs["8x2_codebook"], **changed})


def test_an_engine_begins_with_a_preset():
    small = CONFIGS["small"]
    found = EngineParams(**parse_settings(UNITS["engine"], ["config=small", "nms.capacity=64", "burst=8"]))
    assert found == EngineParams(**{**small, "nms": {**small["nms"], "capacity": 64}, "burst": 8})
    without = EngineParams(**parse_settings(UNITS["engine"], ["nms=null", "config=small"]))
    assert without == EngineParams(**{**small, "nms": None})


@pytest.mark.parametrize(
    ("pairs", "nms"),
    [
        (["nms.method=none", "nms.capacity=20"], TopKParams(format=CONFIGS["small"]["nms"]["format"], capacity=20)),
        (
            ["nms.method=exact", "nms.candidates=3000", "nms.format.classes=3"],
            ExactParams(format=CONFIGS["small"]["nms"]["format"] | {"classes": 3}, capacity=256, candidates=3000),
        ),
        (["nms.method=psrr"], NmsParams(**CONFIGS["small"]["nms"] | {"method": "psrr"})),
    ],
)
def test_the_method_tells_the_kind_of_suppression(pairs, nms):
    """What only the configuration's own kind has is left out; what both have stays."""
    found = EngineParams(**parse_settings(UNITS["engine"], ["config=small", *pairs]))
    assert found.nms == nms


@pytest.mark.parametrize(
    ("pairs", "text"),
    [
        (["nms.method=best"], "unit engine: method must be one of .*exact, none, not 'best'"),
        (["nms.method=none", "nms.guard=0.3"], "unit engine: guard is no parameter of method 'none'"),
        (["nms.candidates=30"], "unit engine: candidates is no parameter of method 'guarded'"),
        (["nms.bananas=30"], "has no parameter 'nms.bananas'"),
    ],
)
def test_parameters_of_another_method_are_refused(pairs, text):
    with pytest.raises(InputError, match=text):
        parse_settings(UNITS["engine"], ["config=small", *pairs])


@pytest.mark.parametrize("areas", ["4096,16384", "[4096, 16384]", "(4096,16384,)"])
def test_several_numbers_may_be_in_brackets(areas):
    assert parse_settings(UNITS["nms"], [f"areas={areas}"]) == {"areas": (4096, 16384)}


def test_the_table_of_configurations_is_not_changed():
    before = json.dumps(UNITS["mac"].configs["8x2_codebook"])
    parse_settings(UNITS["mac"], ["config=8x2_codebook", "requant.out_width=5"])
    assert json.dumps(UNITS["mac"].configs["8x2_codebook"]) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--set", "config=enormous"), "unit requant has no configuration 'enormous', expected one of shift_floor"),
        (("--freq", "0"), "--freq: expected a positive number of MHz, not 0"),
        (("--freq", "nan"), "--freq: expected a positive number of MHz, not nan"),
        (("--fpga", "ecp5", "--freq", "1000"), "frequency: expected 3.125 to 400 MHz, not 1000"),
        (("--fpga", "ice40"), "'ice40' is not 'ecp5'"),
    ],
)
def test_bad_input_writes_nothing(tmp_path, capsys, arguments, message):
    assert call("generate", "requant", *arguments, "-o", tmp_path / "out") == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_bus_interfaces_are_found_by_the_names_of_ports():
    axi = {"m_axi_araddr": 32, "m_axi_arlen": 8, "m_axi_rdata": 64, "s_axi_araddr": 8, "s_axi_rdata": 32, "done": 1}
    found = bus_interfaces([{"name": name, "width": width, "direction": "in"} for name, width in axi.items()])
    shared = {"clock": "clk", "reset": "rst"}
    assert found == {
        "s_axi": {"protocol": "AXI4-Lite", "mode": "slave", "address_width": 8, "data_width": 32, **shared},
        "m_axi": {"protocol": "AXI4", "mode": "master", "address_width": 32, "data_width": 64, **shared},
    }
    assert bus_interfaces([{"name": "inputs__valid", "width": 1, "direction": "in"}]) == {}


@pytest.mark.parametrize("mhz", [3.125, 3.295, 10, 25, 48, 60, 61, 66.7, 99.9, 114.3, 117.9, 133.4, 400])
def test_the_pll_comes_nearest_from_below(mhz):
    pll = find_pll(mhz)
    made = Fraction(25) * pll.vco / pll.divider
    assert 400 <= 25 * pll.vco <= 800
    assert 1 <= pll.divider <= 128
    assert made <= Fraction(mhz)
    others = (Fraction(25 * vco, divider) for vco in range(16, 33) for divider in range(1, 129))
    assert not any(made < other <= Fraction(mhz) for other in others)


def test_the_chain_reaches_every_port_of_a_unit(seed):
    params = {"scheme": "shift_const", "shift": 3, "acc_width": 16, "out_width": 4}
    component = UNITS["requant"].component(RequantParams(**params))
    rows = ports(component)
    top = wrapper("requant", rows, None)
    design = Design(sources=(to_verilog(component, "requant"), top), top="requant_ulx3s")
    length = max(sum(row["width"] for row in rows[2:] if row["direction"] == way) for way in ("in", "out"))
    result = run(
        design, "tests.support.benches.tb_board", seed=seed, config={"params": params, "length": length, "beats": 40}
    )
    assert result.passed, result.failures


MIXED = """
module top(input clk, input rst, input signed [17:0] a, b, output reg signed [35:0] p,
           input we, input [8:0] r, w, output reg [35:0] q, input [3:0] rs, ws, output [7:0] qs);
  reg signed [17:0] x, y;
  (* no_rw_check *) reg [35:0] large [0:511];
  reg [7:0] little [0:15];
  assign qs = little[rs];
  always @(posedge clk) begin
    x <= a; y <= b; p <= x * y; q <= large[r];
    if (we) begin large[w] <= p; little[ws] <= a[7:0]; end
  end
endmodule
"""
WIDTHS = {"a": 18, "b": 18, "we": 1, "r": 9, "w": 9, "rs": 4, "ws": 4}, {"p": 36, "q": 36, "qs": 8}
MIXED_PORTS = [
    {"name": name, "direction": way, "width": width}
    for way, widths in zip(("in", "out"), WIDTHS, strict=True)
    for name, width in widths.items()
]


@pytest.mark.needs("nextpnr")
def test_a_board_build_counts_the_unit_alone_and_says_where_memories_are():
    around, lpf = wrapper("top", MIXED_PORTS, find_pll(50)), constraints("top_ulx3s", find_pll(50))
    built = build_ecp5("top", MIXED, "top_ulx3s", around, lpf, mhz=100)
    # 18 + 18 + 36 flip-flops, a multiplier, a memory of 18 kbit; 16 x 8 bits in tables: two cells of 16 x 4.
    assert (built.unit.ff, built.unit.dsp, built.unit.bram) == (72, 1, 1)
    assert built.memories == (
        MappedMemory(name="large", width=36, depth=512, home="block RAM"),
        MappedMemory(name="little", width=8, depth=16, home="LUT RAM"),
    )
    assert built.memories[0].bits == 18432
    assert built.device == Use(lut=83640, ff=83640, dsp=156, bram=208)  # Lattice's data sheet: 84k LUTs, 156, 208
    # The chain as long as the outputs, a register for the inputs, and lines, blinking and reset around them.
    assert built.total.ff - built.unit.ff >= 80 + 63
    assert built.total.lut > built.unit.lut
    assert (built.folder / "top.bit").stat().st_size > 1000
    assert "Derived frequency constraint of 50.0 MHz for net clk" in (built.folder / "nextpnr.log").read_text()
    assert built.fmax_mhz is not None
    assert 50 < built.fmax_mhz < 300


@pytest.mark.needs("nextpnr")
def test_generate_for_a_board_writes_its_bitstream_and_figures(tmp_path, capsys):
    assert call("generate", "requant", *SMALL, "--fpga", "ecp5", "-o", tmp_path) == 0
    shown = capsys.readouterr().out
    assert "clocked with 25 MHz" in shown
    assert re.search(r"LUT4\W+\d+\W+\d+\W+83,640", shown)
    for name in ("requant.bit", "requant.config", "requant.lpf", "requant_ulx3s.v"):
        assert (tmp_path / name).stat().st_size > 0
    figures = json.loads((tmp_path / "fpga.json").read_text())
    assert figures["met"] is True
    assert figures["lut_per_mac"] is None
    assert figures["fmax_mhz"] > figures["clock_mhz"] == 25
    assert [shlex.split(command)[0] for command in figures["commands"]] == ["yosys", "nextpnr-ecp5", "ecppack"]
    top = (tmp_path / "requant_ulx3s.v").read_text()
    pins = set(re.findall(r'LOCATE COMP "(\w+)', (tmp_path / "requant.lpf").read_text()))
    (header,) = re.findall(r"^module requant_ulx3s\((.*)\);$", top, re.M)
    assert pins == set(header.split(", "))
    core = read_core((tmp_path / "requant.core").read_text())
    assert core["targets"]["ulx3s"]["toplevel"] == "requant_ulx3s"


@pytest.mark.needs("nextpnr")
def test_an_array_is_told_per_product(tmp_path, capsys):
    settings = (
        "config=3x1_single_position",
        "structure=product",
        "columns=2",
        "requant.scheme=shift",
        "requant.out_width=8",
    )
    options = [word for setting in settings for word in ("--set", setting)]
    assert call("generate", "mac", *options, "--fpga", "ecp5", "-o", tmp_path) == 0
    figures = json.loads((tmp_path / "fpga.json").read_text())
    assert figures["resources"]["unit"]["dsp"] == 6
    assert figures["lut_per_mac"] == pytest.approx(figures["resources"]["unit"]["lut"] / 6)
    assert "LUT4 for each of 6 products in a cycle" in capsys.readouterr().out


@pytest.mark.needs("nextpnr")
def test_a_clock_that_is_too_fast_gives_no_bitstream(tmp_path, capsys):
    assert call("generate", "requant", *SMALL, "--fpga", "ecp5", "--freq", "400", "-o", tmp_path, "--json") == 1
    found = json.loads(capsys.readouterr().out)["fpga"]
    assert found == json.loads((tmp_path / "fpga.json").read_text())
    assert found["met"] is False
    assert 25 < found["fmax_mhz"] < found["clock_mhz"] == 400
    assert not (tmp_path / "requant.bit").exists()


@pytest.mark.needs("nextpnr")
def test_a_unit_too_large_is_refused():
    verilog = """
    module top(input clk, rst, we, input [16:0] r, w, input [35:0] d, output reg [35:0] q);
      reg [35:0] memory [0:512 * 209 - 1];
      always @(posedge clk) begin if (we) memory[w] <= d; q <= memory[r]; end
    endmodule
    """
    rows = [
        {"name": name, "direction": "in", "width": width}
        for name, width in (("we", 1), ("r", 17), ("w", 17), ("d", 36))
    ]
    rows.append({"name": "q", "direction": "out", "width": 36})
    with pytest.raises(
        InputError, match=r"unit top does not fit the LFE5U-85F-6BG381C \(DP16KD: needs 2\d\d, has 208\)"
    ):
        build_board("top", verilog, rows, macs=0, mhz=None, reach_mhz=100)


def test_without_nextpnr_the_command_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert call("generate", "requant", *SMALL, "--fpga", "ecp5", "-o", tmp_path / "out") == 2
    assert "pip install 'roundel[fpga]'" in capsys.readouterr().err
