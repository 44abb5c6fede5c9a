"""The float and the integer network run on the calibration images; tensors are kept until their last reader."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roundel.golden.network import Layer, Step
from roundel.golden.rounding import Ints
from roundel.graph import Graph, Reals
from roundel.quantization.modules import Module, integer_order

Codes = NDArray[np.integer[Any]]  # activations in the narrowest type: an eighth of the memory of `Ints`
BATCH_VALUES = 1 << 22  # window values, or others where there is no window, that a layer works on at once


class Floats:
    """The float network, run as far as it is asked for.

    Parameters
    ----------
    graph
        The network.
    images
        (batch, *graph.shape).
    wanted
        Tensors that will be taken, in dataflow order, once for each time that they are named here.
    """

    def __init__(self, graph: Graph, images: NDArray[np.generic], wanted: Iterable[str]) -> None:
        self._values: dict[str, Reals] = {graph.source: np.asarray(images, dtype=np.float32)}
        self._nodes = iter(graph.nodes)
        self._reads = Counter(wanted)
        for node in graph.nodes:
            self._reads.update(node.inputs)

    def take(self, tensor: str) -> Reals:
        """Return a tensor, (batch, ...) with ONNX's order of axes, and forget it if nothing else needs it."""
        while tensor not in self._values:
            node = next(self._nodes)
            inputs = [self._read(name) for name in node.inputs]
            with np.errstate(over="ignore", invalid="ignore"):  # as in any float framework, infinity is a result
                self._values[node.output] = node.compute(*inputs)
        return self._read(tensor)

    def _read(self, tensor: str) -> Reals:
        self._reads[tensor] -= 1
        return self._values[tensor] if self._reads[tensor] > 0 else self._values.pop(tensor)


class RealTensors:
    """Real results of modules, and what their functions get, in the integer network's order of axes and features.

    Parameters
    ----------
    graph, images
        The float network, and what it runs on.
    modules
        In dataflow order.
    """

    def __init__(self, graph: Graph, images: NDArray[np.generic], modules: Iterable[Module]) -> None:
        self._graph = graph
        self._ends: dict[str, tuple[float, float]] = {}
        self._kept: dict[str, Reals] = {}
        wanted = [name for module in modules for name in (*_around_function(module), module.tensor)]
        self._floats = Floats(graph, images, wanted)

    def of(self, tensor: str) -> Reals:
        """Return a tensor, and forget it."""
        return self._kept.pop(tensor) if tensor in self._kept else self._taken(tensor)

    def keep(self, tensor: str, values: Reals) -> None:
        """Remember a tensor that is needed once more."""
        self._kept[tensor] = values

    def before(self, module: Module) -> tuple[float, float]:
        """Return the least and the greatest number that a module's function gets; 0 for modules without one."""
        for name in _around_function(module)[:1]:
            if name not in self._ends:
                values = self._floats.take(name)
                finite = values[np.isfinite(values)]
                self._ends[name] = float(finite.min(initial=0)), float(finite.max(initial=0))
                for behind in _around_function(module)[1:]:
                    self._kept[behind] = self._taken(behind)
            return self._ends[name]
        return 0.0, 0.0

    def release(self, module: Module) -> None:
        """Forget what a module's function gives, which is not needed by itself."""
        for name in _around_function(module)[1:]:
            self._kept.pop(name, None)

    def _taken(self, tensor: str) -> Reals:
        return integer_order(self._graph, tensor, self._floats.take(tensor))


def _around_function(module: Module) -> tuple[str, ...]:
    """Return what a module's function gets, and what it gives where a sum follows it; nothing without a function."""
    node = module.function
    if node is None:
        return ()
    return (node.inputs[0], node.output) if module.adds_behind else (node.inputs[0],)


def sample_positions(images: int, positions: int, most: int, seed: int) -> Ints:
    """Draw the positions at which the search compares candidates: the same number in each image, without repetition.

    Parameters
    ----------
    images, positions
        Number of images, and of positions (rows times columns) in each.
    most
        Greatest number of positions over all images, but at least one in each.
    seed
        Seed of the choice.

    Returns
    -------
    (count,) ascending indices into `images * positions`.
    """
    count = min(positions, max(1, most // images))
    if count == positions:
        return np.arange(images * positions)
    rng = np.random.default_rng(seed)
    chosen = [np.sort(rng.choice(positions, count, replace=False)) for _ in range(images)]
    return np.concatenate([image * positions + part for image, part in enumerate(chosen)])


def steps_in_batches(layer: Layer, inputs: list[Codes]) -> Iterable[tuple[slice, Step]]:
    """Run one layer on a few images at a time; give which images those are, and the step."""
    window = getattr(layer, "window", None)
    values = max(x[0].size for x in inputs) * (window.taps if window else 1)
    count = max(1, BATCH_VALUES // values)
    for first in range(0, len(inputs[0]), count):
        part = slice(first, first + count)
        yield part, layer.compute(*(x[part] for x in inputs))
