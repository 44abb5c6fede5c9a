"""The reference cells: a small 130 nm-like library of this project's own, made from a table and simple formulas.

For *ratios* only: it says how large, slow or hungry one circuit is beside another, not what a foundry would deliver.
The figures in the table are round numbers chosen between what the two open 130 nm libraries, SkyWater
`sky130_fd_sc_hd` and IHP `sg13g2_stdcell` (both Apache-2.0), publish for their smallest drives at the typical corner;
no table of theirs is copied. Delays are R C of an output stage plus the stages before it, with R growing with the
number of transistors in series (logical effort: Sutherland, Sproull, Harris, 1999). `docs/cells.md` compares the three.

`python -m roundel.synth.cells.reference_liberty` prints the Liberty file of these cells, which is kept as
`reference.lib`.
"""

from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

REFERENCE = Path(str(files("roundel.synth.cells") / "reference.lib"))

VOLTAGE = 1.2
SITE_UM2 = 1.3  # area of one column of transistors; a two-input NAND takes four
FALL_KOHM, RISE_KOHM = 4.0, 5.0  # of one n and one p transistor of the smallest inverter
LEAKAGE_NW = 0.01  # per transistor
LOAD_PF = 0.1  # the most a smallest output may drive
SLEWS_NS = (0.01, 0.05, 0.2, 0.6)
LOADS_PF = (0.001, 0.005, 0.02, 0.06, 0.15)
SLEW_TO_DELAY = 0.3  # share of the input's transition time that delays the output
SLEW_TO_SLEW = 0.3  # share of it that lengthens the output's
RAMP = 1.2  # 20-80 % transition time of a straight ramp over its time to 50 %
SHORT_CIRCUIT = 0.5  # extra internal energy per ns of input transition time


@dataclass(frozen=True, kw_only=True)
class Gate:
    """One cell.

    Parameters
    ----------
    sites, transistors
        Width in sites, and number of transistors (leakage).
    pins
        Capacitance of each input, fF.
    functions
        Function of each output.
    fall, rise
        Resistance of the output stage, in smallest n and p transistors.
    own
        Capacitance of the output itself, fF.
    before
        Delay of the stages before the output stage, ns.
    inside
        Capacitance that switches inside with each edge of an output, fF.
    """

    sites: int
    transistors: int
    pins: dict[str, float]
    functions: dict[str, str]
    fall: float = 1.0
    rise: float = 1.0
    own: float = 3.0
    before: float = 0.0
    inside: float
    inside_pins: dict[str, float] = field(default_factory=dict)
    drive: int = 1


def _stacked(inputs: str, function: str, sites: int, n: int, p: int, inside: float) -> Gate:
    """One inverting stage with `n` and `p` transistors in series (a second n adds 0.6 R, a second p 0.8 R)."""
    names = inputs.split()
    return Gate(
        sites=sites,
        transistors=2 * len(names),
        pins=dict.fromkeys(names, 2.5),
        functions={"Y": function},
        fall=1 + 0.6 * (n - 1),
        rise=1 + 0.8 * (p - 1),
        own=2.0 + len(names),
        inside=inside,
    )


def _two_stage(inputs: str, function: str, sites: int, before: float, inside: float) -> Gate:
    names = inputs.split()
    return Gate(
        sites=sites,
        transistors=2 * len(names) + 2,
        pins=dict.fromkeys(names, 2.0),
        functions={"Y": function},
        before=before,
        inside=inside,
    )


def _inverter(drive: int, sites: int) -> Gate:
    return Gate(
        sites=sites,
        transistors=2 * drive,
        pins={"A": 2.5 * drive},
        functions={"Y": "!A"},
        fall=1 / drive,
        rise=1 / drive,
        own=3.0 * drive,
        inside=2.4 * drive,
        drive=drive,
    )


def _buffer(drive: int, sites: int) -> Gate:
    first = 1 if drive < 4 else drive // 3
    return Gate(
        sites=sites,
        transistors=2 * drive + 2 * first,
        pins={"A": 2.3 * first},
        functions={"Y": "A"},
        fall=1 / drive,
        rise=1 / drive,
        own=3.0 * drive,
        before=0.03 + 0.008 * drive / first,
        inside=5.0 + 3.0 * drive,
        drive=drive,
    )


def _xor(function: str) -> Gate:
    return Gate(
        sites=8,
        transistors=10,
        pins={"A": 5.0, "B": 5.0},
        functions={"Y": function},
        fall=1.6,
        rise=1.8,
        own=5.0,
        before=0.03,
        inside=11.0,
    )


