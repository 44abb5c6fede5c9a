"""One-shot compression: a trained network becomes an integer network and its weight streams.

docs/compress.md tells the whole way: fold, prune and quantize weights (OPQ), fine-tune if asked to, search fractional
bits, pack the weights.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roundel.compression.finetune_options import FinetuneOptions
from roundel.compression.finetuning import finetune
from roundel.frontend import Model, read_onnx
from roundel.golden.errors import InputError
from roundel.golden.network import Network, outputs
from roundel.golden.opq import LayerPlan, OpqParams, Weighting, opq
from roundel.golden.requant import Scheme
from roundel.golden.rounding import Rounding
from roundel.graph import Conv, Dense, Graph, Images, ImageSource, Quantize, fold, layer_weights, load_images
from roundel.quantization import LayerStream, Quantized, QuantizeOptions, StreamOptions, network_streams, quantize
from roundel.scales import Advised, advise, given_nodes
from roundel.ui import Progress


@dataclass(frozen=True, kw_only=True)
class CompressOptions:
    """What to compress, and how.

    Parameters
    ----------
    model, calibration
        The trained network (ONNX), and images for choosing fractional bits (array `images`).
    held_out
        Images with `labels` that neither training nor calibration saw; None reports no accuracy.
    opq
        Pruning and quantization from the weights alone; None leaves weights to the joint search. Steps that are powers
        of two are part of the shift.
    search
        The joint search of fractional bits; its `requant` keeps scales that are no powers of two.
    refit
        Whether to move such scales to powers of two.
    streams
        How weights are packed, and for which array.
    training
        Images, with `labels` or without, to fine-tune on; None does not.
    finetune
        How to fine-tune.
    """

    model: Model | Graph
    calibration: ImageSource
    held_out: ImageSource | None = None
    opq: OpqParams | None = None
    search: QuantizeOptions = field(default_factory=QuantizeOptions)
    rounding: Rounding | None = None
    refit: bool = False
    streams: StreamOptions = field(default_factory=StreamOptions)
    training: ImageSource | None = None
    finetune: FinetuneOptions = field(default_factory=FinetuneOptions)


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
        """In percentage points."""
        return 100 * (self.float32 - self.integer)


@dataclass(frozen=True, kw_only=True, eq=False)
class Compressed:
    """What compression made.

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


def opq_params(
    sparsity: float | None, bits: float | None, weighting: str, weight_bits: int, steps: str = "power_of_two"
) -> OpqParams | None:
    """Return what `--sparsity`, `--bits`, `--weighting` and `--steps` ask for; None without either of the first two.

    No code is wider than `bits` rounded up, so that a whole number gives every layer the same number of levels.

    Raises
    ------
    InputError
        A number out of range.
    """
    if steps != "power_of_two" and bits is None:
        raise InputError(f"--steps {steps}: expected --bits as well, without which OPQ has no steps")
    if sparsity is None and bits is None:
        return None
    if bits is not None and not 2 <= bits <= 8:
        raise InputError(f"--bits: expected 2 to 8, not {bits}")
    width = ceil(bits) if bits is not None else weight_bits
    try:
        return OpqParams(
            sparsity=sparsity or 0.0,
            bits=bits,
            max_width=width,
            weighting=Weighting(weighting),
            power_of_two=steps == "power_of_two",
        )
    except (TypeError, ValueError) as error:
        raise InputError(str(error)) from None


def run_passes(options: CompressOptions, progress: Progress) -> Compressed:
    """Run all passes: import, fold, prune, tune, quantize, pack.

    Raises
    ------
    InputError
        A file is missing or not what it should be, or the network has no integer form; the message names it.
    """
    original = options.model if isinstance(options.model, Graph) else read_onnx(options.model)
    options = replace(options, search=replace(options.search, rounding=options.rounding or usual_rounding(original)))
    calibration = load_images(options.calibration, original)
    held_out = _labelled(options.held_out, original)
    training = None if options.training is None else load_images(options.training, original)
    graph, plans = prune(fold(original), options.opq)
    losses: tuple[float, ...] = ()
    if training is not None:
        graph, losses = tune(original, plans, training, options.finetune, progress)
    quantized, advised = to_integers(graph, calibration.images, options, progress)
    with progress("weight streams", len(quantized.network.weighted)) as step:
        streams = network_streams(quantized.network, options.streams, step)
    return Compressed(
        options=options,
        calibration=Path(calibration.file).name,
        graph=original,
        tuned=graph,
        plans=plans,
        losses=losses,
        quantized=quantized,
        advised=advised,
        streams=streams,
        accuracy=_accuracy(original, quantized.network, held_out),
    )


