"""The order of channels between layers in which patterns keep most of the weights' energy.

Lanes choose among neighbouring channels, so that it matters which are neighbours; the layers that make them give them
any place for nothing. [R] Two channels change places where that keeps more energy, the best pairs first, until none do.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roundel.compression.patterns.layers import PatternLayer
from roundel.compression.patterns.params import Patterns
from roundel.golden.opq import DENSE, ChannelPattern
from roundel.golden.rounding import Ints
from roundel.graph import ChannelTies, Graph, Orders

ROUNDS = 40  # of swaps in a group of channels, at most
EFFORT = 1 << 33  # comparisons of two energies that all rounds of a group may take
CHUNK = 1 << 22  # of them at once
LEAST = 1e-6  # part of a layer's energy that a swap must bring

Energies = NDArray[np.float32]
Term = tuple[str, int]  # a layer, and channels of eight that a pattern of it keeps


@dataclass(frozen=True, eq=False)
class _Reader:
    """A layer with a pattern as it reads channels in their present order.

    Attributes
    ----------
    energy
        (rows, channels): by tap and block of outputs, as part of all that the layer has.
    choice
        (channels,): which channels a lane chooses among, by number.
    kept
        Of eight.
    """

    energy: Energies
    choice: Ints
    kept: int

    @property
    def kept_energy(self) -> float:
        """Energy that the pattern keeps."""
        return float(np.sort(self._inside(), axis=2)[:, :, -self.kept :].sum(dtype=np.float64))

    def _inside(self) -> Energies:
        """Return the energies of each choice, (rows, choices, candidates); 0 of channels that are not there."""
        padded = np.zeros((len(self.energy), len(self.choice)), np.float32)
        padded[:, : self.energy.shape[1]] = self.energy
        return padded[:, np.argsort(self.choice, kind="stable")].reshape(len(padded), -1, DENSE)

    def gains(self, places: Ints) -> NDArray[np.float64]:
        """Return the energy that is kept more if the channels at two places swap, (places, places), by their sums."""
        rows, inside = len(self.energy), self._inside()
        falling = -np.sort(-inside, axis=2)
        best = np.zeros((rows, len(self.choice)), np.float32)  # the last of a channel's choice that stays without it
        is_kept = inside >= falling[:, :, self.kept - 1 : self.kept]
        last = np.where(is_kept, falling[:, :, self.kept, None], falling[:, :, self.kept - 1, None])
        best[:, np.argsort(self.choice, kind="stable")] = last.reshape(rows, -1)
        own, others = self.energy[:, places], best[:, places]
        gain = np.zeros((len(places), len(places)))
        step = max(1, CHUNK // len(places) ** 2)
        for first in range(0, rows, step):
            some, limit = own[first : first + step], others[first : first + step]
            gain += np.maximum(limit[:, :, None], some[:, None, :]).sum(axis=0, dtype=np.float64)
            gain -= np.maximum(limit, some).sum(axis=0, dtype=np.float64)[:, None]
        gain += gain.T.copy()
        gain[self.choice[places][:, None] == self.choice[places]] = 0
        return gain


class OrderSearch:
    """Orders of a network's channels for patterns of its layers.

    Parameters
    ----------
    graph
        In normal form.
    layers
        Its layers that may have patterns.
    patterns
        For which array.
    """

    def __init__(self, graph: Graph, layers: Mapping[str, PatternLayer], patterns: Patterns) -> None:
        self.layers, self.patterns = layers, patterns
        self.ties = ChannelTies.of(graph)
        self._places = {node.output: number for number, node in enumerate(graph.nodes)}

    def orders(self, kept: Mapping[str, Sequence[int]]) -> Orders:
        """Return the orders in which patterns keep much of the energy, each layer's as part of all that it has.

        Groups of channels are looked at from the end of the network on, as the blocks of a layer follow from the order
        of what it makes. No order is taken that keeps less, over all layers on both sides, than the one of the file.

        Parameters
        ----------
        kept
            Channels of eight that each layer's patterns keep: several count together.
        """
        holds: dict[int, int] = {}
        groups = sorted(self.ties.groups(), key=lambda group: -self._first(group))
        for group in groups:
            readers = [name for name, layer in self.layers.items() if self._reads(layer, group)]
            terms = [(name, count) for name in readers for count in kept[name] if count < DENSE]
            if terms:
                met = [(name, count) for name, layer in self.layers.items() if self._meets(layer, group)
                       for count in kept[name] if count < DENSE]  # fmt: skip
                holds |= self._searched(group, terms, met, holds)
        return self.ties.orders(holds)

    def _first(self, group: Ints) -> int:
        """Return the number of the first node whose result has channels of a group."""
        made = (self._places.get(name, -1) for name, of in self.ties.tensors.items() if np.isin(group[0], of))
        return min(made)

    def _reads(self, layer: PatternLayer, group: Ints) -> bool:
        """Whether each class of a group is one channel that a layer reads."""
        return int((self.ties.tensors[layer.source] == group[0]).sum()) == 1

    def _meets(self, layer: PatternLayer, group: Ints) -> bool:
        """Whether a layer reads or makes channels of a group."""
        return any(group[0] in self.ties.tensors[name] for name in (layer.source, layer.node.output))

    def _searched(
        self, group: Ints, terms: Sequence[Term], met: Sequence[Term], holds: Mapping[int, int]
    ) -> dict[int, int]:
        """Return which class is in the place of each class of a group, in the best of all rounds.

        Rounds look at those who read the channels (`terms`), and are judged by all whom their order concerns (`met`).
        """
        held = np.arange(len(group))
        best, most = dict[int, int](), self._kept(met, holds)
        readers = list(self._readers(terms, holds))
        rows = sum(len(reader.energy) for reader in readers)
        rounds = max(2, min(ROUNDS, EFFORT // (rows * len(group) ** 2)))
        places = [self._places_of(group, self.layers[name].source) for name, _ in terms]
        for _ in range(rounds):
            gain = sum(reader.gains(where) for reader, where in zip(readers, places, strict=True))
            choices = [reader.choice[where] for reader, where in zip(readers, places, strict=True)]
            swaps = list(_best_swaps(np.asarray(gain), choices))
            for first, second in swaps:
                held[[first, second]] = held[[second, first]]
                for reader, where in zip(readers, places, strict=True):
                    pair, other = where[[first, second]], where[[second, first]]
                    reader.energy[:, pair] = reader.energy[:, other]
            if not swaps:
                break
            tried = dict(zip(group.tolist(), group[held].tolist(), strict=True))
            now = self._kept(met, {**holds, **tried})
            if now > most:
                best, most = tried, now
        return best

    def _kept(self, terms: Sequence[Term], holds: Mapping[int, int]) -> float:
        """Return the energy that patterns keep, as parts of what layers have, added up."""
        return sum(reader.kept_energy for reader in self._readers(terms, holds))

    def _places_of(self, group: Ints, tensor: str) -> Ints:
        """Return where a tensor has each class of a group."""
        classes = self.ties.tensors[tensor]
        where = np.flatnonzero(np.isin(classes, group))
        return np.asarray(where[np.argsort(classes[where])])

    def _readers(self, terms: Sequence[Term], holds: Mapping[int, int]) -> Iterator[_Reader]:
        """Give the layers of `terms` as they are with what has changed already."""
        orders = self.ties.orders(holds)
        for name, kept in terms:
            layer, pattern = self.layers[name], self.patterns.of(kept)
            matrix = layer.matrix.astype(np.float64)
            squares = (matrix**2).reshape(layer.taps, -1, matrix.shape[1])
            if layer.node.output in orders:
                squares = squares[:, :, orders[layer.node.output]]
            if layer.source in orders:
                squares = squares[:, orders[layer.source]]
            yield _reader(squares, pattern)


def _reader(squares: NDArray[np.float64], pattern: ChannelPattern) -> _Reader:
    """Return the reader of weights' squares, (taps, channels, outputs)."""
    taps, channels, outputs = squares.shape
    blocks = -(-outputs // pattern.columns)
    wide = np.zeros((taps, channels, blocks * pattern.columns))
    wide[:, :, :outputs] = squares
    energy = wide.reshape(taps, channels, blocks, -1).sum(axis=3).transpose(0, 2, 1).reshape(-1, channels)
    candidates = pattern.candidates(channels)
    choice = np.empty(candidates.size, np.int64)
    choice[candidates.ravel()] = np.repeat(np.arange(len(candidates)), DENSE)
    return _Reader((energy / max(energy.sum(), 1e-30)).astype(np.float32), choice, pattern.kept)


def _best_swaps(gain: NDArray[np.float64], choices: Sequence[Ints]) -> Iterator[tuple[int, int]]:
    """Give the pairs that bring most, of any two choices one, so that their gains add up."""
    count = len(gain)
    upper = np.triu_indices(count, 1)
    worth = gain[upper]
    taken = [set[int]() for _ in choices]
    for number in np.argsort(-worth, kind="stable").tolist():
        if worth[number] <= LEAST:
            return
        first, second = int(upper[0][number]), int(upper[1][number])
        touched = [{int(choice[first]), int(choice[second])} for choice in choices]
        if all(own.isdisjoint(met) for own, met in zip(touched, taken, strict=True)):
            yield first, second
            for own, met in zip(touched, taken, strict=True):
                met |= own
