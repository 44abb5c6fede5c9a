"""Verilog of a unit, its manifest and the files of other tools; with a board, also its bitstream."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roundel.generator.board import BoardBuild, build_board, cells, notes, report, write_board
from roundel.generator.files import bus_interfaces, core_file, file_list, timing_constraints
from roundel.generator.settings import find_unit, unit_params
from roundel.golden.errors import InputError
from roundel.hw.emit import STAGES, manifest, to_verilog
from roundel.ui import Grid, Progress, Result, path_of, silent, write_json

DEFAULT_MHZ = 100.0
BOARDS = ("ecp5",)


@dataclass(frozen=True, kw_only=True)
class Generated(Result):
    """A unit as Verilog.

    Attributes
    ----------
    unit
        Name of the unit and of its Verilog module.
    verilog
        Text of the module and all that it holds.
    manifest
        Ports, parameters, what follows from them, latency, tool versions.
    mhz
        Frequency of the timing constraints.
    board
        What the unit takes on a board; None if it was not built for one.
    """

    unit: str
    verilog: str
    manifest: dict[str, Any]
    mhz: float = DEFAULT_MHZ
    board: BoardBuild | None = None

    @property
    def met(self) -> bool:
        """Whether the unit is fast enough for the clock of the board, if there is one."""
        return self.board is None or self.board.met

    def as_dict(self) -> dict[str, Any]:
        """Give the manifest and, under `fpga`, the report of the board."""
        return self.manifest | ({"fpga": report(self.board)} if self.board else {})

    def tables(self) -> Iterable[Grid]:
        """Give what the unit takes of the board's FPGA."""
        if self.board:
            columns = ("resource", self.unit, "with its top", "device", "used")
            yield Grid(f"{self.unit} on {report(self.board)['device']}", columns, cells(self.board))

    def lines(self) -> Iterable[str]:
        """Give the size and latency, and what is to say of the board."""
        yield f"{self.unit}.v: {len(self.verilog.splitlines())} lines, latency {self.manifest['latency_cycles']} cycles"
        yield from notes(self.board) if self.board else ()

    def write(self, folder: Path) -> None:
        """Write UNIT.v, UNIT.f, UNIT.sdc, UNIT.core and manifest.json, and the files of the board."""
        (folder / f"{self.unit}.v").write_text(self.verilog, encoding="utf-8")
        (folder / f"{self.unit}.f").write_text(file_list(self.unit), encoding="utf-8")
        (folder / f"{self.unit}.sdc").write_text(
            timing_constraints(self.unit, self.manifest["ports"], self.mhz), encoding="utf-8"
        )
        summary = find_unit(self.unit).summary
        (folder / f"{self.unit}.core").write_text(
            core_file(self.unit, summary, self.board.top if self.board else None), encoding="utf-8"
        )
        write_json(folder / "manifest.json", self.manifest)
        if self.board:
            write_board(self.board, folder)

    @classmethod
    def load(cls, folder: str | Path) -> "Generated":
        """Read what `save` wrote, but for the board.

        Parameters
        ----------
        folder
            What `save` was given.

        Returns
        -------
        Generated
            Verilog and manifest, with the default clock and no board.

        Raises
        ------
        InputError
            The folder holds no unit.
        """
        path = path_of("folder", folder)
        try:
            sheet = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
            unit = find_unit(sheet["unit"]).name
            verilog = (path / f"{unit}.v").read_text(encoding="utf-8")
        except (OSError, ValueError, KeyError, TypeError):
            raise InputError(f"{folder}: expected what `roundel generate` wrote") from None
        if f"module {unit}(" not in verilog or not verilog.rstrip().endswith("endmodule"):
            raise InputError(f"{path / unit}.v: expected the whole module {unit}: generate it again")
        return cls(unit=unit, verilog=verilog, manifest=sheet)


def generate(
    unit: str,
    params: Any = None,
    *,
    config: str | None = None,
    folder: str | Path | None = None,
    fpga: str | None = None,
    mhz: float | None = None,
    progress: Progress = silent,
) -> Generated:
    """Generate the Verilog of a unit.

    Parameters
    ----------
    unit
        Name of the unit: `requant`, `mac`, `nms`, `exact_nms`, `greedy_nms`, `decoder`, `sparse_mac`, `activation`,
        `engine`.
    params
        Parameters: an object of the unit's class such as `EngineParams`, or a mapping of its keyword arguments.
    config
        Named configuration of the unit that a mapping begins with, such as `small` of the engine.
    folder
        Where to write all files, none if anything fails; None writes nothing.
    fpga
        `ecp5` places and routes the unit on a board with that FPGA, and makes a bitstream.
    mhz
        Frequency of the timing constraints in MHz; with `fpga` the board's PLL makes it. None: 100 MHz; with `fpga`
        the board's 25 MHz clock drives the unit, and placement works towards 100 MHz.
    progress
        Told of one part, whose steps are `roundel.hw.emit.STAGES` and, with `fpga`, the bitstream.

    Returns
    -------
    Generated
        Verilog and manifest, also where a folder was given.

    Raises
    ------
    InputError
        Bad names or values, or a design that does not fit the board's device.

    Examples
    --------
    >>> import roundel
    >>> made = roundel.generate("requant", {"scheme": "shift", "out_width": 8})
    >>> made.verilog.count("endmodule") > 0, made.manifest["latency_cycles"]
    (True, 1)
    """
    row = find_unit(unit)
    values = unit_params(row, params, config)
    if mhz is not None and (isinstance(mhz, bool) or not isinstance(mhz, int | float)):
        raise InputError(f"--freq: expected a positive number of MHz, not {mhz!r}")
    if mhz is not None and not 0 < mhz < float("inf"):
        raise InputError(f"--freq: expected a positive number of MHz, not {mhz:g}")
    if folder is not None:
        folder = path_of("folder", folder)
    if fpga is not None and fpga not in BOARDS:
        raise InputError(f"fpga must be one of {', '.join(BOARDS)}, not {fpga!r}")
    component = row.component(values)
    sheet = manifest(row.name, component, values)
    if buses := bus_interfaces(sheet["ports"]):
        sheet["bus_interfaces"] = buses
    board = None
    with progress(f"generate {row.name}", len(STAGES) + bool(fpga)) as step:
        text = to_verilog(component, row.name, step)
        if fpga:
            macs = _macs(sheet["parameters"])
            board = build_board(row.name, text, sheet["ports"], macs=macs, mhz=mhz, reach_mhz=DEFAULT_MHZ)
            step("bitstream")
    made = Generated(unit=row.name, verilog=text, manifest=sheet, mhz=mhz or DEFAULT_MHZ, board=board)
    if folder is not None:
        made.save(folder)
    return made


def _macs(parameters: dict[str, Any]) -> int:
    """Products that an array with these parameters, or one inside of it, forms in a cycle; 0 without an array."""
    array = parameters.get("mac", parameters)
    return int(array.get("lanes", 0) * array.get("columns", 0))
