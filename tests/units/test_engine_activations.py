"""Activations on the engine's RTL: functions, slopes and residuals equal to golden, cycles as they are predicted."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

import roundel
from roundel.benchmarks.shapes import BIAS, WEIGHT
from roundel.golden.engine import EngineParams
from roundel.golden.network import Network, Weighted, Window, run
from roundel.hw.configs import ENGINE_CONFIGS
from roundel.runtime.random_activations import NAMES, USUAL, fitted, slopes
from tests.golden.cycles.test_cycles import Both
from tests.support.cycle_layers import drawn_layers

PARAMS = EngineParams(**ENGINE_CONFIGS["tiny_with_units"])
SIZE, CHANNELS = 5, 6


def network_of_all(seed):
    """A layer for each function, for slopes of outputs, and for residuals of both kinds and every shift."""
    rng = np.random.default_rng(seed)
    layers, last = list[Weighted](), ("image", USUAL)

    def add(name, output, activation, residual=None):
        nonlocal last
        x = last[1]
        shift = 0 if residual is None else output.fraction + 3 - residual[1].fraction
        table = replace(activation.table, residual_shift=shift)
        layer = Weighted(
            name=name, sources=(last[0], *([residual[0]] if residual else [])), output=output, x=x, w=WEIGHT,
            b=replace(BIAS, fraction=x.fraction + WEIGHT.fraction),
            weights=rng.integers(-60, 61, (9 * CHANNELS, CHANNELS)), bias=rng.integers(-2000, 2000, CHANNELS),
            window=Window(kernel=(3, 3), pad=(1, 1, 1, 1)),
            residual=residual and residual[1], activation=replace(activation, table=table),
        )  # fmt: skip
        layers.append(layer)
        last = name, output

    for name in NAMES:
        add(name, *fitted(name))
    add("slopes", *slopes(rng.uniform(-0.9, 0.9, CHANNELS)))
    silu = fitted("silu")
    for shift, signed in product(range(4), (False, True)):
        form = replace(USUAL, signed=signed, fraction=USUAL.fraction + 3 - shift)
        plain = replace(layers[0], name=f"added_{shift}_{signed}", output=form, activation=None)
        layers.append(plain)
        add(f"beside_{shift}_{signed}", *silu, (plain.name, form))
    return Network(source="image", input=USUAL, layers=tuple(layers), results=tuple(layer.name for layer in layers))


def test_every_function_is_golden_on_rtl(seed):
    """Through the public functions: compiled for an engine, run on its RTL, every layer compared."""
    network = network_of_all(seed)
    images = np.random.default_rng(seed).uniform(-8, 8, (1, CHANNELS, SIZE, SIZE))
    program = roundel.compile(network, PARAMS, shape=(SIZE, SIZE, CHANNELS))
    result = roundel.run(program, {"images": images}, on="rtl")
    assert result.differences == []
    integers = network.encode(images)
    assert np.array_equal(result.integers["beside_3_True"], run(network, integers))
    for name, values in result.integers.items():
        assert np.unique(values).size > 5, name


@pytest.mark.parametrize("seed", [1, 5, 7, 8])
def test_layers_take_as_many_cycles_as_predicted(seed):
    network, shape, _ = drawn_layers(seed, 6, activations=True)
    result = Both(PARAMS, network, np.random.default_rng(seed).integers(0, 256, shape))
    result.assert_close()
    assert "computing" not in result.misses
