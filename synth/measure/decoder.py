"""Area, delay and energy of the decoder of sparse weights, per dense weight."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from roundel.golden.codec import DecoderParams, Packing
from roundel.hw.decoder import CORES
from roundel.hw.emit import to_verilog
from roundel.hw.units import UNITS
from roundel.sim.verify import BENCHES
from roundel.synth.analysis import analyse
from roundel.synth.cells import read_library
from roundel.synth.mapping import Mapped, MappingOptions, map_design, read_netlist
from roundel.synth.measure.common import cached_row, code_digest, nand2_area, prove_and_estimate
from roundel.synth.measure.parts import DRAM_PJ_PER_BIT, SRAM_PJ_PER_BIT, energy_per_op

FLOW = MappingOptions(full_adders=False)
"""The adders of a decoder are short, and their carries lie on its longest path: full-adder cells make it slower, and
hardly smaller."""


@dataclass(frozen=True, kw_only=True, eq=False)
class WeightStreams:
    """Streams of weights, sent back to back, and what they are, for the report.

    What a weight costs is what a run with all of them twice costs, less a run with them once: neither the reset nor the
    cycles behind the last weight count, but those of headers and lengths do.
    """

    source: str
    streams: tuple[bytes, ...]

    @property
    def weights(self) -> int:
        """Dense weights that the headers announce: as the array takes them, zeros that pad its edges included."""
        return sum(int.from_bytes(stream[8:12], "little") for stream in self.streams)

    @property
    def bits_per_weight(self) -> float:
        """Of the whole streams, headers included."""
        return 8 * sum(map(len, self.streams)) / self.weights

    def write(self, times: int) -> Callable[[Path], None]:
        """Return a function that writes the stimulus file of a run with all streams `times` times."""
        streams = self.streams * times

        def save(path: Path) -> None:
            data = np.frombuffer(b"".join(streams), np.uint8)
            np.savez(path, allow_pickle=False, bytes=data, ends=np.cumsum([*map(len, streams)]))

        return save


def measure_decoder(params: DecoderParams, cells: Path, stimulus: WeightStreams) -> dict[str, Any]:
    """One row of a report: what a decoder costs, and what a dense weight does.

    Area, delay and energy are those of the whole unit, header and faults included; `area_core_*` and `delay_core_ns`
    are those of what is the format's own, the buffer that cuts its fields out of the stream included. The energy is
    measured on the netlist, which is proven on the way. `saved_sram_pj_per_op` and `saved_dram_pj_per_op` are what a
    memory need not give: the bits of a dense weight less those of the stream, times `SRAM_PJ_PER_BIT` or
    `DRAM_PJ_PER_BIT`, of another node and never added to the rest.

    Raises
    ------
    MismatchError
        The netlist does not decode as golden does.
    ToolError
        A tool failed.
    """
    what = [code_digest(), read_library(cells).digest, json.dumps(params.as_dict()), stimulus.source]
    return cached_row([*what, *stimulus.streams], lambda: _row(params, cells, stimulus))


def decoder_scheme(params: DecoderParams) -> str:
    """Name a row of the report: packing, lanes, slices of `rice`, and whether there is a table of levels."""
    slices = f", {params.slices} slice{'s' if params.slices > 1 else ''}" if params.packing is Packing.RICE else ""
    return f"{params.packing.value}, {params.lanes} lanes{slices}{', table' if params.table else ''}"


def _row(params: DecoderParams, cells: Path, stimulus: WeightStreams) -> dict[str, Any]:
    unit = UNITS["decoder"]
    component = unit.component(params)
    config = {"params": params.as_dict(), "latency": component.latency}
    mapped = map_design(to_verilog(component, unit.name), unit.name, cells, options=FLOW)
    first, longer = (
        prove_and_estimate(mapped, cells, bench=BENCHES[unit.name], config=config, stimulus=stimulus.write(times))
        for times in (1, 2)
    )
    cycles, bits = longer.cycles - first.cycles, stimulus.bits_per_weight
    return {
        "unit": unit.name,
        "scheme": decoder_scheme(params),
        "params": params.as_dict(),
        "cells": read_library(cells).name,
        **_sizes(params, mapped, cells),
        "ops": stimulus.weights,
        "stimulus": stimulus.source,
        "bits_per_weight": bits,
        "cycles": cycles,
        "weights_per_cycle": stimulus.weights / cycles,
        **energy_per_op(first, longer, stimulus.weights),
        "saved_sram_pj_per_op": SRAM_PJ_PER_BIT * (params.weight_width - bits),
        "saved_dram_pj_per_op": DRAM_PJ_PER_BIT * (params.weight_width - bits),
        "verified": first.proof.passed and longer.proof.passed,
        "flow": asdict(mapped.options),
    }


def _sizes(params: DecoderParams, mapped: Mapped, cells: Path) -> dict[str, float]:
    """Return the columns of a row that do not depend on the stimulus: areas and delays."""
    nand2 = nand2_area(read_library(cells), cells)
    core = map_design(to_verilog(CORES[params.packing](params), "core"), "core", cells, options=FLOW)
    return {
        "area_um2": mapped.area_um2,
        "area_nand2": mapped.area_um2 / nand2,
        "area_registers_um2": mapped.flip_flop_area_um2,
        "area_core_um2": core.area_um2,
        "area_core_registers_um2": core.flip_flop_area_um2,
        "area_core_logic_nand2": (core.area_um2 - core.flip_flop_area_um2) / nand2,
        "area_core_registers_nand2": core.flip_flop_area_um2 / nand2,
        "delay_ns": _delay(mapped, cells),
        "delay_core_ns": _delay(core, cells),
    }


def _delay(mapped: Mapped, cells: Path) -> float:
    """Return the delay of the longest path in ns."""
    return analyse(read_netlist(mapped.json, read_library(cells), mapped.top)).delay_ns
