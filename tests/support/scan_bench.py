# amaranth: UnusedElaboratable=no
"""A scan of the box unit in simulation: drawn heads, and memory, bus and decoder around the scan."""

from dataclasses import replace

import numpy as np

from roundel.golden.engine import EngineParams
from roundel.golden.nms import NmsParams
from roundel.hw.engine.boxes.scan import Scan
from roundel.hw.engine.memory import ActivationMemory

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

    def __init__(self, params, rng, stall, scan=None):
        self.params, self.rng, self.stall = params, rng, stall
        self.dut = Scan(params) if scan is None else scan
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
