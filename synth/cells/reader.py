"""From a Liberty file to a `Library`: units, tables, functions and kinds of cells."""

import hashlib
from collections.abc import Collection, Iterable
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from roundel.golden.errors import InputError
from roundel.synth.cells import boolean, liberty
from roundel.synth.cells.boolean import BoolFunction
from roundel.synth.cells.cell import FALL, RISE, Arc, Cell, InternalPower, Kind, Pin, Sense, Setup, State
from roundel.synth.cells.liberty import LibertyGroup
from roundel.synth.cells.library import Library
from roundel.synth.cells.table import Pair, Table

_PREFIX = {"": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9, "p": 1e-12, "f": 1e-15}
_NOT_LOGIC = ("is_isolation_cell", "is_level_shifter", "always_on", "is_filler_cell", "is_decap_cell", "is_macro_cell")
_GATE_ROLES = ("clock", "enable", "test", "out")
_CLOCKED = {"rising_edge": RISE, "falling_edge": FALL}
_SETUP = {"setup_rising": RISE, "setup_falling": FALL}
_SLEWS = ("input_net_transition", "input_transition_time", "related_pin_transition")
_LOADS = ("total_output_net_capacitance", "constrained_pin_transition")


def read_library(path: Path | str) -> Library:
    """Read the Liberty file at `path`, plain or packed with gzip.

    Raises
    ------
    InputError
        The file is missing, cut short, not Liberty, or has no usable flip-flop.
    """
    path = Path(path)
    try:
        status = path.stat()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}), expected a Liberty file") from error
    return _read(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=16)
def _read(path: Path, _changed: int, _size: int) -> Library:
    """Read a file once, and again after it has changed: a large one takes half a minute."""
    text = liberty.read_text(path)
    try:
        library = _Reader(liberty.parse(text)).library(hashlib.sha256(text.encode()).hexdigest())
    except ValueError as error:
        raise InputError(f"{path}: {error}") from error
    if library.any_flip_flop is None:
        raise InputError(f"{path}: library {library.name!r} has no usable rising-edge D flip-flop")
    return library


class _Reader:
    """Converts one `library` group; holds what its cells share: units, table templates, the supply."""

    def __init__(self, root: LibertyGroup):
        self.root = root
        volt = _unit(root.attributes.get("voltage_unit", "1V"), "V", "V")
        self.time = _unit(root.attributes.get("time_unit", "1ns"), "s", "ns")
        self.leakage = _unit(root.attributes.get("leakage_power_unit", "1nW"), "W", "nW")
        amount, _, unit = root.attributes.get("capacitive_load_unit", "1,pf").replace('"', "").partition(",")
        self.capacitance = float(amount) * _unit(f"1{unit.strip()}", "F", "pF")
        self.energy = self.capacitance * volt**2  # Liberty: internal energy is in units of C V^2
        conditions = {group.name: group for group in root.all("operating_conditions")}
        point = conditions.get(root.attributes.get("default_operating_conditions", ""), root)
        self.voltage = point.number("voltage", root.number("nom_voltage", 0.0)) * volt
        self.temperature = point.number("temperature", root.number("nom_temperature", 25.0))
        if self.voltage <= 0:
            raise ValueError("no supply voltage, expected operating_conditions or nom_voltage")
        kinds = ("lu_table_template", "power_lut_template")
        self.templates = {group.name: group for group in root.groups if group.kind in kinds}

    def library(self, digest: str) -> Library:
        cells = {group.name: self.cell(group) for group in self.root.all("cell")}
        return Library(
            name=self.root.name, digest=digest, voltage=self.voltage, temperature=self.temperature, cells=cells
        )

    def cell(self, group: LibertyGroup) -> Cell:
        try:
            state = _state(group)
            pins = {name: self.pin(name, pin) for pin in group.all("pin") for name in pin.arguments}
            default = group.number("cell_leakage_power", self.root.number("default_cell_leakage_power", 0.0))
            return Cell(
                name=group.name,
                kind=_kind(group, pins.values(), state),
                area=group.number("area", 0.0),
                leakage=default * self.leakage,
                leakage_when=tuple(
                    (boolean.parse(item.attributes["when"]), item.number("value", 0.0) * self.leakage)
                    for item in group.all("leakage_power")
                    if "when" in item.attributes
                ),
                pins=pins,
                dont_use=any(group.flag(name) for name in ("dont_use", *_NOT_LOGIC)),
                state=state,
                clock_gate=group.attributes.get("clock_gating_integrated_cell"),
            )
        except ValueError as error:
            raise ValueError(f"cell {group.name!r}: {error}") from error

    def pin(self, name: str, group: LibertyGroup) -> Pin:
        attributes = group.attributes
        direction = attributes.get("direction", "")
        default = self.root.number(f"default_{direction}_pin_cap", 0.0)
        function = attributes.get("function")
        limit = group.number("max_capacitance", 0.0)
        timing = list(group.all("timing"))
        return Pin(
            name=name,
            direction=direction,
            capacitance=group.number("capacitance", default) * self.capacitance,
            clock=group.flag("clock"),
            tristate="three_state" in attributes,
            function=None if function is None else boolean.parse(function),
            max_capacitance=limit * self.capacitance or None,
            gate_role=next((role for role in _GATE_ROLES if group.flag(f"clock_gate_{role}_pin")), None),
            arcs=tuple(arc for item in timing for arc in self.arcs(item)),
            setups=tuple(setup for item in timing for setup in self.setups(item)),
            power=tuple(self.power(item) for item in group.all("internal_power")),
        )

    def arcs(self, group: LibertyGroup) -> Iterable[Arc]:
        """Arcs of one timing group; none for constraints, asynchronous set and reset, and tri-state control."""
        kind = group.attributes.get("timing_type", "combinational")
        if kind not in _CLOCKED and not kind.startswith("combinational"):
            return
        delay = self.pair(group, "cell_fall", "cell_rise", self.time)
        slew = self.pair(group, "fall_transition", "rise_transition", self.time)
        sense = Sense(group.attributes.get("timing_sense", Sense.EITHER.value))
        for related in group.attributes.get("related_pin", "").split():
            yield Arc(related=related, sense=sense, edge=_CLOCKED.get(kind), delay=delay, slew=slew)

    def setups(self, group: LibertyGroup) -> Iterable[Setup]:
        kind = group.attributes.get("timing_type", "")
        if kind in _SETUP:
            time = self.pair(group, "fall_constraint", "rise_constraint", self.time)
            for related in group.attributes.get("related_pin", "").split():
                yield Setup(related=related, edge=_SETUP[kind], time=time)

    def power(self, group: LibertyGroup) -> InternalPower:
        when = group.attributes.get("when")
        both = self.table(group.first("power"), self.energy)
        fall, rise = self.pair(group, "fall_power", "rise_power", self.energy)
        return InternalPower(
            related=tuple(group.attributes.get("related_pin", "").split()),
            when=None if when is None else boolean.parse(when),
            energy=(fall or both, rise or both),
        )

    def pair(self, group: LibertyGroup, fall: str, rise: str, scale: float) -> Pair:
        return self.table(group.first(fall), scale), self.table(group.first(rise), scale)

    def table(self, group: LibertyGroup | None, scale: float) -> Table | None:
        """Read a table group as slew by load, whatever the order and number of its variables."""
        if group is None:
            return None
        values = group.numbers("values")
        template = self.templates.get(group.name, group)
        names = [template.attributes.get(f"variable_{i}") for i in (1, 2)]
        axes = {"slew": np.zeros(1), "load": np.zeros(1)}
        order = []
        for i, name in enumerate(names, start=1):
            index = group.numbers(f"index_{i}")
            index = template.numbers(f"index_{i}") if index is None else index
            if name is None or index is None:
                continue
            axis = "slew" if name in _SLEWS else "load" if name in _LOADS else None
            if axis is None:
                raise ValueError(f"table {group.name!r}: variable {name!r} is not supported")
            axes[axis] = index * (self.capacitance if name == "total_output_net_capacitance" else self.time)
            order.append(axis)
        shape = tuple(len(axes[axis]) for axis in order)
        if values is None or values.size != np.prod(shape, dtype=int) or not all(map(_rising, axes.values())):
            raise ValueError(f"{group.kind} {group.name!r}: indices and values do not form a table")
        grid = values.reshape(shape) * scale
        full = grid.T if order == ["load", "slew"] else grid
        return Table(axes["slew"], axes["load"], full.reshape(len(axes["slew"]), len(axes["load"])))


