# amaranth: UnusedElaboratable=no
"""The engine's box unit against roundel.golden.head and roundel.golden.nms.integer."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Cat, Const, ResetInserter, Signal
from amaranth.sim import Simulator

from roundel.golden.engine import TERMINATOR, EngineParams
from roundel.golden.head import HeadParams, decode
from roundel.golden.nms import NmsParams
from roundel.hw.engine.boxes import Boxes
from roundel.hw.engine.boxes.suppress import quiet
from roundel.hw.engine.memory import ActivationMemory

FORM = {"width": 40, "height": 28, "fraction": 2, "score_width": 8, "classes": 11}
NMS = {"format": FORM, "method": "maxpool", "areas": (64.0, 256.0), "stride": 8, "capacity": 128}
PARAMS = EngineParams(lanes=4, columns=4, memory=1 << 12, nms=NmsParams(**NMS))
SIZE = {"width": 40, "height": 28, "fraction": 2, "score_width": 8}
SCALES = (
    HeadParams(columns=5, rows=4, stride=8, classes=11, threshold=40, shift=-1, **SIZE),
    HeadParams(columns=10, rows=7, stride=4, classes=11, threshold=90, shift=0, box_signed=True, **SIZE),
)
BASES = (0, 0, 1 << 20, 0)


def random_tensors(rng, scale):
    """Logits and distances; many of them equal, at the limits, or of boxes without area."""
    low = -128 if scale.cls_signed else 0
    shape = (scale.rows, scale.columns)
    cls = rng.integers(low, low + 256, (*shape, scale.classes))
    cls[rng.random(cls.shape) < 0.1] = low + 255
    cls[rng.random(shape) < 0.2] = low + int(rng.integers(256))
    low = -128 if scale.box_signed else 0
    box = rng.integers(low, low + 256, (*shape, 4))
    small = rng.random(shape) < 0.5
    box[small] = rng.integers(low // 16, 40, (int(small.sum()), 4))
    return cls, box


def image(params, scales, tensors):
    """Bytes of the memory, and the fields of every scale's descriptor."""
    memory = np.random.default_rng(0).integers(0, 256, (params.words, params.lanes))
    found, at = [], 3
    for number, (scale, (cls, box)) in enumerate(zip(scales, tensors, strict=True)):
        locations, plane = scale.columns * scale.rows, scale.columns * scale.rows + 5
        fields: dict[str, Any] = {"cls": at, "cls_plane": plane, "cls_signed": int(scale.cls_signed)}
        for start in range(0, scale.classes, params.lanes):
            part = cls[..., start : start + params.lanes].reshape(locations, -1)
            memory[at : at + locations, : part.shape[1]] = part & 0xFF
            at += plane
        memory[at : at + locations, :4] = box.reshape(locations, 4) & 0xFF
        fields |= {"box": at, "box_signed": int(scale.box_signed), "stride": scale.stride.bit_length() - 1}
        fields |= {"width": scale.columns, "height": scale.rows, "classes": scale.classes, "shift": scale.shift}
        fields |= {"threshold": scale.threshold, "score_shift": scale.score_shift}
        found.append(fields | {"last": int(number == len(scales) - 1), "region": 2, "offset": 64})
        at += plane
    return [int.from_bytes(bytes(map(int, row)), "little") for row in memory], found


def records(nms, found, names=None):
    """What must be written for these boxes: the records of those kept, and the terminator."""
    kept = nms.compute(*found).kept
    names = range(len(found.scores)) if names is None else names
    rows = [
        (*map(int, found.boxes[index]), int(found.scores[index]), int(found.labels[index]), int(names[index]))
        for index in kept
    ]
    return [*rows, (0, 0, 0, 0, 0, TERMINATOR, len(rows))]


def places(scales, tensors):
    """Where each box of an image was found: scale, row, column, as a record has them."""
    return [
        number << 28 | row << 16 | column << 4 | prior
        for number, (scale, given) in enumerate(zip(scales, tensors, strict=True))
        for row, column, prior in scale.located(*given)[1].tolist()
    ]


def unpack(beats):
    """Records from the bytes written."""
    raw = np.frombuffer(b"".join(beats), dtype=[("fields", "<u2", 6), ("index", "<u4")])
    return [(*map(int, row["fields"]), int(row["index"])) for row in raw]


async def memory_task(ctx, dut, state, rng, stall):
    """The activation memory, which sometimes has no time."""
    pipe = [(0, 0)] * ActivationMemory.READ_LATENCY
    while True:
        request = dut.memory.request
        ctx.set(request.ready, int(rng.random() >= stall))
        _, _, valid, ready, address = await ctx.tick().sample(request.valid, request.ready, request.payload)
        pipe = [*pipe[1:], (1, state["memory"][address]) if valid and ready else (0, int(rng.integers(1 << 32)))]
        ctx.set(dut.memory.valid, pipe[0][0])
        ctx.set(dut.memory.data, pipe[0][1])


