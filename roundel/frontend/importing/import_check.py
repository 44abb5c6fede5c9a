"""An imported network against onnxruntime, where that is installed: whether the import means what the file does.

[R] Both networks that Roundel compares, float and integer, come from one import, so that comparison cannot see a fault
of it. Here every node runs on onnxruntime's own values of what it reads, so that a difference is named where it
arises, and no rounding of a quantizer turns the last bit of a sum into a whole step.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from roundel.frontend.model import (
    LoadedModel,
    Model,
    channels_first,
    cut,
    declared_sizes,
    first_line,
    made_tensors,
    network_input,
    owned,
    set_input,
    to_qdq,
)
from roundel.golden.errors import InputError
from roundel.graph import Affine, Conv, Dense, Graph, Node, Reals
from roundel.processes import work_folder

MOST_DIFFERENCE = 1e-3
"""Relative to the largest value of the tensor: float sums in another order leave about 1e-6."""
LEAST_PART = 1e-2
"""Of the largest sum that a node could form: the least that its differences are relative to. Sums that cancel leave
only rounding."""
MISSING = "onnxruntime is not installed (pip install 'roundel[bench]')"
QUIET = 4  # errors of onnxruntime are raised, too

Tensors = dict[str, Reals]


@dataclass(frozen=True, kw_only=True)
class ImportCheck:
    """The largest difference between an imported network and onnxruntime.

    Attributes
    ----------
    images
        How many were compared; 0 if there was no comparison.
    difference
        The largest one, relative to the largest magnitude of the tensor over all images; None without a comparison.
    tensor
        Where it is; None without a difference.
    reason
        Why there was no comparison; None if there was one.
    """

    images: int = 0
    difference: float | None = None
    tensor: str | None = None
    reason: str | None = None

    def __str__(self) -> str:
        if self.reason is not None:
            return f"The import was not compared with onnxruntime: {self.reason}."
        where = f" (tensor {self.tensor})" if self.tensor else ""
        most = f"at most {self.difference:.2g} of their largest value{where}"
        return f"Imported tensors differ from onnxruntime's by {most} on {self.images} images."

    def as_dict(self) -> dict[str, Any]:
        """As plain values that JSON can hold."""
        return asdict(self)


def against_onnxruntime(graph: Graph, model: Model | Graph, images: NDArray[Any]) -> ImportCheck:
    """Compare every tensor of an imported network with onnxruntime's.

    Parameters
    ----------
    graph
        The network as imported, not folded.
    model
        Where it came from; there is no comparison if this is a `Graph` itself.
    images
        As the network takes them, (images, ...).

    Returns
    -------
    ImportCheck
        The largest difference, or why there is none: onnxruntime is missing, or refuses the file.

    Raises
    ------
    InputError
        A tensor differs by more than `MOST_DIFFERENCE`: one line that names file and node.
    """
    if isinstance(model, Graph):
        return ImportCheck(reason="the network came without its file")
    try:
        import onnxruntime
    except ImportError:
        return ImportCheck(reason=MISSING)
    proto = owned(model)
    source = network_input(proto.graph)
    if source is not None and source.type.tensor_type.elem_type == onnx.TensorProto.UINT8 and not _bytes(images):
        return ImportCheck(reason="the file takes integers of 0 to 255, and the images are no such integers")
    worst = _Worst(graph)
    try:
        wanted = {node.output for node in graph.nodes} | set(graph.names)
        session = _session(onnxruntime, proto, graph, wanted, as_it_is=isinstance(model, LoadedModel))
        del proto  # the session has the weights
        for part, tensors in _tensors(session, graph, images, 1):
            worst.add(part, tensors)
    except Exception as error:  # kinds of its own: operators, versions and types that it does not have
        return ImportCheck(reason=f"onnxruntime refuses the file: {_told(error)}")
    return worst.check(len(images))


def onnxruntime_results(graph: Graph, model: Model | Graph, images: NDArray[Any]) -> Tensors:
    """Return the network's results as onnxruntime computes them from its file, by the names of the file's outputs.

    Parameters
    ----------
    graph, model, images
        As for `against_onnxruntime`.

    Returns
    -------
    dict
        (images, ...) each, operators on integers by their own kernels; empty where there is nothing to compare with.
    """
    if isinstance(model, Graph):
        return {}
    try:
        import onnxruntime

        session = _session(onnxruntime, owned(model), graph, set(graph.names), as_it_is=isinstance(model, LoadedModel))
        parts = [tensors for _, tensors in _tensors(session, graph, images, graph.at_once)]
    except Exception:  # which `against_onnxruntime` tells
        return {}
    return {name: np.concatenate([part[name].numpy() for part in parts])[: len(images)] for name in parts[0]}


class _Worst:
    """The largest difference of every tensor so far, and what it is relative to."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._apart = dict.fromkeys((node.output for node in graph.nodes), 0.0)
        self._scale = dict.fromkeys(self._apart, 0.0)
        self._renamed = dict.fromkeys(graph.names, 0.0)
        self._extent = dict.fromkeys(graph.names, 0.0)

    def add(self, images: Reals, given: dict[str, Any]) -> None:
        """Run every node on what onnxruntime gives for its inputs, and compare it with what that gives for it.

        Parameters
        ----------
        images
            As the network takes them.
        given
            Onnxruntime's tensors, which are taken out: none is held longer than it is needed.
        """
        tensors, largest = {self._graph.source: images}, {self._graph.source: _largest(images)}
        left = Counter(name for node in self._graph.nodes for name in node.inputs)
        left.update(self._graph.names.values())
        for node in self._graph.nodes:
            inputs = [tensors[name] for name in node.inputs]
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                ours = node.compute(*inputs)
            # a tensor that only the import has goes on as it is
            tensors[node.output] = theirs = given.pop(node.output).numpy() if node.output in given else ours
            largest[node.output] = _largest(theirs)
            reach = _reach(node, max(largest[name] for name in node.inputs))
            scale = max(largest[node.output], LEAST_PART * reach)
            self._apart[node.output] = max(self._apart[node.output], _apart(ours, theirs))
            self._scale[node.output] = max(self._scale[node.output], scale)
            left.subtract(node.inputs)
            for name in (*node.inputs, node.output):
                if not left[name]:
                    tensors.pop(name, None)
        for name, tensor in self._graph.names.items():
            if name in given:
                theirs = given[name].numpy()
                self._renamed[name] = max(self._renamed[name], _apart(tensors[tensor], theirs))
                self._extent[name] = max(self._extent[name], _largest(theirs))

    def check(self, images: int) -> ImportCheck:
        """Give the largest difference; InputError if it is more than floats explain."""
        difference, tensor = 0.0, None
        for node in self._graph.nodes:
            apart, scale = self._apart[node.output], self._scale[node.output]
            relative = apart / scale if scale else float("inf") if apart else 0.0
            if relative > MOST_DIFFERENCE:
                self._fail(f"node {node.name} ({type(node).__name__})", relative)
            if relative > difference:
                difference, tensor = relative, node.output
        for name, apart in self._renamed.items():  # of tensors that only the import has: others are equal
            relative = apart / self._extent[name] if self._extent[name] else float("inf") if apart else 0.0
            if relative > MOST_DIFFERENCE:
                self._fail(f"output {name}", relative)
            if relative > difference:
                difference, tensor = relative, name
        return ImportCheck(images=images, difference=float(f"{difference:.2g}"), tensor=tensor)

    def _fail(self, where: str, difference: float) -> None:
        raise InputError(
            f"{self._graph.file}: {where}: the import differs from onnxruntime by {difference:.2g} of the largest "
            f"value, more than {MOST_DIFFERENCE:g}: a fault of this program, please report it with the file"
        )


