"""One choice for each layer: all sums of costs and losses that no other one beats in both."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roundel.golden.rounding import Ints

Reals = NDArray[np.float64]
STATES = 1 << 16  # sums that are kept: as long as there are no more of them, nothing is lost


@dataclass(frozen=True, kw_only=True, eq=False)
class Front:
    """Sums of which none costs less at no greater loss.

    Attributes
    ----------
    costs, losses
        (points,): costs rise, losses fall.
    exact
        Whether it holds all of them; else those with the least loss, at costs that are near one another.
    """

    costs: Ints
    losses: Reals
    exact: bool
    _places: tuple[tuple[Ints, Ints], ...]  # of each item: for each sum the one before it, and what was chosen

    def choice(self, point: int) -> tuple[int, ...]:
        """Return what a point chooses for each item."""
        chosen = []
        for before, what in reversed(self._places):
            chosen.append(int(what[point]))
            point = int(before[point])
        return tuple(reversed(chosen))

    def within(self, budget: float) -> int | None:
        """Return the point with the least loss that costs at most `budget`; None if all cost more."""
        count = int(np.searchsorted(self.costs, budget, side="right"))
        return count - 1 if count else None

    @property
    def hull(self) -> list[int]:
        """The points that a Lagrange multiplier finds: corners of the lower convex hull, in order of their costs."""
        corners: list[int] = []
        for point in range(len(self.costs)):
            while len(corners) > 1 and self._above(corners[-2], corners[-1], point):
                corners.pop()
            corners.append(point)
        return corners

    def _above(self, first: int, middle: int, last: int) -> bool:
        """Whether `middle` lies on or above the line from `first` to `last`."""
        x, y = self.costs.astype(np.float64), self.losses
        return bool((y[middle] - y[first]) * (x[last] - x[first]) >= (y[last] - y[first]) * (x[middle] - x[first]))


def front(costs: Sequence[Ints], losses: Sequence[Reals], states: int = STATES) -> Front:
    """Choose one candidate of every item, in all ways that count: dynamic programming over the sums [R].

    A sum that another beats in both cannot become better by what is added to both. So after each item only the sums
    that nobody beats are kept: the multiple-choice knapsack problem, exactly, for all budgets at once.

    Parameters
    ----------
    costs, losses
        Of each item: (candidates,) each, whole numbers of at least 0, and numbers that are to add up to little.
    states
        Most sums that are kept; beyond, the least loss in each of so many equal ranges of costs.
    """
    cost, loss, exact = np.zeros(1, np.int64), np.zeros(1), True
    places: list[tuple[Ints, Ints]] = []
    for own_costs, own_losses in zip(costs, losses, strict=True):
        every_cost = (cost[:, None] + own_costs).ravel()
        every_loss = (loss[:, None] + own_losses).ravel()
        order = np.lexsort((every_loss, every_cost))
        sorted_loss = every_loss[order]
        least = np.minimum.accumulate(sorted_loss)
        kept = order[np.concatenate([[True], sorted_loss[1:] < least[:-1]])]
        if len(kept) > states:
            kept, exact = _thinned(kept, every_cost[kept], states), False
        cost, loss = every_cost[kept], every_loss[kept]
        before, what = np.divmod(kept, len(own_costs))
        places.append((before, what))
    return Front(costs=cost, losses=loss, exact=exact, _places=tuple(places))


def _thinned(kept: Ints, cost: Ints, states: int) -> Ints:
    """Return the last sum, that of the least loss, in each range of costs, and the first sum of all."""
    span = int(cost[-1] - cost[0]) + 1
    range_of = (cost - cost[0]) * (states - 1) // span
    last = np.append(range_of[1:] != range_of[:-1], True)
    last[0] = True
    thin: Ints = kept[last]
    return thin
