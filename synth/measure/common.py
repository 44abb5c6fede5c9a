"""Area, delay and energy of a unit on a cell library, from a netlist that is proven against golden in the same run."""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roundel import golden, hw, sim, synth
from roundel.golden.errors import InputError
from roundel.golden.requant import RequantParams
from roundel.hw.emit import to_verilog
from roundel.sim.cache import cached, code, digest
from roundel.sim.runner import Design, Result
from roundel.sim.verilator import find_verilator
from roundel.synth.analysis import Energy, Power, Timing, analyse, estimate, proven, read_saif
from roundel.synth.cells import Kind, Library, read_library
from roundel.synth.mapping import Instance, Mapped, Netlist, map_smallest, read_netlist, yosys_version
from roundel.synth.measure.requant import Operator

PERIOD_NS = 10.0  # over which leakage counts: 100 MHz

Stimulus = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """A mapped netlist with what it costs.

    Attributes
    ----------
    netlist, timing, power
        The results of each step; energies are per clock cycle.
    cycles
        Clock cycles that the activity covers.
    proof
        The run of the bench on this very netlist that gave the activity.
    """

    netlist: Netlist
    timing: Timing
    power: Power
    cycles: float
    proof: Result = field(repr=False)


def prove_and_estimate(
    mapped: Mapped, cells: Path, *, bench: str, config: Mapping[str, Any], stimulus: Callable[[Path], None]
) -> Measurement:
    """Run `bench` on a mapped netlist, and estimate delay and energy from what its nets did.

    Parameters
    ----------
    mapped, cells
        The netlist and the Liberty file that it was mapped to.
    bench, config
        The cocotb bench and its configuration.
    stimulus
        Writes the file that the bench finds as `config["stimulus"]`.

    Raises
    ------
    MismatchError
        The netlist does not do what golden says.
    ToolError
        A tool failed.
    """
    netlist = read_netlist(mapped.json, read_library(cells), mapped.top)
    timing = analyse(netlist)
    models, gates = mapped.models.read_text(encoding="utf-8"), mapped.netlist.read_text(encoding="utf-8")
    design = Design(sources=(gates,), quiet_sources=(models,), top=mapped.top, trace="saif", optimize=0)
    what = f"the netlist of {mapped.top} on {netlist.library.name}"
    with proven(design, what, bench=bench, config=config, stimulus=stimulus) as (proof, folder):
        activity = read_saif(folder / "dump.saif", netlist, scope=mapped.top)
    power = estimate(netlist, timing, activity, period_ns=PERIOD_NS)
    return Measurement(netlist=netlist, timing=timing, power=power, cycles=activity.cycles, proof=proof)


def nand2_area(library: Library, cells: Path) -> float:
    """Area of the smallest two-input NAND, um2; InputError when the library has none."""
    if library.nand2 is None:
        raise InputError(f"{cells}: has no two-input NAND, the unit of gate equivalents")
    return library.nand2.cell.area


def measure_operator(params: RequantParams, cells: Path, stimulus: Stimulus, *, source: str) -> dict[str, Any]:
    """One row of a report: the cost of a requantizer operator.

    Parameters
    ----------
    stimulus
        `acc` and the run-time parameters, one operation each.
    source
        What the stimulus is, for the report.
    """
    given = (text for name, values in stimulus.items() for text in (name, np.asarray(values).tobytes()))
    key = [code_digest(), read_library(cells).digest, json.dumps(params.as_dict()), source, *given]
    return cached_row(key, lambda: _operator_row(params, cells, stimulus, source))


def cached_row(key: list[str | bytes], make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return the row of a report from the cache, so that a repeated comparison is immediate.

    Parameters
    ----------
    key
        Everything that the row depends on.
    make
        Measures the row, which must be JSON; called if the cache does not hold it.
    """

    def write(folder: Path) -> None:
        (folder / "row.json").write_text(json.dumps(make()), encoding="utf-8")

    return dict(json.loads((cached("measure", key, write) / "row.json").read_text(encoding="utf-8")))


@cache
def code_digest(*packages: ModuleType) -> str:
    """Return the digest of what a measurement depends on besides its arguments: our own code and the tools.

    Parameters
    ----------
    packages
        Those of our code that count; golden, hw, sim and synth unless given.
    """
    tools = [yosys_version(), str(find_verilator()), version("cocotb"), version("amaranth")]
    return digest([*tools, *code(*(packages or (golden, hw, sim, synth)))])


def _operator_row(params: RequantParams, cells: Path, stimulus: Stimulus, source: str) -> dict[str, Any]:
    component = Operator(params)
    config = {"params": params.as_dict(), "latency": component.latency}
    mapped = map_smallest(to_verilog(component, "operator"), "operator", cells)

    def write(path: Path) -> None:
        np.savez(path, allow_pickle=False, **{name: np.asarray(values) for name, values in stimulus.items()})

    result = prove_and_estimate(mapped, cells, bench="roundel.sim.benches.tb_operator", config=config, stimulus=write)
    return {
        "unit": "requant",
        "scheme": params.scheme.value,
        "params": params.as_dict(),
        **operator_columns(result, cells),
        "ops": len(stimulus["acc"]),
        "stimulus": source,
        "verified": result.proof.passed,
        "flow": asdict(mapped.options),
    }


def operator_columns(result: Measurement, cells: Path, *, operands: Collection[str] = ("acc",)) -> dict[str, Any]:
    """Return the columns of a row that say what an operator between registers costs.

    Parameters
    ----------
    result
        The measurement; of `Registered`.
    cells
        The Liberty file.
    operands
        The ports whose registers are the input register; those of the other inputs hold parameters.
    """
    parts = _registers(result.netlist, operands)
    area = dict.fromkeys(PARTS, 0.0)
    for instance in result.netlist.instances:
        assert instance.cell is not None
        area[parts(instance)] += instance.cell.area
    energy = {part: Energy() for part in PARTS} | result.power.by(parts)
    operator = energy["logic"] + energy["output_register"]
    library = result.netlist.library
    area_um2 = area["logic"] + area["output_register"]
    return {
        "cells": library.name,
        "area_um2": area_um2,
        "area_nand2": area_um2 / nand2_area(library, cells),
        **{f"area_{part}_um2": value for part, value in area.items()},
        "delay_ns": result.timing.delay_ns,
        "energy_pj_per_op": operator.total,
        "internal": operator.internal,
        "switching": operator.switching,
        "leakage": operator.leakage,
        **{f"energy_{part}_pj_per_op": value.total for part, value in energy.items()},
    }


PARTS = ("logic", "output_register", "input_register", "parameter_register", "pipeline_register")


def _registers(netlist: Netlist, operands: Collection[str]) -> Any:
    """Which of `PARTS` an instance of a `Registered` is in: a register by the ports beside it, the rest is logic."""
    parameters = (nets for port, nets in netlist.inputs.items() if port not in ("clk", "rst"))
    fed_by = {net: "parameter_register" for nets in parameters for net in nets}
    fed_by |= {net: "input_register" for port in operands for net in netlist.inputs[port]}
    leaving = {net for nets in netlist.outputs.values() for net in nets}

    def part(instance: Instance) -> str:
        if instance.cell is None or instance.cell.kind is not Kind.FLIP_FLOP:
            return "logic"
        if any(net in leaving for nets in instance.outputs.values() for net in nets):
            return "output_register"
        sources = [fed_by[net] for nets in instance.inputs.values() for net in nets if net in fed_by]
        return sources[0] if sources else "pipeline_register"

    return part
