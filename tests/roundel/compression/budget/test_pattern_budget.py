"""Bits and patterns under a budget: costs of programs, losses of real results, the choice by an integer program."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import pairwise

import numpy as np
import pytest

from roundel.compiler import compile_network
from roundel.compression.budget.costs import Costing
from roundel.compression.budget.knapsack import front
from roundel.compression.budget.params import Cost, Sensitivity
from roundel.compression.budget.sensitivity import sensitivities
from roundel.compression.budget.variants import LayerVariant, LayerVariants
from roundel.compression.patterns import OrderedPatterns, Patterns
from roundel.golden.cycles import predict
from roundel.golden.errors import InputError
from roundel.golden.opq import ChannelPattern
from roundel.graph import fold
from roundel.quantization import QuantizeOptions
from roundel.ui import silent
from tests.roundel.compression.budget.test_knapsack import by_integer_program
from tests.roundel.compression.patterns.test_patterns_option import SMALLEST, compressed, graph, images

NARROW = replace(SMALLEST, weight_width=4)
SHAPE = (8, 8, 3)
LAYERS = {"conv_c": 9, "conv_f": 9, "dense_i": 16}  # that may have patterns, and their taps
ALL = "dense,4:8,2:8"


def cycles(network) -> int:
    compiled = compile_network(network, SHAPE, NARROW)
    return int(predict(compiled.params, np.frombuffer(compiled.image, np.uint8))[1])


def test_bits_and_patterns_keep_the_budget(seed):
    """By a program of its own; the integers have the bits and the patterns that are told."""
    made = compressed(seed, ALL, engine=NARROW, budget="cycles=0.4")
    told = made.report["budget"]
    assert cycles(made.network) / told["whole"] == pytest.approx(told["ratio"])
    assert told["ratio"] <= 0.4
    assert {layer.name: layer.w.width for layer in made.network.weighted} == told["bits"]
    assert {row["layer"]: row["kept"] for row in made.report["patterns"]} == {
        name: told["kept"][name] for name in LAYERS
    }
    assert min(told["kept"].values()) < 8
    assert told["kept"]["conv_a"] == 8
    for layer in made.network.weighted:
        if told["kept"][layer.name] < 8:
            pattern = ChannelPattern(kept=told["kept"][layer.name], lanes=4, columns=4)
            assert pattern.breaches(layer.weights, LAYERS[layer.name]) == 0
    ratios = [point["ratio"] for point in told["front"]]
    losses = [point["loss"] for point in told["front"]]
    assert all(first < second for first, second in pairwise(ratios))
    assert all(first > second for first, second in pairwise(losses))


def test_bits_alone_do_not_reach_what_both_do():
    with pytest.raises(InputError, match=r"the nearest that bits reach on engine is cycles=0\.[5-9]"):
        compressed(1, "dense", engine=NARROW, budget="cycles=0.3")
    with pytest.raises(InputError, match=r"the nearest that bits and patterns reach on engine is cycles=0\.[12]"):
        compressed(1, ALL, engine=NARROW, budget="cycles=0.05")


@pytest.mark.parametrize("sensitivity", list(Sensitivity))
def test_the_choice_is_that_of_an_integer_program(sensitivity, seed):
    """Of the costs of programs in which all layers are alike, and of losses by images or by weights."""
    made, patterns = fold(graph(seed)), Patterns(kept=(8, 4, 2), lanes=4, columns=4)
    variants = LayerVariants(made, OrderedPatterns(made, patterns, {}))
    options = QuantizeOptions(array_bits=4)
    compile_for: Callable = partial(compile_network, shape=SHAPE, params=NARROW)
    costing = Costing(variants, images(seed), options, compile_for, Cost.CYCLES, lambda *_: None)
    names = ["conv_a", *LAYERS]
    table = costing.table(names, 4, silent)
    assert table.variants["conv_a"] == (LayerVariant(4), LayerVariant(8))
    assert set(table.variants["conv_c"]) == {LayerVariant(bits, kept) for bits in (4, 8) for kept in (2, 4, 8)}
    half, all_of_it = (table.costs["conv_f"][table.variants["conv_f"].index(LayerVariant(8, kept))] for kept in (4, 8))
    assert 0.4 < half / all_of_it < 0.65
    losses = sensitivities(variants, images(seed), table.variants, options, sensitivity, silent)
    ordered = [losses["conv_f"][table.variants["conv_f"].index(LayerVariant(8, kept))] for kept in (2, 4, 8)]
    assert ordered == sorted(ordered, reverse=True)
    costs, lost = [table.costs[name] for name in names], [losses[name] for name in names]
    found = front(costs, lost)
    for part in (0.3, 0.4, 0.6, 0.8):
        budget = part * table.whole - table.fixed
        point = found.within(budget)
        expected = by_integer_program(costs, lost, budget)
        if expected is None:
            assert point is None
        else:
            assert found.losses[point] == pytest.approx(expected, rel=1e-6)