def usual_rounding(graph: Graph) -> Rounding:
    """Of requantizers, for a network of which nothing else is known."""
    quantized = any(isinstance(node, Quantize) for node in graph.nodes)
    return Rounding.HALF_EVEN if quantized else Rounding.HALF_UP


def to_integers(
    graph: Graph, images: NDArray[Any], options: CompressOptions, progress: Progress
) -> tuple[Quantized, Advised | None]:
    """Return the integer network, and the advice where scales are no powers of two.

    Raises
    ------
    InputError
        Such scales and no choice of what to do with them, both choices, or a choice and nothing that it could act on.
    """
    search = options.search
    if options.refit and search.scaled:
        raise InputError(f"--refit: expected none of --requant, which keeps the scales, not {search.requant.value}")
    if options.refit or (search.scaled and given_nodes(graph)):
        which, scheme = ("moved", Scheme.FIXED16) if options.refit else ("kept", search.requant)
        plain = replace(search, requant=Scheme.SHIFT)
        advised = advise(graph, images, scheme=scheme, options=plain, networks=(which,), progress=progress)
        quantized = advised.moved or advised.kept
        assert quantized is not None
        return quantized, advised
    return quantize(graph, images, search, progress), None


def prune(graph: Graph, params: OpqParams | None) -> tuple[Graph, dict[str, LayerPlan]]:
    """Prune and quantize the weights of a folded graph, and return each layer's plan; as it was without `params`.

    Raises
    ------
    InputError
        No weights, or weights that a file already gives as integers.
    """
    if params is None:
        return graph, {}
    done = [node.name for node in graph.nodes if isinstance(node, Conv | Dense) and node.step is not None]
    if done:
        where = f"{graph.file}: node {done[0]}"
        raise InputError(f"{where}: its weights are integers already, expected none of --sparsity and --bits")
    weights = layer_weights(graph)
    if not weights:
        raise InputError(f"{graph.file}: expected weights for --sparsity and --bits, but no layer has any")
    try:
        plans = opq(weights, params)
    except ValueError as error:
        raise InputError(f"{graph.file}: node {error}") from None
    nodes = [
        _planned(node, plans[node.name]) if isinstance(node, Conv | Dense) and node.name in plans else node
        for node in graph.nodes
    ]
    return replace(graph, nodes=tuple(nodes)), plans


def _planned(node: Conv | Dense, plan: LayerPlan) -> Conv | Dense:
    if plan.levels is None:
        return replace(node, weights=plan.values.astype(np.float32))
    step = np.asarray(plan.levels.step, dtype=np.float32)
    weights = plan.levels.codes.astype(np.float32) * step  # as any runtime computes them
    return replace(node, weights=weights, step=step, code_width=plan.levels.width)


def tune(
    graph: Graph, plans: Mapping[str, LayerPlan], training: Images, options: FinetuneOptions, progress: Progress
) -> tuple[Graph, tuple[float, ...]]:
    """Return the fine-tuned network, folded, and the loss of each epoch.

    Raises
    ------
    InputError
        There is nothing frozen to tune around, torch is missing, or what `roundel.compression.finetuning` refuses.
    """
    if not plans:
        raise InputError("--finetune: expected --sparsity or --bits as well, which fix masks and steps")
    tuned = finetune(graph, plans, training.images, training.labels, options, progress=progress)
    return tuned.graph, tuned.losses


def _labelled(source: ImageSource | None, graph: Graph) -> Images | None:
    """Images, each with the label of one of the first result's scores."""
    if source is None:
        return None
    images = load_images(source, graph)
    images.labels_of(graph.shapes[graph.result])
    return images


def _accuracy(graph: Graph, network: Network, images: Images | None) -> NetworkAccuracy | None:
    if images is None:
        return None
    integers = outputs(network, network.encode(images.images))[network.output_names[0]]
    return NetworkAccuracy(
        images=len(images.images),
        float32=images.accuracy(graph.run(images.images)),
        integer=images.accuracy(integers),
    )
