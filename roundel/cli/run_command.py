"""The command `run`."""

import sys
from pathlib import Path

import click

from roundel.cli.engine_options import engine_options, engine_source
from roundel.cli.options import FILE, JSON, OUTPUT
from roundel.cli.present import present
from roundel.ui import err, output_folder, steps


@click.command("run")
@click.argument("model", type=FILE)
@click.option(
    "--input", "images", type=FILE, required=True, help="Images to run (.npz, `images`; optionally `labels`)."
)
@click.option(
    "--on",
    type=click.Choice(["golden", "rtl"]),
    default="golden",
    show_default=True,
    help="Run on NumPy, or on the engine's RTL under Verilator.",
)
@engine_options("by default that of a program, or small")
@click.option("--head", type=FILE, help="Detector file (.toml) that makes the run end in boxes.")
@click.option("--float", "original", type=FILE, help="Float network (ONNX) to compare every tensor with.")
@click.option("--count", type=click.IntRange(1), help="Number of images to run, from the first; by default all.")
@OUTPUT
@JSON
def command(
    model: Path,
    images: Path,
    on: str,
    config: str | None,
    engine_file: Path | None,
    settings: tuple[str, ...],
    head: Path | None,
    original: Path | None,
    count: int | None,
    folder: Path,
    as_json: bool,
) -> None:
    """Run a compressed network bit-exactly: outputs.npz, run.json and, of a detector, boxes.npz.

    MODEL is a folder that `roundel compress` or `roundel compile` wrote, or the network.npz in it. Exit code 1 if RTL
    and golden differ in any element of any layer; the first one and both values are named. The engine of --on rtl gets
    the network's requantizer and the detector's NMS, unless --engine or --set state others.
    """
    import roundel

    engine = engine_source(config, engine_file, settings)
    with output_folder(folder, roundel.Run.OPTIONAL) as work:
        result = roundel.run(
            model, images, on=on, engine=engine, head=head, original=original, count=count, progress=steps
        )
        result.write(work)
    present(result, as_json, folder)
    for warning in result.warnings:
        err.print(f"warning: {warning}", style="yellow")
    for note in result.notes:
        err.print(f"{note}; see docs/demo.md", style="yellow")
    for difference in result.differences:
        err.print(difference, style="red")
    sys.exit(1 if result.differences else 0)
