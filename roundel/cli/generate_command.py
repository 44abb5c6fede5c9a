"""The command `roundel generate`."""

import json
import sys
from pathlib import Path

import click

from roundel.cli.options import JSON, OUTPUT


@click.command()
@click.argument("unit")
@click.option(
    "--set",
    "pairs",
    multiple=True,
    metavar="KEY=VALUE",
    help="Set a parameter of the unit, see `roundel units`; config=NAME sets those of a named configuration.",
)
@click.option(
    "--fpga", type=click.Choice(["ecp5"]), help="Place and route on a board with this FPGA, and make a bitstream."
)
@click.option("--freq", "mhz", type=float, help="Clock in MHz, 100 by default; on a board its PLL makes it.")
@OUTPUT
@JSON
def generate(
    unit: str, pairs: tuple[str, ...], fpga: str | None, mhz: float | None, folder: Path, as_json: bool
) -> None:
    """Write UNIT.v, manifest.json (ports, parameters, latency, tool versions) and files for other tools.

    With --fpga also fpga.json (resources and highest frequency) and a bitstream; exit code 1 if the unit is
    slower than --freq, or than the board's 25 MHz where that is not given.
    """
    from roundel.generator import unit as files
    from roundel.ui import steps

    found = files.generate(unit, pairs, folder, fpga=bool(fpga), mhz=mhz, progress=steps)
    if as_json:
        click.echo(json.dumps(found.sheet))
    else:
        files.show(found, folder)
    sys.exit(0 if found.met else 1)
