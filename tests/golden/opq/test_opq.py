"""One-shot pruning and quantization against integrals, exhaustive search and exact arithmetic."""

import runpy
from fractions import Fraction
from itertools import combinations
from math import exp, isclose, log, log2, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from roundel.golden.opq import LayerPlan, OpqParams, Weighting, opq, sizes
from roundel.golden.opq.levels import allocate_rates
from roundel.golden.opq.plan import analytic_multiplier
from tests.support.places import DOCS

SPARSITIES = st.floats(0, 0.99)
FLOAT32 = st.floats(-100, 100, width=32)
SCALES, COUNTS = (0.02, 0.1, 0.05, 0.4), (9000, 3000, 300, 600)


def layers(seed: int, scales: tuple[float, ...] = SCALES, counts: tuple[int, ...] = COUNTS) -> dict[str, Any]:
    """Layers of Laplace weights."""
    rng = np.random.default_rng(seed)
    return {f"layer{i}": rng.laplace(0, b, n) for i, (b, n) in enumerate(zip(scales, counts, strict=True))}


def pruned(plans: dict[str, LayerPlan]) -> tuple[int, int]:
    """Weights pruned and weights in all."""
    return sum(int((~plan.mask).sum()) for plan in plans.values()), sum(plan.mask.size for plan in plans.values())


def networks(most: int = 40) -> st.SearchStrategy[dict[str, Any]]:
    """One to four layers of any shape, small enough to hold ties, zeros and single weights often."""
    shapes = npst.array_shapes(min_dims=0, max_dims=4, min_side=1, max_side=4).filter(lambda s: np.prod(s) <= most)
    values = npst.arrays(np.float32, shapes, elements=FLOAT32 | st.sampled_from([0.0, 0.5, -0.5, 1e-45, 3e38]))
    return st.dictionaries(st.sampled_from("abcd"), values, min_size=1)


# ---- thresholds


@given(
    table=st.lists(st.tuples(st.integers(1, 10**6), st.floats(1e-6, 1e3)), min_size=1, max_size=6),
    sparsity=SPARSITIES,
    weighting=st.sampled_from(Weighting),
)
def test_the_model_meets_the_sparsity(table: list[tuple[int, float]], sparsity: float, weighting: Weighting) -> None:
    counts, scales = dict(enumerate(n for n, _ in table)), dict(enumerate(b for _, b in table))
    units = {i: weighting.unit(scales[i], counts[i]) for i in counts}
    multiplier = analytic_multiplier(counts, scales, units, sparsity)  # type: ignore[arg-type]
    found = sum(n * (1 - exp(-multiplier * units[i] / scales[i])) for i, n in counts.items())
    assert isclose(found, sparsity * sum(counts.values()), rel_tol=1e-6, abs_tol=1e-9 * sum(counts.values()))


@pytest.mark.parametrize("weighting", Weighting)
@pytest.mark.parametrize("sparsity", [0.1, 0.5, 0.8, 0.95])
def test_no_swap_between_two_layers_of_the_model_costs_less(weighting: Weighting, sparsity: float) -> None:
    """Kuhn-Tucker: pruning more in one layer and as much less in another raises the weighted error."""
    n, b = np.array(COUNTS, dtype=np.float64), np.array(SCALES)
    alpha = {"global": b**0, "layer": 1 / (2 * b**2), "size": 1 / (2 * b**2 * n)}[weighting.value]
    names = [str(i) for i in range(len(b))]
    counts, scales = dict(zip(names, COUNTS, strict=True)), dict(zip(names, SCALES, strict=True))
    units = {name: weighting.unit(scales[name], counts[name]) for name in names}
    t = analytic_multiplier(counts, scales, units, sparsity) * np.array(list(units.values())) / b
    p = 1 - np.exp(-t)

    def error(fractions: Any) -> float:
        """Weighted error when these fractions of the layers go: squares integrated up to their quantiles."""
        ends = -b * np.log1p(-fractions)
        x = (np.arange(20_000)[:, None] + 0.5) / 20_000 * ends
        return float((alpha * n * ends * np.mean(x**2 * np.exp(-x / b) / b, axis=0)).sum())

    best = error(p)
    for more, less in ((i, j) for i in range(len(b)) for j in range(len(b)) if i != j):
        for share in (0.02, 0.2):
            moved = share * min(n[more] * (1 - p[more]), n[less] * p[less])
            swapped = p.copy()
            swapped[more] += moved / n[more]
            swapped[less] -= moved / n[less]
            assert error(swapped) > best


