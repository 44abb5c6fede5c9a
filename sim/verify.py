"""Proves units: RTL against golden, every named configuration, without and with stalls."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from roundel.golden.errors import ToolError
from roundel.hw.units import Unit
from roundel.processes import in_parallel
from roundel.sim.emitted import Emitted, emit, emit_unit
from roundel.sim.exhaustive import EXHAUSTIVE
from roundel.sim.runner import Design, Result, run

STALLS = 0.4
OWN = "own"  # name of a configuration that has none

BENCHES: Mapping[str, str] = MappingProxyType(
    {
        name: f"roundel.sim.benches.tb_{name}"
        for name in (
            *("requant", "activation", "mac", "nms", "exact_nms", "topk", "greedy_nms"),
            *("decoder", "sparse_mac", "engine"),
        )
    }
)
"""The cocotb bench of every unit."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One run of a bench: what is built, and what the bench is told."""

    unit: str
    name: str
    emit: Callable[[], Emitted]
    bench: str
    config: dict[str, Any] = field(default_factory=dict)


def cases(unit: Unit, own: Mapping[str, Any] | None = None) -> list[Case]:
    """Every configuration of `unit` without stalls and with them, then its exhaustive bench where it has one.

    Parameters
    ----------
    unit
        The unit.
    own
        Keyword arguments of its parameter object, which are the one configuration then, `OWN`; None: the named ones.
    """
    rows = []
    for name, keywords in (unit.configs if own is None else {OWN: own}).items():
        for stalls in (0.0, STALLS):
            settings: dict[str, Any] = {"params": dict(keywords), "stalls": stalls}
            title = f"{name}, stalls" if stalls else name
            make = partial(emit_unit, unit, unit.params(**keywords))
            rows.append(Case(unit=unit.name, name=title, emit=make, bench=BENCHES[unit.name], config=settings))
    if own is None and (sweep := EXHAUSTIVE.get(unit.name)):
        for name, given in sweep.configs.items():
            make = partial(emit, partial(sweep.component, given), unit.name)
            rows.append(Case(unit=unit.name, name=name, emit=make, bench=sweep.bench, config=dict(given)))
    return rows


class Prover(Protocol):
    """Runs one case, as `prove` does."""

    def __call__(self, case: Case, *, seed: int, waves: Path | None = None) -> Result:
        """Run one case; the arguments are those of `prove`."""
        ...


def prove(case: Case, *, seed: int, waves: Path | None = None) -> Result:
    """Run one case; with `waves`, in that folder and with a VCD file."""
    emitted = case.emit()
    design = Design(sources=(emitted.verilog,), top=case.unit, trace="vcd" if waves else None)
    return run(design, case.bench, seed=seed, config=case.config | {"latency": emitted.latency}, folder=waves)


def prove_all(
    todo: Iterable[Case],
    *,
    seed: int,
    waves: Path | None = None,
    done: Callable[[Case, Result], None] = lambda *_: None,
    provers: Mapping[str, Prover] = MappingProxyType({}),
) -> list[tuple[Case, Result]]:
    """Run cases on all cores, in order.

    A case that the harness could not run to its end has that as an error, and the others go on.

    Parameters
    ----------
    todo
        Of `cases`.
    seed, waves
        As `prove` takes them; each case gets a folder of its own in `waves`.
    done
        Called after each case.
    provers
        By unit, what proves its cases where its bench alone cannot; `prove` by default.
    """

    def run_case(case: Case) -> tuple[Case, Result]:
        folder = waves / f"{case.unit}-{case.name}".replace(", ", "-") if waves else None
        try:
            result = provers.get(case.unit, prove)(case, seed=seed, waves=folder)
        except ToolError as error:
            result = Result(0, folder=folder or Path(), errors=(str(error),))
        done(case, result)
        return case, result

    return in_parallel(run_case, todo)
