"""The compiler against the integer network: every layer of random networks, bit for bit, on the golden engine."""

from dataclasses import replace

import numpy as np
import pytest

from roundel.compiler import compile_network
from roundel.compiler.lowering.moves import spreads
from roundel.golden.engine import CONFIGS, Engine, EngineParams, Opcode, Program, Region
from roundel.golden.errors import InputError
from roundel.golden.network import steps
from roundel.runtime.random_networks import engine_network
from tests.support.engine_order import check_order


def engine(name, **fields):
    return EngineParams(**(CONFIGS[name] | fields))


def run(compiled, image):
    """Every tensor that can be read after a run."""
    regions = compiled.regions(image)
    Engine(params=compiled.params, regions=regions).run()
    return {name: compiled.read(name, regions) for name in compiled.tensors}


def check(network, image, params, *, trace=True):
    """Compile, prove the order, run, and compare; returns the compiled network."""
    compiled = compile_network(network, image.shape, params, trace=trace)
    check_order(compiled.image, params)
    tensors = run(compiled, image)
    expected = {step.layer.name: step.outputs[0] for step in steps(network, image[None])}
    pixels = set(spreads(network)) - set(tensors)  # these become pixels before they are stored
    assert set(tensors) == (set(expected) - pixels if trace else set(network.output_names))
    for name, values in tensors.items():
        assert np.array_equal(values, expected[name]), name
    return compiled


@pytest.mark.parametrize("trace", [True, False])
@pytest.mark.parametrize("name", ["tiny", "small", "medium"])
def test_random_networks_on_chip(name, trace, seed):
    for offset in range(15):
        drawn = engine_network(1000 * seed + offset, size=24 if offset % 2 else 16, channels=2 if offset % 2 else 20)
        compiled = check(*drawn, engine(name), trace=trace)
        assert not compiled.plan.streamed


@pytest.mark.parametrize(("name", "memory"), [("tiny", 1024), ("small", 2048), ("medium", 4096)])
def test_random_networks_in_bands(name, memory, seed):
    streamed = []
    for offset in range(15):
        drawn = engine_network(1000 * seed + offset, size=30, channels=9)
        try:
            streamed.append(len(check(*drawn, engine(name, memory=memory), trace=offset % 3 == 0).plan.streamed))
        except InputError as error:  # a pixel of a layer and what it reads may be too much
            if "does not fit into" not in str(error):
                raise
    assert len(streamed) > 9
    assert sum(streamed) > 5


@pytest.mark.parametrize("depth", [4, 7, 64])
def test_small_accumulator_memories(depth, seed):
    for offset in range(5):
        check(*engine_network(1000 * seed + offset, size=9), engine("tiny", depth=depth))


@pytest.mark.parametrize(
    "fields", [{"packing": "rice", "slices": 2}, {"packing": "relative"}, {"taps": 1}, {"taps": 3}]
)
def test_other_engines(fields, seed):
    for offset in range(3):
        check(*engine_network(1000 * seed + offset, size=9), engine("tiny", **fields))


def test_equal_inputs_give_equal_bytes(seed):
    network, image = engine_network(seed)
    first, second = (compile_network(network, image.shape, engine("tiny", memory=2048)) for _ in range(2))
    assert first.image == second.image


def in_bands(seed, params):
    """Networks of which something is streamed, images, and how they are compiled."""
    for offset in range(1000):
        network, image = engine_network(1000 * seed + offset, size=24, channels=9)
        try:
            compiled = compile_network(network, image.shape, params)
        except InputError:
            continue
        if compiled.plan.streamed:
            yield network, image, compiled


def test_missing_tokens_are_seen(seed):
    """Programs without one of their tokens are not in order, or come to a stop: so `check_order` does see."""
    params = engine("tiny", memory=2048)
    compiled = next(program for _, _, program in in_bands(seed, params) if len(program.tasks) > 30)
    check_order(compiled.image, params)
    descriptors = compiled.program.descriptors
    ways = [("signal_next", "wait_previous", +1), ("signal_previous", "wait_next", -1)]
    tried = seen = 0
    for give, take, ahead in ways:
        for unit in range(3):
            givers = [
                i for i, descriptor in enumerate(descriptors) if _unit(descriptor) == unit and getattr(descriptor, give)
            ]
            takers = [
                i
                for i, descriptor in enumerate(descriptors)
                if _unit(descriptor) == unit + ahead and getattr(descriptor, take)
            ]
            for pair in list(zip(givers, takers, strict=True))[:6]:
                left = [
                    replace(descriptor, values=descriptor.values | dict.fromkeys({give} if i == pair[0] else {take}, 0))
                    if i in pair else descriptor for i, descriptor in enumerate(descriptors)
                ]  # fmt: skip
                program = Program(fingerprint=params.fingerprint, descriptors=tuple(left)).pack()
                tried += 1
                try:
                    check_order(program + compiled.image[len(program) :], params)
                except AssertionError:
                    seen += 1
    assert tried > 4
    assert seen > 0.8 * tried  # whole rows count as touched, so that a few tokens between strips are not needed


def _unit(descriptor):
    return {Opcode.LOAD: 0, Opcode.COMPUTE: 1, Opcode.STORE: 2}.get(descriptor.opcode)


def test_zero_blocks_are_left_out():
    network, image = engine_network(3, layers=3)
    layer = network.weighted[0]
    empty = replace(layer, weights=0 * layer.weights)
    pruned = replace(network, layers=tuple(empty if other is layer else other for other in network.layers))
    compiled = check(pruned, image, engine("tiny"))
    task = next(other for other in compiled.tasks if other.layer == layer.name and other.opcode is Opcode.COMPUTE)
    assert task.steps[0] == task.values["blocks"] < task.steps[1]  # one of each output block is left


def test_macs_are_those_of_the_network(seed):
    network, image, compiled = next(in_bands(seed, engine("tiny", memory=2048)))
    expected = {
        step.layer.name: step.accumulators.size * len(step.layer.weights)
        for step in steps(network, image[None])
        if step.layer in network.weighted
    }
    for name, macs in expected.items():
        counted = sum(task.macs for task in compiled.tasks if task.layer == name)
        assert counted == pytest.approx(macs, abs=len(compiled.tasks))  # shares of bands are rounded


def test_program_follows_the_header_and_streams_are_aligned(seed):
    network, image = engine_network(seed)
    compiled = compile_network(network, image.shape, engine("medium"))
    assert Program.unpack(compiled.image, compiled.params) == compiled.program
    for descriptor in compiled.program.descriptors:
        if descriptor.opcode is Opcode.COMPUTE:
            assert descriptor.parameters_offset % 16 == descriptor.weights_offset % 16 == 0
            assert (
                descriptor.weights_offset + descriptor.weights_bytes
                <= len(compiled.image)
                == compiled.sizes[Region.PROGRAM]
            )
        elif descriptor.opcode is not Opcode.END:
            assert descriptor.offset % 16 == descriptor.outer_run % 16 == descriptor.outer_plane % 16 == 0
