"""The command `advise`."""

from pathlib import Path

import click

from roundel.cli.options import FILE, INPUT_SHAPE, JSON, OUTPUTS
from roundel.cli.present import present
from roundel.golden.requant import SCHEMES, Scheme
from roundel.ui import steps


@click.command("advise")
@click.argument("model", type=FILE, metavar="MODEL.onnx")
@click.option("--calibration", type=FILE, required=True, help="Images on which errors are measured (.npz, `images`).")
@INPUT_SHAPE
@OUTPUTS
@click.option(
    "--requant",
    type=click.Choice([scheme.value for scheme in SCHEMES if scheme is not Scheme.SHIFT]),
    default=Scheme.FIXED16.value,
    show_default=True,
    help="Requantizer that would keep the scales.",
)
@click.option(
    "--area/--no-area",
    default=True,
    help="Measure the area of the requantizers; this takes a minute or two the first time.",
)
@click.option("-o", "--output", "folder", type=FILE, help="Output folder for advice.json and advice.md.")
@JSON
def command(
    model: Path,
    calibration: Path,
    input_shape: tuple[int, ...] | None,
    outputs: tuple[str, ...] | None,
    requant: str,
    area: bool,
    folder: Path | None,
    as_json: bool,
) -> None:
    """Tell what it costs to move a quantized network's scales to powers of two, and what that saves.

    MODEL is a QDQ or QONNX network. `roundel compress --refit` does it, `--requant` keeps the scales.
    """
    import roundel

    advised = roundel.advise(
        model, calibration, input_shape=input_shape, outputs=outputs, scheme=requant, area=area, progress=steps
    )
    if folder is not None:
        advised.save(folder)
    present(advised, as_json, folder)
