"""Area, delay and energy of the MAC array, per multiplication."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from roundel.golden.mac import MacParams, Schedule
from roundel.hw.emit import to_verilog
from roundel.hw.mac import MacArray
from roundel.hw.requant import requant_core
from roundel.sim.runner import Design
from roundel.synth.analysis import Energy, analyse, proven
from roundel.synth.cells import read_library
from roundel.synth.mapping import map_design, map_smallest, read_netlist
from roundel.synth.measure.common import cached_row, code_digest, nand2_area, prove_and_estimate
from roundel.synth.measure.parts import part_of

BENCH = "roundel.sim.benches.tb_mac"
ENERGY_COLUMNS = 4  # a netlist of 16 columns takes Verilator many minutes to build, and columns are all alike
FLOWS = ({"keep_trees": True}, {"multiplier": "rows"}, {"abc": "area_flow"})
"""What `map_smallest` tries beside the default; more takes minutes for a whole array."""


def measure_mac(
    params: MacParams, cells: Path, beats: Callable[[MacParams], Schedule], *, source: str
) -> dict[str, Any]:
    """One row of a report: what the array costs per multiplication (of `lanes * columns` a beat).

    Everything but the accumulator memory counts: both copies of the weights and of the run-time parameters, the
    broadcast registers, the requantizers. Those are also given apart, mapped alone. Area and delay are those of the
    whole array, whose RTL is proven with the stimulus; energy is that of the same array with `ENERGY_COLUMNS` columns,
    whose netlist is proven, so that the parts that all columns share weigh rather more than they should.

    Parameters
    ----------
    beats
        What to drive into an array of given parameters, without stalls.
    source
        What the stimulus is, for the report.

    Raises
    ------
    MismatchError
        RTL or netlist differ from golden.
    ToolError
        A tool failed.
    """
    whole = beats(params)
    given = (text for name, values in whole.arrays().items() for text in (name, values.tobytes()))
    key = [code_digest(), read_library(cells).digest, json.dumps(params.as_dict()), source, *given]
    part = replace(params, columns=min(params.columns, ENERGY_COLUMNS))

    def make() -> dict[str, Any]:
        _prove_rtl(params, whole)
        return _row(params, cells, part, beats(part), source)

    return cached_row(key, make)


def _row(params: MacParams, cells: Path, part: MacParams, driven: Schedule, source: str) -> dict[str, Any]:
    library = read_library(cells)
    mapped = map_smallest(to_verilog(MacArray(params), "mac"), "mac", cells, changes=FLOWS)
    timing = analyse(read_netlist(mapped.json, library, mapped.top))
    requantizer = map_smallest(to_verilog(requant_core(params.requant), "requant_core"), "requant_core", cells)
    products = params.lanes * params.columns

    component = MacArray(part)
    config = {"params": part.as_dict(), "latency": component.latency}
    netlist = map_design(to_verilog(component, "mac"), "mac", cells, options=mapped.options)
    result = prove_and_estimate(netlist, cells, bench=BENCH, config=config, stimulus=driven.save)
    operations = len(driven.activations) * part.lanes * part.columns
    per_operation = result.cycles / operations
    parts = result.power.by(part_of)
    total = sum(parts.values(), Energy()) * per_operation
    return {
        "unit": "mac",
        "scheme": f"{params.structure.value}, {params.weight_width}-bit weights",
        "params": params.as_dict(),
        "cells": library.name,
        "area_um2": mapped.area_um2,
        "area_nand2": mapped.area_um2 / nand2_area(library, cells),
        "area_per_mac_um2": mapped.area_um2 / products,
        "area_per_mac_without_requantizers_um2": (mapped.area_um2 - params.columns * requantizer.area_um2) / products,
        "area_registers_per_mac_um2": mapped.flip_flop_area_um2 / products,
        "memory_bits": mapped.memory_bits,
        "delay_ns": timing.delay_ns,
        "energy_pj_per_op": total.total,
        "internal": total.internal,
        "switching": total.switching,
        "leakage": total.leakage,
        **{f"energy_{name}_pj_per_op": (value * per_operation).total for name, value in sorted(parts.items())},
        "energy_columns": part.columns,
        "ops": operations,
        "stimulus": source,
        "verified": result.proof.passed,
        "flow": asdict(mapped.options),
    }


def _prove_rtl(params: MacParams, beats: Schedule) -> None:
    component = MacArray(params)
    latency = component.latency
    design = Design(sources=(to_verilog(component, "mac"),), top="mac")
    config = {"params": params.as_dict(), "latency": latency}
    with proven(design, "the MAC array", bench=BENCH, config=config, stimulus=beats.save):
        pass
