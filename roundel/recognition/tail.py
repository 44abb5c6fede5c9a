"""The tail of a network: what lies behind its head convolutions, the last operators with weights before the outputs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from roundel.frontend import Examination, HostModel, NetworkPart, Verdict, extract
from roundel.golden.errors import InputError

SELECTING = (
    *("ArgMax", "ArgMin", "Compress", "GatherND", "MaxPool", "NonMaxSuppression", "NonZero", "ReduceMax"),
    *("ScatterElements", "ScatterND", "TopK", "Unique"),
)
"""Operators that compare boxes with others: from them on, a value no longer belongs to one location alone."""
MOST_NUMBERS = 1 << 25
"""Of a tensor of the tail: it runs some hundred times."""
WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul", "ConvInteger", "QLinearConv", "MatMulInteger", "QLinearMatMul")


class NotRecognised(Exception):
    """Recognition ended: one line that says where and why."""


@dataclass(frozen=True, kw_only=True)
class HeadMap:
    """The result of a head convolution.

    Attributes
    ----------
    tensor
        Its name.
    convolution
        The operator.
    shape
        Channels, rows, columns.
    """

    tensor: str
    convolution: onnx.NodeProto = field(repr=False)
    shape: tuple[int, int, int]

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.shape[1:]


@dataclass(frozen=True, kw_only=True, eq=False)
class Tail:
    """What lies behind the head convolutions.

    Attributes
    ----------
    examination
        The network.
    maps
        Results of the head convolutions.
    operators
        What lies behind them, in the file's order.
    dense
        The tensors of the tail that belong to locations one by one, at its end or before a selection; maps too that are
        outputs, or that a selection reads.
    outputs
        The network's outputs.
    selects
        Kinds of the operators that select.
    selected
        The tensors that these give, or what comes from them.
    """

    examination: Examination = field(repr=False)
    maps: tuple[HeadMap, ...]
    operators: tuple[Verdict, ...] = field(repr=False)
    dense: tuple[str, ...]
    outputs: tuple[str, ...]
    selects: tuple[str, ...]
    selected: frozenset[str] = field(repr=False)

    @property
    def image(self) -> tuple[int, int]:
        """Height and width of the network's input."""
        scope = self.examination.scope
        _, rows, columns = scope.shapes[scope.source]
        return rows, columns

    def model(self, outputs: Iterable[str]) -> "TailModel":
        """Return the tail up to tensors of it, to run.

        Raises
        ------
        NotRecognised
            It cannot run.
        """
        maps = {item.tensor for item in self.maps}
        every = tuple(outputs)
        names = tuple(name for name in every if name not in maps)
        part = NetworkPart(
            engine=False,
            verdicts=_needed(self.operators, names, self.examination.scope.aliases),
            inputs=tuple(item.tensor for item in self.maps),
            outputs=names,
        )
        try:
            data = extract(self.examination, part).SerializeToString()
            return TailModel(self, HostModel(data, self.examination.file), [name for name in every if name in maps])
        except InputError as error:
            raise NotRecognised(str(error).removeprefix(f"{self.examination.file}: ")) from None

    def drawn(self, rng: np.random.Generator, low: float, high: float) -> list[NDArray[np.float32]]:
        """Return random values of all maps, evenly between two numbers."""
        return [rng.uniform(low, high, item.shape).astype(np.float32) for item in self.maps]


class TailModel:
    """A tail that runs on maps, some of which it may give as they are."""

    def __init__(self, tail: Tail, model: HostModel, raw: Iterable[str] = ()) -> None:
        self._tail, self._model, self._raw = tail, model, tuple(raw)
        self._held: Mapping[tuple[int, int], NDArray[np.float32]] = {}

    def holding(self, values: Mapping[tuple[int, int], NDArray[np.float32]]) -> "TailModel":
        """Return the same tail with some channels that never change, (rows, columns) by map and channel."""
        other = TailModel(self._tail, self._model, self._raw)
        other._held = values
        return other

    def run(self, maps: Iterable[NDArray[np.float32]]) -> dict[str, NDArray[Any]]:
        """Return tensors by name, of maps (channels, rows, columns) in the order of `Tail.maps`."""
        given = {item.tensor: values[None] for item, values in zip(self._tail.maps, maps, strict=True)}
        if self._held:
            given = {name: values.copy() for name, values in given.items()}
        for (place, channel), values in self._held.items():
            given[self._tail.maps[place].tensor][0, channel] = values
        try:
            return self._model.run(given) | {name: given[name] for name in self._raw}
        except InputError as error:
            raise NotRecognised(str(error)) from None


