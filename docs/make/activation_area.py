"""Write the table of areas in docs/activations.md: `python docs/make/activation_area.py LIBRARY`; takes some minutes.

LIBRARY is a Liberty file. Each row is a part of the engine that is mapped by itself, once; parts are mapped for an
ECP5, too, but not placed.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from figures import replace as put

from roundel.golden.engine import EngineParams
from roundel.hw.emit import to_verilog
from roundel.hw.engine.compute.activation import EngineActivation
from roundel.hw.engine.compute.column import EngineColumn
from roundel.hw.engine.compute.parameters import Parameters
from roundel.hw.lib import Component
from roundel.synth.analysis import analyse
from roundel.synth.cells import read_library
from roundel.synth.mapping import cached_run, map_design, read_netlist, run_yosys, yosys_version
from roundel.ui import markdown_table

PAGE = Path(__file__).resolve().parents[1] / "activations.md"
TOP = "part"
HEADS = ["", "um2", "bits of memories", "longest path, ns", "LUT4", "flip-flops", "multipliers", "block memories"]


def parts() -> Iterator[tuple[str, Component]]:
    """What is measured, by name: the unit by itself, and what grows beside it."""
    small, medium, large = (replace(EngineParams.named(name), nms=None) for name in ("small", "medium", "large"))
    for engine, lanes, fifo in (
        *((small, lanes, 128) for lanes in (2, 4, 8)),
        *((medium, lanes, 128) for lanes in (2, 4, 8)),
        *((medium, 4, fifo) for fifo in (64, 256)),
        (large, 8, 128),
    ):
        name = f"unit of {engine.columns} columns, `act_lanes` {lanes}, `act_fifo` {fifo}"
        yield name, EngineActivation(replace(engine, act_lanes=lanes, act_fifo=fifo))
    for kind, name in ((EngineColumn, "a column of `small`"), (Parameters, "parameter streams of `small`")):
        for lanes, what in ((0, "without the unit"), (2, "with it")):
            yield f"{name}, {what}", kind(replace(small, act_lanes=lanes))  # type: ignore[abstract]


def on_ecp5(verilog: str) -> Counter[str]:
    """Return the number of primitives of an ECP5 by type."""
    script = ["read_verilog design.v", f"synth_ecp5 -top {TOP} -nowidelut -json synthesized.json"]

    def make(folder: Path) -> None:
        (folder / "design.v").write_text(verilog, encoding="utf-8")
        run_yosys(folder, script)

    text = (cached_run("ecp5_parts", [yosys_version(), verilog, *script], make) / "synthesized.json").read_text("utf-8")
    return Counter(cell["type"] for cell in json.loads(text)["modules"][TOP]["cells"].values())


def row(name: str, part: Component, cells: Path) -> list[str]:
    """What a part takes."""
    verilog = to_verilog(part, TOP)
    mapped = map_design(verilog, TOP, cells)
    timing = analyse(read_netlist(mapped.json, read_library(cells), mapped.top))
    figures = [f"{mapped.area_um2:,.0f}", f"{mapped.memory_bits:,}", f"{timing.by_ends['register-register']:.1f}"]
    counts = on_ecp5(verilog)
    figures += [f"{counts[kind]:,}" for kind in ("LUT4", "TRELLIS_FF", "MULT18X18D", "DP16KD")]
    print(name, *figures, flush=True)
    return [name, *figures]


def main() -> None:
    rows = [row(name, part, Path(sys.argv[1])) for name, part in parts()]
    text = put(PAGE.read_text(encoding="utf-8"), "areas", "\n".join(markdown_table(HEADS, rows)))
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