def _rising(axis: NDArray[np.float64]) -> bool:
    return bool(np.all(np.diff(axis) > 0))


def _unit(text: str, base: str, target: str) -> float:
    """Factor from a unit such as `1ns`, `10ps` or `1pW` to `target`, whose last letters are `base`."""
    number = text.rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
    prefix = text[len(number) :].lower().removesuffix(base.lower())
    if prefix not in _PREFIX:
        raise ValueError(f"unit {text!r} is not one of {base}")
    return float(number or 1) * _PREFIX[prefix] / _PREFIX[target.removesuffix(base)]


def _state(group: LibertyGroup) -> State | None:
    """Read the flip-flop or latch group of a cell; None for a cell without state."""
    for kind, clock, data in (("ff", "clocked_on", "next_state"), ("latch", "enable", "data_in")):
        item = group.first(kind)
        if item is None or clock not in item.attributes or data not in item.attributes:
            continue
        functions: dict[str, BoolFunction] = {
            name: boolean.parse(text)
            for name, text in item.attributes.items()
            if name in (clock, data, "clear", "preset")
        }
        return State(
            names=(item.arguments[0], item.arguments[1] if len(item.arguments) > 1 else ""),
            clock=functions[clock],
            data=functions[data],
            clear=functions.get("clear"),
            preset=functions.get("preset"),
        )
    return None


def _kind(group: LibertyGroup, pins: Collection[Pin], state: State | None) -> Kind:
    if "clock_gating_integrated_cell" in group.attributes:
        return Kind.CLOCK_GATE
    outputs = [pin for pin in pins if pin.direction not in ("input", "internal")]
    if not outputs or any(pin.tristate or pin.function is None or pin.direction != "output" for pin in outputs):
        return Kind.OTHER
    if group.first("ff") is not None:
        return Kind.FLIP_FLOP if state else Kind.OTHER
    if group.first("latch") is not None:
        return Kind.LATCH if state else Kind.OTHER
    inputs = {pin.name for pin in pins if pin.direction == "input"}
    plain = all(inputs.issuperset(pin.function.inputs) for pin in outputs if pin.function is not None)
    return Kind.COMB if plain else Kind.OTHER
