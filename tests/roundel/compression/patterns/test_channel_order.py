"""The order of channels: masks looked at again by golden's patterns, and all other orders tried where they are few."""

from itertools import combinations

import numpy as np
import pytest

from roundel.compression.patterns import OrderedPatterns, OrderSearch, Patterns, pattern_layers
from roundel.graph import Relu, reordered
from tests.support.made_graphs import SINGLE, conv, network, node


def pair(rng, channels, outputs, window=SINGLE):
    """Two layers, of which the channels between may be in any order."""
    return network(
        (3, 6, 6),
        conv(rng, "x", "a", 3, channels, window),
        node(Relu, "a", "b"),
        conv(rng, "b", "c", channels, outputs, window),
    )


def kept_energy(graph, patterns, kept):
    """Of the layers that have patterns, of channels as they are."""
    layers = pattern_layers(graph, patterns)
    weights = {name: layer.node.weights.astype(float) for name, layer in layers.items()}
    return sum((weights[name][layers[name].mask(kept, patterns)] ** 2).sum() for name in layers)


def found(graph, patterns, kept):
    layers = pattern_layers(graph, patterns)
    return OrderSearch(graph, layers, patterns).orders(dict.fromkeys(layers, (kept,)))


def test_no_swap_keeps_more(seed):
    """And nearly as much is kept as of the best of all ways to part 16 channels into two times eight."""
    rng = np.random.default_rng([seed, 1])
    patterns = Patterns(kept=(4,), lanes=8, columns=4)
    graph = pair(rng, 16, 24)
    orders = found(graph, patterns, 4)
    energy = (graph.nodes[2].weights[:, :, 0, 0].astype(float) ** 2).reshape(6, 4, 16).sum(axis=1)

    def kept(first):
        parts = [energy[:, list(first)], energy[:, [k for k in range(16) if k not in first]]]
        return sum(np.sort(part, axis=1)[:, 4:].sum() for part in parts)

    best, before = max(map(kept, combinations(range(16), 8))), kept_energy(graph, patterns, 4)
    order = orders["b"]
    choice = patterns.of(4).candidates(16)
    now = kept_energy(reordered(graph, orders), patterns, 4)
    assert now == pytest.approx(kept(order[choice[0]].tolist()))
    assert before < now <= best + 1e-9
    assert now - before >= 0.8 * (best - before)
    for first in range(16):
        for second in range(first):
            tried = order.copy()
            tried[[first, second]] = tried[[second, first]]
            assert kept(tried[choice[0]].tolist()) <= now + 2e-6 * energy.sum()


@pytest.mark.parametrize("kept", [4, 2, 1])
def test_weights_that_keep_a_pattern_in_some_order_are_nearly_kept(kept, seed):
    """Of each eight channels `kept` have weights, then all are shuffled; swaps may end before the best order."""
    rng = np.random.default_rng(seed)
    patterns = Patterns(kept=(kept,), lanes=8, columns=8)
    graph = pair(rng, 64, 8)
    weights = graph.nodes[2].weights
    alive = np.zeros(64, bool)
    for choice in patterns.of(kept).candidates(64):
        alive[rng.permutation(choice)[:kept]] = True
    weights[:, ~alive] = 0
    weights[:] = weights[:, rng.permutation(64)]
    whole = (weights.astype(float) ** 2).sum()
    before = kept_energy(graph, patterns, kept)
    now = kept_energy(reordered(graph, found(graph, patterns, kept)), patterns, kept)
    assert whole - now <= 0.2 * (whole - before)


def test_masks_are_those_of_the_ordered_network_in_the_order_of_the_file(seed):
    rng = np.random.default_rng(seed)
    patterns = Patterns(kept=(4, 2), lanes=8, columns=8)
    graph = network(
        (20, 4, 4),
        conv(rng, "x", "a", 20, 32),
        node(Relu, "a", "b"),
        conv(rng, "b", "c", 32, 24),
        conv(rng, "c", "d", 24, 8),
    )
    orders = found(graph, patterns, 2)
    ordered = OrderedPatterns(graph, patterns, orders)
    assert {"b", "c"} <= set(orders)
    later = pattern_layers(reordered(graph, orders), patterns)
    for figures in ordered.figures(dict.fromkeys(ordered.layers, 2)):
        name, weights = figures.layer, ordered.layers[figures.layer].node.weights
        mask, squares = ordered.mask(name, 2), weights.astype(float) ** 2
        assert figures.energy == pytest.approx(squares[mask].sum() / squares.sum())
        assert np.array_equal(
            np.sort((weights * mask).ravel()),
            np.sort((later[name].node.weights * later[name].mask(2, patterns)).ravel()),
        )
        assert figures.unordered == pytest.approx(squares[ordered.layers[name].mask(2, patterns)].sum() / squares.sum())
    assert ordered.mask("conv_c", 8).all()
