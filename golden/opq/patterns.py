"""Patterns of input channels (V:N:M): of each M channels that a lane can choose from, N have weights in a block.

The engine multiplies the words of a beat by the lane: 2, 4 or 8 words of `lanes` channels are read at once, and each
lane chooses one of eight candidates, that of some word and neighbouring lane. So of 8 candidates, `words` words times
`8 / words` neighbouring lanes, `8 / words` have weights in a block of `columns` outputs: 4:8 (2:4 is included), 2:8 and
1:8. Blocks, taps and groups of words choose apart [R]; docs/engine.md has the hardware.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roundel.golden.opq.pattern_loss import CANDIDATES, DENSE
from roundel.golden.parameters import check_integer

Mask = NDArray[np.bool_]


def pattern_name(kept: int) -> str:
    """Return the name of a pattern that keeps so many channels of eight: `4:8`, or `dense` for all of them."""
    return "dense" if kept == DENSE else f"{kept}:{CANDIDATES}"


@dataclass(frozen=True, kw_only=True)
class ChannelPattern:
    """Which weights may differ from 0.

    Parameters
    ----------
    kept
        Candidates of eight that have weights in a block: 4, 2 or 1.
    lanes, columns
        Of the array: channels of a word, 4 to 64 and a power of two, and outputs of a block.

    Raises
    ------
    TypeError, ValueError
        A parameter of the wrong kind or out of range; the message echoes it.
    """

    kept: int
    lanes: int = 16
    columns: int = 16

    def __post_init__(self) -> None:
        if self.kept not in (1, 2, 4):
            raise ValueError(f"kept must be 4, 2 or 1 of 8, not {self.kept!r}")
        check_integer("lanes", self.lanes, CANDIDATES // 2, 64)
        if self.lanes & (self.lanes - 1):
            raise ValueError(f"lanes must be a power of two, not {self.lanes}")
        check_integer("columns", self.columns, 1, 64)

    def __str__(self) -> str:
        return pattern_name(self.kept)

    @property
    def words(self) -> int:
        """Words of a beat."""
        return CANDIDATES // self.kept

    def suits(self, channels: int) -> bool:
        """Whether so many input channels have more than one word, so that there is something to choose from."""
        return channels > self.lanes

    def candidates(self, channels: int) -> NDArray[np.int64]:
        """Return the channels of every choice, (choices, candidates); numbers from `channels` on are not there."""
        count = -(-channels // (self.words * self.lanes))
        numbers = np.arange(count * self.words * self.lanes)
        apart = numbers.reshape(count, self.words, self.lanes // self.kept, self.kept)
        return apart.transpose(0, 2, 1, 3).reshape(-1, CANDIDATES)

    def mask(self, weights: NDArray[np.generic], taps: int) -> Mask:
        """Return the weights that remain: of each choice those of the candidates with the greatest sum of squares.

        Of equals the first. A layer that the pattern does not suit keeps all.

        Parameters
        ----------
        weights
            (taps * channels, outputs), rows in the order of `roundel.golden.network.conv.im2col`, without groups.
        taps
            Positions of the kernel.
        """
        channels, outputs = len(weights) // taps, weights.shape[1]
        if not self.suits(channels):
            return np.ones(weights.shape, dtype=bool)
        energy = self._energies(weights, taps)
        order = np.argsort(-energy, axis=-1, kind="stable")
        ranks = np.argsort(order, axis=-1, kind="stable")
        kept = np.zeros((taps, energy.shape[1], energy.shape[2] * CANDIDATES), dtype=bool)
        kept[..., self.candidates(channels)] = ranks < self.kept
        rows = kept[..., :channels].transpose(0, 2, 1).reshape(taps * channels, -1)
        return np.repeat(rows, self.columns, axis=1)[:, :outputs]

    def breaches(self, weights: NDArray[np.generic], taps: int) -> int:
        """Return how many choices have weights at more candidates than the pattern keeps; parameters as `mask`."""
        if not self.suits(len(weights) // taps):
            return 0
        return int(((self._energies(weights, taps) > 0).sum(axis=-1) > self.kept).sum())

    def _energies(self, weights: NDArray[np.generic], taps: int) -> NDArray[np.float64]:
        """Sum of squares of every candidate in every block, (taps, blocks, choices, candidates); 0 of what is not."""
        channels, outputs = len(weights) // taps, weights.shape[1]
        places = self.candidates(channels)
        blocks = -(-outputs // self.columns)
        squares = np.zeros((taps, places.size, blocks * self.columns))
        squares[:, :channels, :outputs] = np.square(weights.astype(np.float64)).reshape(taps, channels, outputs)
        energy = squares.reshape(taps, places.size, blocks, self.columns).sum(axis=-1)
        return np.asarray(energy[:, places].transpose(0, 3, 1, 2))
