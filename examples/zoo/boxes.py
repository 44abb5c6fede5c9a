"""What integers cost a trained detector in average precision: `python -m examples.zoo.boxes`.

The boxes of `common_det`'s float network are the truth, on rendered images that calibrated nothing. Beside the integer
network stand the float network with each activation rounded once, which is the most that 8 bits can give, and the float
network with the activations of the unit: so the cost of the unit and that of weights of 8 bits are told apart. Weights
have one shift for a layer, or one for each channel.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import roundel
import roundel.golden
from examples.zoo import page, rival
from examples.zoo.files import Files
from examples.zoo.images import images
from examples.zoo.models import Model, named
from examples.zoo.precision import LEVELS, TRUTH, Found, all_scores, decode
from examples.zoo.rounded import places, with_rounding
from roundel.compression import network_parts, part_model
from roundel.frontend import Host, examine, prepare
from roundel.golden.errors import InputError, ToolError
from roundel.graph import Graph
from roundel.processes import cache_root
from roundel.sim.cache import cached, code
from roundel.ui import markdown_table

PAGE = Path(__file__).resolve().parents[2] / "docs" / "zoo.md"
DETECTOR = "common_det"
CALIBRATION, CALIBRATION_SEED, SEED = 4, 1, 11
AT_ONCE = 10  # images: they bound the memory
ONCE, UNIT, ALL = "exact, rounded once", "activations of the unit, weights float", "all integers, golden"
BY_CHANNEL = "all integers, a shift for each channel"
HEADS = ("network", *(f"AP at {level}" for level in LEVELS), *(f"points below at {level}" for level in LEVELS))

Run = Callable[[NDArray[np.float32]], NDArray[Any]]


def main(arguments: Sequence[str] | None = None) -> None:
    reader = argparse.ArgumentParser(
        prog="python -m examples.zoo.boxes", description=(__doc__ or "").partition("\n")[0]
    )
    reader.add_argument("--images", type=int, default=200, help="rendered images")
    reader.add_argument("--page", action="store_true", help="write the table in docs/zoo.md")
    options = reader.parse_args(arguments)
    model, files = named(DETECTOR), Files(cache_root() / "zoo")
    try:
        lines = compared(model, files.model(model), options.images, files)
    except (InputError, ToolError) as error:
        sys.exit(f"zoo: {error}")
    print("\n".join(lines))
    if options.page:
        PAGE.write_text(page.put(PAGE.read_text(encoding="utf-8"), "boxes", lines), encoding="utf-8")


def compared(model: Model, file: Path, count: int, files: Files) -> list[str]:
    """The table: a row for each network.

    Parameters
    ----------
    model, file
        The detector.
    count
        Images.
    files
        Photographs, where images need them.
    """
    calibration = images(model, CALIBRATION, CALIBRATION_SEED, files.unpack)
    pictures = images(model, count, SEED, files.unpack)
    plain = rival.prepared(file, model.shape, model.outputs)
    small = _compressed(file, model, calibration)
    found = list(places(_main_part(file, model), small.network))
    if not found:
        raise InputError(f"{file}: no activation of it runs on the engine")
    runs: dict[str, Run] = {
        ONCE: _float(rival.Float(with_rounding(plain, found, exact=True))),
        UNIT: _float(rival.Float(with_rounding(plain, found, exact=False))),
        ALL: _integer(small),
        BY_CHANNEL: _integer(_compressed(file, model, calibration, per_channel=True)),
    }
    truth = [item.above(TRUTH) for item in boxes(_float(rival.Float(plain)), pictures)]
    given = {name: boxes(run, pictures) for name, run in runs.items()}
    objects = sum(len(item.scores) for item in truth)
    rows = list(all_scores(given, truth, ONCE, SEED))
    told = f"{count} rendered images, {objects} boxes of the float network, {len(found)} activations."
    return [told, "", *markdown_table(list(HEADS), rows)]


def _compressed(
    file: Path, model: Model, calibration: NDArray[np.float32], *, per_channel: bool = False
) -> roundel.CompressedNetwork:
    """The integer network; the cache keeps it."""

    def make(folder: Path) -> None:
        small = roundel.compress(
            str(file), calibration, input_shape=(1, *model.shape), host="any", per_channel=per_channel, head=False
        )
        small.save(folder / "network")

    parts = [*code(roundel, roundel.golden), file.read_bytes(), calibration.tobytes(), str(per_channel)]
    return roundel.CompressedNetwork.load(cached("zoo_boxes", parts, make) / "network")


def _main_part(file: Path, model: Model) -> Graph:
    """The float network of the part on the engine that reads the image."""
    partition = network_parts(examine(prepare(str(file), input_shape=(1, *model.shape))), Host.ANY)
    return roundel.read_onnx(part_model(partition, partition.engine[0].inputs[0]))


def boxes(run: Run, pictures: NDArray[np.float32]) -> list[Found]:
    """Boxes of every image."""
    size = (pictures.shape[2], pictures.shape[3])
    parts = [run(pictures[first : first + AT_ONCE]) for first in range(0, len(pictures), AT_ONCE)]
    return [decode(output, size) for part in parts for output in part]


def _float(session: rival.Float) -> Run:
    return lambda pictures: session.run(pictures)[session.names[0]]


def _integer(small: roundel.CompressedNetwork) -> Run:
    def run(pictures: NDArray[np.float32]) -> NDArray[Any]:
        real = roundel.run(small, pictures).real
        return next(values for values in real.values() if values.ndim == 3)

    return run


if __name__ == "__main__":
    main()
