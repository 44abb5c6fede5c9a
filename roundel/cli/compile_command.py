"""The command `compile`."""

import re
from pathlib import Path

import click

from roundel.cli.engine_options import engine_options, engine_source
from roundel.cli.options import FILE, JSON, OUTPUT
from roundel.cli.present import present
from roundel.golden.errors import InputError
from roundel.ui import output_folder


@click.command("compile")
@click.argument("network", type=FILE, metavar="NETWORK")
@engine_options("by default small")
@click.option(
    "--input-shape", help="Shape of an input, ROWSxCOLUMNSxCHANNELS or a number of features, if the file has none."
)
@click.option(
    "--head",
    type=FILE,
    help="Detector file (.toml) whose boxes the program ends in; by default head.toml of the network.",
)
@click.option("--no-head", is_flag=True, help="End the program in the network's results, not in boxes.")
@click.option("--trace", is_flag=True, help="Store the result of every layer.")
@OUTPUT
@JSON
def command(
    network: Path,
    config: str | None,
    engine_file: Path | None,
    settings: tuple[str, ...],
    input_shape: str | None,
    head: Path | None,
    no_head: bool,
    trace: bool,
    folder: Path,
    as_json: bool,
) -> None:
    """Compile an integer network for the engine: program.bin, memory_map.json, program.lst, engine.toml.

    NETWORK is a folder that `roundel compress` wrote, or a network file. docs/engine.md describes the program.
    """
    import roundel

    if head is not None and no_head:
        raise InputError("expected either --head or --no-head")
    engine = engine_source(config, engine_file, settings) or "small"
    with output_folder(folder, roundel.EngineProgram.OPTIONAL) as work:
        program = roundel.compile(network, engine, shape=_shape(input_shape), head=head or not no_head, trace=trace)
        program.write(work)
    present(program, as_json, folder / "program.lst")


def _shape(text: str | None) -> tuple[int, ...] | None:
    """Read the shape of an image: (rows, columns, channels) or (features,)."""
    if text is None:
        return None
    if not re.fullmatch(r"\d{1,6}(x\d{1,6}x\d{1,6})?", text):
        raise InputError(f"--input-shape {text!r}: expected ROWSxCOLUMNSxCHANNELS or a number")
    return tuple(map(int, text.split("x")))