@settings(max_examples=60)
@given(weights=networks(4), weighting=st.sampled_from(Weighting), sparsity=SPARSITIES)
def test_no_other_mask_of_the_same_size_costs_less(
    weights: dict[str, Any], weighting: Weighting, sparsity: float
) -> None:
    plans = opq(weights, OpqParams(sparsity=sparsity, weighting=weighting))
    costs: list[float] = []
    for values in weights.values():
        reals = np.abs(values.astype(np.float64)).ravel()
        b = reals.mean() or 1.0
        alpha = {"global": 1, "layer": 1 / (2 * b**2), "size": 1 / (2 * b**2 * reals.size)}[weighting.value]
        costs += list(alpha * reals**2)
    gone = [not alive for plan in plans.values() for alive in plan.mask.ravel()]
    found = sum(cost for cost, dead in zip(costs, gone, strict=True) if dead)
    best = min(sum(some) for some in combinations(costs, sum(gone)))
    assert isclose(found, best, rel_tol=1e-9)


@given(weights=networks(), weighting=st.sampled_from(Weighting), sparsity=SPARSITIES)
def test_exact_sparsity_and_thresholds(weights: dict[str, Any], weighting: Weighting, sparsity: float) -> None:
    plans = opq(weights, OpqParams(sparsity=sparsity, weighting=weighting))
    gone, total = pruned(plans)
    zeros = sum(int((values == 0).sum()) for values in weights.values())
    assert gone == zeros or (gone > zeros and abs(gone - sparsity * total) <= 1)
    assert gone >= sparsity * total - 1
    for name, plan in plans.items():
        magnitudes = np.abs(weights[name].astype(np.float64))
        assert plan.mask.shape == weights[name].shape
        assert (magnitudes[plan.mask] >= plan.threshold * (1 - 1e-12)).all()
        assert (magnitudes[~plan.mask] <= plan.threshold * (1 + 1e-12)).all()
        assert np.array_equal(plan.values, np.where(plan.mask, weights[name], 0))


@pytest.mark.parametrize("exact", [False, True])
def test_weightings(exact: bool, seed: int) -> None:
    weights = layers(seed, scales=(0.02, 0.1, 0.1), counts=(4000, 4000, 40_000))
    plans = {
        weighting: list(opq(weights, OpqParams(sparsity=0.7, weighting=weighting, exact=exact)).values())
        for weighting in Weighting
    }
    assert len({plan.threshold for plan in plans[Weighting.GLOBAL]}) == 1
    ratios = [plan.threshold / plan.scale for plan in plans[Weighting.LAYER]]
    assert np.allclose(ratios, -log(0.3), rtol=1e-9 if not exact else 0.02)
    assert np.allclose([plan.sparsity for plan in plans[Weighting.LAYER]], 0.7, atol=0.03)
    small, _, large = (plan.threshold / plan.scale for plan in plans[Weighting.SIZE])
    assert isclose(large / small, sqrt(10), rel_tol=1e-9)


@pytest.mark.parametrize("exact", [False, True])
def test_only_global_sees_the_scale_of_a_layer(exact: bool, seed: int) -> None:
    """Powers of two move no rounding, so that the masks agree to the last weight."""
    weights = layers(seed)
    moved = {name: values * 2.0**power for (name, values), power in zip(weights.items(), (3, -2, 0, 1), strict=True)}
    for weighting in Weighting:
        params = OpqParams(sparsity=0.6, weighting=weighting, exact=exact)
        before, after = opq(weights, params), opq(moved, params)
        same = all(np.array_equal(before[name].mask, after[name].mask) for name in weights)
        assert same is (weighting is not Weighting.GLOBAL)


