# amaranth: UnusedElaboratable=no
"""The scan of the box unit: its candidates, their bytes and its cycles against plain integers."""

from dataclasses import replace

import numpy as np
import pytest
from amaranth.sim import Simulator

from roundel.golden.cycles import ASKED_TABLES, candidate_cycles, scale_cycles
from roundel.golden.engine import Descriptor, EngineParams, Opcode
from roundel.golden.nms import NmsParams
from roundel.hw.engine.boxes.scan import Scan
from roundel.hw.engine.memory import ActivationMemory
from tests.support.scan_reference import candidates

FORM = {"width": 40, "height": 28, "fraction": 2, "score_width": 12, "classes": 11}
NMS = NmsParams(format=FORM, method="maxpool", areas=(64.0, 256.0), stride=8, capacity=128)
ALL = ("product", "softmax", "dfl", "centre", "corners")
PARAMS = EngineParams(lanes=8, columns=8, memory=1 << 13, heads=ALL, nms=NMS)
TABLE = 256
ORIGIN = 1 << 24


def lanes_of(lanes, heads=ALL, bus=64):
    return replace(PARAMS, lanes=lanes, columns=lanes, heads=heads, bus=bus)


def draw(rng, params, *, score=None, box=None, **given):
    """Fields of a descriptor, and the words of its tables."""
    score = int(rng.integers(3)) if score is None else score
    box = int(rng.integers(5)) if box is None else box
    bins = int(rng.choice([2, 5, 8, 16, 17, 32]))
    priors = int(rng.choice([1, 1, 2, 3, 6, 9]))
    classes = int(rng.choice([1, 2, 3, 7, 8, 11, 20, 80]))
    values = {"score_form": score, "box_form": box, "priors": priors - 1, "classes": classes, "bins": bins}
    values |= {"width": int(rng.integers(1, 5)), "height": int(rng.integers(1, 4))}
    values |= {name: int(rng.integers(2)) for name in ("cls_signed", "box_signed", "background", "every_class")}
    values |= {"peaks": int(rng.integers(2)) if score < 2 else 0, "score_shift": int(rng.integers(5))}
    values |= {"most": int(rng.integers(1, 4096)), "threshold": int(rng.integers(-20, 200))}
    for name in ("cls", "box", "objectness", "maxima"):
        values |= {name: int(rng.integers(params.words)), f"{name}_plane": int(rng.integers(1, params.words))}
    values |= given
    words = [int(word) for word in rng.integers(0, 4096, 2 * TABLE)] if values["score_form"] == 1 else []
    priors = values["priors"] + 1
    words += [int(word) for word in rng.integers(0, 1 << 16, TABLE)] if values["score_form"] == 2 else []
    others = {1: TABLE, 2: TABLE, 3: 2 * TABLE + 2 * priors, 4: TABLE + 4 * priors}.get(values["box_form"], 0)
    words += [int(word) for word in rng.integers(0, 1 << 16, others)]
    values |= {"parameters_bytes": 2 * len(words), "parameters_region": 3, "parameters_offset": 64}
    return values, words


