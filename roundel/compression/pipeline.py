"""One-shot compression: a trained network becomes an integer network and its weight streams.

docs/compress.md tells the whole way: fold, prune and quantize weights (OPQ), fine-tune if asked to, search fractional
bits, pack the weights.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from roundel.compression.options import CompressOptions
from roundel.compression.passes import PASSES, Compression
from roundel.golden.network import Network, outputs
from roundel.golden.opq import LayerPlan
from roundel.graph import Graph, Images
from roundel.quantization import LayerStream, Quantized
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

    @property
    def network(self) -> Network:
        """The integer network."""
        return self.quantized.network


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
        accuracy=_accuracy(work.original, work.quantized.network, work.held_out),
    )


def _accuracy(graph: Graph, network: Network, images: Images | None) -> NetworkAccuracy | None:
    if images is None:
        return None
    integers = outputs(network, network.encode(images.images))[network.output_names[0]]
    return NetworkAccuracy(
        images=len(images.images),
        float32=images.accuracy(graph.run(images.images)),
        integer=images.accuracy(integers),
    )
