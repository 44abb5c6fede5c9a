"""A standard cell: its pins, and what the analyses need to know of it.

Units are ns, pF, pJ, nW and um2. Edges are indexed by the value they lead to: `pair[0]` is the falling one, `pair[1]`
the rising one.
"""

from dataclasses import dataclass
from enum import Enum
from functools import cached_property

from roundel.synth.cells.boolean import BoolFunction
from roundel.synth.cells.table import Pair

FALL, RISE = 0, 1


class Sense(Enum):
    """How an output edge follows an input edge."""

    POSITIVE = "positive_unate"
    NEGATIVE = "negative_unate"
    EITHER = "non_unate"


@dataclass(frozen=True, kw_only=True, eq=False)
class Arc:
    """Delay from the pin `related` to the pin that holds the arc; a clock-to-output arc when `edge` is given.

    Parameters
    ----------
    related
        Pin the delay counts from.
    sense
        Which output edges follow which edges of `related` (of a clock-to-output arc: no meaning).
    edge
        `FALL` or `RISE`, the edge of the clock `related` that starts the arc, or None for a combinational arc.
    delay, slew
        Delay and output transition time, ns, over input slew and load, per output edge.
    """

    related: str
    sense: Sense
    edge: int | None
    delay: Pair
    slew: Pair


@dataclass(frozen=True, kw_only=True, eq=False)
class Setup:
    """Setup time of the pin that holds it before `edge` of the clock pin `related`, per data edge, ns."""

    related: str
    edge: int
    time: Pair


@dataclass(frozen=True, kw_only=True, eq=False)
class InternalPower:
    """Energy inside a cell per edge of the pin that holds it, pJ, over input slew and load.

    Parameters
    ----------
    related
        For an output pin, the inputs whose edges the group covers; empty for an input pin.
    when
        State in which the group holds, over pins of the cell; None for every state that no other group names.
    energy
        Per edge of the pin.
    """

    related: tuple[str, ...]
    when: BoolFunction | None
    energy: Pair


@dataclass(frozen=True, kw_only=True, eq=False)
class Pin:
    """One pin: capacitance in pF, function (of outputs), role in a clock gate (`clock`, `enable`, `test`, `out`)."""

    name: str
    direction: str
    capacitance: float
    clock: bool = False
    tristate: bool = False
    function: BoolFunction | None = None
    max_capacitance: float | None = None
    gate_role: str | None = None
    arcs: tuple[Arc, ...] = ()
    setups: tuple[Setup, ...] = ()
    power: tuple[InternalPower, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class State:
    """The `ff` or `latch` group of a cell: `names` are the state and its complement as output functions name them."""

    names: tuple[str, str]
    clock: BoolFunction
    data: BoolFunction
    clear: BoolFunction | None = None
    preset: BoolFunction | None = None


class Kind(Enum):
    """What a cell is, as far as mapping and analysis treat it differently."""

    COMB = "comb"
    FLIP_FLOP = "flip_flop"
    LATCH = "latch"
    CLOCK_GATE = "clock_gate"
    OTHER = "other"  # tri-state, bidirectional, without output, or without a function of its inputs


@dataclass(frozen=True, kw_only=True, eq=False)
class Cell:
    """One cell: area in um2, leakage in nW (`leakage_when`: per state, over pins).

    `dont_use` also holds for what no mapper may take for logic: level shifters, isolation and always-on cells, fillers.
    """

    name: str
    kind: Kind
    area: float
    leakage: float
    leakage_when: tuple[tuple[BoolFunction, float], ...]
    pins: dict[str, Pin]
    dont_use: bool
    state: State | None = None
    clock_gate: str | None = None

    @cached_property
    def inputs(self) -> tuple[Pin, ...]:
        """Input pins in the file's order."""
        return tuple(pin for pin in self.pins.values() if pin.direction == "input")

    @cached_property
    def outputs(self) -> tuple[Pin, ...]:
        """Output pins in the file's order."""
        return tuple(pin for pin in self.pins.values() if pin.direction == "output")

    @cached_property
    def clock_pin(self) -> Pin | None:
        """The pin that clocks a flip-flop, latch or clock gate."""
        named = self.state.clock.inputs if self.state else ()
        return next((p for p in self.inputs if p.clock or p.name in named), None)
