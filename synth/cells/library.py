"""A standard-cell library: its cells, and finders of cells by function.

`roundel.synth.cells.reader.read_library` makes one from a Liberty file. Units are ns, pF, pJ, nW, V and um2 throughout.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from roundel.synth.cells.boolean import parse
from roundel.synth.cells.cell import Cell, Kind


@dataclass(frozen=True)
class Match:
    """A cell found by function, with the cell's pin for each role that the finder names."""

    cell: Cell
    pins: dict[str, str]


@dataclass(frozen=True, kw_only=True, eq=False)
class Library:
    """A cell library at one operating point.

    Parameters
    ----------
    name
        As the file names itself.
    digest
        Hash of the (unpacked) content, for cache keys.
    voltage
        Supply, V.
    temperature
        Degrees Celsius.
    cells
        By name, in the file's order.
    """

    name: str
    digest: str
    voltage: float
    temperature: float
    cells: dict[str, Cell]

    def usable(self, kind: Kind) -> Iterator[Cell]:
        """Cells of `kind` that may be used, smallest first."""
        fit = (cell for cell in self.cells.values() if cell.kind is kind and not cell.dont_use)
        yield from sorted(fit, key=lambda cell: (cell.area, cell.name))

    def find(self, inputs: str, **outputs: str) -> Match | None:
        """Find the smallest combinational cell with exactly these functions, whatever its pins are called.

        Parameters
        ----------
        inputs
            Names of the roles of the inputs, separated by spaces.
        outputs
            Role of each output and its function of the inputs, as `parse` reads it.
        """
        roles = tuple(inputs.split())
        wanted = {role: parse(text).over(roles) for role, text in outputs.items()}
        for cell in self.usable(Kind.COMB):
            if len(cell.inputs) == len(roles) and len(cell.outputs) == len(wanted):
                pins = _assign(cell, roles, wanted)
                if pins is not None:
                    return Match(cell, pins)
        return None

    @cached_property
    def inverter(self) -> Match | None:
        """Roles a, y."""
        return self.find("a", y="!a")

    @cached_property
    def buffer(self) -> Match | None:
        """Roles a, y."""
        return self.find("a", y="a")

    @cached_property
    def nand2(self) -> Match | None:
        """Roles a, b, y; its area is the unit of gate equivalents."""
        return self.find("a b", y="!(a & b)")

    @cached_property
    def mux4(self) -> Match | None:
        """Roles a, b, c, d, s, t, y: input number s + 2 t."""
        return self.find("a b c d s t", y="!s&!t&a | s&!t&b | !s&t&c | s&t&d")

    @cached_property
    def aoi222(self) -> Match | None:
        """Roles a to f, y: nor of three ands, the core of a one-hot multiplexer."""
        return self.find("a b c d e f", y="!(a & b | c & d | e & f)")

    @cached_property
    def full_adder(self) -> Match | None:
        """Roles a, b, ci, s (sum), co (carry)."""
        return self.find("a b ci", s="a ^ b ^ ci", co="a&b | a&ci | b&ci")

    @cached_property
    def tie_low(self) -> Match | None:
        """Role y: constant 0 (the cell may have a constant 1 beside it)."""
        return self._tie(False)

    @cached_property
    def tie_high(self) -> Match | None:
        """Role y: constant 1."""
        return self._tie(True)

    def _tie(self, value: bool) -> Match | None:
        for cell in self.usable(Kind.COMB):
            for pin in cell.outputs:
                if not cell.inputs and pin.function is not None and bool(pin.function.table) == value:
                    return Match(cell, {"y": pin.name})
        return None

    @cached_property
    def flip_flop(self) -> Match | None:
        """Smallest rising-edge D flip-flop without set or reset: roles d, clk, q."""
        return next(_flip_flops(self.usable(Kind.FLIP_FLOP), plain=True), None)

    @cached_property
    def any_flip_flop(self) -> Match | None:
        """Smallest rising-edge D flip-flop, with or without asynchronous set or reset: roles d, clk, q."""
        return next(_flip_flops(self.usable(Kind.FLIP_FLOP), plain=False), None)

    @cached_property
    def clock_gate(self) -> Match | None:
        """Smallest latch-based gate for rising-edge flip-flops: roles clk, en, y and, where there is one, test."""
        gates = (c for c in self.cells.values() if c.clock_gate and c.clock_gate.startswith("latch_posedge"))
        # Libraries mark their clock gates `dont_use` to keep mappers from taking them for logic: only a second choice.
        for cell in sorted(gates, key=lambda c: (c.dont_use, c.area, c.name)):
            role = {pin.gate_role: pin.name for pin in cell.pins.values()}
            if {"clock", "enable", "out"} <= role.keys():
                test = {"test": role["test"]} if "test" in role else {}
                return Match(cell, {"clk": role["clock"], "en": role["enable"], "y": role["out"], **test})
        return None


def _flip_flops(cells: Iterable[Cell], *, plain: bool) -> Iterator[Match]:
    """Cells that store one input at the rising edge of another; `plain` ones have no set or reset."""
    for cell in cells:
        state = cell.state
        if state is None or (plain and (state.clear or state.preset)):
            continue
        direct = {pin.name: pin.function.passes for pin in cell.outputs if pin.function is not None}
        out = next((name for name, passed in direct.items() if passed == state.names[0]), None)
        data, clock = state.data.passes, state.clock.passes
        if out and data and clock:
            yield Match(cell, {"d": data, "clk": clock, "q": out})


def _assign(cell: Cell, roles: tuple[str, ...], wanted: dict[str, NDArray[np.bool_]]) -> dict[str, str] | None:
    """Pins of `cell` by role, or None when its outputs are not the wanted functions."""
    for order in permutations(pin.name for pin in cell.inputs):
        pins = dict(zip(roles, order, strict=True))
        for role, table in wanted.items():
            same = (p for p in cell.outputs if p.function is not None and np.array_equal(p.function.over(order), table))
            pin = next(same, None)
            if pin is None:
                break
            pins[role] = pin.name
        else:
            return pins
    return None
