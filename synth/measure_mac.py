"""Area, delay and energy of the MAC array, per multiplication."""

import json
from pathlib import Path
from typing import Any

from golden.mac import MacParams
from golden.tiling import Schedule
from hw.emit import to_verilog
from hw.mac import MacArray
from hw.requant import requant_core
from synth.flow import MappingOptions
from synth.library import Kind
from synth.mapping import map_design, map_smallest
from synth.measure import cached_row, code_digest, nand2_area, prove_and_estimate
from synth.power import Energy
from synth.reader import read_library

PARTS = {Kind.FLIP_FLOP: "registers", Kind.LATCH: "registers", Kind.CLOCK_GATE: "clock_gates"}


def measure_mac(params: MacParams, cells: Path, beats: Schedule, *, source: str) -> dict[str, Any]:
    """One row of a report: what the array costs per multiplication (of `lanes * columns` a beat).

    Everything but the accumulator memory counts: both copies of the weights and of the run-time parameters, the
    broadcast registers, the requantizers. Those are also given apart, mapped alone.

    Parameters
    ----------
    beats
        What is driven, from `golden.tiling.schedule`, without stalls.
    source
        What the stimulus is, for the report.
    """
    given = (text for name, values in beats.arrays().items() for text in (name, values.tobytes()))
    key = [code_digest(), read_library(cells).digest, json.dumps(params.as_dict()), source, *given]
    return cached_row(key, lambda: _row(params, cells, beats, source))


def _row(params: MacParams, cells: Path, beats: Schedule, source: str) -> dict[str, Any]:
    component = MacArray(params)
    # One flow for all variants, the default: it is the smallest for both structures, and trying all takes minutes.
    mapped = map_design(to_verilog(component, "mac"), "mac", cells, options=MappingOptions())
    config = {"params": params.as_dict(), "latency": component.latency, "stalls": 0.0}
    result = prove_and_estimate(mapped, cells, bench="sim.tb_mac", config=config, stimulus=beats.save)
    requantizer = map_smallest(to_verilog(requant_core(params.requant), "requant_core"), "requant_core", cells)
    library = result.netlist.library
    products = params.lanes * params.columns
    operations = len(beats.activations) * products
    per_operation = result.cycles / operations
    parts = result.power.by(lambda cell: PARTS.get(cell.cell.kind, "logic") if cell.cell else "memory")
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
        "delay_ns": result.timing.delay_ns,
        "energy_pj_per_op": total.total,
        "internal": total.internal,
        "switching": total.switching,
        "leakage": total.leakage,
        **{f"energy_{part}_pj_per_op": (value * per_operation).total for part, value in sorted(parts.items())},
        "ops": operations,
        "stimulus": source,
        "verified": result.proof.passed,
    }
