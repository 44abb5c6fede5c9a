"""The command `units`."""

import json

import click

from roundel.cli.options import JSON
from roundel.ui import out, table


@click.command("units")
@JSON
def command(as_json: bool) -> None:
    """List the units, their parameters and their named configurations."""
    from roundel.generator import describe_units

    rows = describe_units()
    if as_json:
        click.echo(json.dumps(rows))
        return
    for row in rows:
        out.print(f"{row['unit']}: {row['summary']}; {len(row['configs'])} configurations to verify")
        table("", ("parameter", "default"), [(name, str(value)) for name, value in row["parameters"].items()])