def test_exact_and_analytic_agree_on_laplace_weights(seed: int) -> None:
    weights = layers(seed, counts=(90_000, 30_000, 3000, 6000))
    for weighting in Weighting:
        one, other = (
            opq(weights, OpqParams(sparsity=0.8, weighting=weighting, exact=exact)) for exact in (True, False)
        )
        for name in weights:
            assert isclose(one[name].threshold, other[name].threshold, rel_tol=0.02)
            error = 10 / sqrt((~one[name].mask).sum())  # at least 4 standard deviations of a sum of so many squares
            assert isclose(one[name].measured, one[name].predicted, rel_tol=error)
        gone, total = pruned(other)
        assert abs(gone / total - 0.8) < 0.005


def test_uniform_weights_miss_the_analytic_sparsity_and_meet_the_exact_one(seed: int) -> None:
    """Half the weights of a uniform layer lie below its b, where the model has 1 - 1/e of them."""
    weights = {"a": np.random.default_rng(seed).uniform(-1, 1, 10_000)}
    analytic, exact = (opq(weights, OpqParams(sparsity=1 - exp(-1), exact=exact))["a"] for exact in (False, True))
    assert isclose(analytic.sparsity, 0.5, abs_tol=0.01)
    assert isclose(exact.sparsity, 1 - exp(-1), abs_tol=1e-4)


# ---- steps and codes


def test_rates_follow_the_closed_form_where_no_bound_bites() -> None:
    spans, units, m = {"a": 1.0, "b": 0.3}, {"a": 0.1, "b": 0.02}, {"a": 100, "b": 300}
    c = (100 * log2(1.0 / 0.1) + 300 * log2(0.3 / 0.02)) / 400 - 4
    rates = allocate_rates(spans, units, m, 4, 16)
    assert isclose(rates["a"], log2(1.0 / (0.1 * 2**c)), rel_tol=1e-12)
    assert isclose(rates["b"], log2(0.3 / (0.02 * 2**c)), rel_tol=1e-12)


@given(
    table=st.lists(
        st.tuples(st.floats(0.01, 100), st.floats(0.01, 100), st.integers(1, 10**6)), min_size=2, max_size=5
    ),
    bits=st.floats(2, 8),
)
def test_no_swap_of_bits_costs_less(table: list[tuple[float, float, int]], bits: float) -> None:
    names = [str(i) for i in range(len(table))]
    spans, units, m = (dict(zip(names, column, strict=True)) for column in zip(*table, strict=True))
    rates = allocate_rates(spans, units, m, bits, 8)
    assert isclose(sum(m[n] * rates[n] for n in names), bits * sum(m.values()), rel_tol=1e-9)

    def error(name: str, rate: float) -> float:
        return float(m[name] / units[name] ** 2 * (spans[name] / 2**rate) ** 2 / 12)

    for more, less in ((i, j) for i in names for j in names if i != j):
        moved = 0.1 * min(m[more] * (8 - rates[more]), m[less] * (rates[less] - 2))
        up, down = rates[more] + moved / m[more], rates[less] - moved / m[less]
        before, after = error(more, rates[more]) + error(less, rates[less]), error(more, up) + error(less, down)
        assert after >= before * (1 - 1e-9)


@given(
    weights=networks(),
    sparsity=SPARSITIES,
    bits=st.floats(2, 8),
    weighting=st.sampled_from(Weighting),
    power_of_two=st.booleans(),
    exact=st.booleans(),
)
def test_codes(weights: dict[str, Any], **about: Any) -> None:
    """Within half a step unless saturated; widths within bounds; predicted and measured errors by the book."""
    for name, plan in opq(weights, OpqParams(**about)).items():
        levels, reals = plan.levels, weights[name].astype(np.float64)
        assert levels is not None
        limit = 2 ** (levels.width - 1) - 1
        assert 2 <= levels.width <= 8
        assert np.abs(levels.codes).max() <= limit
        assert not levels.codes[~plan.mask].any()
        errors = np.abs(reals - levels.codes * levels.step)[plan.mask]
        saturated = np.abs(reals[plan.mask]) > (limit + 0.5) * levels.step
        assert (errors[~saturated] <= levels.step / 2 * (1 + 1e-12)).all()
        assert (np.abs(levels.codes[plan.mask][saturated]) == limit).all()
        assert np.array_equal(plan.values, levels.codes * levels.step)
        if plan.mask.any():
            assert isclose(levels.measured, float((errors**2).mean()), rel_tol=1e-9)
            assert isclose(2**levels.rate * levels.step, 2 * np.abs(reals[plan.mask]).max(), rel_tol=1e-9)
        else:
            assert (levels.step, levels.width, levels.measured, levels.predicted) == (1, 2, 0, 0)


