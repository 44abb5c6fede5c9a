"""Static timing of a mapped netlist by the delay tables of its library (NLDM), without wires.

The clock is ideal: its edges reach every flip-flop at time 0, through clock gates too, with the slew `clock_slew`.
Input ports switch at time 0 with `input_slew`. Each arc gives delay and slew of an output edge from the slew of the
input edge and the load; the latest arrival and the worst slew of all arcs are kept, as is usual. A path ends at an
output port, at a black box, or at a flip-flop, latch or clock gate, whose setup time counts. Latches are not
transparent here, and all flip-flops are taken to act on the same edge of the clock.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from roundel.synth.cells import FALL, RISE, Arc, Cell, Kind, Sense
from roundel.synth.mapping import NONE, ONE, ZERO, Group, Instance, Netlist

FROM_PORT, FROM_REGISTER = 0, 1
INPUT_SLEW = 0.05
CLOCK_SLEW = 0.05
_STARTS = ("port", "register")


@dataclass(frozen=True)
class Step:
    """One stage of a path: the output `net` of `instance` (a cell `type`) has settled at `arrival`, ns, to `edge`."""

    instance: str
    type: str
    net: int
    edge: int
    arrival: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Timing:
    """Result of `analyse`.

    Parameters
    ----------
    delay_ns
        The longest delay of any path, setup included: the shortest clock period if the ports belong to registers.
    by_ends
        The longest delay per kind of path: `"register-register"`, `"port-register"`, `"register-port"`, `"port-port"`.
    path
        The longest path, from its start.
    endpoint
        Where it ends: `port NAME[BIT]` or `INSTANCE/PIN`.
    slew
        Transition time of the falling and rising edge of each net, ns, shape `(2, nets)`.
    arrival
        Latest arrival of either edge from ports and from registers, ns, shape `(2, 2, nets)` (start, edge, net); minus
        infinity where there is no path.
    overloaded
        Nets whose load exceeds what the library allows their driver: no buffer tree was made for them, and their delay
        lies outside the tables.
    """

    delay_ns: float
    by_ends: dict[str, float]
    path: tuple[Step, ...]
    endpoint: str
    slew: NDArray[np.float64]
    arrival: NDArray[np.float64]
    overloaded: tuple[int, ...]


@dataclass(eq=False)
class _State:
    """What is computed: arrivals and slews so far, and for each the arc that the latest arrival came by."""

    netlist: Netlist
    input_slew: float
    clock_slew: float
    arrival: NDArray[np.float64] = field(init=False)
    slew: NDArray[np.float64] = field(init=False)
    source: NDArray[np.intp] = field(init=False)

    def __post_init__(self) -> None:
        size = self.netlist.size
        self.arrival = np.full((2, 2, size), -np.inf)
        self.slew = np.full((2, size), -np.inf)
        self.source = np.full((2, 2, size), NONE, dtype=np.intp)  # 2 * net + edge before the latest arrival
        clocks = list(self.netlist.clock_nets)
        ports = [net for nets in self.netlist.inputs.values() for net in nets]
        self.arrival[FROM_PORT][:, ports] = 0.0
        self.slew[:, ports] = self.input_slew
        self.arrival[:, :, clocks] = -np.inf
        self.slew[:, clocks] = self.clock_slew

    def run_arc(self, group: Group, arc: Arc, pin: str) -> None:
        """Bring the arrivals at `arc.related` of all members to their pin `pin`."""
        keep = (group.nets[pin] != NONE) & (group.nets[arc.related] != NONE)
        before, after = group.nets[arc.related][keep], group.nets[pin][keep]
        if not len(after):
            return
        load = self.netlist.load[after]
        for edge in (FALL, RISE):
            delay, slew = arc.delay[edge], arc.slew[edge]
            if delay is None or slew is None:
                continue
            for cause in _causes(arc, edge):
                seen = self.slew[cause, before]
                known = seen > -np.inf  # constants have no edges
                time = delay(np.where(known, seen, 0.0), load)
                if arc.edge is None:
                    arrival = self.arrival[:, cause, before] + time
                else:
                    arrival = np.stack([np.full_like(time, -np.inf), time])
                arrival[:, ~known] = -np.inf
                later = arrival > self.arrival[:, edge, after]
                self.arrival[:, edge, after] = np.where(later, arrival, self.arrival[:, edge, after])
                self.source[:, edge, after] = np.where(later, 2 * before + cause, self.source[:, edge, after])
                new = np.where(known, slew(np.where(known, seen, 0.0), load), -np.inf)
                self.slew[edge, after] = np.maximum(self.slew[edge, after], new)


def _causes(arc: Arc, edge: int) -> tuple[int, ...]:
    """Edges of the input that give the output `edge`."""
    if arc.edge is not None:
        return (arc.edge,)
    return {Sense.POSITIVE: (edge,), Sense.NEGATIVE: (1 - edge,), Sense.EITHER: (FALL, RISE)}[arc.sense]


def analyse(netlist: Netlist, *, input_slew: float = INPUT_SLEW, clock_slew: float = CLOCK_SLEW) -> Timing:
    """Find arrivals, slews and the longest path.

    Parameters
    ----------
    netlist
        The mapped netlist.
    input_slew, clock_slew
        Transition times at input ports and at every clock pin, ns.

    Raises
    ------
    roundel.golden.errors.InputError
        The netlist has a combinational loop.
    """
    state = _State(netlist, input_slew, clock_slew)
    for number, instance in enumerate(netlist.instances):
        if instance.cell is None:
            _start_black_box(state, number)
    for group in netlist.groups:
        if group.cell.kind in (Kind.FLIP_FLOP, Kind.LATCH):
            _propagate(state, group)
    where = {int(m): (group, k) for group in netlist.groups for k, m in enumerate(group.members)}
    for level in netlist.levels():
        together: dict[str, list[int]] = {}
        for number in level:
            together.setdefault(netlist.instances[number].type, []).append(number)
        for numbers in together.values():
            group = where[numbers[0]][0]
            _propagate(state, group.subset(np.array([where[n][1] for n in numbers])))
    return _result(state)


def _start_black_box(state: _State, number: int) -> None:
    nets = [net for nets in state.netlist.instances[number].outputs.values() for net in nets]
    state.arrival[FROM_REGISTER][:, nets] = 0.0
    state.slew[:, nets] = state.input_slew


def _propagate(state: _State, group: Group) -> None:
    """Run all arcs of a group of one cell; clock nets stay ideal."""
    for pin in group.cell.outputs:
        ideal = [net in state.netlist.clock_nets for net in group.nets[pin.name]]
        data = group.subset(np.flatnonzero(~np.array(ideal)))
        for arc in pin.arcs:
            from_clock = group.cell.clock_pin is not None and arc.related == group.cell.clock_pin.name
            if group.cell.kind is Kind.COMB or (arc.edge is not None and from_clock):
                state.run_arc(data, arc, pin.name)


def _ends(state: _State) -> Iterator[tuple[str, str, int, int, float]]:
    """Every end of a path: its name, its kind, net, edge, and the setup time there."""
    for name, nets in state.netlist.outputs.items():
        for bit, net in enumerate(nets):
            yield from ((f"port {name}[{bit}]", "port", net, edge, 0.0) for edge in (FALL, RISE))
    for instance in state.netlist.instances:
        if instance.cell is not None and instance.cell.kind is Kind.COMB:
            continue
        for pin, nets in instance.inputs.items():
            for net in nets:
                if net not in state.netlist.clock_nets and net not in (ZERO, ONE):
                    for edge in (FALL, RISE):
                        setup = _setup(state, instance.cell, pin, net, edge)
                        yield f"{instance.name}/{pin}", "register", net, edge, setup


def _setup(state: _State, cell: Cell | None, pin: str, net: int, edge: int) -> float:
    slew = state.slew[edge, net]
    if cell is None or slew == -np.inf:
        return 0.0
    tables = (setup.time[edge] for setup in cell.pins[pin].setups)
    return max((float(table(state.clock_slew, slew)) for table in tables if table is not None), default=0.0)


def _result(state: _State) -> Timing:
    netlist = state.netlist
    by_ends: dict[str, float] = {}
    worst = (0.0, "", NONE, RISE, FROM_PORT)
    for name, kind, net, edge, setup in _ends(state):
        for start in (FROM_PORT, FROM_REGISTER):
            delay = float(state.arrival[start, edge, net]) + setup
            if delay > -np.inf:
                ends = f"{_STARTS[start]}-{kind}"
                by_ends[ends] = max(delay, by_ends.get(ends, 0.0))
                worst = max(worst, (delay, name, net, edge, start))
    slew = np.where(state.slew == -np.inf, state.input_slew, state.slew)
    return Timing(
        delay_ns=worst[0],
        by_ends=by_ends,
        path=tuple(_trace(state, *worst[2:])),
        endpoint=worst[1],
        slew=slew,
        arrival=state.arrival,
        overloaded=tuple(_overloaded(netlist)),
    )


def _trace(state: _State, net: int, edge: int, start: int) -> list[Step]:
    """Return the steps of the path that ends with `edge` of `net`."""
    steps: list[Step] = []
    while net != NONE:
        driver = int(state.netlist.driver[net])
        arrival = float(state.arrival[start, edge, net])
        if driver == NONE or arrival == -np.inf:
            break
        instance: Instance = state.netlist.instances[driver]
        steps.append(Step(instance.name, instance.type, net, edge, arrival))
        if instance.cell is None or instance.cell.kind is not Kind.COMB:
            break
        net, edge = divmod(int(state.source[start, edge, net]), 2)
    return steps[::-1]


def _overloaded(netlist: Netlist) -> Iterator[int]:
    for group in netlist.groups:
        for pin in group.cell.outputs:
            nets = group.nets[pin.name]
            if pin.max_capacitance is not None:
                too_much = (nets != NONE) & (netlist.load[nets] > pin.max_capacitance)
                yield from (int(net) for net in nets[too_much] if net not in netlist.clock_nets)
