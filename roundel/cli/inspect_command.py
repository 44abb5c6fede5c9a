"""The command `inspect`."""

from pathlib import Path

import click

from roundel.cli.engine_options import engine_options, engine_source
from roundel.cli.options import ACTIVATION_ERROR, FILE, INPUT_SHAPE, JSON, LATE, OUTPUTS
from roundel.cli.present import present
from roundel.ui import steps


@click.command("inspect")
@click.argument("model", type=FILE, metavar="MODEL.onnx")
@INPUT_SHAPE
@OUTPUTS
@click.option(
    "--host",
    type=click.Choice(["tail", "any"]),
    default="tail",
    show_default=True,
    help="Leave to the host all before and behind one part of the engine, or what lies between several, too.",
)
@LATE
@ACTIVATION_ERROR
@engine_options("predicts cycles by layer; by default none")
@click.option("-o", "--output", "folder", type=FILE, help="Output folder for inspect.json and the picture inspect.svg.")
@JSON
def command(
    model: Path,
    input_shape: tuple[int, ...] | None,
    outputs: tuple[str, ...] | None,
    host: str,
    late: bool,
    activation_error: float,
    config: str | None,
    engine_file: Path | None,
    settings: tuple[str, ...],
    folder: Path | None,
    as_json: bool,
) -> None:
    """Tell what is in a network, what runs on the engine, and all that blocks: inspect.json, inspect.svg.

    Operators, shapes, MACs and weights by layer, unified modules, the share of all MACs on the engine, every reason why
    an operator cannot run there, and what to do about each.
    """
    import roundel

    engine = engine_source(config, engine_file, settings)
    result = roundel.inspect(
        model,
        input_shape=input_shape,
        outputs=outputs,
        host=host,
        late=late,
        activation_error=activation_error,
        engine=engine,
        progress=steps,
    )
    if folder:
        result.save(folder)
    present(result, as_json, folder and folder / "inspect.svg")