async def writer_task(ctx, dut, state, rng, stall):
    """The bus writer: a command, its beats, an answer some time later."""
    answer = 0
    while True:
        ctx.set(dut.command.ready, int(rng.random() >= stall))
        ctx.set(dut.data.ready, int(rng.random() >= stall))
        ctx.set(dut.written, int(answer == 1))
        answer = max(0, answer - 1)
        _, _, asked, address, given, beat, dropped = await ctx.tick().sample(
            dut.command.valid & dut.command.ready,
            dut.command.payload,
            dut.data.valid & dut.data.ready,
            dut.data.payload,
            dut.dropped,
        )
        state["commands"] += [address] if asked else []
        state["dropped"] += dropped
        if given:
            assert state["commands"]
            assert beat.strb == (1 << len(dut.data.p.strb)) - 1
            state["beats"].append(int(beat.data).to_bytes(len(dut.data.p.strb), "little"))
            if beat.last:
                answer = int(rng.integers(2, 30))
                state["lasts"] += 1


def run(params, jobs, *, seed, stall, resets=()):
    """Run images one after the other; what is written for each, how long it takes, and what the flags say."""
    dut, reset, rng, found = Boxes(params), Signal(), np.random.default_rng(seed), []
    state: dict[str, Any] = {}

    def fresh(memory):
        state.clear()
        state.update(memory=memory, commands=[], beats=[], dropped=0, lasts=0, waits=[0, 0], quiet=[0, 0])

    outside = Cat(port.valid & port.ready for port in (dut.memory.request, dut.command, dut.data)).any()
    within = dut.moving if quiet(params.nms) else Const(0)

    async def bench(ctx):
        for base, value in zip(dut.bases, BASES, strict=True):
            ctx.set(base, value)
        for number, (memory, descriptors) in enumerate(jobs):
            fresh(memory)
            cycles = 0
            for fields in descriptors:
                ctx.set(dut.unit.descriptor, fields)
                ctx.set(dut.unit.start, 1)
                await ctx.tick()
                ctx.set(dut.unit.start, 0)
                done = False
                while not done:
                    if number in resets and cycles == resets[number]:
                        break
                    _, _, done, busy, *moves = await ctx.tick().sample(dut.unit.done, dut.unit.busy, outside, within)
                    assert busy
                    cycles += 1
                    state["waits"] = [
                        0 if moves[0] else state["waits"][0] + 1,
                        0 if any(moves) else state["waits"][1] + 1,
                    ]
                    state["quiet"] = [max(pair) for pair in zip(state["quiet"], state["waits"], strict=True)]
                    assert cycles < 30_000
                state.setdefault("first_scale", cycles)
                if not done:
                    break
                assert not ctx.get(dut.unit.busy)
            if number in resets:
                ctx.set(reset, 1)
                await ctx.tick().repeat(ActivationMemory.READ_LATENCY + 2)  # the memory, too, has forgotten
                ctx.set(reset, 0)
            found.append(dict(state) | {"cycles": cycles, "count": ctx.get(dut.count)})

    fresh(jobs[0][0])
    simulator = Simulator(ResetInserter(reset)(dut))
    simulator.add_clock(1e-6)
    for task in (memory_task, writer_task):

        async def helper(ctx, task=task):
            await task(ctx, dut, state, rng, stall)

        simulator.add_testbench(helper, background=True)
    simulator.add_testbench(bench)
    simulator.run()
    return found


def check(params, scales, *, images, seed, stall=0.2, change=None):
    """Random images; `change` alters the tensors. Returns how many boxes each sent and kept, and the runs."""
    rng = np.random.default_rng(seed)
    jobs, expected, boxes = [], [], []
    for _ in range(images):
        tensors = [random_tensors(rng, scale) for scale in scales]
        for one in tensors if change else ():
            change(*one)
        found = decode(scales, tensors)
        verdict = params.nms.compute(*found)
        jobs.append(image(params, scales, tensors))
        names = places(scales, tensors) if params.places else None
        expected.append((records(params.nms, found, names), verdict.overflow or len(verdict.malformed) > 0))
        boxes.append((len(found.scores), len(verdict.kept)))
    runs = run(params, jobs, seed=seed, stall=stall)
    for got, (rows, dropped) in zip(runs, expected, strict=True):
        assert unpack(got["beats"]) == rows
        assert (got["count"], got["lasts"], got["dropped"] > 0) == (len(rows) - 1, 1, dropped)
        assert got["commands"] == [BASES[2] + 64]
    return boxes, runs


@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_images_of_two_scales(stall, seed):
    boxes, _ = check(PARAMS, SCALES, images=3, seed=seed, stall=stall)
    assert all(2 < kept < sent for sent, kept in boxes)


