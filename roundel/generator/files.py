"""Files that other tools want beside the Verilog of a unit: FuseSoC core, list of files, timing constraints."""

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from roundel.hw.emit import CLOCK_AND_RESET

Port = Mapping[str, Any]
PORT_SHARE = 0.3  # of the clock's period, for what lies outside a port
_BUSES = {"s_axi": "slave", "m_axi": "master"}


def core_file(unit: str, summary: str, board_top: str | None = None) -> str:
    """FuseSoC core (CAPI2) of a unit.

    Parameters
    ----------
    unit, summary
        Its name, also the one of its Verilog module, and a line about it.
    board_top
        Top module of a board's bitstream, if there is one: a target of its own.
    """
    return _CORE.format(
        unit=unit,
        version=version("roundel"),
        summary=summary.replace('"', "'"),
        board_files=_BOARD_FILES.format(unit=unit, top=board_top) if board_top else "",
        board_target=_BOARD_TARGET.format(top=board_top) if board_top else "",
    )


def file_list(unit: str) -> str:
    """Plain list of the Verilog files, as simulators and lint tools take it with `-f`."""
    return f"{unit}.v\n"


def timing_constraints(unit: str, ports: Sequence[Port], mhz: float) -> str:
    """Clock and port delays of a unit (SDC).

    Parameters
    ----------
    ports
        As `roundel.hw.emit.ports` lists them.
    mhz
        Frequency of the clock.
    """
    period = 1000 / mhz
    clock, share = CLOCK_AND_RESET[0], PORT_SHARE * period
    lines = [
        f"# {unit} at {mhz:g} MHz, times in ns.",
        f"# Outside of each port lie {PORT_SHARE:.0%} of the period: change that to what your design has there.",
        f"create_clock -name {clock} -period {period:.3f} [get_ports {clock}]",
    ]
    for port in ports:
        if port["name"] != clock:
            command = {"in": "set_input_delay", "out": "set_output_delay"}[port["direction"]]
            bits = port["name"] + ("[*]" if port["width"] > 1 else "")
            lines.append(f"{command} -clock {clock} {share:.3f} [get_ports {{{bits}}}]")
    return "\n".join(lines) + "\n"


def bus_interfaces(ports: Sequence[Port]) -> dict[str, dict[str, Any]]:
    """Return the AXI interfaces among the ports, by the prefix of their names; empty without any."""
    interfaces = {}
    for prefix, mode in _BUSES.items():
        widths = {
            port["name"].removeprefix(f"{prefix}_"): port["width"]
            for port in ports
            if port["name"].startswith(f"{prefix}_")
        }
        if widths:
            interfaces[prefix] = {
                "protocol": "AXI4" if "arlen" in widths else "AXI4-Lite",
                "mode": mode,
                "clock": CLOCK_AND_RESET[0],
                "reset": CLOCK_AND_RESET[1],
                "address_width": widths["araddr"],
                "data_width": widths["rdata"],
            }
    return interfaces


_CORE = """\
CAPI=2:
name: "roundel::{unit}:{version}"
description: "{summary}"
filesets:
  rtl:
    files:
      - {unit}.v
    file_type: verilogSource
  constraints:
    files:
      - {unit}.sdc
    file_type: SDC
{board_files}targets:
  default:
    filesets: [rtl]
    toplevel: {unit}
  lint:
    description: "fusesoc run --target lint roundel::{unit}"
    flow: lint
    flow_options:
      tool: verilator
      verilator_options: ["-Wno-fatal"]
    filesets: [rtl]
    toplevel: {unit}
  synth:
    description: "fusesoc run --target synth --tool vivado roundel::{unit}, or another tool"
    filesets: [rtl, constraints]
    toplevel: {unit}
{board_target}"""

_BOARD_FILES = """\
  board:
    files:
      - {top}.v: {{file_type: verilogSource}}
      - {unit}.lpf: {{file_type: LPF}}
"""

_BOARD_TARGET = """\
  ulx3s:
    description: "Bitstream for the board ULX3S with an ECP5-85k, by Yosys and nextpnr"
    flow: trellis
    flow_options:
      yosys_synth_options: ["-nowidelut"]
      nextpnr_options: ["--85k", "--package", "CABGA381", "--speed", "6"]
    filesets: [rtl, board]
    toplevel: {top}
"""
