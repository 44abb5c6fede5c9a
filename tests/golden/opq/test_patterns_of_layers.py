"""Patterns by layer: the energy that the Laplace model says they lose, and the choice among all choices."""

from itertools import product

import numpy as np
import pytest

from roundel.golden.opq import OpqParams, opq
from roundel.golden.opq.pattern_loss import Choice, allocate, lost_energy

KEPT = (4, 2, 1)


def mask_of(values, kept, columns):
    """(channels, outputs): of each eight channels in a row, those of greatest energy in each block of outputs."""
    blocks = values.reshape(-1, 8, values.shape[1] // columns, columns)
    energy = (blocks**2).sum(axis=3)
    least = np.sort(energy, axis=1)[:, 8 - kept : 9 - kept]
    return np.repeat((energy >= least).reshape(len(values), -1), columns, axis=1)


@pytest.mark.parametrize("outputs", [1, 4, 16, 64])
@pytest.mark.parametrize("kept", KEPT)
def test_the_lost_energy_is_that_of_laplace_weights(outputs, kept, seed):
    values = np.random.default_rng(seed).laplace(scale=0.3, size=(8 * 1500, outputs))
    mask = mask_of(values, kept, outputs)
    measured = (values[~mask] ** 2).sum() / (values**2).sum()
    assert lost_energy(kept, outputs) == pytest.approx(measured, abs=0.015)


@pytest.mark.parametrize("kept", KEPT)
def test_the_lost_energy_of_single_weights_has_a_closed_form(kept):
    """The k-th lowest of 8 exponentials is a sum of exponentials of rates 8, 7, ...: its mean and variance add up."""
    expected = 0.0
    for rank in range(1, 9 - kept):
        rates = 1 / np.arange(8, 8 - rank, -1)
        expected += (rates**2).sum() + rates.sum() ** 2
    assert lost_energy(kept, 1) == pytest.approx(expected / 16, rel=2e-3)


def test_the_ends_of_the_lost_energy():
    assert lost_energy(8, 16) == 0
    assert lost_energy(0, 16) == pytest.approx(1, abs=1e-6)
    with pytest.raises(ValueError, match="expected 0 to 8 channels kept and 1 to 64 outputs, not 9 and 16"):
        lost_energy(9, 16)


def cost(layers, choice):
    lost = [layer.lost.get(kept, 0.0) for layer, kept in zip(layers.values(), choice, strict=True)]
    return sum(layer.weight * layer.count * error for layer, error in zip(layers.values(), lost, strict=True))


def remaining(layers, choice):
    return sum(layer.count * kept for layer, kept in zip(layers.values(), choice, strict=True)) / 8


def test_no_choice_of_as_few_weights_loses_less(seed):
    """Of all choices for five layers; where whole steps pass the sparsity, choices of at most as many weights count."""
    rng = np.random.default_rng(seed)
    for _ in range(5):
        layers = {}
        for name in "abcde":
            lost = np.sort(rng.uniform(0, 1, 3)) * np.array([0.3, 0.7, 1.2])
            options = {8: 0.0} | dict(zip(KEPT, lost.tolist(), strict=True)) if name != "e" else {}
            layers[name] = Choice(count=int(rng.integers(1, 9)) * 8, weight=float(rng.uniform(0.1, 3)), lost=options)
        sparsity = float(rng.uniform(0.05, 0.6))
        total = sum(layer.count for layer in layers.values())
        if sparsity * total > 7 / 8 * (total - layers["e"].count):
            with pytest.raises(ValueError, match="patterns leave out at most"):
                allocate(layers, sparsity)
            continue
        found = tuple(allocate(layers, sparsity).values())
        left, least = remaining(layers, found), cost(layers, found)
        assert total - left >= sparsity * total - 1e-6
        for choice in product(*(layer.lost or (8,) for layer in layers.values())):
            if remaining(layers, choice) <= left:
                assert cost(layers, choice) >= least - 1e-9


def test_layers_of_a_network_get_patterns(seed):
    """A layer with channels that hardly count is pruned more; what has no pattern keeps all; steps follow as before."""
    rng = np.random.default_rng(seed)
    weights = {name: rng.laplace(size=(64, 32)) for name in ("even", "few", "first")}
    weights["few"][np.arange(64) % 8 > 1] *= 0.01
    masks = {name: lambda kept, name=name: mask_of(weights[name], kept, 16) for name in ("even", "few")}
    for exact in (True, False):
        plans = opq(weights, OpqParams(sparsity=0.25, bits=4, max_width=4, exact=exact), masks)
        assert plans["first"].kept == 8
        assert plans["first"].mask.all()
        for name in masks:
            plan = plans[name]
            assert plan.mask.mean() == plan.kept / 8
            assert plan.measured == pytest.approx((weights[name][~plan.mask] ** 2).sum() / weights[name].size, rel=1e-5)
            assert (plan.levels.codes[~plan.mask] == 0).all()
        reached = np.mean([plan.sparsity for plan in plans.values()])
        assert reached >= 0.25
        if exact:
            assert (plans["few"].kept, plans["even"].kept) == (2, 8)
    assert opq(weights, OpqParams(sparsity=0.25), masks)["even"].predicted == 0


def test_what_patterns_do_not_reach_is_refused():
    weights = {"a": np.random.default_rng(1).laplace(size=(16, 16))}
    masks = {"a": lambda kept: mask_of(weights["a"], kept, 16)}
    with pytest.raises(ValueError, match=r"^patterns leave out at most 75\.0% of the weights, not 80\.0%"):
        opq(weights, OpqParams(sparsity=0.8), masks)
    with pytest.raises(ValueError, match="patterns must be some of 8, 4, 2 and 1"):
        OpqParams(patterns=(3,))


def test_layers_that_must_have_a_pattern_begin_at_the_densest(seed):
    """Without 8 among the patterns: the layer that loses least goes on from there, one without patterns keeps all."""
    rng = np.random.default_rng(seed)
    weights = {name: rng.laplace(size=(64, 32)) for name in ("even", "few", "first")}
    weights["few"][np.arange(64) % 8 > 1] *= 0.01
    masks = {name: lambda kept, name=name: mask_of(weights[name], kept, 16) for name in ("even", "few")}
    for sparsity, few in ((0.0, 4), (0.4, 2)):
        plans = opq(weights, OpqParams(sparsity=sparsity, patterns=(4, 2)), masks)
        assert {name: plan.kept for name, plan in plans.items()} == {"even": 4, "few": few, "first": 8}