VARIANTS = {
    "unsigned logits": (SCALES[1], {"cls_signed": False, "threshold": 200}, {}),
    "fewer classes than lanes": (SCALES[1], {"classes": 3, "threshold": 0}, {}),
    "as many classes as lanes": (SCALES[1], {"classes": 4, "threshold": 0}, {}),
    "one class": (SCALES[1], {"classes": 1, "threshold": 0}, {}),
    "scores of more bits": (SCALES[0], {"score_shift": 2, "score_width": 10}, {"score_width": 10}),
    "far to the left": (SCALES[1], {"shift": 5}, {}),
    "far to the right": (SCALES[0], {"shift": -6}, {}),
    "no fraction": (SCALES[0], {"fraction": 0}, {"fraction": 0}),
    "one column": (SCALES[0], {"columns": 1}, {}),
    "one row": (SCALES[1], {"rows": 1}, {}),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_heads(name, seed):
    scale, changes, form = VARIANTS[name]
    params = replace(PARAMS, nms=NmsParams(**NMS | {"format": FORM | form}))
    boxes, _ = check(params, [replace(scale, **changes)], images=2, seed=seed)
    assert max(sent for sent, _ in boxes) > 1


KINDS = {
    "maxpool": NMS,
    "maxpool, few": NMS | {"capacity": 20},
    "exact": {"format": FORM, "method": "exact", "capacity": 128},
    "exact, the best of many": {"format": FORM, "method": "exact", "capacity": 16, "candidates": 1000},
    "exact, three best": {"format": FORM, "method": "exact", "capacity": 128, "max_detections": 3},
    "none": {"format": FORM, "method": "none", "capacity": 9},
    "none, all": {"format": FORM, "method": "none", "capacity": 100, "candidates": 100},
    "none, one": {"format": FORM, "method": "none", "capacity": 1},
}


@pytest.mark.parametrize("places", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_kinds_of_suppression(kind, places, seed):
    """With the number of a box in its record, or the place where it was found."""
    params = EngineParams(**PARAMS.as_dict() | {"nms": KINDS[kind], "places": places})
    boxes, runs = check(params, [*SCALES, SCALES[0]], images=3, seed=seed, stall=0.3)
    assert all(sent > 20 for sent, _ in boxes)
    assert any(got["dropped"] for got in runs) == (kind in ("maxpool, few",))
    if kind == "none":
        assert [kept for _, kept in boxes] == [9] * 3


@pytest.mark.parametrize("kind", ["exact", "none, all"])
def test_sorting_is_no_deadlock(kind, seed):
    """Where a large image is sorted, nothing moves outside of the unit; within, something does, for the watchdog."""
    params = EngineParams(**PARAMS.as_dict() | {"nms": KINDS[kind] | {"format": FORM | {"score_width": 10}}})
    scales = [replace(scale, score_width=10) for scale in SCALES]
    _, runs = check(params, scales, images=2, seed=seed, stall=0.0, change=everything)
    assert all(got["quiet"][0] > 100 for got in runs)
    assert all(got["quiet"][1] < 60 for got in runs)  # the bus answers within 30


def test_wide_words_and_bus(seed):
    params = replace(PARAMS, lanes=8, columns=8, bus=128)
    check(params, SCALES, images=2, seed=seed)


def test_no_box_at_all(seed):
    def nothing(cls, box):
        cls[...] = 0

    boxes, runs = check(PARAMS, SCALES, images=2, seed=seed, change=nothing)
    assert boxes == [(0, 0)] * 2
    assert [len(got["beats"]) for got in runs] == [2, 2]  # the terminator


def everything(cls, box):
    """A box at every location."""
    cls[..., 0] = 127
    box[...] = np.maximum(box, 4)


def test_more_boxes_than_the_unit_holds(seed):
    params = replace(PARAMS, nms=NmsParams(**NMS | {"capacity": 64}))
    boxes, runs = check(params, SCALES, images=2, seed=seed, change=everything)
    assert min(sent for sent, _ in boxes) > 64
    assert all(got["dropped"] for got in runs)


def test_a_class_that_the_unit_does_not_know(seed):
    """It is malformed and dropped, and nothing else is."""

    def last(cls, box):
        cls[0, 0] = -128
        cls[0, 0, 10] = 127
        box[0, 0] = 40

    params = replace(PARAMS, nms=NmsParams(**NMS | {"format": FORM | {"classes": 10}}))
    _, runs = check(params, SCALES, images=2, seed=seed, change=last)
    assert all(got["dropped"] for got in runs)


def test_cycles(seed):
    """One a word, three more a box: locations of 4 words, all with one. The first scale only fills the NMS unit."""
    _, runs = check(PARAMS, SCALES, images=2, seed=seed, stall=0.0, change=everything)
    locations = SCALES[0].columns * SCALES[0].rows
    assert runs[-1]["first_scale"] - locations * (4 + 3) in range(20)


def test_reset_forgets_everything(seed):
    rng = np.random.default_rng(seed)
    tensors = [[random_tensors(rng, scale) for scale in SCALES] for _ in range(4)]
    for one in tensors[0]:
        everything(*one)
    jobs = [image(PARAMS, SCALES, one) for one in tensors]
    runs = run(PARAMS, jobs, seed=seed, stall=0.2, resets={0: 300, 2: int(rng.integers(1000))})
    for number in (1, 3):
        assert unpack(runs[number]["beats"]) == records(PARAMS.nms, decode(SCALES, tensors[number]))


def test_an_engine_without_suppression_has_no_box_unit():
    with pytest.raises(ValueError, match="nms must be given for an engine with boxes"):
        Boxes(replace(PARAMS, nms=None))
