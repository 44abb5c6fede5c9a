"""Lanes and the circuits beside them as pure functions, on Amaranth's simulator; the unit is in `tests/units/`."""

import re

import numpy as np
import pytest
from amaranth.sim import Simulator

from roundel.golden.activation import ActivationParams, ByteTable, Polynomial, SlopeOffset, random_table
from roundel.golden.engine import EngineParams
from roundel.golden.rounding import limits
from roundel.hw.activation import Activation, ActivationLane, ByteTablePort, PolynomialCore, SlopeOffsetCore
from roundel.hw.emit import to_verilog
from roundel.hw.engine.compute.activation import EngineActivation


def simulated(circuit, held, operands):
    """The bytes that a combinational circuit gives: `held` are values by port or array of ports, `operands` columns."""
    results = []

    async def bench(ctx):
        for port, values in held:
            if isinstance(values, list):
                for place, value in enumerate(values):
                    ctx.set(port[place], value)
            else:
                ctx.set(port, values)
        for row in zip(*(values for _, values in operands), strict=True):
            for (port, _), value in zip(operands, row, strict=True):
                ctx.set(port, value)
            await ctx.delay(1e-9)
            results.append(ctx.get(circuit.result))

    simulator = Simulator(circuit)
    simulator.add_testbench(bench)
    simulator.run()
    return results


@pytest.mark.parametrize(
    "params",
    [
        ActivationParams(),
        ActivationParams(in_width=10, segment_bits=3, step_bits=5),
        ActivationParams(in_width=12, step_bits=7, slopes=False),
        ActivationParams(segment_bits=5, step_bits=4, residual=False),
        ActivationParams(step_bits=6, residual=False, slopes=False),
    ],
)
def test_lanes_equal_golden(params, seed):
    rng = np.random.default_rng(seed)
    lane = ActivationLane(params)
    for _ in range(10):
        table = random_table(
            rng,
            segments=params.segments,
            knot_width=params.knot_width,
            core=params.greatest_core,
            slopes=params.slopes,
        )
        low, high = limits(params.in_width, True)
        words = np.concatenate([[low, high, 0, -1], rng.integers(low, high, 30)])
        added = rng.integers(-256, 256, len(words)) if params.residual else np.zeros(len(words), np.int64)
        columns = np.zeros(len(words), np.int64)
        operands = [(lane.word, words.tolist())]
        if params.residual:
            operands.append((lane.residual, added.tolist()))
        if params.slopes:
            columns = rng.integers(0, 1 << params.slope_width, len(words))
            operands.append((lane.slope, columns.tolist()))
        mask = (1 << params.knot_width) - 1
        knots = sum((knot & mask) << place * params.knot_width for place, knot in enumerate(table.knots))
        held = [(lane.control.as_value(), table.control), (lane.knots, knots)]
        expected = params.compute(words, table, residual=added, slopes=columns) & 0xFF
        assert simulated(lane, held, operands) == expected.tolist()


def test_no_wire_is_called_as_a_bit_of_another():
    """Amaranth calls fields of arrays `knots[3]`; Yosys' FPGA flows take that for bit 3 of `knots`, and stop."""
    engine = EngineActivation(EngineParams(lanes=4, columns=4, act_lanes=2))
    unit = Activation(ActivationParams(columns=4, lanes=2, pipeline=True))
    for made in (engine, unit):
        text = to_verilog(made, "part")
        assert "knots" in text
        assert re.findall(r"\\\S*\[\d+\]", text) == []


def drawn(params, rng):
    """Run-time parameters of a baseline, any that fit."""
    values = {}
    for name, (width, count) in params.fields.items():
        signed = name not in ("shift", "entries")
        values[name] = rng.integers(*limits(width, signed), count, endpoint=True)
    return {name: value if len(value) > 1 else value[0] for name, value in values.items()}


@pytest.mark.parametrize(
    ("params", "kind"),
    [(ByteTable(), ByteTablePort), (Polynomial(), PolynomialCore), (SlopeOffset(), SlopeOffsetCore)],
)
def test_circuits_beside_them_equal_golden(params, kind, seed):
    rng = np.random.default_rng(seed)
    circuit = kind(params)
    low, high = params.word.limits
    for _ in range(3 if isinstance(params, ByteTable) else 25):
        runtime = drawn(params, rng)
        words = np.concatenate([[low, high, 0, -1], rng.integers(low, high, 16)])
        held = [
            (getattr(circuit.runtime, name), value.tolist() if np.ndim(value) else int(value))
            for name, value in runtime.items()
        ]
        expected = params.compute(words, runtime) & 0xFF
        if isinstance(params, ByteTable):
            expected = runtime["entries"][words & 0xFF]
        assert simulated(circuit, held, [(circuit.word, words.tolist())]) == expected.tolist()
