"""How often the memories of a unit are read and written, counted in a simulation of its RTL that is proven on the way.

Yosys gathers the memories in a module of their own, without mapping anything, and Verilator records how long the
enables of their ports are high: each clock cycle is an access.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roundel.sim.runner import Design
from roundel.synth.analysis.activity import read_saif
from roundel.synth.analysis.proof import proven
from roundel.synth.cells import REFERENCE, read_library
from roundel.synth.mapping import MEMORY, cached_run, gather_memories, read_netlist, run_yosys, yosys_version

# Yosys writes a choice of which it knows that one holds as cases that overlap.
_HEADER = "// verilator lint_off CASEOVERLAP\n"


@dataclass(frozen=True, kw_only=True)
class Memory:
    """A memory with one read and one write port.

    Attributes
    ----------
    name
        Its path in the hierarchy, joined by `_`.
    width, depth
        Bits of a word, and words.
    reads, writes
        Words, in the whole run.
    """

    name: str
    width: int
    depth: int
    reads: int
    writes: int

    @property
    def bits(self) -> int:
        """What it holds."""
        return self.width * self.depth

    @property
    def moved(self) -> int:
        """Bits read and written."""
        return self.width * (self.reads + self.writes)


@dataclass(frozen=True, kw_only=True)
class MemoryUse:
    """The memories of a unit, and the clock cycles of the run, reset included."""

    cycles: int
    memories: tuple[Memory, ...]


def memory_use(
    verilog: str, top: str, *, bench: str, config: Mapping[str, Any], stimulus: Callable[[Path], None]
) -> MemoryUse:
    """Run `bench` on the RTL, proving it, and count the accesses of every memory.

    Parameters
    ----------
    verilog, top
        The RTL.
    bench, config
        The cocotb bench and its configuration.
    stimulus
        Writes the file that the bench finds as `config["stimulus"]`.

    Raises
    ------
    MismatchError
        The RTL does not do what golden says.
    ToolError
        A tool failed.
    """
    gathered = _gather(verilog, top)
    text = _HEADER + _quiet((gathered / "gathered.v").read_text(encoding="utf-8"), f"{top}_{MEMORY}")
    design = Design(sources=(text,), top=top, trace="saif", optimize=0)
    with proven(design, f"the RTL of {top}", bench=bench, config=config, stimulus=stimulus) as (_, folder):
        return _count(gathered / "gathered.json", top, folder / "dump.saif")


def _gather(verilog: str, top: str) -> Path:
    """Return a folder with the RTL as one flat module and its memories in another, as Verilog and as JSON."""
    script = [
        *gather_memories(top),
        "splitnets",
        "opt_clean -purge",
        "rename -unescape",
        "rename -enumerate -pattern n%",
        "write_verilog -noattr gathered.v",
        "write_json gathered.json",
    ]

    def make(folder: Path) -> None:
        (folder / "design.v").write_text(verilog, encoding="utf-8")
        run_yosys(folder, script)

    return cached_run("memories", [yosys_version(), verilog, *script], make)


def _quiet(verilog: str, module: str) -> str:
    """Nothing but the nets of `module` is recorded."""
    off, on = "/* verilator tracing_off */", "/* verilator tracing_on */"
    instance = f"  {module} {module} ("
    verilog = verilog.replace(instance, f"{on}\n{instance}").replace("endmodule", f"endmodule\n{off}")
    return f"{off}\n{verilog}".replace(f"module {module}(", f"{on}\nmodule {module}(")


def _count(design: Path, top: str, saif: Path) -> MemoryUse:
    module = f"{top}_{MEMORY}"
    gathered = read_netlist(design, read_library(REFERENCE), module)  # it has no cells, so that any library will do
    seen = read_saif(saif, gathered, scope=f"{top}/{module}", cycles=1)
    cycles = seen.density[gathered.inputs["clk"][0]] / 2
    sizes = {
        name: int(cell["parameters"]["SIZE"], 2)
        for name, cell in json.loads(design.read_text(encoding="utf-8"))["modules"][module]["cells"].items()
    }

    def accesses(nets: tuple[int, ...]) -> int:
        return round(float(seen.probability[nets[0]] * cycles))

    memories = (
        Memory(
            name=memory.name,
            width=len(memory.outputs["RD_DATA"]),
            depth=sizes[memory.name],
            reads=accesses(memory.inputs["RD_EN"]),
            writes=accesses(memory.inputs["WR_EN"]),
        )
        for memory in gathered.instances
    )
    return MemoryUse(cycles=round(float(cycles)), memories=tuple(memories))
