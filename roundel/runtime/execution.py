"""Runs a compressed network bit-exactly: in NumPy, or on the RTL of the engine, every layer of it compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from roundel.compiler import Compiled, Head, compile_network, heads_of
from roundel.detection import Detector
from roundel.frontend import ImportCheck
from roundel.golden.engine import PLACE, RECORD, packed_places
from roundel.golden.errors import InputError
from roundel.golden.network import outputs, steps
from roundel.golden.nms import candidates_of
from roundel.golden.rounding import Ints
from roundel.graph import Graph, Images
from roundel.quantization import input_warnings
from roundel.runtime.against_float import FloatRow, float_rows
from roundel.runtime.differences import Difference, golden_records, record_differences, rtl_records, tensor_differences
from roundel.runtime.engine_source import ChosenEngine
from roundel.runtime.frames import Frame, batches, run_frames
from roundel.runtime.source import Source
from roundel.sim.engine_run import design
from roundel.sim.runner import build
from roundel.ui import Progress

PLACES = ("scale", "row", "column", "prior")
"""What is told of where a box was found."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Request:
    """A network, and images to run it on.

    Parameters
    ----------
    source
        The network.
    images
        What it runs on.
    detector
        How boxes come out of its results; None: it ends in its results.
    graph
        The float network to compare the integers with, if there is one.
    imported
        How far that, as imported, is from onnxruntime, or why that is not known.
    """

    source: Source
    images: Images
    detector: Detector | None = None
    graph: Graph | None = None
    imported: ImportCheck | None = None

    def __post_init__(self) -> None:
        if self.graph is not None and self.graph.shape != self.source.shape:
            raise InputError(f"{self.graph.file}: expected images of {self.source.shape}, not {self.graph.shape}")

    @property
    def inputs(self) -> Ints:
        """The images as the integers that enter the network, (images, ..., channels)."""
        return self.source.network.encode(self.images.images)

    @property
    def warnings(self) -> list[str]:
        """In what the images do not suit the network's input."""
        images, source = self.images, self.source
        return input_warnings(Path(images.file).name, images.images, source.network.input, source.calibration)

    @property
    def in_float(self) -> str:
        """Why boxes are decoded in float from the integer results; empty where the box unit decodes them, or has to."""
        detector, source = self.detector, self.source
        if detector is None:
            return ""
        if detector.why_not_in_box_unit or detector is not source.head:
            return detector.why_not_in_box_unit
        try:
            detector.heads(source.network, source.results)
        except InputError as error:
            return str(error).removeprefix(f"{detector.file}: ")
        return ""

    @property
    def unit_detector(self) -> Detector | None:
        """The detector, if the box unit decodes it; others are decoded in float."""
        return None if self.in_float else self.detector

    @property
    def heads(self) -> tuple[Head, ...]:
        """The detector's scales on the integer network; none without one that the box unit decodes."""
        detector = self.unit_detector
        return heads_of(detector, self.source.network, self.source.results) if detector else ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Execution:
    """A run with all that it left in memory.

    Attributes
    ----------
    request
        What ran.
    results
        By the name of the ONNX file's output, (images, ..., channels) integers.
    records
        With a detector, the boxes that each image keeps (boxes, fields of `RECORD`).
    places
        Scale, row, column and prior of these boxes, (boxes, 4) an image.
    candidates
        With a detector in the box unit, how many boxes of each image reach the threshold.
    compiled, frames
        On RTL: the program, and its run for each image.
    different
        Where RTL and golden differ, image by image in dataflow order: empty as it should be.
    chain
        With a float network: how far each tensor is from it.
    """

    request: Request
    results: dict[str, Ints]
    records: Sequence[Ints] = ()
    places: Sequence[Ints] = ()
    candidates: Sequence[int] = ()
    compiled: Compiled | None = None
    frames: Sequence[Frame] = ()
    different: tuple[Difference, ...] = ()
    chain: tuple[FloatRow, ...] = ()

    @property
    def apart(self) -> FloatRow | None:
        """The first tensor that is further from the float network than rounding explains."""
        return next((row for row in self.chain if row.diverges), None)

    @property
    def warnings(self) -> list[str]:
        """In what the images do not suit the network's input, and boxes for which the suppression has no place."""
        detector = self.request.unit_detector
        if detector is None or not self.candidates:
            return self.request.warnings
        most = candidates_of(detector.nms)
        full = [image for image, count in enumerate(self.candidates) if count > most]
        if not full:
            return self.request.warnings
        what = f"image {full[0]}: {self.candidates[full[0]]} boxes reach the threshold, and {most} of them take part"
        where = f", as in {len(full)} of {len(self.candidates)} images" if len(full) > 1 else ""
        ways = 'raise nms.capacity or the threshold in its file, or take method = "exact", which keeps the best'
        return [*self.request.warnings, f"{detector.file}: {what}{where}: {ways}"]


