"""Compiled activations: random networks against the integer network, tiles cut for bursts, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest

from roundel.benchmarks.shapes import Builder
from roundel.compiler import compile_network
from roundel.golden.activation import Fold
from roundel.golden.engine import CONFIGS, Engine, EngineParams, Opcode
from roundel.golden.errors import InputError
from roundel.golden.network import DepthToSpace, Network, Weighted, steps
from roundel.golden.requant import Scheme
from roundel.golden.rounding import Rounding
from roundel.runtime.random_activations import NAMES, draw_activation, fitted
from roundel.runtime.random_networks import engine_network
from tests.support.engine_order import check_order


def engine(name, **fields):
    return EngineParams(**(CONFIGS[name] | {"act_lanes": 2} | fields))


def check(network, image, params, *, trace=True):
    """Compile, prove the order, run on golden, and compare every tensor; returns the compiled network."""
    compiled = compile_network(network, image.shape, params, trace=trace)
    check_order(compiled.image, params)
    regions = compiled.regions(image)
    Engine(params=params, regions=regions).run()
    expected = {step.layer.name: step.outputs[0] for step in steps(network, image[None])}
    for name in compiled.tensors:
        assert np.array_equal(compiled.read(name, regions), expected[name]), name
    return compiled


def test_random_networks(seed):
    """On chip and in bands; residuals behind functions and before them, slopes, pixels, groups; all folds."""
    seen = {"folds": set(), "residual": set(), "unsigned": set(), "pixels": set()}
    for offset in range(18):
        drawn = engine_network(1000 * seed + offset, size=16, channels=9, activations=True)
        names, fields = ("tiny", "small", "medium"), {"act_fifo": 16, "depth": (4, 64)[offset % 2]}
        if offset % 4 == 3:
            fields["memory"] = 4096
        check(*drawn, engine(names[offset % 3], **fields), trace=offset % 3 > 0)
        layers = {layer.name: layer for layer in drawn[0].layers}
        for layer in layers.values():
            if isinstance(layer, Weighted) and layer.activation is not None:
                seen["folds"].add(layer.activation.table.fold)
                seen["residual"].add(layer.residual is not None)
                seen["unsigned"].add(layer.activation.table.unsigned)
            if isinstance(layer, DepthToSpace):
                source = layers.get(layer.sources[0])
                seen["pixels"].add(isinstance(source, Weighted) and source.activation is not None)
    assert seen["folds"] == set(Fold)
    assert seen["residual"] == seen["unsigned"] == seen["pixels"] == {False, True}


def pointwise(name="silu", *, size=(16, 16), channels=16, kernel=1, **fields):
    builder = Builder(shape=(*size, channels))
    output, activation = fitted(name)
    builder.conv("image", channels, kernel, activation=activation if output.signed else None)
    (layer,) = builder.layers
    layer = replace(layer, output=output, activation=activation, **fields)
    return Network(source="image", input=layer.x, layers=(layer,))


def computes(compiled):
    return [task.values for task in compiled.tasks if task.opcode is Opcode.COMPUTE]


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("shift", range(4))
def test_residuals_behind_an_activation(shift, signed, seed):
    """Of every shift that a table can have; bytes of both kinds."""
    network = pointwise(size=(3, 5))
    (layer,) = network.layers
    form = replace(layer.output, signed=signed, fraction=layer.output.fraction + 3 - shift)
    first = replace(layer, name="first", activation=None, output=form)
    activation = replace(layer.activation, table=replace(layer.activation.table, residual_shift=shift))
    layer = replace(layer, sources=("image", "first"), residual=form, activation=activation)
    image = np.random.default_rng(seed).integers(0, 256, (3, 5, 16))
    compiled = check(replace(network, layers=(first, layer)), image, engine("small"))
    assert computes(compiled)[-1]["flip_residual"] == (not signed)


@pytest.mark.parametrize("name", NAMES)
def test_every_function(name, seed):
    network = pointwise(name, size=(3, 5))
    image = np.random.default_rng(seed).integers(0, 256, (3, 5, 16))
    (values,) = computes(check(network, image, engine("small")))
    assert values["activation"] == 1
    assert values["flip_target"] == 0


def test_tiles_are_cut_for_bursts_that_are_longer_than_the_fifo_lasts():
    """64 x 64 positions; 9 steps a block leave the unit time, one step does not: there tiles need not be small."""

    def most(network, **fields):
        compiled = compile_network(network, (64, 64, 16), engine("medium", **fields))
        return max(values["tile_w"] * values["tile_h"] for values in computes(compiled))

    network = pointwise(kernel=3, size=(64, 64))
    plain = replace(network, layers=tuple(replace(layer, activation=None) for layer in network.layers))
    assert most(network, act_lanes=16, act_fifo=16) == most(plain, act_lanes=16) > 512
    # While a burst comes, a quarter or an eighth of it leaves again.
    assert 64 <= most(network, act_lanes=4, act_fifo=64) <= 64 * 4 / 3
    assert 192 <= most(network, act_lanes=4, act_fifo=256) <= 256 * 4 / 3
    assert most(network, act_lanes=2, act_fifo=64) <= 64 * 8 / 7
    assert most(pointwise(size=(64, 64)), act_lanes=4, act_fifo=64) > 128


def test_engines_without_the_unit_are_told_what_they_need():
    network, shape = pointwise(), (16, 16, 16)
    message = (
        r"^conv_0: has an activation, but the engine no activation unit \(act_lanes=0\); "
        r"an engine with act_lanes=2 runs it \(--set act_lanes=2\)$"
    )
    with pytest.raises(InputError, match=message):
        compile_network(network, shape, engine("small", act_lanes=0))
    with pytest.raises(InputError, match=r"^conv_0: an activation needs an engine that shifts, not fixed16: compress"):
        compile_network(network, shape, engine("small", act_lanes=0, scheme=Scheme.FIXED16))


def test_rounding_of_the_engine_does_not_matter():
    compile_network(pointwise(rounding=Rounding.HALF_AWAY), (16, 16, 16), engine("small"))


def test_activations_are_drawn_of_every_kind():
    rng = np.random.default_rng(0)
    drawn = [draw_activation(rng, 2, 3, None) for _ in range(300)]
    assert {activation.slopes is not None for _, activation in drawn} == {False, True}
    assert {activation.table.fold for _, activation in drawn} == set(Fold)
    assert {output.fraction for output, _ in drawn} == {2}