@pytest.mark.parametrize("weighting", Weighting)
def test_mean_rate_is_met_on_the_survivors(weighting: Weighting, seed: int) -> None:
    plans = opq(layers(seed), OpqParams(sparsity=0.8, bits=4.5, weighting=weighting))
    survivors = [int(plan.mask.sum()) for plan in plans.values()]
    rates = [plan.levels.rate for plan in plans.values() if plan.levels]
    assert isclose(np.dot(survivors, rates), 4.5 * sum(survivors), rel_tol=1e-9)


def test_four_bits_at_most_are_fifteen_levels(seed: int) -> None:
    for power_of_two in (False, True):
        params = OpqParams(sparsity=0.5, bits=4, max_width=4, power_of_two=power_of_two)
        for plan in opq(layers(seed), params).values():
            assert plan.levels is not None
            assert plan.levels.width == 4
            assert np.abs(plan.levels.codes).max() <= 7
            assert isclose(plan.levels.predicted, plan.levels.step**2 / 12)
            # Above 1 by what saturates. At 4 the next coarser power of two, which saturates nothing, would be better.
            assert 0.7 < plan.levels.measured / plan.levels.predicted < (4 if power_of_two else 2)


@given(weights=networks(), bits=st.floats(2, 8), weighting=st.sampled_from(Weighting))
def test_powers_of_two(weights: dict[str, Any], bits: float, weighting: Weighting) -> None:
    free = opq(weights, OpqParams(bits=bits, weighting=weighting))
    shifts = opq(weights, OpqParams(bits=bits, weighting=weighting, power_of_two=True))
    for name, plan in shifts.items():
        levels, unrestricted = plan.levels, free[name].levels
        assert levels is not None
        assert unrestricted is not None
        fraction = levels.format.fraction
        assert Fraction(levels.step) == Fraction(2) ** -fraction
        assert abs(log2(levels.step / unrestricted.step)) <= 0.5 + 1e-9
        limit = 2 ** (levels.width - 1) - 1  # the format also has the one integer below -limit
        assert np.array_equal(levels.codes, levels.format.encode(weights[name]).clip(-limit, limit))


def test_only_a_power_of_two_is_a_format() -> None:
    levels = opq({"a": np.array([0.3, -0.75])}, OpqParams(bits=4))["a"].levels
    assert levels is not None
    with pytest.raises(ValueError, match=r"^a: step must be a power of two to be a shift, not 0\.09375$"):
        _ = levels.format


# ---- layers that are hardly layers


@pytest.mark.parametrize("weighting", Weighting)
@pytest.mark.parametrize("exact", [False, True])
def test_zeros_go_and_count(weighting: Weighting, exact: bool) -> None:
    weights = {"zeros": np.zeros((2, 3)), "live": np.array([1.0, -2.0, 3.0, 4.0, -5.0, 6.0])}
    plans = opq(weights, OpqParams(sparsity=0.5, bits=4, weighting=weighting, exact=exact))
    assert not plans["zeros"].mask.any()
    assert plans["live"].mask.all()  # the zeros are the half that was asked for
    assert (plans["zeros"].scale, plans["zeros"].predicted, plans["zeros"].measured) == (0, 0, 0)
    assert sizes(plans["zeros"]).floor == sizes(plans["zeros"]).entropy == sizes(plans["zeros"]).codes == 0
    only = opq({"zeros": np.zeros(4)}, OpqParams(sparsity=0.1, bits=4, weighting=weighting, exact=exact))
    assert only["zeros"].sparsity == 1


