"""Verilog to gates: the only place that knows Yosys."""

from roundel.synth.mapping.flow import MEMORY, MappingOptions, gather_memories
from roundel.synth.mapping.mapping import Mapped, map_design, map_smallest
from roundel.synth.mapping.netlist import NONE, ONE, ZERO, Group, Instance, Netlist, read_netlist
from roundel.synth.mapping.yosys import LOG, cached_run, run_tool, run_yosys, yosys_version

__all__ = [
    "LOG",
    "MEMORY",
    "NONE",
    "ONE",
    "ZERO",
    "Group",
    "Instance",
    "Mapped",
    "MappingOptions",
    "Netlist",
    "cached_run",
    "gather_memories",
    "map_design",
    "map_smallest",
    "read_netlist",
    "run_tool",
    "run_yosys",
    "yosys_version",
]
