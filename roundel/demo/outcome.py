"""The demo's result: figures, tables, and a folder with the page and all that it was made of."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from roundel.demo.measurement import DemoMeasurement, measure_demo
from roundel.demo.page import agreement_in_words, matches_in_words, terminal_tables, verdict, write_page
from roundel.demo.summary import summary
from roundel.demo.trained import DemoOptions
from roundel.processes import cache_root
from roundel.sim.engine_run import design
from roundel.ui import Grid, Progress, Result, silent, write_json


@dataclass(frozen=True, kw_only=True, eq=False)
class Demo(Result):
    """The result of the demo.

    Attributes
    ----------
    measurement
        All that it measured.
    figures
        The same in figures: what `demo.json` holds.
    """

    measurement: DemoMeasurement = field(repr=False)
    figures: dict[str, Any] = field(repr=False)

    @property
    def equal(self) -> bool:
        """Whether RTL equals golden."""
        return bool(self.figures["equal"])

    def as_dict(self) -> dict[str, Any]:
        """Give what `demo.json` holds."""
        return self.figures

    def tables(self) -> Iterable[Grid]:
        """Give average precision, cycles, energy, and the requantizers compared."""
        return terminal_tables(self.figures)

    def lines(self) -> Iterable[str]:
        """Give equal or not, which boxes are right and which the float network's, and all warnings, a sentence each."""
        yield verdict(self.figures)
        yield matches_in_words(self.figures)
        yield agreement_in_words(self.figures)
        yield from (f"warning: {line}" for line in self.figures["warnings"])

    def times(self) -> Grid:
        """Give the time that the demo took.

        Returns
        -------
        Grid
            Seconds of each part and of all; what was in the cache already took none.
        """
        seconds = self.measurement.seconds
        rows = [[name, f"{value:.1f}"] for name, value in seconds.items()]
        return Grid("Where the time went", ("part", "seconds"), [*rows, ["all", f"{sum(seconds.values()):.1f}"]])

    def write(self, folder: Path) -> None:
        """Write network, program, Verilog as simulated, pictures, the page `demo.md` and `demo.json`."""
        for name in ("network", "program"):
            (folder / name).mkdir()
        self.measurement.trained.compressed.write(folder / "network")
        self.measurement.plain.program.write(folder / "program")
        verilog = str(design(self.measurement.params).sources[0])
        (folder / "program" / "engine.v").write_text(verilog, encoding="utf-8")
        write_json(folder / "demo.json", self.figures)
        write_page(self.measurement, self.figures, folder)


def run_demo(options: DemoOptions | None = None, *, progress: Progress = silent) -> Demo:
    """Run a detector as it was exported on the engine's RTL, from images to boxes, every layer compared with golden.

    Parameters
    ----------
    options
        Model, head, images, engine and cells; None: the example's detector.
    progress
        Told of every part.

    Returns
    -------
    Demo
        Figures, tables and the page; `equal` where RTL equals golden.

    Raises
    ------
    InputError
        A file is missing or not what it should be, or the network does not fit the engine.
    MismatchError
        The engine stopped with an error.
    ToolError
        A simulation or the synthesis crashed.
    """
    cache_root()  # refused before the work if it cannot be written
    measurement = measure_demo(options or DemoOptions(), progress)
    return Demo(measurement=measurement, figures=summary(measurement))
