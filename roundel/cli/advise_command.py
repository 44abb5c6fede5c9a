"""The command `advise`."""

import json
from dataclasses import replace
from pathlib import Path

import click

from roundel.cli.options import JSON
from roundel.golden.requant import SCHEMES, Scheme
from roundel.ui import out, output_folder, shortened, steps, table, write_json

FILE = click.Path(path_type=Path)


@click.command()
@click.argument("model", type=FILE, metavar="MODEL.onnx")
@click.option("--calibration", type=FILE, required=True, help="Images on which errors are measured (.npz, `images`).")
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
def advise(model: Path, calibration: Path, requant: str, area: bool, folder: Path | None, as_json: bool) -> None:
    """Tell what it costs to move a quantized network's scales to powers of two, and what that saves.

    MODEL is a QDQ or QONNX network. `roundel compress --refit` does it, `--requant` keeps the scales.
    """
    from roundel.frontend import read_onnx
    from roundel.graph import load_images
    from roundel.scales import advice, advice_lines, advice_page, layer_areas, requantized, tables
    from roundel.scales import advise as run_advise

    graph = read_onnx(model)
    images = load_images(calibration, graph).images
    advised = run_advise(graph, images, scheme=Scheme(requant), progress=steps)
    if area and advised.kept:
        network = advised.kept.network
        with steps("requantizers", len(requantized(network))) as step:
            advised = replace(advised, areas=layer_areas(network, step))
    found = advice(advised)
    if folder is not None:
        with output_folder(folder) as work:
            write_json(work / "advice.json", found)
            (work / "advice.md").write_text("\n".join(advice_page(found, model.name)) + "\n")
    if as_json:
        click.echo(json.dumps(found))
        return
    for columns, cells in tables(found):
        table(model.name, columns, shortened(cells))
    for line in advice_lines(found):
        out.print(line)
