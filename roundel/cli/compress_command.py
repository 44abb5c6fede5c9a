"""The command `compress`."""

from pathlib import Path
from typing import Any

import click

from roundel.cli.engine_options import chosen_engine, engine_options
from roundel.cli.options import ACTIVATION_ERROR, FILE, INPUT_SHAPE, JSON, LATE, OUTPUT, OUTPUTS
from roundel.cli.present import present
from roundel.golden.codec import Packing
from roundel.golden.opq import Weighting
from roundel.golden.requant import SCHEMES, Scheme
from roundel.golden.rounding import Rounding
from roundel.ui import err, output_folder, steps

BITS = click.IntRange(2, 8)


@click.command("compress")
@click.argument("model", type=FILE, metavar="MODEL.onnx")
@click.option(
    "--calibration", type=FILE, required=True, help="Images for the choice of fractional bits (.npz, `images`)."
)
@INPUT_SHAPE
@OUTPUTS
@click.option("--held-out", type=FILE, help="Images and labels (.npz) on which accuracy is reported.")
@click.option(
    "--sparsity",
    type=float,
    help="Fraction of all weights that one-shot pruning-quantization (OPQ) sets to 0, 0 to below 1.",
)
@click.option(
    "--patterns",
    metavar="NAME,...",
    help="Prune by patterns of input channels in place of single weights: 4:8, 2:8 or 1:8 for all layers with more "
    "channels than lanes, or several, such as dense,4:8,2:8, among which --sparsity or --budget chooses.",
)
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
    "steps",
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
    help="Arithmetic of the requantizers; all but shift keep scales that are not powers of two.",
)
@click.option("--refit", is_flag=True, help="Move scales to powers of two; see `roundel advise`.")
@click.option(
    "--weight-bits", type=BITS, default=8, show_default=True, help="Bits of weights that OPQ does not quantize."
)
@click.option("--activation-bits", type=BITS, default=8, show_default=True, help="Bits of activations.")
@click.option(
    "--bias-bits",
    type=click.IntRange(2, 16),
    help="Bits of biases, by default 8; 16 with --equalize or --correct-biases.",
)
@click.option(
    "--rounding",
    type=click.Choice([item.value for item in Rounding]),
    help="Rounding of the requantizers; by default half_up, or half_even for files with quantized activations.",
)
@ACTIVATION_ERROR
@click.option("--per-channel", is_flag=True, help="Choose a shift for every output channel instead of one per layer.")
@click.option(
    "--equalize",
    is_flag=True,
    help="Make channels alike by factors between layers, float results unchanged; best with --per-channel.",
)
@click.option(
    "--correct-biases", is_flag=True, help="Let biases take in what rounding does to a layer's results on average."
)
@click.option(
    "--round-to-results", is_flag=True, help="Round weights by a layer's results, not each to the nearest integer."
)
@click.option(
    "--clip-digits", is_flag=True, help="End weights where the usual digits of the engine's array do (119 on 4 bits)."
)
@click.option(
    "--budget",
    metavar="COST=RATIO",
    help="Choose each layer's weight bits: what an image may cost on the engine (cycles, energy or bytes), as part of "
    "what it costs with weights of 8 bits, such as cycles=0.6.",
)
@click.option(
    "--sensitivity",
    type=click.Choice(["images", "weights"]),
    default="images",
    show_default=True,
    help="Measure of how much a layer's bits matter to --budget.",
)
@click.option(
    "--finetune", "finetune", type=FILE, help="Fine-tune on these images (.npz, `images`, `labels`); needs torch."
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
@click.option(
    "--host",
    type=click.Choice(["refuse", "tail", "any"]),
    default="tail",
    show_default=True,
    help="Leave to the host what the engine cannot do: nothing, all before and behind one part of the engine, or what "
    "lies between several, too.",
)
@LATE
@click.option(
    "--head/--no-head",
    default=True,
    show_default=True,
    help="Recognise the tail of a detector, and write head.toml; or leave it to the host.",
)
@engine_options("its refusals come at once; none by default")
@OUTPUT
@JSON
def command(
    model: Path,
    folder: Path,
    as_json: bool,
    config: str | None,
    engine_file: Path | None,
    settings: tuple[str, ...],
    **given: Any,
) -> None:
    """Prune and quantize a trained network: network.npz, streams/, report.md and report.json.

    Weights are pruned and quantized by OPQ (--sparsity, --bits), or by the joint search of fractional bits, which
    chooses biases and activations either way.
    """
    import roundel

    engine = chosen_engine(config, engine_file, settings)
    with output_folder(folder, roundel.CompressedNetwork.OPTIONAL) as work:
        compressed = roundel.compress(model, **given, engine=engine, progress=steps)
        compressed.write(work)
    present(compressed, as_json, folder / "report.md")
    for warning in compressed.warnings:
        err.print(f"warning: {warning}", style="yellow")
