"""The command `run`."""

import sys
from fractions import Fraction
from pathlib import Path

import click

from roundel.cli.engine_options import engine_options, engine_source
from roundel.cli.options import FILE, JSON, OUTPUT
from roundel.cli.present import present
from roundel.golden.errors import InputError
from roundel.ui import err, output_folder, steps


def _numbers(context: click.Context, option: click.Parameter, text: str | None) -> tuple[float, ...] | None:
    """Read numbers between commas, fractions such as 1/255 among them."""
    if text is None:
        return None
    try:
        return tuple(float(Fraction(part.strip())) for part in text.split(","))
    except (ValueError, ZeroDivisionError, OverflowError):
        raise InputError(f"--{option.name} {text!r}: expected numbers such as 0.5 or 1/255, with commas") from None


@click.command("run")
@click.argument("model", type=FILE)
@click.option("--input", "images", type=FILE, help="Images to run (.npz, `images`; optionally `labels`).")
@click.option(
    "--image",
    "pictures",
    type=FILE,
    multiple=True,
    help="Picture to run instead (PNG, JPEG, ...), of any size, or a folder of pictures; may be given several times.",
)
@click.option(
    "--mean",
    callback=_numbers,
    help="Number that is taken off the bytes of pictures, or one for each channel, M,M,M. By default what the "
    "calibration images tell.",
)
@click.option(
    "--scale", callback=_numbers, help="Number that multiplies them after that, as in 1/255, or one for each channel."
)
@click.option("--bgr", is_flag=True, help="Give the network the channels of pictures with blue first.")
@click.option(
    "--pad",
    type=click.IntRange(0, 255),
    default=114,
    show_default=True,
    help="Byte around pictures that have not the shape of the network's input.",
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
    images: Path | None,
    pictures: tuple[Path, ...],
    mean: tuple[float, ...] | None,
    scale: tuple[float, ...] | None,
    bgr: bool,
    pad: int,
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
    """Run a compressed network bit-exactly: outputs.npz, run.json, of a detector boxes and pictures.

    MODEL is a folder that `roundel compress` or `roundel compile` wrote, or the network.npz in it. Exit code 1 if RTL
    and golden differ in any element of any layer; the first one and both values are named. The engine of --on rtl gets
    the network's requantizer and the detector's NMS, unless --engine or --set state others.
    """
    import roundel

    if (images is None) != bool(pictures):
        raise InputError("expected either --input or --image")
    if images is not None and (mean or scale or bgr):
        raise InputError("--mean, --scale and --bgr: expected --image with them")
    engine = engine_source(config, engine_file, settings)
    source = roundel.Pictures(pictures, mean=mean, scale=scale, bgr=bgr, pad=pad) if images is None else images
    with output_folder(folder, roundel.Run.OPTIONAL) as work:
        result = roundel.run(
            model, source, on=on, engine=engine, head=head, original=original, count=count, progress=steps
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