def find_tail(examination: Examination) -> Tail | None:
    """Return the tail of a network; None where it has none: no convolutions with maps at its end, or nothing behind.

    Raises
    ------
    NotRecognised
        The tail reads something else than the head convolutions.
    """
    aliases = examination.scope.aliases
    operators = [item for item in examination.verdicts if not item.constant and not _is_name(examination, item)]
    heads = _last_weighted(examination, operators)
    maps = [_map(examination, item) for item in heads]
    if not maps or None in maps or examination.scope.source in {item.tensor for item in maps if item}:
        return None
    tensors = {item.tensor for item in maps if item}
    behind, reached = [], set(tensors)
    for item in operators:
        if item not in heads and not reached.isdisjoint(item.reads):
            behind.append(item)
            reached.update(item.makes)
    outputs = [aliases.get(item.name, item.name) for item in examination.model.graph.output]
    raw = [name for name in dict.fromkeys(outputs) if name in tensors]
    outputs = [name for name in dict.fromkeys(outputs) if name in reached - tensors]
    behind = list(_needed(behind, outputs, aliases))
    if not outputs or not behind:
        return None
    for item in behind:
        for name in item.reads:
            if name not in reached:
                raise NotRecognised(f"node {item.name} ({item.operator}) reads {name}, which no head convolution gives")
    _check_sizes(examination, behind)
    if (examination.scope.batch or 1) != 1:
        raise NotRecognised(f"its batch is {examination.scope.batch}, not 1")
    selecting = _selecting(behind)
    dense = dict.fromkeys([*_dense(behind, selecting, outputs), *raw])
    return Tail(
        examination=examination,
        maps=tuple(item for item in maps if item),
        operators=tuple(behind),
        dense=tuple(dense),
        outputs=tuple(outputs),
        selects=tuple(dict.fromkeys(item.operator for item in behind if item.operator in SELECTING)),
        selected=frozenset(selecting),
    )


def _check_sizes(examination: Examination, items: Iterable[Verdict]) -> None:
    """Raise NotRecognised for a tensor that would take too much memory."""
    for item in items:
        for name in item.makes:
            sizes = [int(size) for size in examination.shape(name) or () if size]
            if (numbers := prod(sizes)) > MOST_NUMBERS:
                raise NotRecognised(
                    f"node {item.name} ({item.operator}) gives {' x '.join(map(str, sizes))} = {numbers} numbers, "
                    f"more than recognition runs ({MOST_NUMBERS})"
                )


def _is_name(examination: Examination, item: Verdict) -> bool:
    """Whether an operator only gives a tensor another name."""
    return item.reason is None and not item.nodes and item.proto.output[0] in examination.scope.aliases


def _last_weighted(examination: Examination, operators: list[Verdict]) -> list[Verdict]:
    """Return the operators with weights behind which there are no others with weights."""
    busy: set[str] = set()  # tensors that weights lie behind
    found = []
    for item in reversed(operators):
        weighted = item.operator in WEIGHTED and item.weights > 0 and not _counts(examination, item)
        if weighted and busy.isdisjoint(item.makes):
            found.append(item)
        if weighted or not busy.isdisjoint(item.makes):
            busy.update(item.reads)
    return found[::-1]


def _counts(examination: Examination, item: Verdict) -> bool:
    """Whether the weights of an operator are 0, 1, 2...: they make a mean of a distribution."""
    constants = examination.scope.constants
    weights = [constants[name] for name in item.proto.input[:2] if name in constants]
    return len(weights) == 1 and np.array_equal(weights[0].ravel(), np.arange(weights[0].size))


def _map(examination: Examination, item: Verdict) -> HeadMap | None:
    """Return the map that a convolution gives; None where it is none."""
    shape = examination.shape(item.proto.output[0]) if item.operator == "Conv" else None
    if shape is None or len(shape) != 4 or None in shape:
        return None
    channels, rows, columns = (int(size or 0) for size in shape[1:])
    return HeadMap(tensor=item.proto.output[0], convolution=item.proto, shape=(channels, rows, columns))


def _needed(items: Iterable[Verdict], names: Iterable[str], aliases: Mapping[str, str]) -> tuple[Verdict, ...]:
    """Return the operators that tensors come from."""
    wanted, found = {aliases.get(name, name) for name in names}, []
    for item in reversed(list(items)):
        if not wanted.isdisjoint(item.makes):
            found.append(item)
            wanted.update(item.reads)
    return tuple(found[::-1])


def _selecting(items: Iterable[Verdict]) -> set[str]:
    """Return the tensors that selections give, or what comes from them."""
    found: set[str] = set()
    for item in items:
        if item.operator in SELECTING or not found.isdisjoint(item.reads):
            found.update(item.makes)
    return found


def _dense(items: list[Verdict], selecting: set[str], outputs: list[str]) -> list[str]:
    """Return the last tensors that no selection gave: outputs, and what selections read."""
    found: dict[str, None] = {}
    for item in items:
        if not selecting.isdisjoint(item.makes):
            found.update({name: None for name in item.reads if name not in selecting})
    found.update({name: None for name in outputs if name not in selecting})
    return list(found)


def told(values: Any) -> str:
    """Return names or numbers as a list for a message."""
    return ", ".join(map(str, values))
