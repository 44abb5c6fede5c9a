"""Weights of drawn networks: of every width, within it, and with patterns that few weights break."""

from collections import Counter
from dataclasses import fields

import numpy as np

from roundel.golden.network import Weighted, outputs
from roundel.golden.opq import ChannelPattern
from roundel.runtime.random_networks import engine_network
from roundel.runtime.random_tensors import with_other_weights

SEEDS = range(40)


def drawn(seed, **given):
    network, image = engine_network(seed, size=8, channels=40)
    return network, with_other_weights(network, seed, **given), image


def test_widths():
    found = Counter()
    for seed in SEEDS:
        before, after, image = drawn(seed)
        assert [layer.name for layer in after.layers] == [layer.name for layer in before.layers]
        for old, new in zip(before.layers, after.layers, strict=True):
            if not isinstance(new, Weighted):
                assert old is new
                continue
            found[new.w.width] += 1
            low, high = new.w.limits
            assert np.array_equal(new.weights, old.weights >> 8 - new.w.width)
            assert low <= new.weights.min() <= new.weights.max() <= high
            changed = {item.name for item in fields(new) if getattr(old, item.name) is not getattr(new, item.name)}
            assert changed <= {"weights", "w", "b", "w_fractions"}
        outputs(after, image[None])
    assert set(found) == set(range(2, 9))
    assert found[8] > max(found[width] for width in range(2, 8))


def test_a_seed_draws_the_same_again():
    first, second = (drawn(3, lanes=8)[1] for _ in range(2))
    assert all(np.array_equal(a.weights, b.weights) for a, b in zip(first.weighted, second.weighted, strict=True))


def test_patterns():
    """Of each eight candidates four, two or one have weights, and a weight more here and there."""
    kinds = Counter()
    for seed in SEEDS:
        _, after, _ = drawn(seed, lanes=8)
        for new in after.weighted:
            if new.groups > 1 or len(new.weights) // new.taps <= 8:
                continue
            keeps = [
                ChannelPattern(kept=kept, lanes=8, columns=8).breaches(new.weights, new.taps) for kept in (1, 2, 4)
            ]
            assert keeps == sorted(keeps, reverse=True)
            kinds[next((kept for kept, breaches in zip((1, 2, 4), keeps, strict=True) if breaches <= 1), 8)] += 1
            kinds["broken"] += 1 in keeps
    assert min(kinds[kind] for kind in (1, 2, 4, 8, "broken")) > 0
