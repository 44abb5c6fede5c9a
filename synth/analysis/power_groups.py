"""What a library says of the power of a cell, with the conditions under which each of its tables holds."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np

from roundel.synth.cells import Arc, BoolFunction, Cell, InternalPower, Kind, Pair, Pin, Sense, invert, variable

ALWAYS = BoolFunction((), np.array(True))


@dataclass(frozen=True, eq=False)
class PowerGroup:
    """Energy per edge of `pin` in the states `condition`.

    Of an output, it covers the edges caused by the input `related`, and the condition holds only states in which
    `related` sets the output; `opposite` when the falling input edge gives the rising output edge.
    """

    pin: str
    condition: BoolFunction
    energy: Pair
    related: str | None = None
    opposite: bool = False


@dataclass(frozen=True, eq=False)
class CellPower:
    """All of a cell: functions of its outputs by its variables, power groups, leakage in nW by state."""

    functions: dict[str, BoolFunction]
    inputs: tuple[PowerGroup, ...]
    outputs: dict[str, tuple[PowerGroup, ...]]
    leakage: tuple[tuple[BoolFunction, float], ...]


@cache
def cell_power(cell: Cell) -> CellPower:
    """Write out the conditions of `cell`."""
    functions = _functions(cell)
    leakage = []
    rest = ALWAYS
    for when, value in cell.leakage_when:
        state = when.substitute(functions)
        leakage.append((_both(state, rest), value))
        rest = _both(rest, invert(state))
    leakage.append((rest, cell.leakage))
    inputs: list[PowerGroup] = []
    for pin in cell.inputs:
        inputs += (PowerGroup(pin.name, when, group.energy) for group, when in _conditions(pin.power, functions))
    outputs = {pin.name: tuple(_output_groups(pin, functions)) for pin in cell.outputs}
    return CellPower(functions, tuple(inputs), outputs, tuple(leakage))


def _functions(cell: Cell) -> dict[str, BoolFunction]:
    """Return the function of each output; that of a clock gate is not known and stands as a variable."""
    inner: dict[str, BoolFunction] = {}
    if cell.state is not None and cell.state.names[1]:
        inner[cell.state.names[1]] = invert(variable(cell.state.names[0]))
    return {
        pin.name: pin.function.substitute(inner)
        for pin in cell.outputs
        if pin.function is not None and cell.kind is not Kind.CLOCK_GATE
    }


def _output_groups(pin: Pin, functions: dict[str, BoolFunction]) -> Iterable[PowerGroup]:
    for related in dict.fromkeys(name for group in pin.power for name in group.related):
        groups = [group for group in pin.power if related in group.related]
        function = functions.get(pin.name)
        sets = function.difference(related) if function and related in function.inputs else ALWAYS
        for group, when in _conditions(groups, functions):
            yield PowerGroup(pin.name, _both(when, sets), group.energy, related, _opposite(pin.arcs, related))


def _conditions(
    groups: Iterable[InternalPower], functions: dict[str, BoolFunction]
) -> list[tuple[InternalPower, BoolFunction]]:
    """Every group with its condition: first come, first served, and those without `when` take what is left."""
    conditions = []
    rest = ALWAYS
    for group in sorted(groups, key=lambda group: group.when is None):
        when = ALWAYS if group.when is None else group.when.substitute(functions)
        conditions.append((group, _both(when, rest)))
        rest = _both(rest, invert(when)) if group.when is not None else rest
    return conditions


def _both(a: BoolFunction, b: BoolFunction) -> BoolFunction:
    inputs = tuple(dict.fromkeys(a.inputs + b.inputs))
    return BoolFunction(inputs, a.over(inputs) & b.over(inputs))


def _opposite(arcs: Iterable[Arc], related: str) -> bool:
    sense = next((arc.sense for arc in arcs if arc.related == related and arc.edge is None), Sense.POSITIVE)
    return sense is Sense.NEGATIVE
