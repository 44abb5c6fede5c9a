"""One library from several files: the cells, numbers and netlists of the library that was cut into them."""

import gzip
import re
from pathlib import Path

import pytest

from roundel.golden.errors import InputError
from roundel.synth.cells import REFERENCE, Cell, join_libraries, read_library
from roundel.synth.mapping import map_design
from tests.support.toy import real

VERILOG = "module sum(input clk, input [3:0] a, b, output reg [4:0] y); always @(posedge clk) y <= a + b; endmodule\n"


def cut(path: Path, folder: Path, pieces: int, *, packed: bool = False) -> list[Path]:
    """Cut a Liberty file, whose cells begin on lines of their own, into files of every nth cell."""
    text = gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text()
    head, *cells = re.split(r"(?m)^(?=\s{2,4}cell\s*\()", text)
    body, _, end = cells[-1].rpartition("}")
    cells[-1] = body
    name = re.search(r'library\s*\(\s*"?(\w+)', head)[1]
    paths = []
    for piece in range(pieces):
        renamed = head.replace(name, f"{name}_{piece}", 1)
        content = (renamed + "".join(cells[piece::pieces]) + "}" + end).encode()
        paths.append(folder / (f"{piece}.lib.gz" if packed else f"{piece}.lib"))
        paths[-1].write_bytes(gzip.compress(content) if packed else content)
    return paths


def numbers(cell: Cell) -> tuple:
    """All that analyses read of a cell but power, with every table's axes."""
    arcs = [(pin.name, pin.capacitance, arc) for pin in cell.pins.values() for arc in pin.arcs]
    tables = [table for _, _, arc in arcs for table in (*arc.delay, *arc.slew) if table is not None]
    values = [(table.slew.tolist(), table.load.tolist(), table.values.tolist()) for table in tables]
    return cell.kind, cell.area, cell.leakage, [arc[:2] for arc in arcs], values


@pytest.mark.parametrize("name", ["reference", "sg13g2_typ_1p20V_25C"])
def test_the_pieces_are_the_library(name, tmp_path):
    whole = real(name)
    joined = read_library(join_libraries(cut(whole, tmp_path, 3, packed=name != "reference")))
    expected = read_library(whole)
    assert joined.name == expected.name
    assert (joined.voltage, joined.temperature) == (expected.voltage, expected.temperature)
    assert joined.cells.keys() == expected.cells.keys()
    for name, cell in expected.cells.items():
        assert numbers(joined.cells[name]) == numbers(cell)


def test_a_design_maps_to_the_same_cells(tmp_path):
    joined = map_design(VERILOG, "sum", join_libraries(cut(REFERENCE, tmp_path, 2)))
    expected = map_design(VERILOG, "sum", REFERENCE)
    assert joined.cells == expected.cells
    assert joined.area_um2 == expected.area_um2


def test_templates_of_one_name_and_different_tables(tmp_path):
    """The second file's tables lie on axes ten times as long, under the first one's names."""
    first, second = cut(REFERENCE, tmp_path, 2)
    head, cells = second.read_text().split("  cell", 1)
    axes = re.findall(r"index_\d\s*\([^)]*\)", head)
    for axis in axes:
        name, points = axis.split("(")
        head = head.replace(
            axis, name + "(" + re.sub(r"[\d.]+", lambda number: f"{float(number[0]) * 10:g}", points), 1
        )
    second.write_text(f"{head}  cell{cells}")
    flip_flop = re.search(r"(?ms)^  cell \(ref_dff_1.*?^  }\n", REFERENCE.read_text())[0]
    alone = tmp_path / "alone.lib"
    alone.write_text(f"{head}{flip_flop}  cell{cells}")
    joined, parts = read_library(join_libraries([first, second])), [read_library(first), read_library(alone)]
    assert len(axes) > 3
    assert len(joined.cells) == len(read_library(REFERENCE).cells)
    for name, cell in joined.cells.items():
        assert numbers(cell) == numbers(next(part.cells[name] for part in parts if name in part.cells))
    slowest = {
        max(max(table.slew) for arc in pin.arcs for table in arc.delay if table)
        for cell in joined.cells.values()
        for pin in cell.pins.values()
        if pin.arcs
    }
    assert slowest == {0.6, 6.0}


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            lambda text: re.sub(r"time_unit\s*:\s*\"\w+\"", 'time_unit : "1ps"', text),
            r"1\.lib: time_unit is 1ps, but 1ns",
        ),
        (lambda text: re.sub(r"(voltage\s*:\s*)[\d.]+", r"\g<1>0.9", text), r"1\.lib: .*voltage is 0\.9, but "),
        (lambda text: text.rstrip()[:-1], r"1\.lib: ends within library"),
    ],
)
def test_files_of_different_meaning(edit, message, tmp_path):
    paths = cut(REFERENCE, tmp_path, 2)
    paths[1].write_text(edit(paths[1].read_text()))
    with pytest.raises(InputError, match=message):
        join_libraries(paths)


def test_cells_and_files_that_stand_twice(tmp_path):
    paths = cut(REFERENCE, tmp_path, 2)
    with pytest.raises(InputError, match="a file stands there twice"):
        join_libraries([paths[0], paths[0]])
    (tmp_path / "again.lib").write_text(paths[0].read_text())
    with pytest.raises(InputError, match=r"again\.lib: holds the cell 'ref_inv_1', as .*0\.lib does"):
        join_libraries([*paths, tmp_path / "again.lib"])
