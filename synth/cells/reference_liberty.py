"""Writes the reference cells as a Liberty file: `python -m roundel.synth.cells.reference_liberty > reference.lib`."""

from collections.abc import Callable, Iterable, Iterator
from math import hypot

import numpy as np

from roundel.synth.cells.boolean import BoolFunction, parse
from roundel.synth.cells.reference import (
    CLOCK_GATE,
    FALL_KOHM,
    FLIP_FLOP,
    GATES,
    LEAKAGE_NW,
    LOAD_PF,
    LOADS_PF,
    RAMP,
    RISE_KOHM,
    SHORT_CIRCUIT,
    SITE_UM2,
    SLEW_TO_DELAY,
    SLEW_TO_SLEW,
    SLEWS_NS,
    VOLTAGE,
    Gate,
)


def liberty() -> str:
    """Return the library as the text of a Liberty file."""
    return "\n".join(_library()) + "\n"


def _library() -> Iterator[str]:
    yield "/* Reference cells of the Roundel project, for ratios only: 130 nm-like round figures, no foundry's cells."
    yield "   Written by `roundel.synth.cells.reference_liberty`; docs/cells.md names the sources of the figures. */"
    yield "library (roundel_reference) {"
    yield "  delay_model : table_lookup;"
    yield '  time_unit : "1ns";'
    yield '  voltage_unit : "1V";'
    yield '  current_unit : "1mA";'
    yield '  pulling_resistance_unit : "1kohm";'
    yield '  leakage_power_unit : "1nW";'
    yield "  capacitive_load_unit (1, pf);"
    for edge in ("rise", "fall"):
        yield f"  input_threshold_pct_{edge} : 50;"
        yield f"  output_threshold_pct_{edge} : 50;"
        yield f"  slew_lower_threshold_pct_{edge} : 20;"
        yield f"  slew_upper_threshold_pct_{edge} : 80;"
    yield f"  nom_process : 1;\n  nom_voltage : {VOLTAGE};\n  nom_temperature : 25;"
    yield f"  operating_conditions (typical) {{ process : 1; voltage : {VOLTAGE}; temperature : 25; }}"
    yield "  default_operating_conditions : typical;"
    yield from _templates()
    for name, gate in GATES.items():
        yield from _gate(f"ref_{name}", gate)
    yield from _tie("ref_tiehi_1", "1")
    yield from _tie("ref_tielo_1", "0")
    yield from _flip_flop()
    yield from _clock_gate()
    yield "}"


def _templates() -> Iterator[str]:
    slews, loads = _numbers(SLEWS_NS), _numbers(LOADS_PF)
    axes = f'index_1 ("{slews}"); index_2 ("{loads}");'
    timing = "variable_1 : input_net_transition; variable_2 : total_output_net_capacitance;"
    yield f"  lu_table_template (delay) {{ {timing} {axes} }}"
    yield f"  power_lut_template (energy) {{ variable_1 : input_transition_time; {axes.split(' index_2')[0]} }}"
    constraint = "variable_1 : related_pin_transition; variable_2 : constrained_pin_transition;"
    yield f'  lu_table_template (setup) {{ {constraint} index_1 ("{slews}"); index_2 ("{slews}"); }}'


def _numbers(values: Iterable[float]) -> str:
    return ", ".join(f"{value:.6g}" for value in values)


def _table(kind: str, template: str, rows: Iterable[Iterable[float]]) -> str:
    values = ", ".join(f'"{_numbers(row)}"' for row in rows)
    return f"        {kind} ({template}) {{ values ({values}); }}"


def _over(function: Callable[[float, float], float], second: Iterable[float]) -> list[list[float]]:
    return [[function(slew, other) for other in second] for slew in SLEWS_NS]


def _arc(related: str, attributes: str, gate: Gate) -> Iterator[str]:
    """Delay and transition time of both edges of an output."""
    yield f'      timing () {{ related_pin : "{related}"; {attributes}'
    for edge, kohm in (("rise", RISE_KOHM * gate.rise), ("fall", FALL_KOHM * gate.fall)):

        def ramp(load: float, kohm: float = kohm) -> float:  # time to 50 %: ln 2 R C, in ns from kOhm and pF
            return float(np.log(2)) * kohm * (gate.own * 1e-3 + load)

        delay = _over(lambda slew, load: gate.before + ramp(load) + SLEW_TO_DELAY * slew, LOADS_PF)
        slews = _over(lambda slew, load: hypot(RAMP * ramp(load), SLEW_TO_SLEW * slew), LOADS_PF)
        yield _table(f"cell_{edge}", "delay", delay)
        yield _table(f"{edge}_transition", "delay", slews)
    yield "      }"


