"""The command `bench`."""

from pathlib import Path

import click

from roundel.cli.options import JSON, OUTPUT, SEED
from roundel.cli.present import present
from roundel.ui import output_folder, steps


@click.command("bench")
@click.argument("names", nargs=-1, metavar="[UNIT ...]")
@SEED
@OUTPUT
@JSON
def command(names: tuple[str, ...], seed: int, folder: Path, as_json: bool) -> None:
    """Measure throughput of the RTL, speed of simulation and golden models, and accuracy: bench.json."""
    import roundel

    with output_folder(folder) as work:
        figures = roundel.bench(names, seed=seed, progress=steps)
        figures.write(work)
    present(figures, as_json, folder / "bench.json")
