"""Libraries that lack what mapping needs: one line, before any tool runs; what Yosys and ABC can do without passes."""

import re

import pytest

from roundel.golden.errors import InputError
from roundel.synth.cells import REFERENCE
from roundel.synth.mapping import map_design
from tests.support.command import call

TEXT = REFERENCE.read_text()
CELLS = {match[1]: match[0] for match in re.finditer(r"(?ms)^  cell \(ref_(\w+)\).*?^  }\n", TEXT)}
VERILOG = "module sum(input clk, input [3:0] a, b, output reg [4:0] y); always @(posedge clk) y <= a + b; endmodule\n"


def library(*names: str) -> str:
    head = TEXT[: TEXT.index("  cell (")]
    return head + "".join(CELLS[name] for name in names) + "}\n"


LACKING = {
    "gates": (library("dff_1"), "has no usable inverter"),
    "inverter": (library("dff_1", "nand2_1", "nor2_1", "and2_1", "or2_1"), "has no usable inverter"),
    "gate of two inputs": (library("dff_1", "inv_1", "buf_1", "xor2_1", "nand3_1"), "has no usable gate of two inputs"),
    "functions": (library("dff_1", "inv_1", "inv_2", "nand2_1"), "has gates of 2 different functions"),
    "areas": (re.sub(r"\barea : [^;]*;", "", TEXT), "has no area for the cell 'ref_and2_1'"),
    "delays": (
        re.sub(r"cell_(rise|fall) \(", "other (", TEXT),
        "has no tables of delay (cell_rise, cell_fall) for any g",
    ),
    "flip-flop's delays": (
        TEXT.replace(CELLS["dff_1"], re.sub(r"cell_(rise|fall) \(", "other (", CELLS["dff_1"])),
        "has no tables of delay (cell_rise, cell_fall) for any flip-flop",
    ),
    "flip-flop": (library("inv_1", "nand2_1", "nor2_1"), "has no usable rising-edge D flip-flop"),
}


@pytest.mark.parametrize("lack", LACKING)
def test_what_mapping_needs(lack, tmp_path, capsys):
    text, message = LACKING[lack]
    path = tmp_path / "cells.lib"
    path.write_text(text)
    with pytest.raises(InputError, match=re.escape(message)):
        map_design(VERILOG, "sum", path)
    assert call("compare", "requant", "--cells", path, "-o", tmp_path / "out") == 2
    said = capsys.readouterr().err
    assert said.startswith(f"roundel: {path}: library 'roundel_reference' {message}")
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_the_least_that_maps(tmp_path):
    path = tmp_path / "cells.lib"
    path.write_text(library("dff_1", "inv_1", "nand2_1", "nor2_1"))
    mapped = map_design(VERILOG, "sum", path)
    assert mapped.cells.keys() <= {"ref_dff_1", "ref_inv_1", "ref_nand2_1", "ref_nor2_1"}
    assert mapped.cells["ref_dff_1"] == 5
