"""The command `compare`."""

from pathlib import Path

import click

from roundel.cli.options import CELLS, FILE, JSON, OUTPUT
from roundel.cli.present import present
from roundel.ui import output_folder, steps


@click.command("compare")
@click.argument("names", nargs=-1, metavar="[UNIT ...]")
@CELLS
@click.option("--fpga", type=click.Choice(["ecp5"]), help="Place and route for this FPGA as well.")
@click.option(
    "--set", "pairs", multiple=True, metavar="KEY=VALUE", help="Set a parameter for all variants of the unit."
)
@click.option(
    "--images",
    type=click.IntRange(1),
    default=8,
    show_default=True,
    help="Number of images of digits whose accumulators are the stimulus.",
)
@click.option("--stimulus", type=FILE, help="Stimulus of your own: an npz file with accumulators `acc`.")
@OUTPUT
@JSON
def command(
    names: tuple[str, ...],
    libraries: tuple[str, ...],
    fpga: str | None,
    pairs: tuple[str, ...],
    images: int,
    stimulus: Path | None,
    folder: Path,
    as_json: bool,
) -> None:
    """Compare area, delay and energy of a unit's variants: report.json, report.csv, report.md and plots."""
    import roundel
    from roundel.generator import find_unit, parse_settings

    params = None
    if pairs:  # of several units, or of none, the comparison refuses them
        params = parse_settings(find_unit(names[0]), pairs) if len(set(names)) == 1 else dict.fromkeys(pairs)
    with output_folder(folder) as work:
        comparison = roundel.compare(
            names, cells=libraries, fpga=fpga, params=params, images=images, stimulus=stimulus, progress=steps
        )
        comparison.write(work)
    present(comparison, as_json, folder / "report.md")
