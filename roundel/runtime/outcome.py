"""Runs a compressed network, in NumPy or on the engine's RTL, and keeps its results."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar
from zipfile import ZipFile

import numpy as np
from numpy.typing import NDArray

from roundel.compression import CompressedNetwork, with_split_head
from roundel.detection import Detector
from roundel.frontend import Model, against_onnxruntime, read_original
from roundel.golden.errors import InputError
from roundel.golden.rounding import Ints
from roundel.graph import Graph, ImageSource, read_images, read_npz
from roundel.processes import cache_root
from roundel.runtime.chained import ChainedRun, run_chain
from roundel.runtime.engine_source import EngineSource, engine_choice
from roundel.runtime.execution import Execution, Request, run_golden, run_rtl
from roundel.runtime.found import PICTURES, draw_found, found_rows, found_tables, in_pictures
from roundel.runtime.pictures import Pictures, Prepared
from roundel.runtime.program import BINARY, EngineProgram
from roundel.runtime.report import boxes, float_note, real_results, report, summary, tables
from roundel.runtime.source import Source, network_source
from roundel.ui import Grid, Progress, Result, path_of, silent, write_json

PLACES = ("golden", "rtl")
OUTPUTS, BOXES, FIGURES, REAL = "outputs.npz", "boxes.npz", "run.json", ".real"


@dataclass(frozen=True, kw_only=True, eq=False)
class Run(Result):
    """The results of a run.

    Attributes
    ----------
    integers
        By the name of the trained network's output, (images, ..., channels) integers.
    real
        The real numbers that they stand for, float32, axes in ONNX's order; and what a host makes of them, by the names
        of the network's outputs.
    boxes
        Boxes of a detector: `boxes` (n, 4) in pixels, `scores`, `probabilities`, `classes` and `image_ids` (n,); None
        without one. Scores are the box unit's integers, or where it does not decode them logits or probabilities. Of
        boxes that it decodes also `scales`, `rows`, `columns` and `priors`, where they were found. Of pictures the
        pixels are those of each picture.
    figures
        Accuracy, differences from golden, cycles: what `run.json` holds.
    notes
        What the user should know beside the results.
    """

    OPTIONAL: ClassVar[tuple[str, ...]] = (BOXES,)

    integers: dict[str, Ints] = field(repr=False)
    real: dict[str, NDArray[Any]] = field(repr=False)
    boxes: dict[str, NDArray[Any]] | None = field(repr=False)
    figures: dict[str, Any] = field(repr=False)
    notes: tuple[str, ...] = ()

    @property
    def differences(self) -> list[str]:
        """Where RTL and golden differ, image by image in dataflow order: empty as it should be."""
        return list(self.figures["different"])

    @property
    def warnings(self) -> list[str]:
        """In what the images do not suit the network's input, such as values that are clamped; a line each."""
        return list(self.figures.get("warnings", ()))

    def as_dict(self) -> dict[str, Any]:
        """Give what `run.json` holds."""
        return self.figures

    def tables(self) -> Iterable[Grid]:
        """Give the cycles of each layer on RTL, the comparison with the float network, and the boxes in pictures."""
        yield from tables(self.figures)
        yield from found_tables(self.figures.get(PICTURES, ()))

    def lines(self) -> Iterable[str]:
        """Give the shapes of the results, the boxes, the accuracy, and whether RTL equals golden."""
        return summary(self.figures)

    def write(self, folder: Path) -> None:
        """Write `outputs.npz`, `run.json` and, of a detector, `boxes.npz`; of pictures also these with their boxes.

        `outputs.npz` holds each result twice: `NAME`, integers with the channel last, and `NAME.real`. What the host
        computes is there as `NAME.real`.
        """
        arrays: dict[str, NDArray[Any]] = {}
        for name, values in self.integers.items():
            arrays |= {name: values, f"{name}{REAL}": self.real[name]}
        arrays |= {f"{name}{REAL}": values for name, values in self.real.items()}
        _write_npz(folder / OUTPUTS, arrays)
        if self.boxes is not None:
            _write_npz(folder / BOXES, self.boxes)
        if PICTURES in self.figures:
            draw_found(folder / PICTURES, self.figures[PICTURES])
        write_json(folder / FIGURES, self.figures)

    @classmethod
    def load(cls, folder: str | Path) -> "Run":
        """Read a folder that `save` wrote.

        Parameters
        ----------
        folder
            What `save` was given.

        Returns
        -------
        Run
            The same results, boxes and figures, without notes.

        Raises
        ------
        InputError
            A file is missing or damaged.
        """
        path = path_of("folder", folder)
        try:
            figures = json.loads((path / FIGURES).read_text(encoding="utf-8"))
            arrays = read_npz(path / OUTPUTS)
            kept = read_npz(path / BOXES) if (path / BOXES).is_file() else None
            names = list(figures["results"])
            integers = {name: arrays[name] for name in names}
            real = {name: arrays[f"{name}{REAL}"] for name in dict.fromkeys([*names, *figures.get("outputs", ())])}
        except Exception as error:  # a damaged archive raises one of half a dozen kinds
            raise InputError(f"{folder}: expected what `roundel run` wrote: {error}") from None
        return cls(integers=integers, real=real, boxes=kept, figures=figures)


