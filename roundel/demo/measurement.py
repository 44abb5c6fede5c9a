"""The main job from start to end: a trained detector, its integers, the engine's RTL, and boxes that equal golden's."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from roundel.compiler import Compiled, Head, compile_network, heads_of
from roundel.compression import Compressed, CompressOptions, opq_params, run_passes
from roundel.data import DETECTOR
from roundel.demo.accuracy import DetectorAccuracy, accuracies
from roundel.detection import Detector, Scenes, read_scenes
from roundel.detection import load as load_detector
from roundel.evaluation import Costs, Row, Stimulus, cost_jobs, costs_of, from_network, requant_jobs, run_jobs, sampled
from roundel.frontend import read_onnx
from roundel.golden.engine import EngineParams
from roundel.golden.errors import InputError
from roundel.golden.head import Boxes, HeadParams
from roundel.golden.network import outputs, steps
from roundel.golden.rounding import Ints
from roundel.graph import Conv, Dense, Graph
from roundel.quantization import StreamOptions
from roundel.runtime import (
    Difference,
    EngineSource,
    FloatRow,
    Frame,
    batches,
    engine_choice,
    float_rows,
    golden_records,
    record_differences,
    rtl_records,
    run_frames,
    tensor_differences,
)
from roundel.sim.engine_run import design
from roundel.sim.runner import build
from roundel.synth.cells import REFERENCE, mappable_library
from roundel.ui import Progress, silent

LEAST_SCENES = 8
SPARSITY = 0.2


@dataclass(frozen=True, kw_only=True)
class DemoOptions:
    """The files and choices that the demo works on.

    Parameters
    ----------
    model, head
        The trained detector (ONNX), and how boxes come out of its outputs (`roundel.detection.detector`).
    calibration, held_out
        Images for choosing fractional bits, and scenes with objects that training never saw.
    scenes
        How many of these run on the RTL; average precision is measured on all.
    sparsity, bits
        What OPQ prunes, and the mean bits of its codes (None: the search chooses weights). Without either `SPARSITY`
        are pruned, and nothing of a file whose weights are integers already; a sparsity of 0 leaves OPQ out.
    engine
        The engine, as `roundel.run` takes it; its NMS becomes the detector's, unless a file or settings state another.
    cells
        Liberty file for energies and the comparison of requantizers; None leaves both out.
    """

    model: Path = DETECTOR / "detector.onnx"
    head: Path = DETECTOR / "detector.toml"
    calibration: Path = DETECTOR / "calibration.npz"
    held_out: Path = DETECTOR / "heldout.npz"
    scenes: int = LEAST_SCENES
    sparsity: float | None = None
    bits: float | None = None
    engine: EngineSource = "small"
    cells: Path | None = REFERENCE


@dataclass(frozen=True, kw_only=True, eq=False)
class Program:
    """A program, its runs on the RTL, and the records that each left."""

    compiled: Compiled
    frames: Sequence[Frame] = field(repr=False)
    records: Sequence[Ints] = field(repr=False)


@dataclass(frozen=True, kw_only=True, eq=False)
class DemoMeasurement:
    """All that the demo measured.

    Attributes
    ----------
    options, detector, scenes
        What it worked on: all held-out scenes.
    compressed, heads
        The integer network with its choices, and its scales' integer parameters.
    boxes
        Golden's, before the NMS, of all scenes.
    traced, plain
        The program that stores every layer's result, and the one that stores boxes only.
    golden
        Records of the scenes that ran on the RTL, by golden.
    different
        Where the RTL differs from it: empty as it should be.
    chain
        Float against integers on those scenes, tensor by tensor.
    accuracy
        A row for each network and NMS.
    costs, requant
        Costs of an operation on gates, and the requantizers compared; None and empty without cells.
    seconds
        What each part took, by name.
    """

    options: DemoOptions
    detector: Detector
    scenes: Scenes = field(repr=False)
    compressed: Compressed = field(repr=False)
    heads: tuple[HeadParams, ...]
    boxes: Sequence[Boxes] = field(repr=False)
    traced: Program = field(repr=False)
    plain: Program = field(repr=False)
    golden: Sequence[Ints] = field(repr=False)
    different: tuple[Difference, ...]
    chain: tuple[FloatRow, ...] = field(repr=False)
    accuracy: tuple[DetectorAccuracy, ...]
    costs: Costs | None
    requant: tuple[Row, ...] = field(repr=False)
    seconds: Mapping[str, float] = field(repr=False)

    @property
    def params(self) -> EngineParams:
        """Parameters of the engine that the programs ran on."""
        return self.plain.compiled.params


class Clock:
    """Progress that remembers what each part took, seconds by title."""

    def __init__(self, progress: Progress):
        self.progress, self.seconds = progress, dict[str, float]()

    @contextmanager
    def __call__(self, title: str, total: int = 1) -> Iterator[Callable[[str], None]]:
        """Show the progress of one part and add its seconds to its title's."""
        start = monotonic()
        with self.progress(title, total) as done:
            yield done
        self.seconds[title] = self.seconds.get(title, 0.0) + monotonic() - start


