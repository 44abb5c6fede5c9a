"""The search for factors between layers: those of least noise, if all is rounded at steps that are powers of two [R].

The noise of an activation is a twelfth of the square of its tensor's step, that of the weights of an output the same of
its step times the power that it reads. Both are divided by the factors, so that they count in units of the float
network, and multiplied by what the layers behind make of an error, as part of the power of their results. Because steps
are powers of two, the greatest value of a tensor, or of an output's weights, fills between a half and all of its range:
the search looks for factors that fill both.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import log10
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roundel.golden.rounding import Ints
from roundel.graph import Conv, Dense

STRENGTHS = (0.25, 0.5, 0.75, 1.0)  # of a factor: 1 makes channels alike, 0.5 shares with the weights behind
FILLS = tuple(2 ** (place / 8) for place in range(8))  # of all channels of a tensor
MOST = 2.0**10  # of a factor, either way
ROUNDS = 2  # over all tensors: what is best for one depends on its neighbours
LEAST = 1e-30
EDGE = 1e-6  # of a binary logarithm, by which a row stays within its range

Floats64 = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Channels:
    """What the channels of a tensor are like.

    Attributes
    ----------
    most, power
        Greatest magnitude, and mean of the squares, each (channels,).
    levels
        Steps from 0 to the greatest number of the tensor's format.
    """

    most: Floats64
    power: Floats64
    levels: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Rows:
    """The weights of a layer.

    Attributes
    ----------
    source, output
        Tensors that it reads and makes.
    reads
        Channels of the source that each output reads, (outputs or 1, channels of a group).
    most, squares
        Greatest magnitude, and sum of the squares, over the taps, (outputs, channels of a group).
    taps
        How many there are.
    """

    source: str
    output: str
    reads: Ints
    most: Floats64
    squares: Floats64
    taps: int

    @classmethod
    def of(cls, node: Conv | Dense) -> "Rows":
        """Look at a layer."""
        weights, groups = np.asarray(node.weights, np.float64), 1
        if isinstance(node, Dense):
            weights = weights.T
        else:
            groups = node.groups
        outputs, channels = weights.shape[:2]
        weights, reads = weights.reshape(outputs, channels, -1), np.arange(channels)[None]
        if groups > 1:
            reads = reads + (np.arange(outputs) // (outputs // groups) * channels)[:, None]
        return cls(
            source=node.inputs[0],
            output=node.output,
            reads=reads,
            most=np.abs(weights).max(axis=2, initial=0),
            squares=np.square(weights).sum(axis=2),
            taps=weights.shape[2],
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Group:
    """Tensors that share classes.

    Attributes
    ----------
    names
        The tensors.
    rows
        The layers that read or make them.
    usable
        Classes that may have factors, (classes,).
    held, asked
        The greatest magnitude of each class, and of the weights that read it, as parts of the greatest of all.
    """

    names: Sequence[str]
    rows: Sequence[Rows]
    usable: NDArray[np.bool_]
    held: Floats64
    asked: Floats64


@dataclass(frozen=True, kw_only=True, eq=False)
class FactorSearch:
    """Factors of classes of channels.

    Parameters
    ----------
    tensors
        The class of each channel, by tensor.
    free
        Whether a class may have another factor than 1, (classes,).
    rows
        All layers with weights.
    statistics
        What the channels of tensors that weights read are like.
    per_channel
        Whether every output of a layer has its own step of weights.
    weight_bits
        Bits of a weight.
    """

    tensors: Mapping[str, Ints]
    free: NDArray[np.bool_]
    rows: Sequence[Rows]
    statistics: Mapping[str, Channels]
    per_channel: bool
    weight_bits: int

    @property
    def _levels(self) -> float:
        """Steps from 0 to the greatest weight."""
        return levels(self.weight_bits, signed=True)

    def best(self) -> Floats64:
        """Return the factor of each class."""
        factors, groups = np.ones(len(self.free)), list(self._groups())
        for group in groups * ROUNDS:
            factors = min(self._tries(group, factors), key=lambda tried: self._noise(group.names, group.rows, tried))
            if self.per_channel:
                filled = self._filled(group, factors)
                noises = [self._noise(group.names, group.rows, tried) for tried in (factors, filled)]
                factors = filled if noises[1] < noises[0] else factors
        return factors

    def gain_db(self, factors: Floats64) -> float:
        """Return by how much the noise of the whole network falls."""
        before, behind = (
            self._noise(list(self.statistics), self.rows, tried) for tried in (np.ones_like(factors), factors)
        )
        return 10 * log10(before / behind) if before and behind else 0.0

    def _tries(self, group: _Group, factors: Floats64) -> Iterator[Floats64]:
        """Give factors to try: those that are there, then all strengths, for all parts of a range."""
        yield factors
        usable = group.usable
        held, asked = np.log2(group.held[usable]), np.log2(group.asked[usable])
        for strength in (0.0, *STRENGTHS):
            shape = (1 - strength) * asked - strength * held if strength else np.zeros(len(held))
            for fill in FILLS:
                tried = factors.copy()
                tried[usable] = np.clip(np.exp2(shape - shape.mean()) * fill, 1 / MOST, MOST)
                yield tried

    @cached_property
    def _weight(self) -> Floats64:
        """What the square of an error of each class counts for."""
        weight = np.zeros(len(self.free))
        powers = [self._power(rows) for rows in self.rows]
        for rows, power in zip(self.rows, powers, strict=True):
            squares = np.zeros(len(self.tensors[rows.source]))
            np.add.at(squares, np.broadcast_to(rows.reads, rows.squares.shape), rows.squares)
            np.add.at(weight, self.tensors[rows.source], squares / power)
        for rows, power in zip(self.rows, powers, strict=True):  # of what no weights read: the network's results
            classes = self.tensors[rows.output]
            weight[classes] = np.where(weight[classes] > 0, weight[classes], 1 / power)
        return weight

    def _power(self, rows: Rows) -> float:
        """Return about the power of a layer's results."""
        return max(float((rows.squares * self.statistics[rows.source].power[rows.reads]).sum()), LEAST)

    def _noise(self, names: Sequence[str], layers: Sequence[Rows], factors: Floats64) -> float:
        """Return the noise of tensors and of layers' weights."""
        total = sum(float(self._row_noise(rows, factors).sum()) for rows in layers)
        for name in names:
            classes = self.tensors[name]
            counted = float((self._weight[classes] / factors[classes] ** 2).sum())
            total += self._step(name, factors) ** 2 * counted
        return total

    def _step(self, name: str, factors: Floats64) -> float:
        channels = self.statistics[name]
        return float(_power_of_two((factors[self.tensors[name]] * channels.most).max() / channels.levels))

    def _row_noise(self, rows: Rows, factors: Floats64) -> Floats64:
        """Return the noise of each output's weights, (outputs,)."""
        before, classes = factors[self.tensors[rows.source]], self.tensors[rows.output]
        steps = _power_of_two(self._greatest(rows, factors) / self._levels)
        steps = steps if self.per_channel else np.full(len(steps), steps.max())
        read = rows.taps * (self.statistics[rows.source].power * before**2)[rows.reads].sum(axis=1)
        return np.asarray(self._weight[classes] * (steps / factors[classes]) ** 2 * read)

    def _greatest(self, rows: Rows, factors: Floats64) -> Floats64:
        before = factors[self.tensors[rows.source]]
        return np.asarray((rows.most / before[rows.reads]).max(axis=1) * factors[self.tensors[rows.output]])

    def _filled(self, group: _Group, factors: Floats64) -> Floats64:
        """Return factors that are less where an output's weights fill their range by it, and less noise comes of it."""
        made, squares, tried = np.zeros(len(factors), np.int64), np.zeros(len(factors)), factors.copy()
        for rows in group.rows:
            np.add.at(made, self.tensors[rows.output], 1)
        for name in group.names:
            np.add.at(squares, self.tensors[name], self._step(name, factors) ** 2)
        for rows in group.rows:
            classes = self.tensors[rows.output]
            fills = np.log2(np.maximum(self._greatest(rows, factors) / self._levels, LEAST))
            part = fills - np.floor(fills)
            more = squares[classes] * self._weight[classes] / factors[classes] ** 2 * (4**part - 1)
            less = self._row_noise(rows, factors) * (1 - 4 ** (part - 1))
            better = group.usable[classes] & (made[classes] == 1) & (less > more) & (part > EDGE)
            tried[classes[better]] *= 2.0 ** -(part[better] + EDGE)
        return tried

    def _groups(self) -> Iterator[_Group]:
        """Give the tensors that weights read, those together that share classes."""
        held = dict[int, list[str]]()
        for name in self.statistics:
            own = set(self.tensors[name][self.free[self.tensors[name]]].tolist())
            met = {id(held[root]): held[root] for root in own if root in held}
            joined = [other for names in met.values() for other in names] + [name]
            for other in joined:
                held |= dict.fromkeys(set(self.tensors[other].tolist()), joined)
        readers, makers = defaultdict(list), defaultdict(list)
        for rows in self.rows:
            readers[rows.source].append(rows)
            for root in set(self.tensors[rows.output].tolist()):
                makers[root].append(rows)
        for names in {id(names): names for names in held.values()}.values():
            layers = {id(rows): rows for name in names for rows in readers[name]}
            for root in {root for name in names for root in self.tensors[name].tolist()}:
                layers |= {id(rows): rows for rows in makers[root]}
            group = self._shares(names, list(layers.values()))
            if group.usable.any():
                yield group

    def _shares(self, names: Sequence[str], layers: Sequence[Rows]) -> _Group:
        held, asked = np.zeros(len(self.free)), np.zeros(len(self.free))
        for name in names:
            most = self.statistics[name].most
            np.maximum.at(held, self.tensors[name], most / max(most.max(), LEAST))
        for rows in layers:
            if rows.source in names:
                beside = rows.most / np.maximum(rows.most.max(axis=1, keepdims=True), LEAST)
                columns = np.zeros(len(self.tensors[rows.source]))
                np.maximum.at(columns, np.broadcast_to(rows.reads, beside.shape), beside)
                np.maximum.at(asked, self.tensors[rows.source], columns)
        return _Group(names=names, rows=layers, usable=(held > 0) & (asked > 0) & self.free, held=held, asked=asked)


def levels(bits: int, *, signed: bool) -> float:
    """Return how many steps it is from 0 to the end of what a format's greatest number stands for."""
    return 2.0 ** (bits - signed) - 0.5


def _power_of_two(values: Any) -> Any:
    """Return the least powers of two that are not less."""
    return np.exp2(np.ceil(np.log2(np.maximum(values, LEAST))))
