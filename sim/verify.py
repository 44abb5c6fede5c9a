"""Proves units: RTL against golden, every named configuration, without and with stalls."""

import importlib
import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from amaranth.lib import wiring

from hw.emit import to_verilog
from hw.units import Unit
from sim.runner import Design, Result, run

STALLS = 0.4


@dataclass(frozen=True, kw_only=True)
class Case:
    """One run of a bench: what is built, and what the bench is told; or a module that proves it in its own way."""

    unit: str
    name: str
    component: Callable[[], Any]
    bench: str
    config: dict[str, Any] = field(default_factory=dict)
    proof: str = ""


def cases(unit: Unit) -> list[Case]:
    """Every configuration of `unit` without stalls and with them, then its exhaustive bench where it has one."""
    rows = []
    for name, keywords in unit.configs.items():
        for stalls in (0.0, STALLS):
            settings: dict[str, Any] = {"params": dict(keywords), "stalls": stalls}
            title = f"{name}, stalls" if stalls else name
            make = partial(_component, unit, keywords)
            case = Case(unit=unit.name, name=title, component=make, bench=unit.bench, config=settings, proof=unit.proof)
            rows.append(case)
    for name, given in unit.exhaustive_configs.items():
        settings = dict(given)
        make = partial(importlib.import_module(unit.exhaustive).component, settings)
        rows.append(Case(unit=unit.name, name=name, component=make, bench=unit.exhaustive, config=settings))
    return rows


def prove(case: Case, *, seed: int, waves: Path | None = None) -> Result:
    """Run one case; with `waves`, in that folder and with a VCD file."""
    if case.proof:
        result: Result = importlib.import_module(case.proof).prove(case, seed=seed, waves=waves)
        return result
    component = case.component()
    design = Design(sources=(to_verilog(component, case.unit),), top=case.unit, trace="vcd" if waves else None)
    return run(design, case.bench, seed=seed, config=case.config | {"latency": component.latency}, folder=waves)


def prove_all(
    todo: Iterable[Case],
    *,
    seed: int,
    waves: Path | None = None,
    done: Callable[[Case, Result], None] = lambda *_: None,
) -> list[tuple[Case, Result]]:
    """Run cases on all cores, in order; `done` is called after each."""

    def one(case: Case) -> tuple[Case, Result]:
        folder = waves / f"{case.unit}-{case.name}".replace(", ", "-") if waves else None
        result = prove(case, seed=seed, waves=folder)
        done(case, result)
        return case, result

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        return list(pool.map(one, todo))


def _component(unit: Unit, keywords: Mapping[str, Any]) -> wiring.Component:
    return unit.component(unit.params(**keywords))
