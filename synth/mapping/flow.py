"""The Yosys flow from Verilog to the cells of a library, as a list of commands."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from roundel.synth.cells import Library
from roundel.synth.mapping.cellmap import (
    CONSTANT_FULL_ADDERS,
    RESET_BEFORE_ENABLE,
    RIPPLE_CARRY,
    SPLIT_FULL_ADDERS,
    aoi222_rule,
    clock_gate_command,
    full_adder_rule,
    mux4_rule,
    no_buffers_rule,
)

MULTIPLIERS = {"rows": (), "booth": ("booth",), "booth_array": ("booth -lowpower t:$mul r:A_SIGNED=1 %i", "booth")}
ADDERS = ("ripple", "prefix")
_TIDY = ("simplemap", "opt_expr", "opt_merge", "opt_clean")  # `opt` without opt_dff, which undoes legal flip-flops
MEMORY = "memory"  # suffix of the instance and module that hold the memories

# All end in a cover of least area. ABC's own default (SAT sweeping, `&dch`, `&nf`) needs minutes for a sum of products.
_TABLES = "if -K 4 -a; mfs2 -a; strash; dc2; dch"
ABC_SCRIPTS = {
    "area": "strash; dc2; dch; amap -m",
    "area_twice": "strash; dc2; dch; amap -m; unmap; strash; dc2; dch; amap -m",
    "swept": "strash; ifraig; dc2; dc2; dch; amap -m",
    "tables": f"strash; ifraig; dc2; {_TABLES}; {_TABLES}; amap -m",
    "resynthesized": "strash; &get -n; &syn3; &syn3; &put; dc2; dch; amap -m",
    "area_flow": "strash; ifraig; scorr; dc2; &get -n; &nf -R 100; &put",
    "fast": "strash; dc2; map -a",
}


@dataclass(frozen=True, kw_only=True)
class MappingOptions:
    """What the flow may use; the defaults are the smallest for most arithmetic (docs/cells.md has the figures).

    Parameters
    ----------
    multiplier
        `rows` (sums of products as one carry-save tree), `booth` (radix 4, one tree per product), `booth_array`
        (one row after the other, signed products only, `booth` for the others).
    adder
        Carry chains as `ripple` or parallel `prefix` (Brent-Kung).
    full_adders
        Put full adders, wherever they come from, on the library's full-adder cell.
    keep_trees
        Put the full adders of carry-save trees on the cell as they are made, before any logic is optimized: polarities
        stay as the RTL has them. Otherwise all are looked for among the gates, which puts inverters before complemented
        inputs.
    mux4
        Put trees of multiplexers on the library's 4:1 multiplexer cell.
    aoi222
        Put one-hot multiplexers of three inputs on the library's and-or-invert cell of six inputs.
    clock_gate_bits
        Least number of flip-flops with a common enable that get a gated clock instead of multiplexers; None for never.
    abc
        Which script of `ABC_SCRIPTS` maps the remaining logic.
    """

    multiplier: str = "booth"
    adder: str = "ripple"
    full_adders: bool = True
    keep_trees: bool = False
    mux4: bool = True
    aoi222: bool = True
    clock_gate_bits: int | None = 4
    abc: str = "area"

    def __post_init__(self) -> None:
        for name, choices in (("multiplier", MULTIPLIERS), ("adder", ADDERS), ("abc", ABC_SCRIPTS)):
            value = getattr(self, name)
            if value not in choices:
                raise ValueError(f"{name} must be one of {', '.join(choices)}, not {value!r}")
        if self.clock_gate_bits is not None and self.clock_gate_bits < 1:
            raise ValueError(f"clock_gate_bits must be a positive integer or None, not {self.clock_gate_bits}")


BEST: tuple[dict[str, Any], ...] = (
    {"multiplier": "booth_array"},
    {"multiplier": "rows"},
    {"keep_trees": True},
    {"full_adders": False},
    {"abc": "area_twice"},
    {"abc": "swept"},
    {"abc": "tables"},
    {"abc": "resynthesized"},
    {"mux4": False},
    {"aoi222": False},
)
"""The changes that `map_smallest` tries, in this order."""


def rules(library: Library) -> dict[str, str]:
    """Files that `commands` reads, by name."""
    files = {"ripple.v": RIPPLE_CARRY, "reset.v": RESET_BEFORE_ENABLE, "no_buffers.v": no_buffers_rule(library)}
    if library.full_adder:
        files["full_adder.v"] = full_adder_rule(library.full_adder)
        files |= {"split.v": SPLIT_FULL_ADDERS, "constant.v": CONSTANT_FULL_ADDERS}
    if library.mux4:
        files["mux4.v"] = mux4_rule(library.mux4)
    if library.aoi222:
        files["aoi222.v"] = aoi222_rule(library.aoi222)
    return files


def commands(top: str, library: Library, options: MappingOptions) -> list[str]:
    """Everything from `design.v` and `cells.lib` to `netlist.v` and `netlist.json`."""
    return [
        *gather_memories(top),
        f"select {top}",
        *_to_gates(library, options),
        *_to_cells(library, options),
        *_write(library),
    ]


def gather_memories(top: str) -> Iterator[str]:
    """From `design.v` to one flat module of word-level logic, and the memories in a module of their own."""
    yield "read_verilog design.v"
    yield f"hierarchy -check -top {top}"
    yield "proc -norom"
    yield "flatten"
    yield "opt_expr"
    yield "opt_clean"
    yield "opt_dff"  # gives a read register its enable, or it would stay outside its memory
    yield "opt_clean"
    yield "memory -norom -nomap"
    yield "memory_map -rom-only"
    yield f'setattr -set submod "{MEMORY}" t:$mem_v2'
    yield "rename -unescape"  # the memory's ports get their names from these wires
    yield "submod"


def _to_gates(library: Library, options: MappingOptions) -> Iterator[str]:
    """Yosys' single-bit gates, multiplexers and flip-flops."""
    yield "opt"
    yield "wreduce"
    yield "peepopt"
    yield "opt"
    if options.aoi222 and library.aoi222:
        yield "techmap -map aoi222.v"
    yield from MULTIPLIERS[options.multiplier]
    yield "alumacc"
    yield "opt"
    if options.full_adders and options.keep_trees and library.full_adder:
        yield "maccmap"
        yield "techmap -map split.v"
        for _ in range(4):  # the constants of one row make those of the next
            yield from ("techmap -map constant.v", "opt_expr -full", "opt_clean")
        yield "techmap -map full_adder.v"
    rules = "-map ripple.v -map +/techmap.v" if options.adder == "ripple" else ""
    yield f"techmap {rules}"
    yield "opt -fast"