def measure_demo(options: DemoOptions, progress: Progress = silent) -> DemoMeasurement:
    """Do all steps of the demo, and write nothing.

    Raises
    ------
    InputError
        A file is missing or not what it should be, or the network does not fit the engine.
    MismatchError
        The engine stopped with an error.
    ToolError
        A simulation or the synthesis crashed.
    """
    clock = Clock(progress)
    if options.cells is not None:
        mappable_library(options.cells)  # a bad one is better found now than after the simulations
    detector = load_detector(options.head)
    params = engine_choice(options.engine).with_boxes(detector).params
    graph = read_onnx(options.model)
    scenes = read_scenes(options.held_out, graph.shape)
    if options.scenes > len(scenes.images):
        raise InputError(f"{options.held_out}: expected at least {options.scenes} images, not {len(scenes.images)}")
    compressed = run_passes(_compress_options(options, graph, params), clock)
    network, names = compressed.network, compressed.results
    scales = heads_of(detector, network, names)
    heads = tuple(scale.params for scale in scales)
    with clock("golden"):
        inputs = network.encode(scenes.images)
        tensors = outputs(network, inputs)
        boxes = detector.integer(heads, {name: tensors[layer] for name, layer in names.items() if layer in tensors})
        some = inputs[: options.scenes]
        golden_steps = list(steps(network, some))
        golden = [golden_records(detector.nms, image) for image in boxes[: options.scenes]]
        float_boxes = detector.detections(compressed.graph.outputs(scenes.images))
    traced, plain = _programs(compressed, params, scales, some, clock)
    tensors = {step.layer.name: step.outputs for step in golden_steps}
    formats = {layer.name: layer.output for layer in network.layers}
    with clock("compare"):
        different = tuple(_differences(traced, plain, tensors, golden))
        chain = tuple(float_rows(compressed.graph, scenes.images[: options.scenes], tensors, formats))
    with clock("average precision"):
        accuracy = tuple(accuracies(detector, scenes, float_boxes, boxes, plain.records))
    own = from_network(network, inputs[:1], f"{options.model.stem}, its own accumulators")
    stimulus = Stimulus(
        name=options.model.stem, steps=golden_steps, accumulators=sampled(own), compiled=plain.compiled, boxes=boxes
    )
    costs, requant = _costs(options, stimulus, clock)
    return DemoMeasurement(
        options=options, detector=detector, scenes=scenes, compressed=compressed, heads=heads, boxes=boxes,
        traced=traced, plain=plain, golden=golden, different=different, chain=chain, accuracy=accuracy,
        costs=costs, requant=requant, seconds=clock.seconds,
    )  # fmt: skip


def _compress_options(options: DemoOptions, graph: Graph, params: EngineParams) -> CompressOptions:
    sparsity = options.sparsity
    if sparsity is None and options.bits is None:
        done = any(isinstance(node, Conv | Dense) and node.step is not None for node in graph.nodes)
        sparsity = 0.0 if done else SPARSITY
    opq = opq_params(sparsity, options.bits, "size", 8) if sparsity or options.bits else None
    streams = StreamOptions(packing=params.packing, lanes=params.lanes, columns=params.columns)
    return CompressOptions(model=graph, calibration=options.calibration, opq=opq, streams=streams)


def _programs(
    compressed: Compressed,
    params: EngineParams,
    heads: Sequence[Head],
    images: Ints,
    clock: Clock,
) -> tuple[Program, Program]:
    """Traced and untraced, each run for all images."""
    channels, rows, columns = compressed.graph.shape
    with clock("compile"):
        both = [
            compile_network(compressed.network, (rows, columns, channels), params, heads=heads, trace=trace)
            for trace in (True, False)
        ]
    with clock("generate Verilog"):
        made = design(params)
    with clock("build the simulator"):
        build(made)
    programs = []
    for name, compiled in zip(("every layer stored", "boxes only"), both, strict=True):
        with clock(f"RTL, {name}", len(batches(compiled, len(images)))) as done:
            frames = run_frames(compiled, images, done)
        records = [rtl_records(compiled, frame) for frame in frames]
        programs.append(Program(compiled=compiled, frames=frames, records=records))
    return programs[0], programs[1]


def _differences(
    traced: Program, plain: Program, tensors: Mapping[str, Ints], golden: Sequence[Ints]
) -> Iterator[Difference]:
    """Every layer of the traced program, then the boxes of both."""
    yield from tensor_differences(traced.compiled, traced.frames, tensors)
    yield from record_differences(traced.records, golden)
    yield from record_differences(plain.records, golden)


def _costs(options: DemoOptions, stimulus: Stimulus, clock: Clock) -> tuple[Costs | None, tuple[Row, ...]]:
    """Measure the costs of each unit's operations, and compare the requantizers."""
    if options.cells is None:
        return None, ()
    jobs, compared = cost_jobs(stimulus, options.cells), requant_jobs([options.cells], stimulus.accumulators)
    with clock("energy on gates", len(jobs)) as done:
        costs = costs_of(dict(zip(jobs, run_jobs(list(jobs.values()), done), strict=True)))
    with clock("requantizers", len(compared)) as done:
        return costs, tuple(run_jobs(compared, done))
