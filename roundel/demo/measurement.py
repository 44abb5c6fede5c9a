"""The main job from start to end: a trained detector, its integers, the engine's RTL, and boxes that equal golden's."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic

from roundel.demo.accuracy import DetectorAccuracy, accuracies
from roundel.demo.trained import DemoOptions, Trained, read_trained
from roundel.detection import BoxFigures, Scenes, read_scenes
from roundel.evaluation import Costs, Row, Stimulus, cost_jobs, costs_of, from_network, requant_jobs, run_jobs, sampled
from roundel.golden.engine import EngineParams
from roundel.golden.errors import InputError
from roundel.golden.head import Boxes
from roundel.golden.network import outputs, steps
from roundel.golden.rounding import Ints
from roundel.graph import image_shape
from roundel.runtime import (
    Difference,
    EngineProgram,
    FloatRow,
    Frame,
    batches,
    compile,
    float_rows,
    golden_records,
    record_differences,
    rtl_records,
    run_frames,
    tensor_differences,
)
from roundel.sim.engine_run import design
from roundel.sim.runner import build
from roundel.synth.cells import mappable_library
from roundel.ui import Progress, silent


@dataclass(frozen=True, kw_only=True, eq=False)
class ProgramRun:
    """A program, its runs on the RTL, and the records that each left."""

    program: EngineProgram
    frames: Sequence[Frame] = field(repr=False)
    records: Sequence[Ints] = field(repr=False)


@dataclass(frozen=True, kw_only=True, eq=False)
class DemoMeasurement:
    """All that the demo measured.

    Attributes
    ----------
    options, trained, scenes
        What it worked on: all held-out scenes.
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
    trained: Trained
    scenes: Scenes = field(repr=False)
    boxes: Sequence[Boxes] = field(repr=False)
    traced: ProgramRun = field(repr=False)
    plain: ProgramRun = field(repr=False)
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
        return self.plain.program.params


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
        A file is missing or not what it should be, the tail of the network is none of a detector that is known, or the
        network does not fit the engine.
    MismatchError
        The engine stopped with an error.
    ToolError
        A simulation or the synthesis crashed.
    """
    clock = Clock(progress)
    if options.cells is not None:
        mappable_library(options.cells)  # a bad one is better found now than after the simulations
    scenes = read_scenes(options.held_out, image_shape(options.calibration))
    if options.scenes > len(scenes.images):
        raise InputError(f"{options.held_out}: expected at least {options.scenes} images, not {len(scenes.images)}")
    trained = read_trained(options, clock)
    detector = trained.detector
    with clock("compile"):
        traced, plain = (
            compile(trained.compressed, options.engine, head=detector, trace=trace) for trace in (True, False)
        )
    network = plain.source.with_peaks(detector).network
    with clock("golden"):
        inputs = network.encode(scenes.images)
        boxes = trained.boxes(network, outputs(network, inputs))
        some = inputs[: options.scenes]
        golden_steps = list(steps(network, some))
        golden = [golden_records(detector.nms, image) for image in boxes[: options.scenes]]
        float_boxes = detector.detections(trained.graph.named_outputs(scenes.images))
        calibrated = network.encode(trained.calibration)
        found = [detector.pixels(image) for image in trained.boxes(network, outputs(network, calibrated))]
        figures = BoxFigures.of(found, [detector.kept(image) for image in found])
    traced_run, plain_run = _runs((traced, plain), some, clock)
    tensors = {step.layer.name: step.outputs for step in golden_steps}
    formats = {layer.name: layer.output for layer in network.layers}
    with clock("compare"):
        different = tuple(_differences(traced_run, plain_run, tensors, golden))
        chain = tuple(float_rows(trained.graph, scenes.images[: options.scenes], tensors, formats))
    with clock("average precision"):
        accuracy = tuple(accuracies(detector, scenes, float_boxes, boxes, plain_run.records, figures))
    own = from_network(network, inputs[:1], f"{options.model.stem}, its own accumulators")
    stimulus = Stimulus(
        name=options.model.stem, steps=golden_steps, accumulators=sampled(own), compiled=plain.compiled, boxes=boxes
    )
    costs, requant = _costs(options, stimulus, clock)
    return DemoMeasurement(
        options=options, trained=trained, scenes=scenes, boxes=boxes, traced=traced_run, plain=plain_run,
        golden=golden, different=different, chain=chain, accuracy=accuracy, costs=costs, requant=requant,
        seconds=clock.seconds,
    )  # fmt: skip


def _runs(programs: tuple[EngineProgram, EngineProgram], images: Ints, clock: Clock) -> tuple[ProgramRun, ProgramRun]:
    """Run traced and untraced program for all images."""
    with clock("generate Verilog"):
        made = design(programs[0].params)
    with clock("build the simulator"):
        build(made)
    runs = []
    for name, program in zip(("every layer stored", "boxes only"), programs, strict=True):
        compiled = program.compiled
        with clock(f"RTL, {name}", len(batches(compiled, len(images)))) as done:
            frames = run_frames(compiled, images, done)
        records = [rtl_records(compiled, frame) for frame in frames]
        runs.append(ProgramRun(program=program, frames=frames, records=records))
    return runs[0], runs[1]


def _differences(
    traced: ProgramRun, plain: ProgramRun, tensors: Mapping[str, Ints], golden: Sequence[Ints]
) -> Iterator[Difference]:
    """Every layer of the traced program, then the boxes of both."""
    yield from tensor_differences(traced.program.compiled, traced.frames, tensors)
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