def _session(onnxruntime: Any, shown: onnx.ModelProto, graph: Graph, wanted: set[str], *, as_it_is: bool) -> Any:
    """Return a session that gives every tensor that is wanted, operator by operator: nothing is merged.

    The model is changed: it gets the size, the ends and, unless it is to be taken `as_it_is`, the graph's channels.
    """
    if not as_it_is and wanted - graph.names.keys():
        to_qdq(shown, graph.file)
    if ends := [name for name in made_tensors(shown) if name in graph.names]:
        cut(shown, ends, graph.file)
    if not as_it_is:
        channels_first(shown)
    source = network_input(shown.graph)
    if source is not None and declared_sizes(source) != (graph.batch, *graph.shape):
        set_input(shown, (graph.batch, *graph.shape) if graph.batch else graph.shape, graph.file)
    if shared := [name for name in made_tensors(shown) if name in wanted]:
        cut(shown, shared, graph.file)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = QUIET
    options.enable_cpu_mem_arena = False  # which would take up to twice what the tensors need
    options.add_session_config_entry("session.disable_prepacking", "1")  # a second copy of all weights
    with work_folder() as folder:  # of bytes the session would keep a copy
        onnx.save(shown, folder / "model.onnx")
        return onnxruntime.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])


def _tensors(session: Any, graph: Graph, images: NDArray[Any], at_once: int) -> Iterator[tuple[Reals, dict[str, Any]]]:
    """Give onnxruntime's tensors, as its own objects, for some images at a time.

    These are `at_once`, but as many as the file was made for, if it says so.
    """
    from onnxruntime import OrtValue

    [source] = session.get_inputs()
    fixed = source.shape[0] if isinstance(source.shape[0], int) else None
    names = [item.name for item in session.get_outputs()]
    count = fixed or at_once
    whole = source.type == "tensor(uint8)"
    for first in range(0, len(images), count):
        part = np.asarray(images[first : first + count], np.float32)
        if fixed:  # the last images fill what is left
            part = part[np.minimum(np.arange(fixed), len(part) - 1)]
        value = OrtValue.ortvalue_from_numpy(np.ascontiguousarray(part, np.uint8 if whole else np.float32))
        yield part, dict(zip(names, session.run_with_ort_values(names, {source.name: value}), strict=True))