def _to_cells(library: Library, options: MappingOptions) -> Iterator[str]:
    """Cells of the library, the special ones first, then flip-flops, then ABC for all other logic."""
    unused = " ".join(f"-dont_use {cell.name}" for cell in library.cells.values() if cell.dont_use)
    if options.clock_gate_bits is not None and library.clock_gate:
        yield "techmap -map reset.v"
        yield from _TIDY
        yield clock_gate_command(library.clock_gate, options.clock_gate_bits)
    yield f"dfflibmap -prepare {unused} -liberty cells.lib"
    yield from _TIDY
    adder = library.full_adder if options.full_adders else None
    if adder:
        yield "extract_fa -fa"
        yield "opt_clean"
    if options.mux4 and library.mux4:
        yield "muxcover -nodecode -mux4=220"
        yield "techmap -map mux4.v"
    script = ABC_SCRIPTS[options.abc].replace("; ", ";").replace(" ", ",")
    yield f"abc -liberty cells.lib {unused} -script +{script}"
    yield "techmap -map no_buffers.v"
    yield "opt_clean"  # a flip-flop or adder that ABC proved useless goes while Yosys still knows what it is
    if adder:
        yield "techmap -map full_adder.v"
    yield "splitnets"
    yield "rename -wire -suffix reg t:$_DFF*_"  # so that reports can tell registers by the RTL's names
    yield f"dfflibmap -map-only {unused} -liberty cells.lib"


def _write(library: Library) -> Iterator[str]:
    """Constants, plain names, and the files."""
    yield "setundef -zero"
    high, low = library.tie_high, library.tie_low
    if high and low:
        ties = f"-hicell {high.cell.name} {high.pins['y']} -locell {low.cell.name} {low.pins['y']}"
        yield f"hilomap -singleton {ties}"
    yield "splitnets"
    yield "opt_clean -purge"
    yield "select -clear"
    yield "setattr -unset init w:*"
    yield "rename -unescape"
    yield "rename -enumerate -pattern n%"
    yield "write_verilog -noattr netlist.v"
    yield "write_json netlist.json"
