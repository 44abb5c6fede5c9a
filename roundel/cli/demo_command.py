"""The command `demo`."""

import sys
from pathlib import Path
from typing import Any

import click

from roundel.cli.engine_options import engine_options, engine_source
from roundel.cli.options import FILE, JSON, OUTPUT
from roundel.cli.present import present
from roundel.ui import err, output_folder, steps, table


@click.command("demo")
@click.option("--model", type=FILE, help="Trained detector (ONNX) instead of the example's.")
@click.option("--head", type=FILE, help="Detector file (.toml) that says how boxes come out of the outputs.")
@click.option("--calibration", type=FILE, help="Calibration images (.npz) of the detector.")
@click.option("--held-out", type=FILE, help="Held-out scenes and their objects (.npz).")
@click.option(
    "--scenes",
    type=click.IntRange(1),
    default=8,
    show_default=True,
    help="Number of held-out scenes that run on the RTL.",
)
@click.option(
    "--sparsity",
    type=float,
    help="Fraction of all weights that OPQ sets to 0; by default 0.2, or 0 where weights are integers already.",
)
@click.option("--bits", type=float, help="Mean bits of a code in OPQ. Without it the search chooses weights of 8 bits.")
@engine_options("by default small")
@click.option(
    "--cells",
    default="reference",
    show_default=True,
    metavar="LIBERTY",
    help="Cell library for energy: `reference`, a Liberty file (.lib, .lib.gz), the files of one library, A.lib,B.lib, "
    "or `none` to skip energy.",
)
@OUTPUT
@JSON
def command(
    config: str | None,
    engine_file: Path | None,
    settings: tuple[str, ...],
    cells: str,
    folder: Path,
    as_json: bool,
    **given: Any,
) -> None:
    """Run a trained detector on the engine's RTL, from images to boxes, and write demo.md.

    Exit code 1 if the RTL differs from golden anywhere: the first tensor, element and both values are named.
    """
    import roundel
    from roundel.demo import DemoOptions, cells_named

    engine = engine_source(config, engine_file, settings) or "small"
    chosen = {name: value for name, value in given.items() if value is not None}
    with output_folder(folder) as work:
        demo = roundel.run_demo(DemoOptions(cells=cells_named(cells), engine=engine, **chosen), progress=steps)
        demo.write(work)
    present(demo, as_json, folder / "demo.md")
    times = demo.times()
    table(times.title, times.columns, times.rows, err)
    if as_json:
        err.print(*demo.lines())
    sys.exit(0 if demo.equal else 1)
