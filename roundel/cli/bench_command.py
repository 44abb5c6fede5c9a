"""The command `bench`."""

from pathlib import Path

import click

from roundel.cli.options import JSON, OUTPUT, SEED
from roundel.cli.present import present
from roundel.ui import output_folder, steps


@click.command("bench")
@click.argument("names", nargs=-1, metavar="[UNIT ...]")
@click.option(
    "--set", "pairs", multiple=True, metavar="KEY=VALUE",
    help="Parameter of the engine of `networks`, or config=NAME for those of a named configuration.",
)  # fmt: skip
@SEED
@OUTPUT
@JSON
def command(names: tuple[str, ...], pairs: tuple[str, ...], seed: int, folder: Path, as_json: bool) -> None:
    """Measure throughput of the RTL, speed of simulation and golden models, and accuracy: bench.json."""
    import roundel
    from roundel.generator import find_unit, parse_settings

    params = parse_settings(find_unit("engine"), pairs) if pairs else None
    with output_folder(folder) as work:
        figures = roundel.bench(names, params=params, seed=seed, progress=steps)
        figures.write(work)
    present(figures, as_json, folder / "bench.json")
