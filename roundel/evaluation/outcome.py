"""Compares variants of units, and keeps the rows as a report."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from roundel.evaluation.comparison import COMPARISONS, Row, library_paths, run_jobs
from roundel.evaluation.report import report_tables, write_report
from roundel.golden.errors import InputError
from roundel.graph import integer_of
from roundel.processes import cache_root
from roundel.ui import Grid, Progress, Result, check_names, path_of, silent

ROWS = "report.json"


@dataclass(frozen=True, kw_only=True, eq=False)
class Comparison(Result):
    """The result of a comparison.

    Attributes
    ----------
    rows
        One for each variant and cell library: `unit`, `scheme`, `params`, `cells`, `area_um2`, `delay_ns`,
        `energy_pj_per_op`, `verified` and what else the unit has.
    """

    rows: Sequence[Row] = field(repr=False)

    def as_dict(self) -> list[Row]:
        """Give the rows."""
        return list(self.rows)

    def tables(self) -> Iterable[Grid]:
        """Give the costs of each unit, and how many times more every other requantizer needs than the shift."""
        return report_tables(self.rows)

    def write(self, folder: Path) -> None:
        """Write `report.json`, `report.csv`, `report.md` and plots."""
        write_report(self.rows, folder)

    @classmethod
    def load(cls, folder: str | Path) -> "Comparison":
        """Read a folder that `save` wrote.

        Parameters
        ----------
        folder
            What `save` was given.

        Returns
        -------
        Comparison
            The same rows.

        Raises
        ------
        InputError
            `report.json` is missing, or holds no rows.
        """
        try:
            rows = json.loads((Path(folder) / ROWS).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            raise InputError(f"{folder}: expected {ROWS} that `roundel compare` wrote") from None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise InputError(f"{Path(folder) / ROWS}: expected a list of rows")
        return cls(rows=rows)


def compare(
    units: Sequence[str] = (),
    *,
    cells: Sequence[str | Path] = ("reference",),
    fpga: str | None = None,
    params: Mapping[str, Any] | None = None,
    images: int = 8,
    stimulus: str | Path | None = None,
    progress: Progress = silent,
) -> Comparison:
    """Compare area, delay and energy of the variants of units.

    Parameters
    ----------
    units
        `requant`, `activation`, `mac`, `nms`, `decoder`; all if empty.
    cells
        Liberty files by path, or `reference` for the built-in cells; the files of one library with commas between them.
    fpga
        `ecp5` places and routes every variant as well.
    params
        Parameters for all variants of the one unit that is compared.
    images
        How many digits give the accumulators that are the stimulus.
    stimulus
        An `.npz` file with accumulators `acc` instead, for requantizers.
    progress
        Told of every measurement.

    Returns
    -------
    Comparison
        A row for each variant and library; every netlist was proven equal to golden in the run that gave its energy.

    Raises
    ------
    InputError
        A unit without a comparison, an unusable library, or options that do not go together.
    ToolError
        Synthesis or simulation crashed.
    """
    check_names("units", units)
    check_names("cells", cells)
    images = integer_of("images", images, 1)
    if fpga is not None and fpga != "ecp5":
        raise InputError(f"fpga must be ecp5, not {fpga!r}")
    if unknown := [name for name in units if name not in COMPARISONS]:
        raise InputError(f"nothing to compare for unit {unknown[0]!r}, expected one of {', '.join(COMPARISONS)}")
    if (params or stimulus) and len(set(units)) != 1:
        raise InputError(f"--set and --stimulus need one unit to compare, one of {', '.join(COMPARISONS)}")
    libraries = library_paths([str(name) for name in cells])
    file = None if stimulus is None else path_of("stimulus", stimulus)
    cache_root()  # refused before the work if it cannot be written
    jobs = []
    for name in dict.fromkeys(units or COMPARISONS):
        jobs += COMPARISONS[name](libraries, params or {}, bool(fpga), images, file)
    with progress("compare", len(jobs)) as step:
        return Comparison(rows=run_jobs(jobs, step))
