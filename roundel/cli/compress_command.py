"""The commands `compress` and `run`."""

import json
import sys
from pathlib import Path
from typing import Any

import click

from roundel.cli.options import JSON, OUTPUT
from roundel.golden.codec import Packing
from roundel.golden.engine import CONFIGS
from roundel.golden.errors import InputError
from roundel.golden.opq import Weighting
from roundel.golden.requant import SCHEMES, Scheme
from roundel.golden.rounding import Rounding
from roundel.ui import err, out, output_folder, shortened, steps, table

FILE = click.Path(path_type=Path)
BITS = click.IntRange(2, 8)
SEARCH = ("weight_bits", "activation_bits", "bias_bits", "per_channel")
TUNING = ("epochs", "learning_rate", "weight_decay")


@click.command()
@click.argument("model", type=FILE, metavar="MODEL.onnx")
@click.option(
    "--calibration", type=FILE, required=True, help="Images for the choice of fractional bits (.npz, `images`)."
)
@click.option("--held-out", type=FILE, help="Images and labels (.npz) on which accuracy is reported.")
@click.option("--sparsity", type=float, help="Fraction of all weights that OPQ prunes, 0 to below 1.")
@click.option(
    "--bits", type=float, help="Mean bits of a code in OPQ, 2 to 8. Without it the search chooses the weights."
)
@click.option(
    "--weighting",
    type=click.Choice([item.value for item in Weighting]),
    default=Weighting.SIZE.value,
    show_default=True,
    help="Weighting of the errors of layers in OPQ.",
)
@click.option(
    "--steps",
    "opq_steps",
    type=click.Choice(["power_of_two", "free"]),
    default="power_of_two",
    show_default=True,
    help="Quantization steps of OPQ's weights; free steps need --requant.",
)
@click.option(
    "--requant",
    type=click.Choice([scheme.value for scheme in SCHEMES]),
    default=Scheme.SHIFT.value,
    show_default=True,
    help="Arithmetic of the requantizers; all but shift keep scales that are no powers of two.",
)
@click.option(
    "--refit", is_flag=True, help="Move scales that are no powers of two to powers of two; see `roundel advise`."
)
@click.option(
    "--weight-bits", type=BITS, default=8, show_default=True, help="Bits of weights that OPQ does not quantize."
)
@click.option("--activation-bits", type=BITS, default=8, show_default=True, help="Bits of activations.")
@click.option("--bias-bits", type=click.IntRange(2, 16), default=8, show_default=True, help="Bits of biases.")
@click.option(
    "--rounding",
    type=click.Choice([item.value for item in Rounding]),
    help="Rounding of the requantizers; by default half_up, or half_even for files with quantized activations.",
)
@click.option("--per-channel", is_flag=True, help="Choose a shift for every output channel instead of one for a layer.")
@click.option(
    "--finetune", "training", type=FILE, help="Fine-tune on these images (.npz, `images`, `labels`); needs torch."
)
@click.option("--epochs", type=click.IntRange(1), help="Passes of fine-tuning over its images, 30 by default.")
@click.option("--learning-rate", type=float, help="Learning rate of fine-tuning, 0.002 by default.")
@click.option(
    "--weight-decay", type=float, help="Weight decay of fine-tuning, 0 by default; above 0 more codes become 0."
)
@click.option(
    "--codec",
    type=click.Choice([item.value for item in Packing]),
    default=Packing.RICE.value,
    show_default=True,
    help="Format of the weight streams.",
)
@click.option("--lanes", type=int, default=16, show_default=True, help="Lanes of the array: 4, 8, 16 or 32.")
@click.option("--columns", type=int, default=16, show_default=True, help="Columns of the array, 1 to 64.")
@click.option(
    "--slices", type=int, default=4, show_default=True, help="Slices of a rice stream, which decode in parallel."
)
@OUTPUT
@JSON
def compress(model: Path, folder: Path, as_json: bool, **given: Any) -> None:
    """Compress a trained network: network.npz, streams/, report.md and report.json.

    Weights are pruned and quantized by OPQ (--sparsity, --bits), or by the joint search of fractional bits, which
    chooses biases and activations either way.
    """
    from roundel.compression import MODULES, STREAMS, cells, summary, write_compressed
    from roundel.compression import compress as run_compress

    options = _options(model, given)
    with output_folder(folder) as work:
        found = write_compressed(run_compress(options, steps), work)
    if as_json:
        click.echo(json.dumps(found))
        return
    for title, columns, rows in (("Unified modules", MODULES, "modules"), ("Weight streams", STREAMS, "streams")):
        shown = [column for column in columns if column[1] != "file"]
        table(title, [head for head, *_ in shown], shortened(cells(shown, found[rows])))
    for line in summary(found):
        out.print(line)
    out.print(f"all figures: {folder / 'report.md'}")


