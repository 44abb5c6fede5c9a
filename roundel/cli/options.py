"""Options that several commands share."""

from pathlib import Path

import click

from roundel.ui import MAX_SEED

FILE = click.Path(path_type=Path)
SEED = click.option(
    "--seed",
    type=click.IntRange(0, MAX_SEED),
    default=1,
    show_default=True,
    help="Seed of all random choices, 0 to 2^64 - 1.",
)
JSON = click.option(
    "--json", "as_json", is_flag=True, help="Print the result as JSON on stdout, and nothing else there."
)
OUTPUT = click.option("-o", "--output", "folder", type=FILE, required=True, help="Output folder.")
CELLS = click.option(
    "--cells",
    "libraries",
    multiple=True,
    default=["reference"],
    show_default=True,
    help="Cell library: `reference` or a Liberty file (.lib, .lib.gz), or the files of one library, A.lib,B.lib; "
    "may be given several times.",
)
