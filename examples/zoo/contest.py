"""One network quantized in one way, in a process of its own: `python -m examples.zoo.contest ENTRY.json RESULT.json`.

A way is a line of options of `roundel compress`, or one of onnxruntime's static quantization. The result holds the
ratio of every output to its error against the float network, or the reason why there is none.
"""

import json
import resource
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import roundel
from examples.zoo import rival
from examples.zoo.files import Files
from examples.zoo.images import images
from examples.zoo.measure import CALIBRATION_SEED, IMAGE_SEED, MIB, plain
from examples.zoo.models import Model, named
from roundel.cli.compress_command import command
from roundel.cli.engine_options import chosen_engine
from roundel.golden.errors import InputError, ToolError
from roundel.processes import work_folder
from roundel.ui import write_json

OURS, THEIRS = "roundel", "onnxruntime"
RIVALS = tuple(f"{THEIRS} {kind} {method}" for kind, method in product(("tensor", "channel"), rival.METHODS))
"""onnxruntime's ways: a scale for a tensor of weights or for each channel, and how activations get their ranges."""
PARTS = {"centerface_backbone": ("centerface", ("472", "507"))}
"""Parts of networks that are entries of their own: the network, and the tensors that they end in."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A network, a way, and the images.

    Parameters
    ----------
    name
        Of the network, or of a part of one.
    way
        `roundel` with options of `compress` behind it, or one of `RIVALS`.
    calibration, images
        How many images choose formats, and how many others are compared.
    size
        (rows, columns) of an image.
    memory
        MiB of address space that the process may take.
    """

    name: str
    way: str
    calibration: int
    images: int
    size: tuple[int, int]
    memory: int = 12 << 10

    @property
    def model(self) -> Model:
        """The network, with the outputs and the size of this entry."""
        network, outputs = PARTS.get(self.name, (self.name, None))
        found = named(network)
        return found.with_(shape=(found.shape[0], *self.size), outputs=found.outputs if outputs is None else outputs)

    def as_dict(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


def options_of(way: str) -> dict[str, Any]:
    """Return the arguments of `roundel.compress` that a line of options stands for.

    Parameters
    ----------
    way
        Such as `roundel --equalize --per-channel`.

    Raises
    ------
    InputError
        The command does not know an option.
    """
    import click

    words = ["MODEL", "--calibration", "IMAGES", "-o", "FOLDER", *shlex.split(way)[1:]]
    try:
        given = command.make_context("compress", words).params
    except click.ClickException as error:
        raise InputError(f"{way}: {error.format_message()}") from None
    for name in ("model", "calibration", "folder", "as_json", "input_shape", "outputs", "held_out"):
        del given[name]
    engine = chosen_engine(given.pop("config"), given.pop("engine_file"), given.pop("settings"))
    return given | {"engine": engine, "host": "any", "head": False}


def result(entry: Entry, folder: Path) -> dict[str, Any]:
    """Quantize, run, and compare with the float network in onnxruntime.

    Parameters
    ----------
    entry
        What.
    folder
        The zoo's files.

    Returns
    -------
    dict
        `ratios` of outputs in dB, or `failed` with the reason, and `seconds` that it took.
    """
    begin, model, files = time.perf_counter(), entry.model, Files(folder)
    try:
        file = files.model(model)
        calibration = images(model, entry.calibration, CALIBRATION_SEED, files.unpack)
        pictures = images(model, entry.images, IMAGE_SEED, files.unpack)
        proto = rival.prepared(file, model.shape, model.outputs)
        wanted = rival.Float(proto).run(pictures)
        if entry.way.startswith(OURS):
            options = options_of(entry.way)
            shape, outputs = (1, *model.shape), model.outputs or None
            small = roundel.compress(str(file), calibration, input_shape=shape, outputs=outputs, **options)
            given = roundel.run(small, pictures).real
        else:
            _, kind, method = entry.way.split()
            with work_folder() as work:
                whole = rival.quantized(proto, calibration, work, per_channel=kind == "channel", method=method)
                given = rival.Float(whole, exact=True).run(pictures)
        told: dict[str, Any] = {"ratios": rival.ratios(wanted, given)}
    except (InputError, ToolError) as error:
        told = {"failed": str(error)}
    except MemoryError:
        told = {"failed": "needs more memory than it may take"}
    except Exception as error:  # a fault of a tool is a row of the table, too
        told = {"failed": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"}
    return told | {"seconds": time.perf_counter() - begin}


def main(arguments: Sequence[str]) -> None:
    """Measure what a file says, within its limit of memory."""
    task, place = map(Path, arguments)
    given = json.loads(task.read_text(encoding="utf-8"))
    folder = Path(given.pop("folder"))
    entry = Entry(**given | {"size": tuple(given["size"])})
    resource.setrlimit(resource.RLIMIT_AS, (entry.memory * MIB, entry.memory * MIB))
    write_json(place, plain(result(entry, folder)))


if __name__ == "__main__":
    main(sys.argv[1:])
