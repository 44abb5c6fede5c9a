"""One-shot compression: a trained network becomes an integer network and its weight streams.

docs/compress.md tells the whole way: fold, prune and quantize weights (OPQ), fine-tune if asked to, search fractional
bits, pack the weights.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roundel.compiler import Compiled
from roundel.compression.budget import Allotment
from roundel.compression.drift import Drift, drift
from roundel.compression.engine_check import FittedEngine, check_sketch, checked
from roundel.compression.head import box_figures
from roundel.compression.options import CompressOptions
from roundel.compression.passes import PASSES, Compression, prune
from roundel.compression.patterns import PatternFigures, with_steps
from roundel.compression.weak_layers import weak_layers
from roundel.detection import BoxFigures
from roundel.frontend import ImportCheck
from roundel.golden.network import Network, outputs
from roundel.golden.opq import LayerPlan
from roundel.graph import Graph, Images, fold
from roundel.quantization import ImageStatistics, LayerStream, Quantized, calibration_warnings, input_warnings
from roundel.scales import Advised
from roundel.ui import Progress


@dataclass(frozen=True, kw_only=True, eq=False)
class NetworkAccuracy:
    """On held-out images.

    Attributes
    ----------
    images
        How many.
    float32, integer
        Part of them, 0 to 1, that the first result of the network as it was and of the integer network gets right.
    """

    images: int
    float32: float
    integer: float

    @property
    def points_lost(self) -> float:
        """Accuracy that the integers lose, in percentage points."""
        return 100 * (self.float32 - self.integer)


@dataclass(frozen=True, kw_only=True, eq=False)
class Compressed:
    """The results of all passes.

    Attributes
    ----------
    options
        What was asked for.
    calibration
        Name of the calibration images' file.
    graph
        The network as imported, before anything was folded.
    tuned
        The float network that was quantized, batch normalization folded: with OPQ its weights are pruned and quantized.
        Before `refit`, if that was asked for.
    plans
        OPQ's plan of each layer; empty without OPQ.
    losses
        Mean loss of each epoch of fine-tuning.
    quantized
        The integer network and the choices of the search.
    advised
        What the advisor says of scales that are no powers of two; None without any.
    streams
        One for each weighted layer whose weights have at most 8 bits.
    accuracy
        None without held-out images.
    statistics
        Figures of the calibration images.
    warnings
        What may be wrong with the images, and layers of which quantization leaves little.
    imported
        How far the network as imported is from onnxruntime, or why that is not known.
    drift
        How far the results of the integer network are; None where the file does not quantize, or it is not known.
    engine
        The engine that was asked for: its name, scheme and rounding, and the bytes of the program; None without one.
    allotment
        The bits of each layer under a budget; None without one.
    patterns
        What patterns of channels keep, and their steps on the engine, by layer; empty without patterns.
    evened
        By how many dB factors between layers lower the noise of their model; None without them.
    figures
        What boxes the integer network finds in the calibration images; None without a head.
    """

    options: CompressOptions
    calibration: str
    graph: Graph
    tuned: Graph
    plans: Mapping[str, LayerPlan]
    losses: tuple[float, ...]
    quantized: Quantized
    advised: Advised | None
    streams: tuple[LayerStream, ...]
    accuracy: NetworkAccuracy | None
    statistics: ImageStatistics
    warnings: tuple[str, ...] = ()
    imported: ImportCheck
    drift: Drift | None = None
    engine: Mapping[str, Any] | None = None
    allotment: Allotment | None = None
    patterns: tuple[PatternFigures, ...] = ()
    evened: float | None = None
    figures: BoxFigures | None = None

    @property
    def network(self) -> Network:
        """The integer network."""
        return self.quantized.network

    @property
    def results(self) -> dict[str, str]:
        """The layer behind each output of the ONNX file, by the output's name."""
        return {name: self.quantized.results[tensor] for name, tensor in self.graph.names.items()}


def run_passes(options: CompressOptions, progress: Progress) -> Compressed:
    """Run all passes: import, fold, prune, tune, quantize, pack.

    Raises
    ------
    InputError
        A file is missing or not what it should be, or the network has no integer form; the message names it.
    """
    work = Compression(options=options, progress=progress)
    for step in PASSES:
        step(work)
        if step is prune and options.engine is not None:
            check_sketch(work.tuned, work.calibration.images, work.options.search, options.engine)
    network, graph, images = work.quantized.network, work.original, work.calibration.images
    compiled = work.compiled
    if compiled is None and options.engine is not None:
        compiled = checked(network, graph.shape, options.engine)
    statistics = ImageStatistics.of(images)
    results = {name: work.quantized.results[tensor] for name, tensor in graph.names.items()}
    figures = None if options.detector is None else box_figures(options.detector, network, graph.shape, results, images)
    return Compressed(
        options=work.options,
        calibration=Path(work.calibration.file).name,
        graph=work.original,
        tuned=work.tuned,
        plans=work.plans,
        losses=work.losses,
        quantized=work.quantized,
        advised=work.advised,
        streams=work.streams,
        accuracy=_accuracy(graph, network, work.held_out),
        statistics=statistics,
        warnings=tuple(_warnings(work, statistics)),
        imported=work.imported,
        engine=None if options.engine is None or compiled is None else _engine_figures(options.engine, compiled),
        allotment=work.allotment,
        patterns=work.patterns if compiled is None else with_steps(work.patterns, compiled),
        drift=drift(graph, work.options.model, work.quantized, images),
        evened=work.evened,
        figures=figures,
    )


def _engine_figures(engine: FittedEngine, compiled: Compiled) -> dict[str, Any]:
    """Tell of the program on an engine."""
    params = compiled.params
    return {
        "name": engine.name,
        "scheme": params.scheme.value,
        "rounding": params.rounding.value,
        "program_bytes": len(compiled.image),
    }


def _warnings(work: Compression, statistics: ImageStatistics) -> Iterator[str]:
    """Give what may be wrong with images, then layers of which quantization leaves little."""
    form, images = work.quantized.network.input, work.calibration.images
    yield from calibration_warnings(images)
    yield from input_warnings("calibration images", images, form, statistics)
    for what, other in (("held-out images", work.held_out), ("images of --finetune", work.training)):
        if other is not None:
            yield from input_warnings(what, other.images, form, statistics)
    yield from weak_layers(fold(work.tuned), work.quantized, images)


def _accuracy(graph: Graph, network: Network, images: Images | None) -> NetworkAccuracy | None:
    if images is None:
        return None
    integers = outputs(network, network.encode(images.images))[network.output_names[0]]
    return NetworkAccuracy(
        images=len(images.images),
        float32=images.accuracy(graph.run(images.images)),
        integer=images.accuracy(integers),
    )
