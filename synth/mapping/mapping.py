"""Mapping of Verilog to the cells of a library by Yosys and ABC: netlist, simulation models and area.

Memories become macros: they stay behavioural Verilog in a module of their own, are left out of the area, and their bits
are reported. Everything else is one flat module of library cells.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from roundel.golden.errors import ToolError
from roundel.sim.cache import cached
from roundel.synth.cells import Kind, Library, mappable_library, read_text
from roundel.synth.mapping.cellmap import simulation_models
from roundel.synth.mapping.flow import BEST, MappingOptions, commands, rules
from roundel.synth.mapping.yosys import cached_run, run_yosys, yosys_version

# The Verilog starts with this: unused outputs of cells are meant.
_HEADER = "// verilator lint_off PINMISSING\n"


@dataclass(frozen=True, kw_only=True)
class Mapped:
    """A mapped design and the folder with its files.

    Parameters
    ----------
    folder
        `netlist.v` (cells, with plain names), `netlist.json` (the same for Python), `models.v` (simulation models of
        the cells used), `flow.ys`, `yosys.log`.
    top
        Name of the top module.
    options
        What the flow used.
    cells
        Number of cells by type.
    area_um2
        Sum of the cell areas, without memories.
    flip_flop_area_um2
        The part of it that is flip-flops and latches.
    area_nand2
        `area_um2` in areas of the smallest two-input NAND.
    memory_bits
        Bits in the memories left out.
    """

    folder: Path
    top: str
    options: MappingOptions
    cells: dict[str, int]
    area_um2: float
    flip_flop_area_um2: float
    area_nand2: float
    memory_bits: int

    @property
    def netlist(self) -> Path:
        """The netlist as Verilog."""
        return self.folder / "netlist.v"

    @property
    def json(self) -> Path:
        """The netlist as Yosys' JSON."""
        return self.folder / "netlist.json"

    @property
    def models(self) -> Path:
        """Simulation models of the cells used."""
        return self.folder / "models.v"


def map_design(verilog: str, top: str, cells: Path, *, options: MappingOptions | None = None) -> Mapped:
    """Map `verilog` with top module `top` to the cells of the Liberty file `cells` (.lib or .lib.gz).

    Raises
    ------
    InputError
        The Liberty file is not usable.
    ToolError
        Yosys stopped: an error in the Verilog, or a crash.
    """
    options = options or MappingOptions()
    library = mappable_library(cells)
    files = {"design.v": verilog, **rules(library)}
    script = commands(top, library, options)
    written = (text for item in sorted(files.items()) for text in item)
    key = [yosys_version(), library.digest, _HEADER, *script, *written]

    def make(folder: Path) -> None:
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
        (folder / "cells.lib").symlink_to(_liberty(library, cells))
        run_yosys(folder, script)
        _finish(folder, top, library)

    folder = cached_run("mapping", key, make)
    return _mapped(folder, top, library, options)


def map_smallest(
    verilog: str,
    top: str,
    cells: Path,
    *,
    options: MappingOptions | None = None,
    changes: Sequence[Mapping[str, Any]] = BEST,
) -> Mapped:
    """Map with `options`, then with one change after the other, and keep each change that makes the area smaller.

    Every scheme of a comparison gets the flow that makes it smallest, so that no baseline suffers from the tools.

    Parameters
    ----------
    changes
        Options to replace; each is one more mapping.
    """
    best = map_design(verilog, top, cells, options=options)
    for change in changes:
        other = map_design(verilog, top, cells, options=replace(best.options, **change))
        best = min(best, other, key=lambda mapped: mapped.area_um2)
    return best


def _liberty(library: Library, cells: Path) -> Path:
    """Unpack the Liberty file under a name that does not depend on where the user keeps it."""

    def unpack(folder: Path) -> None:
        (folder / "cells.lib").write_text(read_text(cells), encoding="utf-8")

    return cached("liberty", [library.digest], unpack) / "cells.lib"


def _finish(folder: Path, top: str, library: Library) -> None:
    """Check and complete what Yosys wrote: no cell left over, no `signed` in the Verilog, models of the cells used."""
    used = _count(folder, top)
    unmapped = sorted(name for name in used if name.startswith("$"))
    if unmapped:
        raise ToolError(f"library {library.name} has no cells for {', '.join(unmapped)} in {top}")
    netlist = folder / "netlist.v"
    text = re.sub(r"\b(input|output|wire|reg) signed\b", r"\1", netlist.read_text(encoding="utf-8"))
    netlist.write_text(_HEADER + text, encoding="utf-8")
    models = simulation_models(library, folder / "cells.lib", used.keys() & library.cells.keys())
    (folder / "models.v").write_text(models, encoding="utf-8")


def _count(folder: Path, top: str) -> Counter[str]:
    module = json.loads((folder / "netlist.json").read_text(encoding="utf-8"))["modules"][top]
    return Counter(cell["type"] for cell in module["cells"].values())


def _mapped(folder: Path, top: str, library: Library, options: MappingOptions) -> Mapped:
    count = _count(folder, top)
    known = {library.cells[name]: number for name, number in count.items() if name in library.cells}
    area = sum(cell.area * number for cell, number in known.items())
    stored = sum(cell.area * number for cell, number in known.items() if cell.kind in (Kind.FLIP_FLOP, Kind.LATCH))
    return Mapped(
        folder=folder,
        top=top,
        options=options,
        cells=dict(sorted(count.items())),
        area_um2=area,
        flip_flop_area_um2=stored,
        area_nand2=area / library.nand2.cell.area if library.nand2 else float("nan"),
        memory_bits=_memory_bits(folder),
    )


def _memory_bits(folder: Path) -> int:
    modules = json.loads((folder / "netlist.json").read_text(encoding="utf-8"))["modules"]
    memories = (c["parameters"] for m in modules.values() for c in m["cells"].values() if c["type"] == "$mem_v2")
    return sum(int(memory["WIDTH"], 2) * int(memory["SIZE"], 2) for memory in memories)
