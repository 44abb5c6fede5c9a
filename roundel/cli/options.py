"""Options that several commands share."""

import re
from pathlib import Path

import click

from roundel.golden.errors import InputError
from roundel.ui import MAX_SEED


def _sizes(context: click.Context, option: click.Parameter, text: str | None) -> tuple[int, ...] | None:
    """Read sizes between commas."""
    if text is None:
        return None
    if not re.fullmatch(r"\d{1,9}(,\d{1,9}){0,3}", text):
        raise InputError(f"--input-shape {text!r}: expected sizes such as 1,3,320,320")
    return tuple(map(int, text.split(",")))


def _names(context: click.Context, option: click.Parameter, text: str | None) -> tuple[str, ...] | None:
    """Read names between commas."""
    return None if text is None else tuple(text.split(","))


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
INPUT_SHAPE = click.option(
    "--input-shape",
    callback=_sizes,
    help="Sizes of the network's input, as in 1,3,320,320, instead of those of the file; where the file leaves "
    "them open, those of the calibration images are the default.",
)
OUTPUTS = click.option(
    "--outputs",
    callback=_names,
    help="Tensors that the network ends in, NAME,..., inner ones too, instead of the file's outputs.",
)
ACTIVATION_ERROR = click.option(
    "--activation-error",
    type=float,
    default=2.0,
    show_default=True,
    help="Greatest error of an activation's table, in steps of its output (ULP); beyond it the host computes it.",
)
LATE = click.option(
    "--late",
    is_flag=True,
    help="Compute Sigmoid, Exp and Log behind the last products on the engine, to integers; else the host does.",
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
