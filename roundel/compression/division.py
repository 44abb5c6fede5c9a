"""Compression of a network in parts: those of the engine one by one, the host's as ONNX models between them."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from numpy.typing import NDArray

from roundel.compression.chain import MAIN, Chain, ChainPart, chain_of
from roundel.compression.options import CompressOptions
from roundel.compression.pipeline import Compressed, NetworkAccuracy, run_passes
from roundel.frontend import (
    Examination,
    Host,
    LoadedModel,
    NetworkPart,
    Partition,
    Verdict,
    divide,
    examine,
    extract,
    prepare,
    read_onnx,
)
from roundel.golden.errors import InputError
from roundel.golden.network import outputs
from roundel.graph import Graph, Images, ImageSource, fold, read_images
from roundel.quantization import Untabled, real_values, unify
from roundel.ui import Progress

ATTEMPTS = 20  # of leaving single operators to the host, after which all of a part goes there
Arrays = Mapping[str, NDArray[Any]]


def network_parts(examination: Examination, host: Host, without: Mapping[str, str] = MappingProxyType({})) -> Partition:
    """Divide a network; operators that have no integer form where they stand are left to the host as well.

    Parameters
    ----------
    examination
        The file, operator by operator.
    host
        `TAIL` or `ANY`.
    without
        Tensors whose operators are left to the host in any case, and why.

    Raises
    ------
    InputError
        What `divide` refuses.
    """
    left = dict(without)
    for attempt in range(ATTEMPTS + 1):
        partition = divide(examination, host, dict(left))
        unfit = [_unfit(partition, part, attempt == ATTEMPTS - 1) for part in partition.engine]
        if not any(unfit):
            break
        for reasons in unfit:
            left |= reasons
    return partition


def left_functions(examination: Examination, nodes: Mapping[str, str]) -> dict[str, str]:
    """Return the tensors of functions, and of all functions before them that nobody else reads, and why.

    Parameters
    ----------
    examination
        The file, operator by operator.
    nodes
        Names of the functions' nodes, and why the engine cannot do them.
    """
    left: dict[str, str] = {}
    for item in examination.verdicts:
        why = next((nodes[node.name] for node in item.nodes if node.name in nodes), None)
        if why is not None:
            left |= dict.fromkeys((*item.makes, *_steps(examination, item)), why)
    return left


def _steps(examination: Examination, last: Verdict) -> list[str]:
    """Return the tensors of functions in a row before another one that only these read."""
    applied, aliases = examination.scope.applied, examination.scope.aliases
    needed = {aliases.get(item.name, item.name) for item in examination.model.graph.output}
    inside, steps = set(last.reads), list[str]()
    place = examination.verdicts.index(last)
    for item in examination.verdicts[place + 1 :]:
        needed.update(item.reads)
    for item in reversed(examination.verdicts[:place]):
        private = needed.isdisjoint(item.makes) and not inside.isdisjoint(item.makes)
        if private and all(name in applied and applied[name].roots for name in item.makes):
            steps += item.makes
            inside.update(item.reads)
        elif not item.constant:
            needed.update(item.reads)
    return steps


def _unfit(partition: Partition, part: NetworkPart, whole: bool) -> dict[str, str]:
    """Return the tensors of a part's operators that have no integer form there, and why: the one named, or all."""
    graph = part_graph(partition, part.inputs[0])
    try:
        unify(fold(graph))
    except InputError as error:
        named = [node.name for node in graph.nodes if f"node {node.name}:" in str(error)]
        items = [item for item in part.verdicts if any(node.name in named for node in item.nodes)]
        why = str(error).removeprefix(f"{graph.file}: ")
        return {name: why for item in (part.verdicts if whole or not items else items) for name in item.makes}
    return {}


def part_graph(partition: Partition, source: str) -> Graph:
    """Return the part of the engine that reads `source`, as imported."""
    return read_onnx(part_model(partition, source))


def part_model(partition: Partition, source: str) -> LoadedModel:
    """Return the model of the part of the engine that reads `source`."""
    [part] = [part for part in partition.engine if part.inputs == (source,)]
    examination = partition.examination
    notes = examination.notes if source == examination.scope.source else ()
    return LoadedModel(extract(examination, part), examination.file, notes, examination.late)


def compress_parts(
    options: CompressOptions, host: Host, progress: Progress
) -> tuple[Chain | None, dict[str, Compressed], NetworkAccuracy | None]:
    """Compress a network, all parts of it that the engine computes.

    Parameters
    ----------
    options
        The network, and how to compress it.
    host
        What may be left to a host.
    progress
        Told of every part.

    Returns
    -------
    tuple
        The chain of the parts, None where all runs on the engine; what the passes made of each part of the engine, by
        its place in the chain; and the accuracy of the whole network, where the parts alone cannot tell it.

    Raises
    ------
    InputError
        What the passes refuse, a network of which nothing would run on the engine, or a host's part that cannot run.
    """
    if host is Host.REFUSE or isinstance(options.model, Graph):
        return None, {MAIN: run_passes(options, progress)}, None
    prepared = prepare(
        options.model,
        input_shape=options.input_shape,
        outputs=options.outputs,
        images=options.calibration,
        late=options.late,
    )
    examination, without = examine(prepared), dict[str, str]()
    while True:
        try:
            return _compress_parts(options, host, prepared, examination, without, progress)
        except Untabled as error:
            left = left_functions(examination, error.nodes)
            if left.keys() <= without.keys():
                raise
            without |= left


