"""Channels in another order: the network's results stay, whatever operators lie between its layers."""

import numpy as np

from roundel.graph import (
    Add,
    ChannelTies,
    Concat,
    DepthToSpace,
    Flatten,
    MaxPool,
    Pointwise,
    PRelu,
    Relu,
    Select,
    formula_of,
    reordered,
)
from tests.support.made_graphs import HALVES, affine, conv, dense, network, node, real


def shuffled(graph, rng):
    """The network with every group of channels in random order, and how many channels moved."""
    ties = ChannelTies.of(graph)
    holds = {}
    for group in ties.groups():
        holds |= dict(zip(group.tolist(), rng.permutation(group).tolist(), strict=True))
    orders = ties.orders(holds)
    assert not set(orders) & {graph.source, *graph.results}
    return reordered(graph, orders), orders


def assert_same_results(graph, other, rng):
    images = rng.uniform(-1, 1, (3, *graph.shape)).astype(np.float32)
    for name, values in graph.outputs(images).items():
        np.testing.assert_allclose(other.outputs(images)[name], values, rtol=1e-4, atol=1e-4 * np.abs(values).max())


def everything(rng):
    """Layers with all that may lie between them; `pixels` are channels that become pixels, which stay."""
    return network(
        (3, 8, 8),
        conv(rng, "x", "a", 3, 12),
        node(PRelu, "a", "b", slopes=np.abs(real(rng, 12)) / 4),
        conv(rng, "b", "c", 12, 12, groups=12),
        affine(rng, "c", "d", 12),
        node(Pointwise, "d", "e", formula=formula_of(("Tanh", 0))),
        conv(rng, "e", "f", 12, 12),
        node(Add, ("f", "b"), "g"),
        node(Concat, ("g", "d"), "h"),
        node(Select, "h", "i", channels=tuple(int(k) for k in rng.permutation(24)[:20])),
        conv(rng, "i", "j", 20, 8),
        node(Relu, "j", "k"),
        conv(rng, "k", "l", 8, 8),
        conv(rng, "l", "m", 8, 8, groups=2),
        node(MaxPool, "k", "n", window=HALVES),
        conv(rng, "n", "o", 8, 8),
        node(DepthToSpace, "o", "pixels", factor=(2, 2)),
        node(Flatten, "n", "p"),
        dense(rng, "p", "q", 128, 10),
        dense(rng, "q", "r", 10, 5),
        results=("m", "pixels", "r"),
    )


def test_results_stay(seed):
    rng = np.random.default_rng(seed)
    for _ in range(5):
        graph = everything(rng)
        other, orders = shuffled(graph, rng)
        assert set("abcdefghijknpq") >= set(orders) >= set("ajpq")
        assert_same_results(graph, other, rng)


def test_channels_that_go_together():
    """Those of a sum and of both its parts; not those of input and results."""
    rng = np.random.default_rng(1)
    graph = network(
        (4, 4, 4),
        conv(rng, "x", "a", 4, 6),
        conv(rng, "x", "b", 4, 6),
        node(Add, ("a", "b"), "c"),
        conv(rng, "c", "d", 6, 4),
        conv(rng, "c", "e", 6, 4),
        node(Add, ("d", "x"), "g"),
        results=("e", "g"),
    )
    ties = ChannelTies.of(graph)
    assert np.array_equal(ties.tensors["a"], ties.tensors["b"])
    assert [len(group) for group in ties.groups()] == [6]
    assert not ties.free[ties.tensors["d"]].any()
