# amaranth: UnusedElaboratable=no
"""Cycles of scan and decoder with candidates, on RTL and by the model."""

from dataclasses import replace

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.sim import Simulator

from roundel.golden.cycles import ASKED_TABLES, Passing, passing, scale_cycles
from roundel.golden.engine import Descriptor, Opcode, Scale
from roundel.hw.engine.boxes.decoder import BoxDecoder
from roundel.hw.engine.boxes.scan import Scan
from roundel.hw.lib import Component
from tests.support.scan_bench import ORIGIN, TABLE, Surroundings, crafted, draw, lanes_of, memory_of

PART = 0.01
MOST = 12  # candidates of a scale that is simulated


class ScanAndDecoder(Component):
    """What an engine has in front of its suppression, which takes every box at once."""

    def __init__(self, params):
        self.scan, self.decoder = Scan(params), BoxDecoder(params.nms.format, params.heads)
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.submodules.scan, m.submodules.decoder = scan, decoder = self.scan, self.decoder
        wiring.connect(m, scan.candidates, decoder.candidates)
        wiring.connect(m, scan.bytes, decoder.bytes)
        m.d.comb += [
            decoder.words.eq(scan.words),
            decoder.descriptor.eq(scan.descriptor),
            decoder.boxes.ready.eq(1),
        ]
        return m


def measured(params, jobs):
    """Cycles of scales, one after the other, from `start` on."""
    top, cycles = ScanAndDecoder(params), []
    around = Surroundings(params, np.random.default_rng(0), 0.0, top.scan)
    scan = top.scan

    async def bench(ctx):
        ctx.set(scan.origin, ORIGIN)
        for memory, values, words in jobs:
            await ctx.tick().repeat(20)
            around.start_fresh(memory, values, words)
            ctx.set(scan.descriptor, values)
            ctx.set(scan.start, 1)
            await ctx.tick()
            ctx.set(scan.start, 0)
            while not ctx.get(scan.done):
                await ctx.tick()
                assert around.cycles < 50_000
            tables = len(words) + ASKED_TABLES if words else 0
            cycles.append(around.cycles - 1 - tables)

    simulator = Simulator(top)
    simulator.add_clock(1e-6)
    for task in (around.memory_task, around.bus_task, around.words_task):
        simulator.add_testbench(task, background=True)
    simulator.add_testbench(bench)
    simulator.run()
    return cycles


def exponents_of(rng):
    """A table that starts with 0 and falls."""
    return [int(word) & 0xFFFF for word in -np.sort(np.r_[0, rng.integers(0, 12_000, TABLE - 1)])]


def drawn(rng, params, score):
    """A random scale with a few candidates: what is simulated, its descriptor, and what passes."""
    while True:
        values, words = draw(rng, params, score=score)
        words = list(words)
        if score == 2:
            words[:TABLE] = exponents_of(rng)
        if values["box_form"] == 1:
            words[-TABLE:] = exponents_of(rng)
        bits = int(rng.integers(9))
        values |= {"score_shift": 0, "shift": int(rng.integers(-10, 5)), "step": 64, "origin": 32}
        values |= {"cost_fraction": bits, "most": int(rng.integers(1, 4096 if score < 2 else 31 << min(bits, 7)))}
        memory = memory_of(rng, params, values)
        descriptor = Descriptor(opcode=Opcode.BOXES, values=values)
        raw = np.frombuffer(b"".join(word.to_bytes(params.lanes, "little") for word in memory), np.uint8)
        stream = np.array(words, np.int64).astype("<u2").tobytes()
        scale = Scale.of(descriptor, raw, params.lanes, stream)
        head = scale.head(params.nms)
        passed = passing(head, scale.cls, scale.objectness, scale.maxima)
        terms = (values["bins"] * (values["box_form"] == 1) + values["classes"] * (score == 2)) * MOST
        if head.threshold == descriptor.threshold and 0 < sum(len(one.sent) for one in passed) <= MOST and terms < 500:
            return (memory, values, words), descriptor, passed


@pytest.mark.parametrize("lanes", [4, 8, 16])
@pytest.mark.parametrize("score", [0, 1, 2])
def test_drawn_scales(lanes, score, seed):
    """Each form of box among them sooner or later, peaks and every class too: a cycle is what is known to be missed."""
    rng = np.random.default_rng([seed, lanes, score])
    params = lanes_of(lanes, bus=128 if lanes > 8 else 64)
    jobs, descriptors, passed = zip(*(drawn(rng, params, score) for _ in range(2)), strict=True)
    for cycles, descriptor, found in zip(measured(params, jobs), descriptors, passed, strict=True):
        assert abs(scale_cycles(params, descriptor, found) - cycles) <= max(1, PART * cycles)


@pytest.mark.parametrize("score", [0, 1, 2])
@pytest.mark.parametrize(
    ("lanes", "box", "classes", "priors", "prior"), [(16, 1, 11, 1, 0), (8, 3, 11, 6, 5), (32, 0, 10, 9, 4)]
)
def test_candidates_far_from_one_another(lanes, box, classes, priors, prior, score):
    """Words that were asked for ahead are dropped before each."""
    params = replace(lanes_of(lanes, bus=128), memory=1 << 16)
    job = crafted(params, 3, score=score, box=box, classes=classes, priors=priors, prior=prior)
    descriptor = Descriptor(opcode=Opcode.BOXES, values=job[1])
    [cycles] = measured(params, [job])
    labels = [7 * number % classes for number in range(3)]
    logits = classes + 1 if score == 2 else 0  # each of them counts 1: the table is empty
    places = (logits or 1).bit_length() - 1
    found = [
        Passing(3 + 5 * number, prior, labels=(label,), sent=(label,), places=places)
        for number, label in enumerate(labels)
    ]
    assert abs(scale_cycles(params, descriptor, found) - cycles) <= max(3, PART * cycles)
