"""The passes of compression, functions that each add to a `Compression` what the next ones need (docs/compress.md).

`PASSES` lists them in order. To look between two of them, or to leave out `prune` or `tune`, run the list pass by pass.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roundel.compiler import Compiled
from roundel.compression.budget import Allotment, LayerVariant, LayerVariants, Target, allot
from roundel.compression.engine_check import checked
from roundel.compression.finetuning import finetune
from roundel.compression.head import box_places
from roundel.compression.options import CompressOptions
from roundel.compression.patterns import OrderedPatterns, OrderSearch, PatternFigures, Patterns, pattern_layers
from roundel.frontend import ImportCheck, against_onnxruntime, read_graph
from roundel.golden.errors import InputError
from roundel.golden.opq import DENSE, LayerPlan, OpqParams, opq
from roundel.golden.requant import Scheme
from roundel.graph import Conv, Dense, Graph, Images, ImageSource, fold, layer_weights, load_images, reordered
from roundel.quantization import LayerStream, Quantized, equalize, network_streams, quantize, usual_rounding
from roundel.scales import Advised, advise, given_nodes
from roundel.ui import Progress

MOST_VALUES = 1 << 27  # of the largest tensor on all calibration images; the search takes up to 80 bytes for each


@dataclass(kw_only=True, eq=False)
class Compression:
    """A network on its way to integers: what was asked for, and what the passes so far have made.

    Parameters
    ----------
    options
        What to compress, and how; after `read` the search has the rounding that was asked for.
    progress
        Told of every epoch, module and stream.

    Attributes
    ----------
    original
        After `read`: the network as imported.
    calibration, held_out, training
        After `read`: images; None where the options name none.
    imported
        After `check_import`: how far the network as imported is from onnxruntime.
    tuned
        After `fold_operators`: the network in normal form; after `prune` and `tune` with the weights that these leave;
        after `equalize_channels` with factors between its layers, if asked to; after `order_channels` with channels
        in the order that patterns are for.
    evened
        After `equalize_channels`: by how many dB the factors lower the noise of their model; None without them.
    plans
        After `prune`: OPQ's plan of each layer; empty without OPQ.
    ordered
        After `prune`: masks of patterns, and the order of channels that they are for; None without patterns.
    patterns
        After `prune`, or after `allot_bits` under a budget: what patterns keep, by layer.
    losses
        After `tune`: mean loss of each epoch; empty without training images.
    allotment
        After `allot_bits`: the bits of each layer's weights; None without a budget.
    compiled
        After `allot_bits`: the program that keeps the budget; None without one.
    quantized, advised
        After `quantize_modules`: the integer network, and the advice where scales are no powers of two.
    streams
        After `pack`: one for each weighted layer whose weights have at most 8 bits.
    """

    options: CompressOptions
    progress: Progress
    original: Graph = field(init=False)
    calibration: Images = field(init=False)
    held_out: Images | None = field(init=False)
    training: Images | None = field(init=False)
    imported: ImportCheck = field(init=False, default=ImportCheck(reason="nobody asked for it"))
    tuned: Graph = field(init=False)
    evened: float | None = field(init=False, default=None)
    plans: Mapping[str, LayerPlan] = field(init=False, default_factory=dict)
    ordered: OrderedPatterns | None = field(init=False, default=None)
    patterns: tuple[PatternFigures, ...] = field(init=False, default=())
    losses: tuple[float, ...] = field(init=False, default=())
    allotment: Allotment | None = field(init=False, default=None)
    compiled: Compiled | None = field(init=False, default=None)
    quantized: Quantized = field(init=False)
    advised: Advised | None = field(init=False)
    streams: tuple[LayerStream, ...] = field(init=False)


def read(work: Compression) -> None:
    """Import the network, and load the images.

    Raises
    ------
    InputError
        A file is missing or not what it should be; the message names it.
    """
    options = work.options
    work.original = read_graph(
        options.model,
        input_shape=options.input_shape,
        outputs=options.outputs,
        images=options.calibration,
        late=options.late,
    )
    work.options = replace(options, search=replace(options.search, rounding=options.rounding))
    work.calibration = _bounded(load_images(options.calibration, work.original), work.original)
    work.held_out = _labelled(options.held_out, work.original)
    work.training = None if options.training is None else load_images(options.training, work.original)


def check_import(work: Compression) -> None:
    """Compare the network as imported with onnxruntime, on the calibration images, where that is installed.

    Raises
    ------
    InputError
        They differ by more than floats explain.
    """
    work.imported = against_onnxruntime(work.original, work.options.model, work.calibration.images)


def fold_operators(work: Compression) -> None:
    """Fold batch normalization into weights and biases, and move activations to what they belong to."""
    work.tuned = fold(work.original)


def prune(work: Compression) -> None:
    """Prune and quantize weights from the weights alone (OPQ), if asked to.

    Raises
    ------
    InputError
        No weights, or weights that a file already gives as integers.
    """
    options = work.options
    if options.patterns is not None:
        work.ordered = ordered_patterns(work.tuned, options.patterns)
    if options.budget is not None and options.patterns is not None:
        return  # which chooses them
    work.tuned, work.plans = prune_weights(work.tuned, options.opq, work.ordered)
    if work.ordered is not None:
        work.patterns = work.ordered.figures({name: plan.kept or DENSE for name, plan in work.plans.items()})


def tune(work: Compression) -> None:
    """Fine-tune what OPQ left free, if there are training images.

    Raises
    ------
    InputError
        There is nothing frozen to tune around, torch is missing, or what `roundel.compression.finetuning` refuses.
    """
    if work.training is None:
        return
    if not work.plans:
        raise InputError("--finetune: expected --sparsity, --bits or --patterns as well, which fix masks and steps")
    images, labels = work.training.images, work.training.labels
    result = finetune(work.original, work.plans, images, labels, work.options.finetune, progress=work.progress)
    work.tuned, work.losses = result.graph, result.losses


def equalize_channels(work: Compression) -> None:
    """Make channels of tensors alike by factors between layers, if asked to; float results stay as they are."""
    if work.options.equalize:
        search = work.options.search
        made = equalize(
            work.tuned,
            work.calibration.images,
            per_channel=search.per_channel,
            weight_bits=search.weight_bits,
            activation_bits=search.activation_bits,
        )
        work.tuned, work.evened = made.graph, made.gain_db


def order_channels(work: Compression) -> None:
    """Give channels between layers the order that patterns are for; results stay as they are."""
    if work.ordered is not None:
        work.tuned = reordered(work.tuned, work.ordered.orders)


def allot_bits(work: Compression) -> None:
    """Choose bits and patterns of each layer's weights under a budget, if there is one, and quantize with them.

    Raises
    ------
    InputError
        The budget cannot be met, or what `roundel.compression.budget.allot` refuses.
    """
    budget, engine, shape = work.options.budget, work.options.engine, work.original.shape
    if budget is None:
        return
    assert engine is not None

    def realize(chosen: Mapping[str, LayerVariant]) -> Compiled:
        bits = {name: variant.bits for name, variant in chosen.items()}
        work.options = replace(work.options, search=replace(work.options.search, module_bits=bits))
        work.tuned = variants.network({name: variant.kept for name, variant in chosen.items()})
        quantize_modules(work)
        work.compiled = compile_for(work.quantized.network)
        return work.compiled

    compile_for = partial(checked, shape=shape, engine=engine)
    target = Target(engine=engine.name, array_bits=engine.params.weight_width, compile_for=compile_for, realize=realize)
    patterns = work.options.patterns
    masks = None if patterns is None else OrderedPatterns(work.tuned, patterns, {})  # of channels as they are now
    variants = LayerVariants(work.tuned, masks)
    work.allotment = allot(
        variants,
        work.calibration.images,
        work.options.search,
        budget,
        target,
        work.progress,
    )
    if work.ordered is not None:
        work.patterns = work.ordered.figures(work.allotment.kept)


def quantize_modules(work: Compression) -> None:
    """Group operators into unified modules, and search their fractional bits; nothing is left to do under a budget.

    Raises
    ------
    InputError
        The network has no integer form, or `to_integers` refuses.
    """
    if work.allotment is not None:
        return
    images = work.calibration.images
    work.quantized, work.advised = to_integers(work.tuned, images, work.options, work.progress)


def pack(work: Compression) -> None:
    """Pack the weights of every layer as a stream."""
    network = work.quantized.network
    with work.progress("weight streams", len(network.weighted)) as step:
        work.streams = network_streams(network, work.options.streams, step)


Pass = Callable[[Compression], None]

PASSES: tuple[Pass, ...] = (
    read, check_import, fold_operators, prune, tune, equalize_channels, order_channels, allot_bits, quantize_modules,
    pack,
)  # fmt: skip


def to_integers(
    graph: Graph, images: NDArray[Any], options: CompressOptions, progress: Progress
) -> tuple[Quantized, Advised | None]:
    """Return the integer network, and the advice where scales are no powers of two.

    Parameters
    ----------
    graph, images
        The network with all that was done to its weights, and calibration images as it takes them.
    options
        How to quantize, and what to do with given scales.
    progress
        Told of every tensor whose scale the network gives.

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
        if options.refit:  # after which it may not quantize activations any more
            plain = replace(plain, rounding=search.rounding or usual_rounding(graph))
        advised = advise(graph, images, scheme=scheme, options=plain, networks=(which,), progress=progress)
        quantized = advised.moved or advised.kept
        assert quantized is not None
        return quantized, advised
    return quantize(graph, images, search, progress, focus=box_places(options.detector, graph, images)), None


