"""Runs a network in parts: those of the engine bit-exactly, the host's between them, and what all of it gives."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roundel.compiler import LayerCycles, total
from roundel.compression import MAIN, Chain, ChainPart, network_parts, part_model
from roundel.detection import Detector
from roundel.frontend import (
    Host,
    Model,
    Partition,
    against_onnxruntime,
    examine,
    host_note,
    prepare_original,
    read_onnx,
)
from roundel.golden.errors import InputError
from roundel.graph import Graph, Images
from roundel.quantization import sqnr_db
from roundel.runtime.against_float import FloatRow
from roundel.runtime.execution import Execution, Request
from roundel.runtime.report import real_results, report
from roundel.runtime.source import Source

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, kw_only=True, eq=False)
class ChainedRun:
    """A run of a network in parts.

    Attributes
    ----------
    chain
        The parts.
    executions
        The runs of the parts on the engine, by their places.
    outputs
        The network's outputs by their own names, real numbers or what the host makes of them.
    images
        What it ran on.
    floats
        With a float network: how far each of the outputs that the host gives is from it.
    """

    chain: Chain
    executions: Mapping[str, Execution]
    outputs: Arrays
    images: Images
    floats: tuple[FloatRow, ...] = ()

    @property
    def main(self) -> Execution:
        """The run of the main part."""
        return self.executions[MAIN]

    @property
    def apart(self) -> FloatRow | None:
        """The first tensor that is further from the float network than rounding explains."""
        return next((row for item in self.executions.values() if (row := item.apart)), None)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know beside the results."""
        kinds = {kind for part in self.chain.parts if not part.engine for kind in part.operators}
        note, apart = host_note(kinds), self.apart
        return (*([str(apart)] if apart else []), *([note] if note else []))

    def figures(self) -> dict[str, Any]:
        """Give the figures of all parts as plain values, as those of one."""
        parts = [report(item) for item in self.executions.values()]
        figures = report(self.main)
        for name in ("warnings", "different", "chain"):
            figures[name] = [line for part in parts for line in part[name]]
        figures["results"] = {name: shape for part in parts for name, shape in part["results"].items()}
        figures["outputs"] = {name: list(values.shape) for name, values in self.outputs.items()}
        figures["equal"] = None if figures["equal"] is None else all(part["equal"] for part in parts)
        figures["compared"] = sum(part["compared"] for part in parts)
        figures["cycles"] = [sum(cycles) for cycles in zip(*(part["cycles"] for part in parts), strict=True)]
        figures["layers"] = self._layers(parts)
        figures["chain"] += [row.as_dict() for row in self.floats]
        figures["accuracy"] = self._accuracy()
        return figures | {"parts": self.chain.as_dict()}

    def _layers(self, parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the rows of all parts, and their sum."""
        params = self.main.compiled.params if self.main.compiled else None
        rows = [LayerCycles(**row) for part in parts for row in part["layers"][:-1]]
        return [row.as_dict() for row in [*rows, total(rows, params.lanes * params.columns)]] if params else []

    def _accuracy(self) -> float | None:
        scores = self.outputs[self.chain.outputs[0]]
        if self.images.labels is None or scores.ndim != 2:
            return None
        return self.images.accuracy(scores)


def run_chain(
    source: Source,
    images: Images,
    detector: Detector | None,
    original: Model | Graph | None,
    execute: Callable[[Request], Execution],
) -> ChainedRun:
    """Run a network in parts.

    Parameters
    ----------
    source
        A network with a chain.
    images
        As the whole network takes them.
    detector
        How boxes come out of the main part's results; None: no boxes.
    original
        The float network to compare with, if there is one.
    execute
        Runs a part of the engine.

    Raises
    ------
    InputError
        The host cannot run its part, or `original` is another network.
    """
    chain = source.chain
    assert chain is not None
    floats = None if original is None else _Floats(original, chain)
    executions: dict[str, Execution] = {}

    def engine(part: ChainPart, values: NDArray[Any]) -> Arrays:
        file = images.file if part.inputs[0] == chain.source else f"tensor {part.inputs[0]}"
        own = source.part(part.file)
        if values.shape[1:] != own.shape:
            raise InputError(f"{own.file}: expected images of {own.shape}, not {values.shape[1:]} as parts give them")
        request = Request(
            source=own,
            images=Images(images=values, labels=None, file=file),
            detector=detector if part.file == MAIN else None,
        )
        if floats is not None:
            request = floats.added(request, part)
        executions[part.file] = execute(request)
        return real_results(executions[part.file])

    outputs = chain.run(images.images, engine)
    rows = () if floats is None else floats.rows(images, outputs)
    return ChainedRun(chain=chain, executions=executions, outputs=outputs, images=images, floats=rows)


class _Floats:
    """The float network, divided as the integer one was."""

    def __init__(self, original: Model | Graph, chain: Chain) -> None:
        if isinstance(original, Graph):
            raise InputError(f"{original.file}: expected the ONNX file, as a host computes parts of the network")
        examination = examine(prepare_original(original, chain.shape, chain.outputs, late=chain.late))
        self._chain = chain
        self._partition: Partition = network_parts(examination, Host(chain.host), chain.without)
        self._file = examination.file
        self._graphs: dict[str, Graph] = {}
        sources = {part.inputs[0] for part in self._partition.engine}
        if sources != {part.inputs[0] for part in chain.engine}:
            raise InputError(f"{self._file}: is not the network that was compressed: its parts are others")

    def added(self, request: Request, part: ChainPart) -> Request:
        """Return the request with the float network of its part, which is compared with onnxruntime first."""
        model = part_model(self._partition, part.inputs[0])
        self._graphs[part.file] = graph = read_onnx(model)
        return replace(request, graph=graph, imported=against_onnxruntime(graph, model, request.images.images))

    def rows(self, images: Images, outputs: Arrays) -> tuple[FloatRow, ...]:
        """Return how far the outputs of the host are from those of the float network, whose parts were all added."""

        def engine(part: ChainPart, values: NDArray[Any]) -> Arrays:
            return self._graphs[part.file].named_outputs(values)

        expected = self._chain.run(images.images, engine)
        given = {name for part in self._chain.engine for name in part.outputs}
        return tuple(
            _row(name, expected[name], values)
            for name, values in outputs.items()
            if name not in given and expected[name].shape == values.shape and values.size
        )


def _row(name: str, real: NDArray[Any], integer: NDArray[Any]) -> FloatRow:
    wanted, got = np.asarray(real, np.float64), np.asarray(integer, np.float64)
    apart = np.abs(wanted - got)
    place = np.unravel_index(int(apart.argmax()), apart.shape)
    return FloatRow(
        tensor=f"output {name}",
        sqnr_db=sqnr_db(float(np.square(wanted).sum()), float(np.square(apart).sum())),
        clamped=0.0,
        element=tuple(map(int, place)),
        real=float(wanted[place]),
        integer=float(got[place]),
    )
