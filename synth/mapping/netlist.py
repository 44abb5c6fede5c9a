"""A netlist mapped to library cells, flat, as Yosys writes it in JSON: nets, instances, drivers and loads.

Nets are numbers. Net 0 is the constant 0, net 1 the constant 1; `NONE` stands for no net. Instances of the same cell
are also kept as columns of pin nets (`Group`), over which the analyses compute with arrays.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roundel.golden.errors import InputError
from roundel.synth.cells import Cell, Kind, Library

NONE = -1
ZERO, ONE = 0, 1
_CONSTANTS: dict[int | str, int] = {"0": ZERO, "1": ONE, "x": ZERO, "z": NONE}


@dataclass(frozen=True, kw_only=True, eq=False)
class Instance:
    """One cell of the netlist, or (`cell` is None) a black box such as a memory.

    Parameters
    ----------
    name, type
        As in the netlist.
    cell
        The library's cell, None for a black box.
    inputs, outputs
        Nets of each pin; a pin of a black box may have several bits. Unconnected pins are absent.
    """

    name: str
    type: str
    cell: Cell | None
    inputs: dict[str, tuple[int, ...]]
    outputs: dict[str, tuple[int, ...]]


@dataclass(frozen=True, eq=False)
class Group:
    """All instances of one cell: `members[k]` is an instance's number, `nets[pin][k]` the net on its pin or `NONE`."""

    cell: Cell
    members: NDArray[np.intp]
    nets: dict[str, NDArray[np.intp]]

    def subset(self, choice: NDArray[np.intp]) -> "Group":
        """Return the group of the members at the positions `choice`."""
        return Group(self.cell, self.members[choice], {pin: nets[choice] for pin, nets in self.nets.items()})


@dataclass(frozen=True, kw_only=True, eq=False)
class Netlist:
    """A flat mapped netlist.

    Parameters
    ----------
    top
        Name of the module.
    library
        Whose cells it is made of.
    inputs, outputs
        Nets of each port, least significant bit first.
    signals
        Every name in the netlist, `name` or `name[bit]`, and its net.
    instances
        In the file's order.
    size
        Number of nets, the two constants included.
    """

    top: str
    library: Library
    inputs: dict[str, tuple[int, ...]]
    outputs: dict[str, tuple[int, ...]]
    signals: dict[str, int]
    instances: tuple[Instance, ...]
    size: int

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """The library instances, by cell."""
        by_cell: dict[str, list[int]] = {}
        for number, instance in enumerate(self.instances):
            if instance.cell is not None:
                by_cell.setdefault(instance.cell.name, []).append(number)
        return tuple(self._group(members) for members in by_cell.values())

    def _group(self, members: list[int]) -> Group:
        cell = self.instances[members[0]].cell
        assert cell is not None
        nets = {
            pin.name: np.array(
                [
                    (self.instances[m].inputs.get(pin.name) or self.instances[m].outputs.get(pin.name) or (NONE,))[0]
                    for m in members
                ],
                dtype=np.intp,
            )
            for pin in (*cell.inputs, *cell.outputs)
        }
        return Group(cell, np.array(members, dtype=np.intp), nets)

    @cached_property
    def driver(self) -> NDArray[np.intp]:
        """Number of the instance that drives each net, `NONE` for ports, constants and undriven nets."""
        result = np.full(self.size, NONE, dtype=np.intp)
        for number, instance in enumerate(self.instances):
            for nets in instance.outputs.values():
                result[list(nets)] = number
        return result

    @cached_property
    def load(self) -> NDArray[np.float64]:
        """Sum of the pin capacitances on each net, pF; no wires, nothing at the ports, nothing in black boxes."""
        result = np.zeros(self.size)
        for group in self.groups:
            for pin in group.cell.inputs:
                nets = group.nets[pin.name]
                np.add.at(result, nets[nets != NONE], pin.capacitance)
        return result

    @cached_property
    def clock_nets(self) -> frozenset[int]:
        """Nets that carry a clock: what drives clock pins, back through clock gates, buffers and inverters."""
        clocks: set[int] = set()
        todo = [
            net
            for instance in self.instances
            if instance.cell is not None and instance.cell.clock_pin is not None
            for net in instance.inputs.get(instance.cell.clock_pin.name, ())
        ]
        while todo:
            net = todo.pop()
            if net in clocks or net in (ZERO, ONE):
                continue
            clocks.add(net)
            source = self.instances[self.driver[net]] if self.driver[net] != NONE else None
            if source is not None and source.cell is not None and len(source.inputs) == 1:
                todo.extend(net for nets in source.inputs.values() for net in nets)
        return frozenset(clocks)

    def levels(self) -> list[list[int]]:
        """Numbers of the combinational instances, level by level, each after all that drive it.

        Raises
        ------
        InputError
            Combinational cells form a loop.
        """
        comb = [n for n, instance in enumerate(self.instances) if instance.cell and instance.cell.kind is Kind.COMB]
        fed_by: dict[int, set[int]] = {}
        feeds: dict[int, list[int]] = {}
        for number in comb:
            sources = {int(self.driver[net]) for nets in self.instances[number].inputs.values() for net in nets}
            fed_by[number] = {s for s in sources if s != NONE and _is_comb(self.instances[s])}
            for source in fed_by[number]:
                feeds.setdefault(source, []).append(number)
        missing = {number: len(sources) for number, sources in fed_by.items()}
        level = [number for number in comb if not missing[number]]
        result = []
        while level:
            result.append(level)
            following = []
            for number in level:
                for target in feeds.get(number, ()):
                    missing[target] -= 1
                    if not missing[target]:
                        following.append(target)
            level = following
        if sum(map(len, result)) < len(comb):
            name = next(self.instances[number].name for number in comb if missing[number])
            raise InputError(f"netlist {self.top}: a combinational loop runs through or into instance {name!r}")
        return result

    @property
    def area(self) -> float:
        """Sum of the cell areas, um2, black boxes left out."""
        return sum(instance.cell.area for instance in self.instances if instance.cell is not None)