def memory_of(rng, params, values):
    """Words of a memory; where there are peaks, many bytes of `maxima` are those of the logits."""
    raw = rng.integers(0, 256, (params.words, params.lanes))
    raw[rng.random(raw.shape) < 0.1] = 127
    if values["peaks"]:
        logits = values["classes"] + (values["score_form"] == 2)
        for plane in range(-(-(values["priors"] + 1) * logits // params.lanes)):
            for place in range(values["width"] * values["height"]):
                source, target = (values[n] + plane * values[f"{n}_plane"] + place for n in ("cls", "maxima"))
                same = rng.random(params.lanes) < 0.7
                raw[target % params.words] = np.where(same, raw[source % params.words], raw[target % params.words])
    return [int.from_bytes(bytes(map(int, row)), "little") for row in raw]


class Surroundings:
    """Memory, bus and decoder of a scan."""

    def __init__(self, params, rng, stall):
        self.params, self.rng, self.stall = params, rng, stall
        self.dut = Scan(params)
        self.memory, self.words, self.cycles, self.exponents = [], [], 0, 0

    def flows(self):
        return int(self.rng.random() >= self.stall)

    async def memory_task(self, ctx):
        pipe, request = [(0, 0)] * ActivationMemory.READ_LATENCY, self.dut.memory.request
        while True:
            ctx.set(request.ready, self.flows())
            _, _, valid, ready, address = await ctx.tick().sample(request.valid, request.ready, request.payload)
            taken = valid and ready
            pipe = [*pipe[1:], (1, self.memory[address]) if taken else (0, int(self.rng.integers(1 << 32)))]
            ctx.set(self.dut.memory.valid, pipe[0][0])
            ctx.set(self.dut.memory.data, pipe[0][1])

    async def bus_task(self, ctx):
        dut, size = self.dut, self.params.bus_bytes
        while True:
            ctx.set(dut.command.ready, self.flows())
            _, _, asked, command = await ctx.tick().sample(dut.command.valid & dut.command.ready, dut.command.payload)
            if not asked:
                continue
            ctx.set(dut.command.ready, 0)
            self.commands.append((command.address, command.bytes))
            data = b"".join(word.to_bytes(2, "little") for word in self.words)
            assert command.bytes == len(data)
            for start in range(0, len(data), size):
                while not self.flows():
                    await ctx.tick()
                part = data[start : start + size]
                beat = {"data": int.from_bytes(part, "little"), "keep": (1 << len(part)) - 1}
                ctx.set(dut.parameters.payload, beat | {"last": int(start + size >= len(data))})
                ctx.set(dut.parameters.valid, 1)
                await ctx.tick().until(dut.parameters.ready)
                ctx.set(dut.parameters.valid, 0)

    async def words_task(self, ctx):
        dut = self.dut
        while True:
            self.cycles += 1
            _, _, valid, word = await ctx.tick().sample(dut.words.valid, dut.words.payload)
            if valid:
                assert word.address == (len(self.given) - self.exponents) % 1024
                self.given.append(int(word.word))

    def start_fresh(self, memory, values, words):
        self.exponents = TABLE if values["score_form"] == 2 else 0
        self.memory, self.words, self.given, self.commands, self.cycles = memory, words, [], [], 0


def needed(params, values):
    """How many bytes a candidate has."""
    count = 4 if values["box_form"] != 1 else 4 * (values["bins"] + 1)
    return count + (values["classes"] + 3 if values["score_form"] == 2 else 0)


def scan(params, jobs, *, rng, stall):
    """Run scales one after the other; their candidates, cycles, and words of tables."""
    around, found = Surroundings(params, rng, stall), []
    dut = around.dut

    async def take(ctx, values):
        """A candidate: its bytes with pauses, and then itself."""
        numbers, first = [], ctx.get(dut.candidates.payload)
        for _ in range(needed(params, values)):
            while not around.flows():
                await ctx.tick()
            ctx.set(dut.bytes.ready, 1)
            (byte,) = await ctx.tick().sample(dut.bytes.payload).until(dut.bytes.valid)
            ctx.set(dut.bytes.ready, 0)
            numbers.append(int(byte))
        while not around.flows():
            await ctx.tick()
        assert ctx.get(dut.candidates.valid)
        candidate = ctx.get(dut.candidates.payload)
        assert candidate == first
        ctx.set(dut.candidates.ready, 1)
        await ctx.tick()
        ctx.set(dut.candidates.ready, 0)
        score = None if values["score_form"] == 2 else candidate.score
        return candidate.row, candidate.column, candidate.prior, candidate.label, score, numbers

    async def bench(ctx):
        ctx.set(dut.origin, ORIGIN)
        for memory, values, words in jobs:
            await ctx.tick().repeat(20)  # what was asked for ahead is gone
            around.start_fresh(memory, values, words)
            ctx.set(dut.descriptor, values)
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            taken, idle = [], 0
            while not ctx.get(dut.done):
                if ctx.get(dut.candidates.valid):
                    taken.append(await take(ctx, values))
                    idle = 0
                await ctx.tick()
                idle += 1
                assert idle < 20_000
            found.append((taken, around.cycles, around.given, around.commands))

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    for task in (around.memory_task, around.bus_task, around.words_task):
        simulator.add_testbench(task, background=True)
    simulator.add_testbench(bench)
    simulator.run()
    return found


def expect(params, memory, values, words):
    """What a scale's candidates must be, and how many of its words are costs."""
    costs = words[: 2 * TABLE] if values["score_form"] == 1 else []
    return list(candidates(values, memory, params.lanes, costs, params.nms.format.score_width)), len(costs)


def jobs_of(rng, params, count, **given):
    """Scales with some candidates, but no more bytes than can be simulated in a moment."""
    jobs = []
    while len(jobs) < count:
        values, words = draw(rng, params, **given)
        memory = memory_of(rng, params, values)
        expected, _ = expect(params, memory, values, words)
        if 0 < len(expected) * needed(params, values) < 1500:
            jobs.append((memory, values, words))
    return jobs


def check(params, jobs, *, rng, stall):
    """Compare; returns how many candidates there were, and the cycles."""
    counts = []
    runs = scan(params, jobs, rng=rng, stall=stall)
    for (memory, values, words), (taken, cycles, given, commands) in zip(jobs, runs, strict=True):
        expected, costs = expect(params, memory, values, words)
        for place, (got, wanted) in enumerate(zip(taken, map(tuple, expected), strict=False)):
            assert got == wanted, (place, values)
        assert len(taken) == len(expected), values
        assert given == words[costs:]
        assert commands == ([(ORIGIN, 2 * len(words))] if words else [])
        counts.append((len(taken), cycles))
    return counts


@pytest.mark.parametrize("stall", [0.0, 0.3])
@pytest.mark.parametrize("lanes", [4, 8, 16, 32])
@pytest.mark.parametrize("score", [0, 1, 2])
def test_any_head(lanes, score, stall, seed):
    rng = np.random.default_rng([seed, lanes, score])
    params = lanes_of(lanes, bus=128 if lanes > 8 else 64)
    check(params, jobs_of(rng, params, 3, score=score), rng=rng, stall=stall)


ROW = 20  # locations
LOW, HIGH, COST = 0, 100, 2000


def crafted(params, found, *, score, box, classes, priors, prior, bins=16):
    """A row of locations of which `found`, far from one another, have a candidate of that prior."""
    rng, softmax = np.random.default_rng(0), int(score == 2)
    channels = {"cls": priors * (classes + softmax), "box": priors * 4 * (bins if box == 1 else 1)}
    channels |= {"objectness": priors}
    values = {"score_form": score, "box_form": box, "priors": priors - 1, "classes": classes, "bins": bins}
    values |= {"width": ROW, "height": 1, "cls_signed": 1, "threshold": HIGH // 2, "most": COST}
    raw, at = rng.integers(0, 256, (params.words, params.lanes)), 0
    for name, count in channels.items():
        words = ROW * -(-count // params.lanes)
        values |= {name: at, f"{name}_plane": ROW}
        if name != "box":
            raw[at : at + words] = LOW
        at += words
    assert at < params.words
    for number in range(found):
        for name, channel, byte in (
            ("cls", prior * (classes + softmax) + softmax + 7 * number % classes, HIGH),
            ("objectness", prior, 1),
        ):
            raw[values[name] + ROW * (channel // params.lanes) + 3 + 5 * number, channel % params.lanes] = byte
    words = [0] * TABLE + [COST + 1, COST, *[0] * (TABLE - 2)] if score == 1 else []
    words += [0] * (TABLE * (score == 2))
    words += [0] * {1: TABLE, 3: 2 * TABLE + 2 * priors, 4: TABLE + 4 * priors}.get(box, 0)
    values |= {"parameters_bytes": 2 * len(words)}
    return [int.from_bytes(bytes(map(int, row)), "little") for row in raw], values, words


AHEAD = 10  # most words that were asked for and are dropped, one a cycle, before the wanted ones come


@pytest.mark.parametrize("score", [0, 1, 2])
@pytest.mark.parametrize(
    ("lanes", "box", "classes", "priors", "prior"),
    [(16, 1, 80, 1, 0), (8, 1, 20, 3, 2), (8, 3, 20, 6, 5), (32, 0, 90, 9, 4), (4, 4, 3, 1, 0)],
)
def test_cycles(lanes, box, classes, priors, prior, score):
    """A scale without candidates exactly; with some, as many more as the model says, and those of dropped words."""
    params = replace(lanes_of(lanes, bus=128), memory=1 << 16)
    head = {"score": score, "box": box, "classes": classes, "priors": priors, "prior": prior}
    jobs = [crafted(params, found, **head) for found in (0, 3)]
    empty, some = scan(params, jobs, rng=np.random.default_rng(0), stall=0.0)
    descriptor = Descriptor(opcode=Opcode.BOXES, values=jobs[0][1])
    assert (len(empty[0]), len(some[0])) == (0, 3)
    tables = len(jobs[0][2]) + ASKED_TABLES if jobs[0][2] else 0
    assert empty[1] == scale_cycles(params, descriptor) + tables + 1  # the bench sees `done` a cycle later
    more = (some[1] - empty[1]) / 3 - candidate_cycles(params, descriptor, prior)
    assert 0 <= more <= AHEAD * (1 + (score > 0) + (box == 1))


SOME = {
    ("priors",): ((0, 0),),
    ("dfl",): ((0, 1), (0, 0)),
    ("softmax", "centre"): ((2, 3), (0, 2)),
    ("product", "corners"): ((1, 4), (1, 0)),
}
"""Scores and boxes of heads that such an engine decodes."""


@pytest.mark.parametrize("heads", SOME)
def test_an_engine_that_leaves_forms_out(heads, seed):
    params, rng = lanes_of(8, heads), np.random.default_rng(seed)
    jobs = [job for score, box in SOME[heads] for job in jobs_of(rng, params, 2, score=score, box=box)]
    check(params, jobs, rng=rng, stall=0.3)