def _power(inside: float, related: str = "") -> Iterator[str]:
    """Half C V^2 of the capacitance `inside` (fF), per edge, in pJ, and a little more for slow inputs."""
    energy = 0.5 * inside * 1e-3 * VOLTAGE**2
    rows = [[energy * (1 + SHORT_CIRCUIT * slew) for slew in SLEWS_NS]]
    yield "      internal_power () {" + (f' related_pin : "{related}";' if related else "")
    yield _table("rise_power", "energy", rows)
    yield _table("fall_power", "energy", rows)
    yield "      }"


def _input(name: str, femto: float, extra: str = "", inside: float = 0.0) -> Iterator[str]:
    yield f"    pin ({name}) {{ direction : input; capacitance : {femto * 1e-3:.6g};{extra}"
    if inside:
        yield from _power(inside)
    yield "    }"


def _cell(name: str, sites: int, transistors: int) -> str:
    area, leakage = sites * SITE_UM2, transistors * LEAKAGE_NW
    return f"  cell ({name}) {{\n    area : {area:.6g};\n    cell_leakage_power : {leakage:.6g};"


def _gate(name: str, gate: Gate) -> Iterator[str]:
    yield _cell(name, gate.sites, gate.transistors)
    for pin, femto in gate.pins.items():
        yield from _input(pin, femto, inside=gate.inside_pins.get(pin, 0.0))
    for output, text in gate.functions.items():
        limit = LOAD_PF * gate.drive
        yield f'    pin ({output}) {{ direction : output; function : "{text}"; max_capacitance : {limit:.6g};'
        function = parse(text)
        for pin in gate.pins:
            yield from _arc(pin, f"timing_sense : {_sense(function, pin)};", gate)
        yield from _power(gate.inside, " ".join(gate.pins))
        yield "    }"
    yield "  }"


def _sense(function: BoolFunction, pin: str) -> str:
    low, high = np.moveaxis(function.table, function.inputs.index(pin), 0)
    if not (low & ~high).any():
        return "positive_unate"
    return "non_unate" if (high & ~low).any() else "negative_unate"


def _tie(name: str, value: str) -> Iterator[str]:
    yield _cell(name, 3, 2)
    yield f'    pin (Y) {{ direction : output; function : "{value}"; max_capacitance : {LOAD_PF:.6g}; }}'
    yield "  }"


def _setup(extra: float) -> Iterator[str]:
    """Yield the lines of the setup time before the rising clock: longer for slow data, shorter for a slow clock."""
    rows = _over(lambda clock, data: extra + 0.3 * data - 0.1 * clock, SLEWS_NS)
    yield '      timing () { related_pin : "CLK"; timing_type : setup_rising;'
    yield _table("rise_constraint", "setup", rows)
    yield _table("fall_constraint", "setup", rows)
    yield "      }"


def _flip_flop() -> Iterator[str]:
    yield _cell("ref_dff_1", FLIP_FLOP.sites, FLIP_FLOP.transistors)
    yield '    ff (IQ, IQN) { clocked_on : "CLK"; next_state : "D"; }'
    yield from _input("CLK", 2.2, " clock : true;", inside=14.0)
    *pin, end = _input("D", 1.8, inside=2.5)
    yield from (*pin, *_setup(0.08), end)
    yield f'    pin (Q) {{ direction : output; function : "IQ"; max_capacitance : {LOAD_PF:.6g};'
    yield from _arc("CLK", "timing_type : rising_edge; timing_sense : non_unate;", FLIP_FLOP)
    yield from _power(FLIP_FLOP.inside, "CLK")
    yield "    }\n  }"


def _clock_gate() -> Iterator[str]:
    yield _cell("ref_clkgate_1", CLOCK_GATE.sites, CLOCK_GATE.transistors)
    yield '    clock_gating_integrated_cell : "latch_posedge";\n    dont_use : true;'
    yield '    statetable ("CLK EN", "held") { table : "L L : - : L, L H : - : H, H - : - : N"; }'
    yield '    pin (held) { direction : internal; internal_node : "held"; }'
    yield from _input("CLK", 4.5, " clock : true; clock_gate_clock_pin : true;", inside=10.0)
    *pin, end = _input("EN", 2.0, " clock_gate_enable_pin : true;", inside=16.0)
    yield from (*pin, *_setup(0.06), end)
    yield '    pin (GCLK) { direction : output; state_function : "CLK & held"; clock_gate_out_pin : true;'
    yield f"      max_capacitance : {3 * LOAD_PF:.6g};"
    yield from _arc("CLK", "timing_sense : positive_unate;", CLOCK_GATE)
    yield from _power(CLOCK_GATE.inside, "CLK")
    yield "    }\n  }"


if __name__ == "__main__":
    print(liberty(), end="")