GATES: dict[str, Gate] = {
    "inv_1": _inverter(1, 3),
    "inv_2": _inverter(2, 4),
    "inv_4": _inverter(4, 6),
    "buf_1": _buffer(1, 4),
    "buf_2": _buffer(2, 5),
    "buf_4": _buffer(4, 8),
    "buf_8": _buffer(8, 13),
    "nand2_1": _stacked("A B", "!(A & B)", 4, 2, 1, 3.0),
    "nand3_1": _stacked("A B C", "!(A & B & C)", 5, 3, 1, 4.0),
    "nand4_1": _stacked("A B C D", "!(A & B & C & D)", 6, 4, 1, 4.5),
    "nor2_1": _stacked("A B", "!(A | B)", 4, 1, 2, 4.0),
    "nor3_1": _stacked("A B C", "!(A | B | C)", 5, 1, 3, 6.0),
    "nor4_1": _stacked("A B C D", "!(A | B | C | D)", 6, 1, 4, 8.0),
    "and2_1": _two_stage("A B", "A & B", 5, 0.05, 8.5),
    "and3_1": _two_stage("A B C", "A & B & C", 6, 0.07, 9.5),
    "or2_1": _two_stage("A B", "A | B", 5, 0.06, 9.0),
    "or3_1": _two_stage("A B C", "A | B | C", 6, 0.10, 10.5),
    "aoi21_1": _stacked("A1 A2 B", "!((A1 & A2) | B)", 5, 2, 2, 5.0),
    "aoi22_1": _stacked("A1 A2 B1 B2", "!((A1 & A2) | (B1 & B2))", 6, 2, 2, 6.0),
    "aoi211_1": _stacked("A1 A2 B C", "!((A1 & A2) | B | C)", 6, 2, 3, 7.0),
    "aoi221_1": _stacked("A1 A2 B1 B2 C", "!((A1 & A2) | (B1 & B2) | C)", 8, 2, 3, 9.0),
    "aoi222_1": _stacked("A1 A2 B1 B2 C1 C2", "!((A1 & A2) | (B1 & B2) | (C1 & C2))", 9, 2, 3, 11.0),
    "oai21_1": _stacked("A1 A2 B", "!((A1 | A2) & B)", 5, 2, 2, 5.0),
    "oai22_1": _stacked("A1 A2 B1 B2", "!((A1 | A2) & (B1 | B2))", 6, 2, 2, 6.0),
    "oai211_1": _stacked("A1 A2 B C", "!((A1 | A2) & B & C)", 6, 3, 2, 7.0),
    "oai221_1": _stacked("A1 A2 B1 B2 C", "!((A1 | A2) & (B1 | B2) & C)", 8, 3, 2, 9.0),
    "xor2_1": _xor("A ^ B"),
    "xnor2_1": _xor("!(A ^ B)"),
    "mux2_1": Gate(
        sites=10,
        transistors=12,
        pins={"A": 2.0, "B": 2.0, "S": 4.5},
        functions={"Y": "(!S & A) | (S & B)"},
        before=0.11,
        inside=13.0,
        inside_pins={"S": 4.0},
    ),
    "mux4_1": Gate(
        sites=21,
        transistors=26,
        pins={"A": 2.2, "B": 2.2, "C": 2.2, "D": 2.2, "S": 6.5, "T": 4.0},
        functions={"Y": "(!S & !T & A) | (S & !T & B) | (!S & T & C) | (S & T & D)"},
        before=0.18,
        inside=16.0,
        inside_pins={"S": 14.0, "T": 6.0},
    ),
    "ha_1": Gate(
        sites=12,
        transistors=14,
        pins={"A": 4.5, "B": 4.5},
        functions={"S": "A ^ B", "CO": "A & B"},
        before=0.09,
        inside=11.0,
    ),
    "fa_1": Gate(
        sites=21,
        transistors=28,
        pins={"A": 6.0, "B": 5.5, "CI": 4.5},
        functions={"S": "A ^ B ^ CI", "CO": "(A & B) | (A & CI) | (B & CI)"},
        before=0.22,
        inside=16.0,
    ),
}

FLIP_FLOP = Gate(sites=20, transistors=24, pins={}, functions={}, before=0.15, inside=18.0)
"""Clock to output of the D flip-flop."""

CLOCK_GATE = Gate(sites=16, transistors=20, pins={}, functions={}, before=0.06, inside=9.0)
"""Clock to gated clock."""
