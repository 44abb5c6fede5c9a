"""The command `generate`."""

import sys
from pathlib import Path

import click

from roundel.cli.engine_options import engine_base
from roundel.cli.options import FILE, JSON, OUTPUT
from roundel.cli.present import present
from roundel.ui import output_folder, steps


@click.command("generate")
@click.argument("unit")
@click.option(
    "--set",
    "pairs",
    multiple=True,
    metavar="KEY=VALUE",
    help="Set a parameter of the unit, see `roundel units`; config=NAME sets those of a named configuration.",
)
@click.option(
    "--engine",
    "engine_file",
    type=FILE,
    help="Parameters of unit `engine`: engine.toml of `roundel compile`, an earlier manifest.json, or the folder of "
    "either.",
)
@click.option(
    "--fpga", type=click.Choice(["ecp5"]), help="Place and route for a board with this FPGA, and write a bitstream."
)
@click.option("--freq", "mhz", type=float, help="Clock in MHz, 100 by default; on a board its PLL generates it.")
@OUTPUT
@JSON
def command(
    unit: str,
    pairs: tuple[str, ...],
    engine_file: Path | None,
    fpga: str | None,
    mhz: float | None,
    folder: Path,
    as_json: bool,
) -> None:
    """Write UNIT.v, manifest.json (ports, parameters, latency, tool versions) and files for other tools.

    With --fpga also fpga.json (resources and highest frequency) and a bitstream; exit code 1 if the unit is
    slower than --freq, or than the board's 25 MHz where that is not given.
    """
    import roundel
    from roundel.generator import find_unit, parse_settings

    params = parse_settings(find_unit(unit), pairs, engine_base(unit, engine_file, pairs))
    with output_folder(folder) as work:
        made = roundel.generate(unit, params, fpga=fpga, mhz=mhz, progress=steps)
        made.write(work)
    present(made, as_json, folder)
    sys.exit(0 if made.met else 1)