def _options(model: Path, given: dict[str, Any]) -> Any:
    """The options of `roundel.compression.pipeline`; InputError for what its parts refuse."""
    from roundel.compression import CompressOptions, FinetuneOptions, opq_params
    from roundel.quantization import QuantizeOptions, StreamOptions

    tuning = {name: given[name] for name in TUNING if given[name] is not None}
    if tuning and not given["training"]:
        raise InputError(f"--{next(iter(tuning)).replace('_', '-')}: expected --finetune as well")
    try:
        return CompressOptions(
            model=model,
            calibration=given["calibration"],
            held_out=given["held_out"],
            opq=opq_params(
                given["sparsity"], given["bits"], given["weighting"], given["weight_bits"], given["opq_steps"]
            ),
            search=QuantizeOptions(requant=Scheme(given["requant"]), **{name: given[name] for name in SEARCH}),
            rounding=Rounding(given["rounding"]) if given["rounding"] else None,
            refit=given["refit"],
            streams=StreamOptions(
                packing=given["codec"], **{name: given[name] for name in ("lanes", "columns", "slices")}
            ),
            training=given["training"],
            finetune=FinetuneOptions(**tuning),
        )
    except (TypeError, ValueError) as error:
        raise InputError(str(error)) from None


@click.command()
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
@click.option(
    "--config",
    type=click.Choice(list(CONFIGS)),
    default="small",
    show_default=True,
    help="Engine configuration for RTL.",
)
@click.option("--head", type=FILE, help="Detector file (.toml) that makes the run end in boxes.")
@click.option("--float", "original", type=FILE, help="Float network (ONNX) to compare every tensor with.")
@click.option("--count", type=click.IntRange(1), help="Number of images to run, from the first; by default all.")
@OUTPUT
@JSON
def run(
    model: Path,
    images: Path,
    on: str,
    config: str,
    head: Path | None,
    original: Path | None,
    count: int | None,
    folder: Path,
    as_json: bool,
) -> None:
    """Run a compressed network bit-exactly: outputs.npz, run.json and, of a detector, boxes.npz.

    MODEL is a folder that `roundel compress` wrote, or the network.npz in it. Exit code 1 if RTL and golden differ in
    any element of any layer; the first one and both values are named.
    """
    from roundel.compression import read_compressed
    from roundel.detection import load as load_detector
    from roundel.frontend import read_onnx
    from roundel.golden.engine import EngineParams
    from roundel.graph import read_images
    from roundel.runtime import execution as running
    from roundel.runtime import summary, tables, write_run

    stored = read_compressed(model)
    request = running.Request(
        stored=stored,
        images=read_images(images, stored.shape).first(count),
        detector=load_detector(head) if head else None,
        graph=read_onnx(original) if original else None,
    )
    params = EngineParams(**CONFIGS[config])
    with output_folder(folder) as work:
        result = running.run_rtl(request, params, steps) if on == "rtl" else running.run_golden(request)
        found = write_run(result, work)
    if as_json:
        click.echo(json.dumps(found))
    else:
        for title, heads, rows in tables(result, config):
            table(title, heads, shortened(rows))
        for line in summary(found):
            out.print(line)
    if result.apart:
        err.print(f"{result.apart}; see docs/demo.md", style="yellow")
    for line in map(str, result.different):
        err.print(line, style="red")
    sys.exit(1 if result.different else 0)
