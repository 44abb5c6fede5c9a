"""The parts of a network in the order in which they run, on the engine and on a host, and the tensors between them."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roundel.frontend import MOVES, HostModel, Partition, extract
from roundel.golden.errors import InputError
from roundel.ui import write_json

MOST_AT_ONCE = 1 << 28  # values of the images that the host takes at once
PARTS, VERSION = "parts.json", 1
MOST_REASONS = 5  # that are told in lines
MAIN = "."
"""The folder of the network itself: that of its part on the engine, or of the largest one of several."""

Tensors = Mapping[str, NDArray[Any]]
Engine = Callable[["ChainPart", NDArray[Any]], Tensors]
"""Computes a part of the engine: from its images to its results, by name, real numbers in ONNX's order of axes."""


@dataclass(frozen=True, kw_only=True)
class ChainPart:
    """A part of the chain.

    Attributes
    ----------
    engine
        Whether it runs on the engine.
    file
        On the engine the folder of its network, else the file of its ONNX model; both beside `parts.json`.
    inputs, outputs
        Tensors that it takes and gives.
    macs
        Its products for one image.
    operators
        How many operators of each kind it has.
    """

    engine: bool
    file: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    macs: int
    operators: Mapping[str, int]

    def as_dict(self) -> dict[str, Any]:
        """As plain values that JSON can hold."""
        lists = {"inputs": list(self.inputs), "outputs": list(self.outputs)}
        return vars(self) | lists | {"operators": dict(self.operators)}