def _compress_parts(
    options: CompressOptions,
    host: Host,
    prepared: LoadedModel,
    examination: Examination,
    without: Mapping[str, str],
    progress: Progress,
) -> tuple[Chain | None, dict[str, Compressed], NetworkAccuracy | None]:
    """Compress a network without the functions that calibration showed no table of."""
    if not without and not examination.refused and _has_modules(read_onnx(prepared)):
        return None, {MAIN: run_passes(options, progress)}, None
    partition = network_parts(examination, host, without)
    if not partition.engine:
        raise InputError(
            f"{_first_reason(partition)}: nothing is left for the engine; roundel inspect tells all reasons"
        )
    chain = chain_of(partition, host.value, options.detector.outputs if options.detector is not None else ())
    if not without and _is_plain(chain, prepared):
        return chain, {MAIN: run_passes(options, progress)}, None
    return _compress_chain(options, partition, chain, progress)


def _first_reason(partition: Partition) -> str:
    """Return the first reason why something cannot run on the engine, with the operator that it is about."""
    examination = partition.examination
    for item in examination.refused:
        return f"{examination.file}: node {item.name} ({item.operator}): {item.reason}"
    return next((f"{examination.file}: {why}" for why in partition.without.values()), examination.file)


def _has_modules(graph: Graph) -> bool:
    """Whether the operators of a network become modules that round once."""
    try:
        unify(fold(graph))
    except InputError:
        return False
    return True


def _is_plain(chain: Chain, model: LoadedModel) -> bool:
    """Whether the host has nothing but what the import itself leaves to it at the end."""
    try:
        graph = read_onnx(model)
    except InputError:
        return False
    [part, *others] = chain.engine
    if graph.source in graph.results:  # read by the host as it is
        return False
    return not others and part.inputs == (graph.source,) and set(part.outputs) <= graph.names.keys()


def _compress_chain(
    options: CompressOptions, partition: Partition, chain: Chain, progress: Progress
) -> tuple[Chain, dict[str, Compressed], NetworkAccuracy | None]:
    """Compress part by part: each is calibrated on what the float network before it gives."""
    calibration = read_images(options.calibration, chain.shape)
    training = _inner_images(chain, partition, options.training)
    made: dict[str, Compressed] = {}

    def compress(part: ChainPart, values: NDArray[Any]) -> Arrays:
        source = part.inputs[0]
        images = Images(images=values, labels=None, file=calibration.file)
        inner = replace(
            options,
            model=part_model(partition, source),
            input_shape=None,
            outputs=None,
            calibration=images,
            held_out=None,
            training=training.get(source),
        )
        made[part.file] = run_passes(inner, progress)
        return made[part.file].graph.named_outputs(values)

    chain.run_engine(calibration.images, compress)
    return chain, made, _accuracy(options, chain, made)


def _inner_images(chain: Chain, partition: Partition, source: ImageSource | None) -> dict[str, Images]:
    """Return images of fine-tuning as each part of the engine gets them."""
    if source is None:
        return {}
    images = read_images(source, chain.shape)
    inner = {}

    def keep(part: ChainPart, values: NDArray[Any]) -> Arrays:
        inner[part.inputs[0]] = replace(images, images=values)
        return part_graph(partition, part.inputs[0]).named_outputs(values)

    chain.run_engine(images.images, keep)
    return inner


def _accuracy(options: CompressOptions, chain: Chain, made: Mapping[str, Compressed]) -> NetworkAccuracy | None:
    """Return the part of held-out images that the whole network's first output gets right, in float and integers."""
    if options.held_out is None:
        return None
    images = read_images(options.held_out, chain.shape)

    def in_float(part: ChainPart, values: NDArray[Any]) -> Arrays:
        return made[part.file].graph.named_outputs(values)

    scores = [chain.run(images.images, engine)[chain.outputs[0]] for engine in (in_float, _integers(made))]
    for values in scores:
        images.labels_of(values.shape[1:])
    float32, integer = map(images.accuracy, scores)
    return NetworkAccuracy(images=len(images.images), float32=float32, integer=integer)


def _integers(made: Mapping[str, Compressed]) -> Any:
    def engine(part: ChainPart, values: NDArray[Any]) -> Arrays:
        result = made[part.file]
        codes = outputs(result.network, result.network.encode(values))
        real = real_values(result.network, result.graph.shape, codes)
        return {name: real[layer] for name, layer in result.results.items()}

    return engine
