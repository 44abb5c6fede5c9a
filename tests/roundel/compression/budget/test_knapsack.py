"""The front of all choices against an integer program of scipy, and against all choices written out."""

from itertools import product

import numpy as np
import pytest
from scipy.optimize import Bounds, LinearConstraint, milp

from roundel.compression.budget.knapsack import front


def items(seed, layers, candidates, most):
    rng = np.random.default_rng(seed)
    costs = [np.sort(rng.integers(0, most, candidates)) for _ in range(layers)]
    losses = [np.sort(rng.exponential(size=candidates))[::-1] * rng.exponential() for _ in range(layers)]
    return costs, losses


def by_integer_program(costs, losses, budget):
    """Least loss at a cost of at most `budget`; None where there is none."""
    sizes = [len(item) for item in costs]
    one = np.zeros((len(sizes), sum(sizes)))
    for row, end in enumerate(np.cumsum(sizes)):
        one[row, end - sizes[row] : end] = 1
    rules = [LinearConstraint(one, 1, 1), LinearConstraint(np.concatenate(costs)[None, :].astype(float), 0, budget)]
    exactly = {"mip_rel_gap": 0}
    result = milp(np.concatenate(losses), constraints=rules, integrality=1, bounds=Bounds(0, 1), options=exactly)
    return result.fun if result.success else None


@pytest.mark.parametrize("seed", range(8))
def test_least_loss_is_that_of_an_integer_program(seed):
    costs, losses = items(seed, layers=12, candidates=4, most=1000)
    found = front(costs, losses)
    assert found.exact
    for budget in np.linspace(sum(map(min, costs)), sum(map(max, costs)), 5).round():
        point = found.within(budget)
        expected = by_integer_program(costs, losses, budget)
        assert found.losses[point] == pytest.approx(expected, rel=1e-6)
        chosen = found.choice(point)
        assert sum(int(item[place]) for item, place in zip(costs, chosen, strict=True)) == found.costs[point] <= budget
        assert sum(item[place] for item, place in zip(losses, chosen, strict=True)) == pytest.approx(
            found.losses[point]
        )


@pytest.mark.parametrize("seed", range(4))
def test_front_is_that_of_all_choices(seed):
    costs, losses = items(seed, layers=5, candidates=3, most=20)
    every = sorted(
        (sum(c[p] for c, p in zip(costs, places, strict=True)), sum(x[p] for x, p in zip(losses, places, strict=True)))
        for places in product(range(3), repeat=5)
    )
    best, expected = np.inf, []
    for cost, loss in every:
        if loss < best - 1e-12:
            expected = [item for item in expected if item[0] != cost] + [(cost, loss)]
            best = loss
    found = front(costs, losses)
    assert found.costs.tolist() == [cost for cost, _ in expected]
    assert found.losses == pytest.approx([loss for _, loss in expected])


@pytest.mark.parametrize("seed", range(4))
def test_hull_is_what_multipliers_find(seed):
    costs, losses = items(seed, layers=8, candidates=4, most=100)
    found = front(costs, losses)
    for weight in 10.0 ** np.linspace(-6, 2, 60):
        least = sum(float((weight * c + x).min()) for c, x in zip(costs, losses, strict=True))
        corners = weight * found.costs[found.hull] + found.losses[found.hull]
        assert corners.min() == pytest.approx(least)


def test_fewer_states_keep_every_budget():
    costs, losses = items(3, layers=20, candidates=5, most=10**6)
    whole, few = front(costs, losses), front(costs, losses, states=500)
    assert not few.exact
    assert few.costs[0] == whole.costs[0]
    for budget in np.linspace(whole.costs[0], whole.costs[-1], 9):
        point = few.within(budget)
        assert few.costs[point] <= budget
        assert few.losses[point] >= whole.losses[whole.within(budget)] - 1e-9
        chosen = few.choice(point)
        assert sum(int(c[place]) for c, place in zip(costs, chosen, strict=True)) == few.costs[point]


def test_no_point_below_the_least():
    found = front([np.array([3, 5])], [np.array([1.0, 0.0])])
    assert found.within(2) is None
    assert found.within(4) == 0
    assert found.within(5) == 1