@dataclass(frozen=True, kw_only=True, eq=False)
class Chain:
    """A network in parts.

    Attributes
    ----------
    host
        What was left to the host: `tail` or `any`.
    source, shape
        The network's input, and the shape of an image: (channels, rows, columns) or (features,).
    outputs
        The network's outputs, by their own names.
    batch
        How many images a model of the host takes at once.
    macs
        Products of the whole network for one image.
    parts
        In the order in which they run.
    models
        The ONNX models of the host's parts, by file.
    late
        Whether the engine computes functions behind the last products.
    without
        Tensors whose operators were left to the host although the engine could do each by itself, and why.
    """

    host: str
    source: str
    shape: tuple[int, ...]
    outputs: tuple[str, ...]
    batch: int
    macs: int
    parts: tuple[ChainPart, ...]
    models: Mapping[str, bytes] = field(repr=False)
    late: bool = False
    without: Mapping[str, str] = field(default_factory=dict)

    @property
    def engine(self) -> tuple[ChainPart, ...]:
        """The parts on the engine."""
        return tuple(part for part in self.parts if part.engine)

    @property
    def share(self) -> float:
        """Part of all products that the engine computes, 0 to 1."""
        return sum(part.macs for part in self.engine) / self.macs if self.macs else 1.0

    def run(self, images: NDArray[Any], engine: Engine) -> dict[str, NDArray[Any]]:
        """Run all parts.

        Parameters
        ----------
        images
            (count, *shape).
        engine
            Computes the parts of the engine.

        Returns
        -------
        dict
            The network's outputs by name, of all images along the first axis: that of the batch or, where an output
            has none, a new one.

        Raises
        ------
        InputError
            The host cannot run its part, or gives the engine no finite numbers of one shape; an output has another size
            for each image; a batch is too large.
        """
        tensors = self._run(self.parts, images, engine)
        return {name: self._joined(name, tensors[name], len(images)) for name in self.outputs}

    def run_engine(self, images: NDArray[Any], engine: Engine) -> None:
        """Run the parts up to the last one on the engine; parameters and errors as in `run`."""
        last = max((place for place, part in enumerate(self.parts) if part.engine), default=-1)
        self._run(self.parts[: last + 1], images, engine)

    def _run(self, parts: Sequence[ChainPart], images: NDArray[Any], engine: Engine) -> dict[str, list[NDArray[Any]]]:
        """Return all tensors that parts give, by name, in pieces as large as the host takes."""
        if self.batch * prod(self.shape) > MOST_AT_ONCE:
            raise InputError(
                f"{self.batch} images of {self.shape}: at most {MOST_AT_ONCE} values at once are supported"
            )
        count, tensors = len(images), {self.source: self._split(np.asarray(images, np.float32))}
        for part in parts:
            if part.engine:
                values = _numbers(part.inputs[0], tensors[part.inputs[0]])[:count]
                results = engine(part, values)
                tensors |= {name: self._split(np.asarray(results[name], np.float32)) for name in part.outputs}
                continue
            model = _host_model(self, part)
            runs = [
                model.run({name: tensors[name][index] for name in part.inputs})
                for index in range(len(tensors[self.source]))
            ]
            tensors |= {name: [values[name] for values in runs] for name in part.outputs}
        return tensors

    def _split(self, values: NDArray[Any]) -> list[NDArray[Any]]:
        """Return a tensor in pieces as large as the host takes; the last images fill what is left."""
        count, batch = len(values), self.batch
        full = values[np.minimum(np.arange(-(-count // batch) * batch), count - 1)] if count % batch else values
        return [full[first : first + batch] for first in range(0, count, batch)]

    def _joined(self, name: str, pieces: Sequence[NDArray[Any]], count: int) -> NDArray[Any]:
        shapes = {piece.shape for piece in pieces}
        if all(shape[:1] == (self.batch,) for shape in shapes) and len({shape[1:] for shape in shapes}) == 1:
            return np.concatenate(pieces)[:count]
        if len(shapes) == 1:
            return np.stack(pieces) if len(pieces) > 1 else pieces[0]
        raise InputError(f"output {name}: has another size for each image: run one image at a time (--count 1)")

    def as_dict(self) -> dict[str, Any]:
        """Give what `parts.json` holds."""
        return {
            "version": VERSION,
            "host": self.host,
            "source": self.source,
            "shape": list(self.shape),
            "outputs": list(self.outputs),
            "batch": self.batch,
            "macs": self.macs,
            "share": self.share,
            "late": self.late,
            "without": dict(self.without),
            "parts": [part.as_dict() for part in self.parts],
        }

    def write(self, folder: Path) -> None:
        """Write `parts.json` and the models of the host."""
        write_json(folder / PARTS, self.as_dict())
        for file, data in self.models.items():
            (folder / file).parent.mkdir(exist_ok=True)
            (folder / file).write_bytes(data)


def _numbers(name: str, pieces: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Return what the engine takes as one array; InputError unless it is finite numbers of one shape."""
    if len({piece.shape[1:] for piece in pieces}) == 1 and all(
        piece.ndim and piece.dtype.kind in "biuf" for piece in pieces
    ):
        values = np.concatenate(pieces)
        if np.isfinite(values).all():
            return values
    raise InputError(f"tensor {name}: the engine takes finite numbers of one shape: for these images it gets others")


def _host_model(chain: Chain, part: ChainPart) -> HostModel:
    """Return the model of a host's part; InputError unless it has the part's tensors."""
    model = HostModel(chain.models[part.file], part.file)
    if model.inputs != part.inputs or model.outputs != part.outputs:
        names = f"{', '.join(part.inputs)} and {', '.join(part.outputs)}"
        raise InputError(f"{part.file}: expected the tensors {names} that {PARTS} names, not those of another model")
    return model


def chain_lines(values: Mapping[str, Any]) -> list[str]:
    """Say what runs where, from what `Chain.as_dict` gives."""
    count, host = sum(part["engine"] for part in values["parts"]), Counter[str]()
    for part in values["parts"]:
        host.update({} if part["engine"] else part["operators"])
    kinds = ", ".join(f"{number} {kind}" for kind, number in host.most_common())
    moves = ", which only move values" if MOVES.issuperset(host) else ""
    parts = f"{count} part{'s' if count != 1 else ''}"
    reasons = [
        f"On the host, though the engine has such operators: {why}"
        for why in dict.fromkeys(values.get("without", {}).values())
    ]
    more = len(reasons) - MOST_REASONS
    return [
        f"On the engine: {values['share']:.2%} of {values['macs']:,} MACs, in {parts} (--host {values['host']})",
        f"Left to the host: {sum(host.values())} operators ({kinds}){moves}",
        *reasons[:MOST_REASONS],
        *([f"And {more} more, in {PARTS}"] if more > 0 else []),
    ]


def chain_of(partition: Partition, host: str, maps: Collection[str] = ()) -> Chain:
    """Return the chain of a network in parts: the engine's main part lies in the folder itself.

    Parameters
    ----------
    partition
        The parts.
    host
        What may be left to a host.
    maps
        Outputs that boxes are made of. The part that gives them is the main one; without them, the largest part is.

    Raises
    ------
    InputError
        A part of the host that may run for any time, or whose tensors are too large; maps that no part gives alone.
    """
    examination = partition.examination
    main = max(partition.engine, key=lambda part: (not {*maps}.isdisjoint(part.outputs), part.macs))
    if apart := [name for name in maps if name not in main.outputs]:
        raise InputError(
            f"{examination.file}: output {apart[0]}: boxes are made in one part of the engine, but the host computes "
            f"some of what lies between this output and {next(name for name in maps if name in main.outputs)}: "
            "--no-head leaves boxes to the host"
            if len(apart) < len(maps)
            else f"{examination.file}: output {apart[0]}: the host computes it, so that no boxes are made of it: "
            "--no-head leaves boxes to the host"
        )
    parts, models = [], {}
    for number, part in enumerate(partition.parts):
        file = (MAIN if part is main else f"engine/{number}") if part.engine else f"host/{number}.onnx"
        if not part.engine:
            models[file] = extract(examination, part).SerializeToString()
        kinds = Counter(item.operator for item in part.verdicts)
        parts.append(
            ChainPart(
                engine=part.engine, file=file, inputs=part.inputs, outputs=part.outputs, macs=part.macs, operators=kinds
            )
        )
    scope = examination.scope
    return Chain(
        host=host,
        source=scope.source,
        shape=scope.shapes[scope.source],
        outputs=tuple(item.name for item in examination.model.graph.output),
        batch=scope.batch or 1,
        macs=examination.macs,
        parts=tuple(parts),
        models=models,
        late=examination.late,
        without=dict(partition.without),
    )
