"""What is done about a layer's error once its formats are chosen: weights rounded anew, biases corrected.

Each cure is kept where it makes the layer's own results better on the positions that the search compares, so none makes
a layer worse there. docs/quantization.md has what they gain.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from roundel.golden.network import Products
from roundel.quantization.cure_rows import Cure
from roundel.quantization.function_lowering import FunctionGoal
from roundel.quantization.search import Goal
from roundel.quantization.search_weights import Triple, WeightedSearch
from roundel.quantization.weight_rounding import rounded

STEPS = 4  # of the correction of biases, each towards the least error
LIVE = 1 / 64  # part of the positions at which a bias must move the result, to be corrected
Floats64 = NDArray[np.float64]


def cured(search: WeightedSearch, chosen: Triple, done: list[Cure]) -> tuple[WeightedSearch, Triple]:
    """Return the search and its result with all cures that the options ask for and that help.

    Parameters
    ----------
    search, chosen
        A weighted module whose weights are not given, and its best formats.
    done
        Is told of every cure.
    """
    options = search.goal.options
    ways: list[tuple[str, bool, Callable[[WeightedSearch, Triple], WeightedSearch]]] = [
        ("rounding", options.round_to_results, _rounded),
        ("bias", options.correct_biases, _corrected),
    ]
    for name, asked, way in ways:
        if not asked:
            continue
        tried = way(search, chosen)
        found = tried.best()
        done.append(Cure(name=name, before=chosen.error, after=min(found.error, chosen.error)))
        if found.error < chosen.error:
            search, chosen = tried, found
    return search, chosen


def _rounded(search: WeightedSearch, chosen: Triple) -> WeightedSearch:
    """Return the search with weights that are rounded by what becomes of the layer's sums."""
    n_w = chosen.fractions
    codes = rounded(
        search.columns,
        np.ldexp(search.weights.astype(np.float64), n_w),
        chosen.weights,
        search.goal.options.weight_limits(search.bits),
        search.groups,
        search.taps,
        centred=search.goal.options.correct_biases,
    )
    return replace(search, given=(codes, n_w))


def _corrected(search: WeightedSearch, chosen: Triple) -> WeightedSearch:
    """Return the search with biases that leave the layer's results least error, clamps and functions included.

    Gauss and Newton's steps, each channel by itself; a channel keeps its bias where they make it worse.
    """
    n_w, goal = chosen.fractions, search.goal
    products = Products.of(chosen.weights, groups=search.groups, taps=search.taps, limits=search.reach)
    columns = search.columns.reshape(len(search.columns), 1, 1, 1, search.taps, -1)
    sums = products.compute(columns).reshape(len(search.columns), -1)
    before = np.ldexp(sums.astype(np.float64), -(search.x.fraction + n_w))
    if search.residual is not None:
        before += search.residual[1].decode(search.residual[0])
    wanted, bias = goal.values.astype(np.float64), search.bias.astype(np.float64)
    near = np.maximum(np.abs(before).max(axis=0), 1e-30) * 2.0**-10
    best, found = np.square(wanted - _results(goal, before + bias)).sum(axis=0), bias.copy()
    for _ in range(STEPS):
        error = wanted - _results(goal, before + bias)
        slopes = (_results(goal, before + (bias + near)) - _results(goal, before + (bias - near))) / (2 * near)
        squares = np.square(slopes).sum(axis=0)
        live = squares > LIVE * len(before)
        bias = bias + np.where(live, (error * slopes).sum(axis=0) / np.where(live, squares, 1), 0)
        left = np.square(wanted - _results(goal, before + bias)).sum(axis=0)
        found, best = np.where(left < best, bias, found), np.minimum(left, best)
    return replace(search, bias=found, given=(chosen.weights, n_w))


def _results(goal: Goal, sums: Floats64) -> Floats64:
    """Return real results of real sums, nothing rounded."""
    if isinstance(goal, FunctionGoal):
        results = np.asarray(goal.function.compute(sums), np.float64)
        return results if goal.residual is None else results + goal.residual
    activation = goal.activation
    sums = np.where(sums < 0, np.ldexp(sums, -activation.leak), sums)
    return np.clip(sums, activation.low, activation.high)
