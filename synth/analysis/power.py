"""Energy per clock cycle of a mapped netlist from the activity of its nets, the standard way.

Three parts: *internal* energy, from the library's tables at the slews and loads of the netlist; *switching* energy,
half C V^2 for each change of a net, with the pin capacitances on it, charged to the cell that drives it; *leakage* over
a clock period. Inputs of a cell are taken as independent of one another, and rising and falling edges as equally many.
Wires and the clock tree are left out, and glitches too when the activity comes from a zero-delay simulation
(`docs/power.md`).
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from roundel.synth.analysis.activity import Activity
from roundel.synth.analysis.power_groups import PowerGroup, cell_power
from roundel.synth.analysis.timing import Timing
from roundel.synth.cells import FALL, RISE
from roundel.synth.mapping import NONE, Group, Instance, Netlist

Key = TypeVar("Key", bound=Hashable)
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Energy:
    """Energy in pJ, by what it is spent on."""

    internal: float = 0.0
    switching: float = 0.0
    leakage: float = 0.0

    @property
    def total(self) -> float:
        """The sum of the three."""
        return self.internal + self.switching + self.leakage

    def __add__(self, other: "Energy") -> "Energy":
        return Energy(self.internal + other.internal, self.switching + other.switching, self.leakage + other.leakage)

    def __mul__(self, factor: float) -> "Energy":
        return Energy(self.internal * factor, self.switching * factor, self.leakage * factor)


@dataclass(frozen=True, kw_only=True, eq=False)
class Power:
    """Energy per clock cycle, pJ.

    Parameters
    ----------
    netlist
        What the numbers belong to.
    internal, switching, leakage
        Of each instance, shape `(instances,)`; zero for black boxes.
    ports
        Switching energy of the nets that input ports drive, by port. The clock's is here: no cell of the netlist drives
        it. It is not part of any instance nor of `total`.
    """

    netlist: Netlist
    internal: Array
    switching: Array
    leakage: Array
    ports: dict[str, float]

    @property
    def total(self) -> Energy:
        """All instances together."""
        return Energy(float(self.internal.sum()), float(self.switching.sum()), float(self.leakage.sum()))

    def by(self, key: Callable[[Instance], Key]) -> dict[Key, Energy]:
        """Add up energy by groups of instances.

        Parameters
        ----------
        key
            Maps an instance to its group.

        Returns
        -------
        dict
            Energy of each group.
        """
        sums: dict[Key, Energy] = {}
        rows = zip(self.internal, self.switching, self.leakage, strict=True)
        for instance, (internal, switching, leakage) in zip(self.netlist.instances, rows, strict=True):
            group = key(instance)
            energy = Energy(float(internal), float(switching), float(leakage))
            sums[group] = sums.get(group, Energy()) + energy
        return sums


def estimate(netlist: Netlist, timing: Timing, activity: Activity, *, period_ns: float) -> Power:
    """Estimate the energy per clock cycle.

    Parameters
    ----------
    netlist
        The mapped netlist.
    timing
        Its slews.
    activity
        What its nets did.
    period_ns
        Clock period over which leakage counts, ns.
    """
    internal = np.zeros(len(netlist.instances))
    switching = np.zeros(len(netlist.instances))
    leakage = np.zeros(len(netlist.instances))
    half_v2 = 0.5 * netlist.library.voltage**2
    for group in netlist.groups:
        pins = _Pins(netlist, timing, activity, group)
        internal[group.members] = pins.internal()
        leakage[group.members] = pins.leakage() * period_ns * 1e-6  # nW ns = 1e-6 pJ
        for pin in group.cell.outputs:
            switching[group.members] += half_v2 * pins.load(pin.name) * pins.density[pin.name]
    change = half_v2 * netlist.load * np.nan_to_num(activity.density)
    ports = {name: float(change[list(nets)].sum()) for name, nets in netlist.inputs.items()}
    return Power(netlist=netlist, internal=internal, switching=switching, leakage=leakage, ports=ports)


class _Pins:
    """Activity, slew and load at the pins of all instances of one cell, as arrays over the instances."""

    def __init__(self, netlist: Netlist, timing: Timing, activity: Activity, group: Group):
        self.netlist, self.timing, self.group = netlist, timing, group
        self.model = cell_power(group.cell)
        self.density = {}
        self.ones = {}
        for name, nets in group.nets.items():
            here = nets != NONE
            self.density[name] = np.where(here, activity.density[nets], np.nan)
            self.ones[name] = np.where(here, activity.probability[nets], np.nan)
        for pin in group.cell.inputs:
            self.density[pin.name] = np.nan_to_num(self.density[pin.name])
            self.ones[pin.name] = np.nan_to_num(self.ones[pin.name], nan=0.5)
        self._state()
        for pin in group.cell.outputs:
            self._derive(pin.name)

    def _state(self) -> None:
        """Activity of the state of a flip-flop or latch, from whichever output is known."""
        state = self.group.cell.state
        if state is None:
            return
        density, ones = np.full(len(self.group.members), np.nan), np.full(len(self.group.members), np.nan)
        for pin, function in self.model.functions.items():
            if function.inputs == state.names[:1]:
                direct = bool(function.passes)
                density = np.where(np.isnan(density), self.density[pin], density)
                ones = np.where(np.isnan(ones), self.ones[pin] if direct else 1 - self.ones[pin], ones)
        self.density[state.names[0]] = np.nan_to_num(density)
        self.ones[state.names[0]] = np.nan_to_num(ones, nan=0.5)

    def _derive(self, pin: str) -> None:
        """Fill in an output that nothing is connected to: it switches inside all the same."""
        function = self.model.functions.get(pin)
        if function is None:
            self.density[pin] = np.nan_to_num(self.density[pin])
            self.ones[pin] = np.nan_to_num(self.ones[pin], nan=0.5)
            return
        change = sum(self.density[name] * function.difference(name).probability(self.ones) for name in function.inputs)
        self.density[pin] = np.where(np.isnan(self.density[pin]), change, self.density[pin])
        self.ones[pin] = np.where(np.isnan(self.ones[pin]), function.probability(self.ones), self.ones[pin])

    def load(self, pin: str) -> Array:
        """Load on an output pin, pF."""
        nets = self.group.nets[pin]
        return np.where(nets != NONE, self.netlist.load[nets], 0.0)

    def _energy(self, group: PowerGroup, slew_pin: str, load: Array) -> Array:
        """Mean energy of a rising and a falling edge of the group's pin, pJ."""
        nets = self.group.nets[slew_pin]
        total = np.zeros(len(nets))
        for edge in (FALL, RISE):
            table = group.energy[edge]
            if table is not None:
                total += table(self.timing.slew[1 - edge if group.opposite else edge, nets], load)
        return total / 2

    def internal(self) -> Array:
        """Return the internal energy of each member in pJ per cycle."""
        total = np.zeros(len(self.group.members))
        for group in self.model.inputs:
            energy = self._energy(group, group.pin, np.zeros(1))
            total += self.density[group.pin] * group.condition.probability(self.ones) * energy
        for pin, groups in self.model.outputs.items():
            causes = [
                self.density[group.related] * group.condition.probability(self.ones)
                for group in groups
                if group.related
            ]
            causes_sum = np.sum(causes, axis=0)
            for group, cause in zip(groups, causes, strict=True):
                # Inputs seen to change cause the output's changes; where none does, all are taken alike.
                weight = np.where(causes_sum > 0, cause / np.where(causes_sum > 0, causes_sum, 1.0), 1 / len(groups))
                total += self.density[pin] * weight * self._energy(group, group.related or pin, self.load(pin))
        return total

    def leakage(self) -> Array:
        """Leakage, nW."""
        total = np.zeros(len(self.group.members))
        for condition, value in self.model.leakage:
            total += value * condition.probability(self.ones)
        return total
