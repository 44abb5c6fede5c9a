"""What `roundel generate` writes: Verilog, manifest and the files of other tools; with a board, also its bitstream."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roundel.generator.board import BoardBuild, build_board, cells, notes, report, write_board
from roundel.generator.files import bus_interfaces, core_file, file_list, timing_constraints
from roundel.generator.settings import find_unit, make_params, parse_settings
from roundel.golden.errors import InputError
from roundel.hw.emit import STAGES, manifest, to_verilog
from roundel.ui import Progress, out, output_folder, silent, table, write_json

DEFAULT_MHZ = 100.0


@dataclass(frozen=True, kw_only=True)
class Generated:
    """What was written of a unit.

    Parameters
    ----------
    verilog, manifest
        As in the files.
    board
        What the unit takes on a board, if it was built for one.
    """

    verilog: str
    manifest: dict[str, Any]
    board: BoardBuild | None

    @property
    def met(self) -> bool:
        """Whether the clock of the board, if there is one, is slow enough for the unit."""
        return self.board is None or self.board.met

    @property
    def sheet(self) -> dict[str, Any]:
        """All that there is to say about it: the manifest, and under `fpga` the report of the board."""
        return self.manifest | ({"fpga": report(self.board)} if self.board else {})


def generate(
    unit: str,
    pairs: Iterable[str],
    folder: Path,
    *,
    fpga: bool = False,
    mhz: float | None = None,
    progress: Progress = silent,
) -> Generated:
    """Write all files of a unit into `folder`, none if anything fails.

    Parameters
    ----------
    unit, pairs
        Name of the unit, and `key=value` texts of its parameters.
    fpga
        Place and route it on a board with an ECP5, and make a bitstream.
    mhz
        Frequency of the timing constraints; with `fpga` the board's PLL makes it. None: 100 MHz; with `fpga` the
        board's 25 MHz clock the unit, and placement works towards 100 MHz.
    progress
        Told of one part, whose steps are `roundel.hw.emit.STAGES` and, with `fpga`, the bitstream.

    Raises
    ------
    InputError
        Bad names or values, or a design that does not fit the board's device.
    """
    row = find_unit(unit)
    params = make_params(row, parse_settings(row, pairs))
    if mhz is not None and not 0 < mhz < float("inf"):
        raise InputError(f"--freq: expected a positive number of MHz, not {mhz:g}")
    component = row.component(params)
    sheet = manifest(row.name, component, params)
    if buses := bus_interfaces(sheet["ports"]):
        sheet["bus_interfaces"] = buses
    board = None
    with progress(f"generate {row.name}", len(STAGES) + fpga) as step:
        text = to_verilog(component, row.name, step)
        if fpga:
            macs = _macs(sheet["parameters"])
            board = build_board(row.name, text, sheet["ports"], macs=macs, mhz=mhz, reach_mhz=DEFAULT_MHZ)
            step("bitstream")
    with output_folder(folder) as work:
        (work / f"{row.name}.v").write_text(text)
        (work / f"{row.name}.f").write_text(file_list(row.name))
        (work / f"{row.name}.sdc").write_text(timing_constraints(row.name, sheet["ports"], mhz or DEFAULT_MHZ))
        (work / f"{row.name}.core").write_text(core_file(row.name, row.summary, board.top if board else None))
        write_json(work / "manifest.json", sheet)
        if board:
            write_board(board, work)
    return Generated(verilog=text, manifest=sheet, board=board)


def _macs(parameters: dict[str, Any]) -> int:
    """Products that an array with these parameters, or one inside of it, forms in a cycle; 0 without an array."""
    array = parameters.get("mac", parameters)
    return int(array.get("lanes", 0) * array.get("columns", 0))


def show(found: Generated, folder: Path) -> None:
    """Print where the Verilog is and, for a board, what it takes."""
    unit, latency = found.manifest["unit"], found.manifest["latency_cycles"]
    out.print(f"{folder / (unit + '.v')}: {len(found.verilog.splitlines())} lines, latency {latency} cycles")
    if found.board:
        heads = ("resource", unit, "with its top", "device", "used")
        table(f"{unit} on {report(found.board)['device']}", heads, cells(found.board))
        for note in notes(found.board):
            out.print(note)
