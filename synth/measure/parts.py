"""Energy by parts of a netlist, and what one operation of many costs, for units that are measured on whole runs."""

from roundel.synth.analysis import Energy
from roundel.synth.cells import Kind
from roundel.synth.mapping import Instance
from roundel.synth.measure.common import Measurement

PARTS = {Kind.FLIP_FLOP: "registers", Kind.LATCH: "registers", Kind.CLOCK_GATE: "clock_gates"}
PART_NAMES = ("logic", "registers", "clock_gates")
SRAM_PJ_PER_BIT = 10 / 64
"""[P] Horowitz, ISSCC 2014: an 8 KiB SRAM at 45 nm gives a word of 64 bits for 10 pJ. Smaller memories cost less."""
DRAM_PJ_PER_BIT = 1300 / 64
"""[P] Horowitz, ISSCC 2014: 1,300 to 2,600 pJ for 64 bits of DRAM at 45 nm; the lesser."""


def part_of(instance: Instance) -> str:
    """Which of `PART_NAMES` an instance belongs to, or `memory`, which no cell is."""
    return PARTS.get(instance.cell.kind, "logic") if instance.cell else "memory"


def energy_per_op(first: Measurement, longer: Measurement, ops: int) -> dict[str, float]:
    """Return the energy columns of a row, pJ per operation.

    Parameters
    ----------
    first, longer
        Two runs of a netlist; the second does `ops` operations more, so that reset and pipeline do not count.
    """
    before, after = _spent(first), _spent(longer)
    parts = {name: (after[name] + before[name] * -1) * (1 / ops) for name in PART_NAMES}
    total = sum(parts.values(), Energy())
    return {
        "energy_pj_per_op": total.total,
        "internal": total.internal,
        "switching": total.switching,
        "leakage": total.leakage,
        **{f"energy_{name}_pj_per_op": energy.total for name, energy in parts.items()},
    }


def _spent(run: Measurement) -> dict[str, Energy]:
    """Energy of a whole run by part, pJ."""
    spent = run.power.by(part_of)
    return {name: spent.get(name, Energy()) * run.cycles for name in PART_NAMES}
