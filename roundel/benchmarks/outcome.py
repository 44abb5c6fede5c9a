"""Measures the speed of units, and keeps the rows."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from roundel.benchmarks.run import measure_rows, measurements
from roundel.benchmarks.show import tables
from roundel.graph import integer_of
from roundel.ui import MAX_SEED, Grid, Progress, Result, Row, check_names, silent, write_json


@dataclass(frozen=True, kw_only=True, eq=False)
class Bench(Result):
    """The figures of benchmarks.

    Attributes
    ----------
    seed
        Seed of the data, 0 to 2**64 - 1.
    rows
        `name` (unit.what), `value`, `unit` and `params` of each figure.
    """

    seed: int
    rows: Sequence[Row] = field(repr=False)

    def as_dict(self) -> list[Row]:
        """Give the rows."""
        return list(self.rows)

    def tables(self) -> Iterable[Grid]:
        """Give the figures by unit."""
        return (Grid(f"{title}, seed {self.seed}", heads, cells) for title, heads, cells in tables(self.rows))

    def write(self, folder: Path) -> None:
        """Write `bench.json`."""
        write_json(folder / "bench.json", self.as_dict())


def bench(units: Sequence[str] = (), *, params: Any = None, seed: int = 1, progress: Progress = silent) -> Bench:
    """Measure work per cycle of the RTL, the speed of simulation and golden models, and accuracy.

    Parameters
    ----------
    units
        `mac`, `requant`, `codec`, `decoder`, `search`, `engine`, `networks`, `golden`, `nms`; all if empty.
    params
        The engine of `networks`, then the only unit: `EngineParams`, or keyword arguments of it. None: `medium`.
    seed
        Seed of the data.
    progress
        Told of every measurement.

    Returns
    -------
    Bench
        A row a figure.

    Raises
    ------
    InputError
        A unit without a benchmark, or parameters that the engine or the unit does not take.
    MismatchError
        RTL and golden differ.
    ToolError
        A tool crashed.
    """
    check_names("units", units)
    seed = integer_of("seed", seed, 0, MAX_SEED)
    with progress("bench", measurements(units, params)) as step:
        return Bench(seed=seed, rows=measure_rows(units, seed=seed, params=params, done=step))