def ordered_patterns(graph: Graph, patterns: Patterns) -> OrderedPatterns:
    """Return the masks of patterns, and the order of channels in which they keep most, of a folded graph.

    Raises
    ------
    InputError
        No layer has more input channels than a word of the engine's memory, or weights are integers already.
    """
    _check_free(graph, "--patterns")
    layers = pattern_layers(graph, patterns)
    if not layers:
        raise InputError(
            f"--patterns {patterns}: expected a layer that reads more than {patterns.lanes} channels, but {graph.file} "
            "has none"
        )
    orders = OrderSearch(graph, layers, patterns).orders(dict.fromkeys(layers, patterns.kept))
    return OrderedPatterns(graph, patterns, orders)


def prune_weights(
    graph: Graph, params: OpqParams | None, ordered: OrderedPatterns | None = None
) -> tuple[Graph, dict[str, LayerPlan]]:
    """Prune and quantize the weights of a folded graph, and return each layer's plan; as it was without `params`.

    Parameters
    ----------
    graph
        The network.
    params
        What to reach.
    ordered
        The masks of patterns that prune in place of single weights.

    Raises
    ------
    InputError
        No weights, or weights that a file already gives as integers.
    """
    if params is None:
        return graph, {}
    _check_free(graph, "--sparsity and --bits")
    weights = layer_weights(graph)
    if not weights:
        raise InputError(f"{graph.file}: expected weights for --sparsity and --bits, but no layer has any")
    try:
        masks = None if ordered is None else {name: partial(ordered.mask, name) for name in ordered.layers}
        plans = opq(weights, params, masks)
    except ValueError as error:
        if ordered is not None and str(error).startswith("patterns "):
            raise InputError(f"--sparsity {params.sparsity:g}: {error}") from None
        raise InputError(f"{graph.file}: node {error}") from None
    nodes = [
        _planned(node, plans[node.name]) if isinstance(node, Conv | Dense) and node.name in plans else node
        for node in graph.nodes
    ]
    return replace(graph, nodes=tuple(nodes)), plans