def _is_comb(instance: Instance) -> bool:
    return instance.cell is not None and instance.cell.kind is Kind.COMB


def read_netlist(path: Path, library: Library, top: str | None = None) -> Netlist:
    """Read a JSON netlist of Yosys.

    Parameters
    ----------
    path
        The file.
    library
        Whose cells it is made of; instances of any other type are black boxes.
    top
        Module to take; by default the one that Yosys marked as top, or the only one.

    Raises
    ------
    InputError
        The file is missing or is not such a netlist.
    """
    try:
        modules = json.loads(path.read_text(encoding="utf-8"))["modules"]
        if top is None:
            marked = [name for name, module in modules.items() if "top" in module.get("attributes", {})]
            top = (marked or list(modules))[0]
        return _netlist(modules[top], library, top)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}), expected a netlist of Yosys") from error
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise InputError(f"{path}: not a JSON netlist of Yosys with a module {top or 'top'!r} ({error!r})") from error


def _netlist(module: Mapping[str, Any], library: Library, top: str) -> Netlist:
    numbers = dict(_CONSTANTS)

    def nets(bits: Iterable[int | str]) -> tuple[int, ...]:
        return tuple(numbers.setdefault(bit, len(numbers) - 2) for bit in bits)

    ports: dict[str, dict[str, tuple[int, ...]]] = {"input": {}, "output": {}, "inout": {}}
    signals: dict[str, int] = {}
    for name, port in module["ports"].items():
        ports[port["direction"]][name] = nets(port["bits"])
    for name, signal in module["netnames"].items():
        bits = nets(signal["bits"])
        first = int(signal.get("offset", 0))
        if len(bits) == 1:
            signals[name] = bits[0]
        signals.update({f"{name}[{first + i}]": net for i, net in enumerate(bits)})
    instances = []
    for name, item in module["cells"].items():
        cell = library.cells.get(item["type"])
        sides: dict[str, dict[str, tuple[int, ...]]] = {"input": {}, "output": {}, "inout": {}}
        directions = item.get("port_directions", {})
        for pin, bits in item["connections"].items():
            connected = tuple(net for net in nets(bits) if net != NONE)
            direction = cell.pins[pin].direction if cell else directions[pin]
            if connected:
                sides[direction][pin] = connected
        instances.append(
            Instance(name=name, type=item["type"], cell=cell, inputs=sides["input"], outputs=sides["output"])
        )
    return Netlist(
        top=top,
        library=library,
        inputs=ports["input"],
        outputs=ports["output"],
        signals=signals,
        instances=tuple(instances),
        size=len(numbers) - 2,
    )
