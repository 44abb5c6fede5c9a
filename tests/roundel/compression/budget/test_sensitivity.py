"""What a layer's bits do to the results, against the float network run with other weights."""

from dataclasses import replace

import numpy as np
import pytest

from roundel.compression.budget.params import Sensitivity
from roundel.compression.budget.sensitivity import Effect, relative, rounded_weights, sensitivities
from roundel.compression.budget.variants import LayerVariant, LayerVariants
from roundel.graph import Add, Graph, Relu
from roundel.quantization import QuantizeOptions
from roundel.ui import silent
from tests.support.made_graphs import conv, network, node

IMAGES = np.random.default_rng(2).uniform(-1, 1, (5, 4, 6, 6)).astype(np.float32)


def graph() -> Graph:
    rng = np.random.default_rng(1)
    return network(
        (4, 6, 6),
        conv(rng, "x", "a", 4, 6),
        node(Relu, "a", "b"),
        conv(rng, "b", "c", 6, 6),
        node(Add, ("b", "c"), "d"),
        conv(rng, "d", "e", 6, 4),
    )


def test_effect_is_that_of_the_whole_network():
    whole = graph()
    effect = Effect(whole, IMAGES)
    for layer in (item for item in whole.nodes if hasattr(item, "weights")):
        weights = layer.weights * np.float32(0.9)
        nodes = tuple(replace(item, weights=weights) if item is layer else item for item in whole.nodes)
        changed, before = replace(whole, nodes=nodes).run(IMAGES), whole.run(IMAGES)
        expected = ((changed - before) ** 2).sum(dtype=np.float64) / (before**2).sum(dtype=np.float64)
        assert effect.of(layer, weights) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_rounded_weights_are_few_integers_times_a_power_of_two(bits, per_channel):
    layer = graph().nodes[0]
    options = QuantizeOptions(per_channel=per_channel)
    rounded = rounded_weights(layer, bits, options)
    for output in rounded if per_channel else [rounded]:
        fractions = [n for n in range(-2, 12) if np.array_equal(output * 2.0**n, np.round(output * 2.0**n))]
        codes = output * 2.0 ** fractions[0]
        assert -(2 ** (bits - 1)) <= codes.min()
        assert codes.max() < 2 ** (bits - 1)
    step = 2.0 ** np.ceil(np.log2(np.abs(layer.weights).max() / (2 ** (bits - 1) - 1)))
    nearest = np.clip(np.round(layer.weights / step), -(2 ** (bits - 1)), 2 ** (bits - 1) - 1) * step
    assert ((rounded - layer.weights) ** 2).sum() <= ((nearest - layer.weights) ** 2).sum() * (1 + 1e-6)


@pytest.mark.parametrize("sensitivity", list(Sensitivity))
def test_fewer_bits_lose_more(sensitivity):
    whole = graph()
    names = [item.name for item in whole.nodes if hasattr(item, "weights")]
    choices = {name: [LayerVariant(bits) for bits in (2, 4, 8)] for name in names}
    found = sensitivities(LayerVariants(whole), IMAGES, choices, QuantizeOptions(), sensitivity, silent)
    assert list(found) == names
    for losses in found.values():
        assert losses[0] > losses[1] > losses[2] > 0


def test_relative_of_nothing():
    zeros = np.zeros(3, np.float32)
    assert relative(zeros + 1, zeros) == 0
    assert relative(np.array([3.0, 4.0]), np.array([3.0, 3.0])) == pytest.approx(1 / 18)