def _check_free(graph: Graph, asked: str) -> None:
    """Raise InputError if a file gives weights as integers already."""
    done = [node.name for node in graph.nodes if isinstance(node, Conv | Dense) and node.step is not None]
    if done:
        where = f"{graph.file}: node {done[0]}"
        raise InputError(f"{where}: its weights are integers already, expected none of {asked}")


def _planned(node: Conv | Dense, plan: LayerPlan) -> Conv | Dense:
    if plan.levels is None:
        return replace(node, weights=plan.values.astype(np.float32))
    step = np.asarray(plan.levels.step, dtype=np.float32)
    weights = plan.levels.codes.astype(np.float32) * step  # as any runtime computes them
    return replace(node, weights=weights, step=step, code_width=plan.levels.width)


def _bounded(images: Images, graph: Graph) -> Images:
    """Return calibration images; InputError where their tensors are more than the search should hold."""
    values = max(map(prod, graph.shapes.values()))
    if values * len(images.images) > MOST_VALUES:
        most = max(1, MOST_VALUES // values)
        raise InputError(
            f"{images.file}: expected at most {most} calibration images of this network, not {len(images.images)}: "
            f"its largest tensor has {values} values an image, {MOST_VALUES} of all images are the most"
        )
    return images


def _labelled(source: ImageSource | None, graph: Graph) -> Images | None:
    """Images, each with the label of one of the first result's scores."""
    if source is None:
        return None
    images = load_images(source, graph)
    images.labels_of(graph.shapes[graph.result])
    return images
