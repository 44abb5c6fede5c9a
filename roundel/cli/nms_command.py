"""The command `nms`."""

from pathlib import Path
from typing import Any

import click

from roundel.cli.options import FILE, JSON
from roundel.cli.present import present
from roundel.ui import err, steps


@click.command("nms")
@click.argument("boxes", type=FILE, metavar="BOXES.npz")
@click.option(
    "--method",
    type=click.Choice(["psrr", "adjacent", "guarded", "maxpool", "greedy", "exact"]),
    default="guarded",
    show_default=True,
    help="Suppression method: a pyramid of pools, or GreedyNMS: greedy, or exact for the unit of a box a cycle.",
)
@click.option(
    "--semantics",
    type=click.Choice(["parallel", "cascade"]),
    help="Boxes that a pass sees: all, or survivors of the pass before.",
)
@click.option(
    "--shift",
    type=click.Choice(["none", "diagonal", "quad"]),
    help="Shifted copies of every pyramid level: none, one (diagonal) or three (quad).",
)
@click.option("--alpha", type=float, help="Kernel size as a fraction of the typical box of a channel, above 0.")
@click.option("--stride", type=int, help="Size of a cell in pixels, a power of two.")
@click.option(
    "--guard",
    type=float,
    help="IoU above which the best box of a window suppresses another; the IoU threshold of greedy and exact (0.5).",
)
@click.option("--max-detections", type=int, metavar="N", help="Most boxes that exact keeps of an image, the best ones.")
@click.option("--image", metavar="WxH", help="Size of the images in pixels, 640x640 by default.")
@click.option(
    "--on",
    type=click.Choice(["float", "golden", "rtl"]),
    default="golden",
    show_default=True,
    help="Decide in double precision, in the integers of the hardware, or on the hardware under Verilator.",
)
@click.option("--drop-bad", is_flag=True, help="Drop boxes without area or outside the image, and say how many.")
@click.option("--normalized", is_flag=True, help="Take boxes as parts of the image, 0 to 1, instead of pixels.")
@click.option(
    "-o",
    "--output",
    "folder",
    type=FILE,
    help="Output folder for kept.json, kept.npz and pictures of the first 16 images.",
)
@JSON
def command(boxes: Path, image: str | None, on: str, folder: Path | None, as_json: bool, **given: Any) -> None:
    """Suppress scored boxes, and list the rows of the file that are kept. Other parameters are those of the preset.

    BOXES.npz holds the arrays boxes (N x 4: x1, y1, x2, y2 in pixels), scores (N) and, optionally, classes (N) and
    image_ids (N). Exit code 1 if the RTL keeps other boxes than its golden model.
    """
    import roundel
    from roundel.detection import PICTURES, parse_image

    size = parse_image(image) if image is not None else None
    result = roundel.suppress(boxes, image=size, on=on, progress=steps, **given)
    for note in result.notes():
        err.print(note)
    if folder and len(result.images) > PICTURES:
        err.print(f"pictures of the first {PICTURES} of {len(result.images)} images")
    if folder:
        result.save(folder)
    present(result, as_json)
