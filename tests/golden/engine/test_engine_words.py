"""Beats of several words in the golden engine: against loops in plain integers, and what it stops at."""

from dataclasses import replace

import numpy as np
import pytest

from roundel.compiler import compile_network
from roundel.golden.engine import CONFIGS, Descriptor, Engine, EngineParams, Opcode, Program, Region, WeightStep
from roundel.golden.network import Window
from tests.roundel.compiler.test_compile_layers import S8, image_of, network, weighted
from tests.support.naive_engine import NaiveEngine

PARAMS = EngineParams(**CONFIGS["small"] | {"memory": 4096, "depth": 16, "banks": 8, "nms": None})
BASES = {region: 0x1000 * number for number, region in enumerate(Region)}


def layers(rng, kind):
    """A layer with a residual beside it; of a pattern some channels have no weights."""
    if kind == "rows":
        window = Window(kernel=(3, 2), stride=(1, 2), pad=(1, 0, 1, 1))
        main = weighted("main", "image", 16, 16, window, groups=16, output=S8)
    else:
        weights = rng.integers(-99, 100, (4, 32, 8)) * (rng.random((4, 32, 1)) < 0.3)
        main = weighted("main", "image", 32, 8, Window(kernel=(2, 2)), weights=weights.reshape(128, 8), output=S8)
    return network(main)


@pytest.mark.parametrize(
    ("kind", "fields"),
    [("rows", {"taps": 8, "beat_words": 4}), ("rows", {"taps": 4, "beat_words": 2}),
     ("planes", {"beat_words": 2, "select": True}), ("planes", {"beat_words": 4, "select": True})],
)  # fmt: skip
def test_programs_against_loops_in_plain_integers(kind, fields, seed):
    params = replace(PARAMS, **fields)
    made, image = layers(np.random.default_rng(seed), kind), image_of(5, 6, 16 if kind == "rows" else 32)
    compiled = compile_network(made, image.shape, params)
    assert any(descriptor.split for descriptor in compiled.program.descriptors if descriptor.opcode is Opcode.COMPUTE)
    held = bytearray(0x1000 * len(Region))
    for region, data in compiled.regions(image).items():
        assert len(data) <= 0x1000
        held[BASES[region] : BASES[region] + len(data)] = data.tobytes()
    naive = NaiveEngine(params, bytes(held), 0, BASES)
    naive.run()
    memory = np.frombuffer(bytes(held), np.uint8).copy()
    golden = Engine(params=params, regions={Region.PROGRAM: memory}, bases=BASES)
    golden.run()
    assert golden.memory.tolist() == naive.memory
    assert memory.tobytes() == bytes(naive.image)
    assert memory.tobytes() != bytes(held)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"word_step": 4}, "beats of 3 words, 4 apart, with split 2"), ({"split": 1}, "beats of 3 words, 1 apart, with"),
     ({"split": 3}, "with split 3")],
)  # fmt: skip
def test_words_that_share_a_bank_or_are_too_many_are_stopped_at(change, message):
    """The engine relies on its program there."""
    params = replace(PARAMS, banks=4, taps=8, beat_words=4)
    made = network(weighted("main", "image", 8, 8, groups=8))
    compiled = compile_network(made, (5, 7, 8), params)
    computes = (item.opcode is Opcode.COMPUTE and item.split > 0 for item in compiled.program.descriptors)
    number = list(computes).index(True)
    descriptors = list(compiled.program.descriptors)
    values = descriptors[number].values | {"word_step": 1} | change
    descriptors[number] = Descriptor(opcode=Opcode.COMPUTE, values=values)
    changed = Program(fingerprint=params.fingerprint, descriptors=tuple(descriptors)).pack()
    regions = compiled.regions(image_of(5, 7, 8))
    program = regions[Region.PROGRAM].copy()
    program[: len(changed)] = np.frombuffer(changed, np.uint8)
    with pytest.raises(ValueError, match=message):
        Engine(params=params, regions=regions | {Region.PROGRAM: program}).run()


def test_steps_with_selectors_come_back(seed):
    rng = np.random.default_rng(seed)
    for lanes, size in ((4, 16), (8, 16), (16, 16), (32, 24)):
        step = WeightStep(
            offset=-5, dy=-1, dx=300, last=True, scale=2, words=int(rng.integers(1, 9)),
            selector=tuple(rng.integers(0, 8, lanes).tolist()),
        )  # fmt: skip
        data = step.pack()
        assert len(data) == size
        assert WeightStep.unpack(data, lanes) == step
        assert [int.from_bytes(data[8:], "little") >> 3 * lane & 7 for lane in range(lanes)] == list(step.selector)


@pytest.mark.parametrize(
    ("fields", "message"),
    [({"beat_words": 3}, "beat_words must be a power of two, not 3"),
     ({"beat_words": 8}, "beat_words must be 1 to 4, not 8"),
     ({"select": True}, r"select must be false where a beat has one word \(beat_words=1\)")],
)  # fmt: skip
def test_engines_that_cannot_be(fields, message):
    with pytest.raises(ValueError, match=message):
        EngineParams(**fields)


def test_programs_of_engines_with_words_are_for_these_alone():
    prints = [replace(PARAMS, **fields).fingerprint for fields in ({}, {"beat_words": 2}, {"beat_words": 4},
                                                                   {"beat_words": 4, "select": True})]  # fmt: skip
    assert len(set(prints)) == 4
