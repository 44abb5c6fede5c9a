"""Area, delay and energy of a lane of the activation unit, and of the circuits that it is compared with."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from roundel.golden.activation import ActivationParams, ActivationTable, ByteTable, Polynomial, SlopeOffset
from roundel.golden.parameters import Params
from roundel.golden.rounding import Ints
from roundel.hw.activation import ActivationLane, ByteTablePort, PolynomialCore, SlopeOffsetCore, lane_ports
from roundel.hw.emit import to_verilog
from roundel.hw.lib import Component
from roundel.synth.cells import read_library
from roundel.synth.mapping import map_smallest
from roundel.synth.measure.common import cached_row, code_digest, operator_columns, prove_and_estimate
from roundel.synth.measure.requant import Registered

BENCH = "roundel.sim.benches.tb_activation_operator"
FLOWS = ({"multiplier": "rows"}, {"abc": "tables"}, {"aoi222": False}, {"mux4": False})
"""What `map_smallest` tries beside the default, for all circuits; what made none of them smaller is left out."""

BASELINES: Mapping[type[Params], type[Component]] = {
    ByteTable: ByteTablePort,
    Polynomial: PolynomialCore,
    SlopeOffset: SlopeOffsetCore,
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Circuit:
    """A circuit for a function of one value, with what it is driven with.

    Attributes
    ----------
    scheme
        Its name in reports.
    params
        `ActivationParams`, for a lane, or a baseline.
    held
        Values of ports that stay, by port: the layer's table.
    operands
        By port, integers of one operation each, as unsigned ones.
    expected
        The bytes that golden gives.
    """

    scheme: str
    params: Params
    held: Mapping[str, int]
    operands: Mapping[str, Ints]
    expected: Ints

    @property
    def component(self) -> Registered:
        """The circuit between registers."""
        if isinstance(self.params, ActivationParams):
            return Registered(ActivationLane(self.params), lane_ports(self.params))
        core: Any = BASELINES[type(self.params)](self.params)  # type: ignore[call-arg]
        return Registered(core, core.ports)


def lane_circuit(
    scheme: str, params: ActivationParams, table: ActivationTable, words: Ints, residuals: Ints
) -> Circuit:
    """Return a lane with a layer's table, words and residuals; the residual is left out where it has none."""
    operands = {"word": words & ((1 << params.in_width) - 1)}
    added: Ints = np.zeros_like(words)
    if params.residual:
        added = residuals
        operands["residual"] = residuals & ((1 << params.RESIDUAL_WIDTH) - 1)
    held = {"control": table.control, "knots": _packed(np.asarray(table.knots), params.knot_width)}
    if params.slopes:
        held["slope"] = 0
    expected = params.compute(words, table, residual=added) & 0xFF
    return Circuit(scheme=scheme, params=params, held=held, operands=operands, expected=expected)


def baseline_circuit(scheme: str, params: Any, runtime: Mapping[str, Ints], words: Ints) -> Circuit:
    """Return a baseline with its run-time parameters and words."""
    offset = packed = 0
    for name, (width, count) in params.fields.items():
        packed |= _packed(runtime[name], width) << offset
        offset += width * count
    operands = {"word": words & ((1 << params.word.width) - 1)}
    expected = params.compute(words, runtime) & 0xFF
    return Circuit(scheme=scheme, params=params, held={"runtime": packed}, operands=operands, expected=expected)


def _packed(values: Ints, width: int) -> int:
    return sum(
        (int(value) & ((1 << width) - 1)) << (place * width) for place, value in enumerate(np.atleast_1d(values))
    )


def measure_activation(circuit: Circuit, cells: Path, *, source: str, columns: Mapping[str, float]) -> dict[str, Any]:
    """One row of a report: what a function of one value costs.

    Parameters
    ----------
    circuit
        The circuit and its stimulus.
    cells
        The Liberty file.
    source
        What the stimulus is, for the report.
    columns
        Further columns of the row.

    Raises
    ------
    MismatchError
        The netlist does not do what golden says.
    ToolError
        A tool failed.
    """
    arrays = [values.tobytes() for values in (*circuit.operands.values(), circuit.expected)]
    what = [circuit.scheme, json.dumps(circuit.params.as_dict()), json.dumps(dict(circuit.held)), source]
    key: list[str | bytes] = [code_digest(), read_library(cells).digest, *what, json.dumps(dict(columns)), *arrays]
    return cached_row(key, lambda: _row(circuit, cells, source) | dict(columns))


def _row(circuit: Circuit, cells: Path, source: str) -> dict[str, Any]:
    component = circuit.component
    mapped = map_smallest(to_verilog(component, "operator"), "operator", cells, changes=FLOWS)

    def write(path: Path) -> None:
        np.savez(path, allow_pickle=False, expected=circuit.expected, **circuit.operands)

    config = {"latency": component.latency, "held": {name: str(value) for name, value in circuit.held.items()}}
    result = prove_and_estimate(mapped, cells, bench=BENCH, config=config, stimulus=write)
    return {
        "unit": "activation",
        "scheme": circuit.scheme,
        "params": circuit.params.as_dict(),
        **operator_columns(result, cells, operands=circuit.operands.keys()),
        "ops": len(circuit.expected),
        "stimulus": source,
        "verified": result.proof.passed,
        "flow": asdict(mapped.options),
    }