def _bytes(images: NDArray[Any]) -> bool:
    return bool(images.min() >= 0 and images.max() <= 255 and (images == np.floor(images)).all())


def _largest(values: Reals) -> float:
    """Return the largest finite magnitude, 0 if there is none."""
    with np.errstate(invalid="ignore"):
        ends = float(values.min(initial=0)), float(values.max(initial=0))
    if all(map(isfinite, ends)):
        return max(-ends[0], ends[1])
    return float(np.abs(values, where=np.isfinite(values), out=np.zeros(values.shape, np.float32)).max(initial=0))


def _apart(ours: Reals, theirs: Reals) -> float:
    """Return the largest difference; infinite for other shapes, and where only one of them is finite."""
    if ours.shape != theirs.shape:
        return float("inf")
    with np.errstate(over="ignore", invalid="ignore"):
        apart = np.subtract(ours, theirs, dtype=np.result_type(ours, theirs, np.float32))
        if isfinite(most := float(np.abs(apart, out=apart).max(initial=0))):
            return most
    same = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
    with np.errstate(over="ignore", invalid="ignore"):
        apart = np.where(same, 0, np.abs(ours.astype(np.float64) - theirs))
    return float(np.where(np.isnan(apart), np.inf, apart).max(initial=0))


def _reach(node: Node, most: float) -> float:
    """Return a bound of the sums that a node forms: its weights' magnitudes times the largest input, and its bias."""
    match node:
        case Conv():
            return most * float(np.abs(node.weights).sum(axis=(1, 2, 3)).max()) + _largest(node.bias)
        case Dense():
            return most * float(np.abs(node.weights).sum(axis=0).max()) + _largest(node.bias)
        case Affine():
            return most * _largest(node.scale) + _largest(node.offset)
    return most


def _told(error: Exception) -> str:
    """Return what onnxruntime says, without its own name, codes and the rest of several lines."""
    return first_line(error).rpartition("[ONNXRuntimeError] : ")[2][:200]