def run(
    network: str | Path | CompressedNetwork | EngineProgram,
    images: ImageSource | Pictures,
    *,
    on: str = "golden",
    engine: EngineSource | None = None,
    head: str | Path | Detector | None = None,
    original: Model | Graph | None = None,
    count: int | None = None,
    progress: Progress = silent,
) -> Run:
    """Run a compressed network bit-exactly.

    Parameters
    ----------
    network
        A compressed network, a program, or the folder that either was saved to.
    images
        The path of an `.npz` file with `images`, and `labels` if there are any, or arrays; or `roundel.Pictures`, files
        such as PNG and JPEG of any size.
    on
        `golden`: NumPy, integers only. `rtl`: the engine's RTL under Verilator, every value of every layer compared
        with golden.
    engine
        The engine for RTL: a named configuration, the path of a file that `generate` or `compile` wrote, settings
        over a configuration or else over the program's engine, as in `{"bus": 128}`, or `EngineParams`; None: that of
        the program, or else `small`. What a file or settings state stays as it is; else the requantizers become those
        of the network, the NMS the detector's.
    head
        A detector, or its file: the run ends in boxes. None: that of the program or of the compressed network, if
        it has one.
    original
        The trained network: every tensor of it is compared with the integers, and, as imported, with onnxruntime where
        that is installed.
    count
        How many images to run on, the first ones; None: all.
    progress
        Told of every part.

    Returns
    -------
    Run
        Results, boxes and figures; `differences` is empty where RTL equals golden.

    Raises
    ------
    InputError
        A file is missing or damaged, or the engine cannot run the network: one line with file and layer.
    MismatchError
        The engine stopped with an error.
    ToolError
        Build or simulation crashed.

    Examples
    --------
    >>> import roundel
    >>> from roundel.data import DIGITS
    >>> small = roundel.compress(DIGITS / "digits.onnx", DIGITS / "calibration.npz")
    >>> roundel.run(small, DIGITS / "heldout.npz", count=5).integers["scores"].shape
    (5, 10)
    """
    if on not in PLACES:
        raise InputError(f"on must be one of {', '.join(PLACES)}, not {on!r}")
    if isinstance(network, str | Path) and (Path(network) / BINARY).is_file():
        network = EngineProgram.load(network)
    if on == "rtl":
        cache_root()  # refused before the work if it cannot be written
    base = None
    if isinstance(network, EngineProgram):
        head, base = head or network.detector, network.params
    chosen = engine_choice(base or "small" if engine is None else engine, base)
    source = _source(network)
    detector = source.detector(head)
    source = source.with_peaks(detector)
    prepared = None
    if isinstance(images, Pictures):
        prepared = images.prepared(source.image_shape, source.image_calibration, count)
        images = prepared.images
    taken = read_images(images, source.image_shape).first(count)

    def execute(request: Request) -> Execution:
        return run_golden(request) if on == "golden" else run_rtl(request, chosen, progress)

    if source.chain is not None:
        made = _chained_outcome(run_chain(source, taken, detector, original, execute))
    else:
        made = _outcome(execute(_with_original(Request(source=source, images=taken, detector=detector), original)))
    return made if prepared is None else _in_pictures(made, prepared, detector)


def _in_pictures(made: Run, prepared: Prepared, detector: Detector | None) -> Run:
    """Return a run with its boxes in pixels of the pictures."""
    figures = made.figures | {"scaling": prepared.note}
    if made.boxes is None or detector is None:
        return replace(made, figures=figures)
    kept = in_pictures(made.boxes, prepared)
    rows = found_rows(kept, prepared, detector.classes)
    figures |= {"boxes": [len(row["boxes"]) for row in rows], PICTURES: rows}
    return replace(made, boxes=kept, figures=figures)


def _with_original(request: Request, original: Model | Graph | None) -> Request:
    """Return the request with the trained network, which is compared with onnxruntime on the same images first."""
    if original is None:
        return request
    source = request.source
    if source.head is not None and not isinstance(original, Graph):
        original = with_split_head(original, source.shape, source.results)
    graph = original if isinstance(original, Graph) else read_original(original, source.shape, source.results)
    request = replace(request, graph=graph)
    return replace(request, imported=against_onnxruntime(graph, original, request.images.images))


def _source(network: str | Path | CompressedNetwork | EngineProgram) -> Source:
    """Find the network; the streams of a folder must hold its weights."""
    if isinstance(network, EngineProgram):
        return network.source
    if isinstance(network, CompressedNetwork):
        return network_source(network)
    expected = "a compressed network, a program, or the folder of either"
    return network_source(CompressedNetwork.load(path_of("network", network, expected=expected)))


def _outcome(execution: Execution) -> Run:
    return Run(
        integers=execution.results,
        real=real_results(execution),
        boxes=boxes(execution),
        figures=report(execution),
        notes=tuple(str(note) for note in (execution.apart, float_note(execution)) if note),
    )


def _chained_outcome(chained: ChainedRun) -> Run:
    executions = chained.executions.values()
    real = {name: values for execution in executions for name, values in real_results(execution).items()}
    return Run(
        integers={name: values for execution in executions for name, values in execution.results.items()},
        real=real | chained.outputs,
        boxes=boxes(chained.main),
        figures=chained.figures(),
        notes=(*chained.notes, *([note] if (note := float_note(chained.main)) else [])),
    )


def _write_npz(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays as `numpy.savez` does, which takes some names for arguments of its own."""
    with ZipFile(path, "w") as archive:
        for name, values in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, values, allow_pickle=False)