def run_golden(request: Request) -> Execution:
    """Run in NumPy, integers only."""
    tensors = outputs(request.source.network, request.inputs)
    records, found = _golden_records(request, tensors)
    return Execution(
        request=request,
        results={name: tensors[layer] for name, layer in request.source.results.items()},
        records=records,
        places=_places(records, found, named=False),
        candidates=tuple(map(len, found)),
        chain=_chain(request, _tensors(request)) if request.graph else (),
    )


def run_rtl(request: Request, engine: ChosenEngine, progress: Progress) -> Execution:
    """Run on the engine's RTL with a program that stores every layer's result, and compare each with golden's.

    Parameters
    ----------
    engine
        What it runs on. Its requantizers become those of the network, its NMS the detector's, unless stated.

    Raises
    ------
    InputError
        The engine cannot run the network: one line with file and layer.
    MismatchError
        The engine stopped with an error.
    ToolError
        Build or simulation crashed.
    """
    source, inputs = request.source, request.inputs
    compiled = compile_traced(request, engine)
    with progress("build the simulator", 1) as done:
        build(design(compiled.params))
        done("")
    with progress("images on RTL", len(batches(compiled, len(inputs)))) as done:
        frames = run_frames(compiled, inputs, done)
    tensors = _tensors(request)
    records = [rtl_records(compiled, frame) for frame in frames] if request.unit_detector else []
    named = compiled.params.places
    expected, found = _golden_records(request, tensors, named=named)

    def result(layer: str) -> Ints:
        return np.stack([compiled.read(layer, frame.regions) for frame in frames])

    return Execution(
        request=request,
        results={name: result(layer) for name, layer in source.results.items()},
        records=records,
        places=_places(records, found, named=named),
        candidates=tuple(map(len, found)),
        compiled=compiled,
        frames=frames,
        different=(*tensor_differences(compiled, frames, tensors), *record_differences(records, expected)),
        chain=_chain(request, tensors) if request.graph else (),
    )


def compile_traced(request: Request, engine: ChosenEngine) -> Compiled:
    """Return the program of a network that stores every layer's result, for an engine with what its layers need."""
    source = request.source
    params = engine.with_requantizer(source.network).with_units(source.network).with_boxes(request.unit_detector).params
    heads = request.heads
    try:
        return compile_network(source.network, source.engine_shape, params, heads=heads, trace=True)
    except InputError as error:
        raise InputError(f"{source.file}: the engine cannot run it: {error}") from None


def _tensors(request: Request) -> dict[str, Ints]:
    return {step.layer.name: step.outputs for step in steps(request.source.network, request.inputs)}


def _golden_records(
    request: Request, tensors: Mapping[str, Ints], *, named: bool = False
) -> tuple[list[Ints], list[Ints]]:
    """Return the records of each image, and the places of all of its boxes, by which records are `named` or not."""
    detector = request.unit_detector
    if detector is None:
        return [], []
    given = {name: tensors[layer] for name, layer in request.source.results.items()}
    images = detector.located([head.params for head in request.heads], given)
    names = [packed_places(places) if named else None for _, places in images]
    records = [golden_records(detector.nms, boxes, name) for (boxes, _), name in zip(images, names, strict=True)]
    return records, [places for _, places in images]


def _places(records: Sequence[Ints], found: Sequence[Ints], *, named: bool) -> list[Ints]:
    """Return scale, row, column and prior of the boxes kept, (boxes, 4) an image."""
    indices = [rows[:, RECORD.names.index("index")] for rows in records]
    if named:
        unpacked = [PLACE.unpack(index) for index in indices]
        return [np.stack([fields[name] for name in PLACES], axis=1) for fields in unpacked]
    beyond = np.zeros((1, len(PLACES)), np.int64)  # of a number that no box has
    tables = [np.concatenate([places, beyond]) for places in found]
    return [places.take(index, axis=0, mode="clip") for places, index in zip(tables, indices, strict=True)]


def _chain(request: Request, tensors: Mapping[str, Ints]) -> tuple[FloatRow, ...]:
    assert request.graph is not None
    network = request.source.network
    formats = {layer.name: layer.output for layer in network.layers}
    scaled = any(not form.is_plain for form in formats.values())
    rows = float_rows(request.graph, request.images.images, tensors, formats, residuals=not scaled)
    if not rows:
        raise InputError(f"{request.graph.file}: no layer of it has the name of one of {request.source.file}")
    return tuple(rows)
