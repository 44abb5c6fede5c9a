"""A part of a network on the engine: its modules, and its cycles where the compiler can tell them."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from roundel.compiler import compile_network, predicted_layers
from roundel.golden.errors import InputError
from roundel.graph import Graph, channels_last, fold
from roundel.quantization import QuantizeOptions, modules_table, quantize, unify
from roundel.runtime import ChosenEngine
from roundel.ui import Progress

SEED = 1  # of the image that stands for all in the prediction of cycles


@dataclass(frozen=True, kw_only=True, eq=False)
class EnginePart:
    """A part of the engine.

    Attributes
    ----------
    source
        The tensor that it reads.
    modules
        Unified modules: rows of `roundel.quantization.modules_table`.
    layers
        Cycles of each layer; empty without an engine.
    cycles
        Of an image, from start to done; None without an engine, and where it cannot run the part.
    not_compiled
        Why not.
    """

    source: str
    modules: tuple[Any, ...] = ()
    layers: tuple[Any, ...] = field(default=(), repr=False)
    cycles: int | None = None
    not_compiled: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """As plain values that JSON can hold."""
        return {
            "source": self.source,
            "modules": [vars(row) | {"operators": list(row.operators)} for row in self.modules],
            "layers": [row.as_dict() for row in self.layers],
            "cycles": self.cycles,
            "not_compiled": self.not_compiled,
        }


def engine_part(graph: Graph, engine: ChosenEngine | None, progress: Progress) -> EnginePart:
    """Tell of a part what becomes of it.

    Parameters
    ----------
    graph
        The part, as imported.
    engine
        The engine to predict cycles for, on a random image; None: no cycles.
    progress
        Told of every module.
    """
    modules = modules_table(graph, unify(fold(graph))).rows
    if engine is None:
        return EnginePart(source=graph.source, modules=modules)
    try:
        layers, cycles = _cycles(graph, engine, progress)
    except InputError as error:
        return EnginePart(source=graph.source, modules=modules, not_compiled=_told(graph, error))
    return EnginePart(source=graph.source, modules=modules, layers=tuple(layers), cycles=cycles)


def _cycles(graph: Graph, engine: ChosenEngine, progress: Progress) -> tuple[list[Any], int]:
    """Quantize on one random image, compile, and predict."""
    image = np.random.default_rng(SEED).normal(size=(1, *graph.shape)).astype(np.float32)
    network = quantize(graph, image, QuantizeOptions(rounding=None), progress).network
    engine = engine.with_requantizer(network).with_units(network)
    compiled = compile_network(network, channels_last(graph.shape), engine.params)
    return predicted_layers(compiled)


def _told(graph: Graph, error: InputError) -> str:
    return str(error).removeprefix(f"{graph.file}: ")
