"""Random numbers of the fields of a descriptor: mostly useful ones, and those at the ends of a field."""

from collections.abc import Sequence

import numpy as np


class Draw:
    """Draws numbers.

    Parameters
    ----------
    rng
        Where they come from.
    """

    def __init__(self, rng: np.random.Generator):
        self.rng = rng

    def chance(self, part: float) -> bool:
        """Return true in so many cases."""
        return bool(self.rng.random() < part)

    def whole(self, low: int, high: int) -> int:
        """Draw one of the integers from `low` to `high`."""
        return int(self.rng.integers(low, high, endpoint=True))

    def of(self, choices: Sequence[int]) -> int:
        """Draw one of these."""
        return int(choices[self.whole(0, len(choices) - 1)])

    def field(self, bits: int, *usual: int, part: float = 0.2) -> int:
        """Draw a field: one of the usual values, or in `part` of all cases any that fits; negative ones wrap."""
        if usual and not self.chance(part):
            return self.of(usual) % (1 << bits)
        most = (1 << bits) - 1
        return self.of([0, 1, most, most - 1, most >> 1, (most >> 1) + 1, *[self.whole(0, most) for _ in range(6)]])

    def spare(self, value: int, bits: int, of: int) -> int:
        """Return a value whose lower `bits` of `of` bits count: as it is, or with any bits above."""
        low = value % (1 << bits)
        return low if bits == of or self.chance(0.7) else low | self.whole(0, (1 << of - bits) - 1) << bits