@pytest.mark.parametrize("weighting", Weighting)
def test_equal_weights_go_in_order(weighting: Weighting) -> None:
    weights = {"equal": np.resize([-0.5, 0.5, 0.5], (10, 30)), "other": np.resize([0.5, -0.5], 300)}
    plans = opq(weights, OpqParams(sparsity=0.25, weighting=weighting))
    assert np.flatnonzero(~plans["equal"].mask).tolist() == list(range(150))
    assert plans["other"].mask.all()
    analytic = opq(weights, OpqParams(sparsity=0.5, weighting=weighting, exact=False))
    assert analytic["equal"].mask.all()  # b ln 2 lies below all of them: no threshold halves such a layer


def test_a_single_weight() -> None:
    for exact, sparsity, lives in ((True, 0.4, True), (True, 0.6, False), (False, 0.6, True), (False, 0.7, False)):
        plan = opq({"one": np.array(0.25)}, OpqParams(sparsity=sparsity, bits=2, exact=exact))["one"]
        assert bool(plan.mask) is lives  # analytic: b ln(1/(1-P)) exceeds b from 1 - 1/e on
        assert plan.levels is not None
        assert int(plan.levels.codes) == int(lives)


def test_nothing_asked_changes_nothing(seed: int) -> None:
    weights = layers(seed)
    for name, plan in opq(weights, OpqParams()).items():
        assert plan.levels is None
        assert np.array_equal(plan.values, weights[name].astype(np.float32))
        with pytest.raises(ValueError, match=rf"^{name}: expected a plan with levels, made with bits$"):
            sizes(plan)


def test_sizes_by_hand() -> None:
    plan = opq({"a": np.array([0.0, 0.0, 0.0, 0.0, 1.0, 1.0, -1.0, -1.0])}, OpqParams(bits=2))["a"]
    found = sizes(plan)
    assert (found.dense, found.codes, found.entropy) == (256, 8, 8 * 1.5)
    assert plan.levels is not None
    rho = exp(-plan.levels.step / 0.5)
    level = (-rho * log2(rho) - (1 - rho) * log2(1 - rho)) / (1 - rho)
    assert isclose(found.floor, 8 * (1 + 0.5 * (1 + level)))


# ---- what is refused


@pytest.mark.parametrize(
    ("about", "error", "message"),
    [
        ({"sparsity": 1.0}, ValueError, "sparsity must be 0 to below 1, not 1.0"),
        ({"sparsity": float("nan")}, ValueError, "sparsity must be 0 to below 1, not nan"),
        ({"sparsity": "half"}, TypeError, "sparsity must be a number, not 'half'"),
        ({"sparsity": None}, TypeError, "sparsity must be a number, not None"),
        ({"bits": 1.5}, ValueError, "bits must be 2 to max_width = 8, not 1.5"),
        ({"bits": 5, "max_width": 4}, ValueError, "bits must be 2 to max_width = 4, not 5"),
        ({"bits": True}, TypeError, "bits must be a number, not True"),
        ({"max_width": 1}, ValueError, "max_width must be 2 to 16, not 1"),
        ({"exact": 1}, TypeError, "exact must be a bool, not 1"),
        ({"weighting": "area"}, ValueError, "weighting must be one of global, layer, size, not 'area'"),
    ],
)
def test_bad_parameters(about: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        OpqParams(**about)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({}, "expected the weights of at least one layer"),
        ({"conv": np.zeros((3, 0))}, "conv: expected at least one weight"),
        ({"conv": np.array([1.0, np.nan])}, "conv: weights must be finite in float32"),
        ({"conv": np.array([1e39])}, "conv: weights must be finite in float32"),
    ],
)
def test_bad_weights(weights: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 the whole text is compared below
        opq(weights, OpqParams())
    assert str(caught.value) == message


# ---- the digits network


def test_the_page_is_what_its_command_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(DOCS / "make"))
    text = (DOCS / "opq.md").read_text()
    page = tmp_path / "opq.md"
    page.write_text(text)
    runpy.run_path(str(DOCS / "make" / "opq.py"))["main"](page)
    assert page.read_text() == text, "run `python docs/make/opq.py`"
