"""Boxes of candidates in hardware against `roundel.golden.head`, bit for bit, with stalls on all sides."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from amaranth.sim import Simulator

from roundel.golden.engine import HEADS, Descriptor, Opcode, head_fields, pack_head
from roundel.golden.head import (
    WHOLE,
    CentreParams,
    CornerParams,
    DistributionParams,
    HeadParams,
    PlaceParams,
    SideParams,
    SoftmaxParams,
    exponents,
)
from roundel.golden.nms import BoxFormat
from roundel.hw.emit import to_verilog
from roundel.hw.engine.boxes.decoder import BoxDecoder
from roundel.synth.cells import REFERENCE
from roundel.synth.mapping import map_design

ORDER = (0, 2, 1, 3)  # of a box's numbers: axis by axis
SIZE: dict[str, Any] = {"width": 96, "height": 64, "fraction": 2, "score_width": 12}
ALL = ("softmax", "dfl", "centre", "corners")
FAR = PlaceParams(step=(2 << 16 + 6) // 7, origin=-1 << 16 + 6)
HALF = PlaceParams(step=(2 << 15 + 6) // 7, origin=-1 << 15 + 6)
NEAR = PlaceParams(step=(2 << 14 + 6) // 7, origin=-1 << 14 + 6)
"""From the first of 8 columns to the last: as far before the image's corner as behind. What a register holds at most:
with centres, with centres and their offsets, without centres."""
PLAIN = HeadParams(columns=8, rows=4, stride=16, classes=1, threshold=0, cls_signed=False, shift=-1, **SIZE)


def words(rng, *shape: int, low: int = -(1 << 15), high: int = 1 << 15) -> Any:
    """Entries of tables."""
    return rng.integers(low, high, shape).tolist()


def fields(head: HeadParams) -> dict[str, int]:
    """What the unit's descriptor says of a head."""
    values = head_fields(head) | {"width": head.columns, "height": head.rows, "classes": head.classes}
    values |= {"stride": head.stride.bit_length() - 1, "threshold": head.threshold, "shift": head.shift}
    values |= {"score_shift": head.score_shift, "cls_signed": int(head.cls_signed), "box_signed": int(head.box_signed)}
    return Descriptor(opcode=Opcode.BOXES, values=values).values


def numbers_of(head: HeadParams, box: Any) -> list[int]:
    """Bytes of a candidate's box, in the order in which they are sent."""
    sent = []
    for number in ORDER:
        if head.distribution is None:
            sent.append(int(box[number]))
        else:
            bins = box.reshape(4, -1)[number]
            sent += [int(bins.max()), *map(int, bins[::-1])]
    return [value & 0xFF for value in sent]


def logits_of(logits: Any, own: int) -> list[int]:
    """Bytes of a candidate's softmax."""
    return [int(value) & 0xFF for value in (logits.max(), *logits[::-1], own)]


async def send(ctx: Any, port: Any, payloads: list[Any], rng: np.random.Generator, stall: float) -> None:
    """Offer one after the other, each until it is taken."""
    for payload in payloads:
        while rng.random() < stall:
            await ctx.tick()
        ctx.set(port.payload, payload)
        ctx.set(port.valid, 1)
        taken = False
        while not taken:
            _, _, taken = await ctx.tick().sample(port.ready)
        ctx.set(port.valid, 0)


def decode(
    head: HeadParams, candidates: list[dict[str, int]], sent: list[int], *, heads: Any, seed: int, stall: float
) -> tuple[list[Any], int]:
    """Boxes that the decoder makes of candidates, and the cycles that they took."""
    form = BoxFormat(**SIZE | {"score_width": head.score_width}, classes=head.classes)
    dut, found, state = BoxDecoder(form, heads), list[Any](), {"cycles": 0, "done": False}
    table = np.frombuffer(pack_head(head), "<u2")[512 if head.products else 0 :]

    async def tables(ctx: Any) -> None:
        ctx.set(dut.descriptor, fields(head))
        for number, word in enumerate(map(int, table)):
            address = (number - (256 if head.softmax else 0)) % 1024
            ctx.set(dut.words, {"valid": 1, "payload": {"address": address, "word": word}})
            await ctx.tick()
        ctx.set(dut.words, {"valid": 0, "payload": {"address": 0, "word": 0}})
        state["start"] = state["cycles"]
        await send(ctx, dut.candidates, candidates, np.random.default_rng([seed, 1]), stall)
        state["done"] = True

    async def numbers(ctx: Any) -> None:
        for _ in table:
            await ctx.tick()
        await send(ctx, dut.bytes, sent, np.random.default_rng([seed, 2]), stall)

    async def boxes(ctx: Any) -> None:
        rng = np.random.default_rng([seed, 3])
        while not state["done"]:
            ctx.set(dut.boxes.ready, int(rng.random() >= stall))
            _, _, given, box = await ctx.tick().sample(dut.boxes.valid & dut.boxes.ready, dut.boxes.payload)
            state["cycles"] += 1
            if given:
                names = ("x1", "y1", "x2", "y2", "score", "label", "row", "column", "prior")
                found.append(tuple(int(box[name]) for name in names))

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    for task in (tables, numbers, boxes):
        simulator.add_testbench(task)
    simulator.run()
    return found, state["cycles"] - state["start"]


def check(
    head: HeadParams, rng: np.random.Generator, *, seed: int, stall: float = 0.3, heads: Any = ALL, box: Any = None
) -> tuple[int, float]:
    """Every location and prior as a candidate, whose score tells which it is; returns how many boxes, and cycles."""
    shape = (head.rows, head.columns, head.priors)
    count = int(np.prod(shape))
    assert count <= 256
    low = -128 if head.box_signed else 0
    if box is None:
        box = rng.integers(low, low + 256, (*shape, head.numbers))
    names = np.arange(count)
    expected = head.decode(names.reshape(head.rows, head.columns, -1), box.reshape(*shape[:2], -1))
    places = np.stack(np.unravel_index(expected.scores, shape), axis=1)
    rows = np.concatenate([expected.boxes, expected.scores[:, None], 0 * expected.scores[:, None], places], axis=1)
    candidates = [
        {"row": row, "column": column, "prior": prior, "label": 0, "score": number}
        for number, (row, column, prior) in enumerate(np.ndindex(*shape))
    ]
    sent = [value for one in box.reshape(count, -1) for value in numbers_of(head, one)]
    found, cycles = decode(head, candidates, sent, heads=heads, seed=seed, stall=stall)
    assert found == [tuple(map(int, row)) for row in rows]
    return len(found), cycles / count


def forms(rng: np.random.Generator) -> dict[str, HeadParams]:
    """Heads of all forms, on random tables."""
    place = PlaceParams(step=int(rng.integers(1, 64 << 6)), origin=int(rng.integers(-999, 9999)))
    priors = words(rng, 3, 2, low=2 << 10, high=7 << 10)
    small = words(rng, 256, low=-300, high=300)
    sides = words(rng, 256, low=-3 << 10, high=2 << 10)
    return {
        "distances": PLAIN,
        "distances of a byte with a sign": replace(PLAIN, box_signed=True, shift=1),
        "distances far to the left": replace(PLAIN, box_signed=True, shift=12),
        "distances far to the right": replace(PLAIN, box_signed=True, shift=-15),
        "distances from a place": replace(PLAIN, place=place, priors=2),
        "distributions": replace(
            PLAIN, box_signed=True, shift=-3, distribution=DistributionParams(exponents=exponents(3))
        ),
        "distributions of 32 bins": replace(
            PLAIN, shift=-6, distribution=DistributionParams(exponents=exponents(4), bins=32)
        ),
        "distributions of 2 bins": replace(
            PLAIN, shift=-2, distribution=DistributionParams(exponents=exponents(0), bins=2)
        ),
        "distributions to the left": replace(
            PLAIN, shift=7, distribution=DistributionParams(exponents=exponents(10), bins=7)
        ),
        "distances from places as far away as any": replace(PLAIN, box_signed=True, shift=9, place=FAR),
        "means as far to the left as any": replace(
            PLAIN, shift=7, distribution=DistributionParams(exponents=exponents(4), bins=32)
        ),
        "sides": replace(PLAIN, sides=SideParams(sides=words(rng, 256, low=0, high=9 << 10))),
        "sides of any word": replace(PLAIN, place=place, sides=SideParams(sides=words(rng, 256))),
        "centres": replace(
            PLAIN, priors=3, place=place, centres=CentreParams(centres=small, sides=sides, priors=priors)
        ),
        "centres as far away as any": replace(
            PLAIN,
            place=HALF,
            centres=CentreParams(centres=words(rng, 256), sides=words(rng, 256), priors=[(0, 9 << 10)]),
        ),
        "centres of any word": replace(
            PLAIN,
            priors=2,
            centres=CentreParams(centres=words(rng, 256), sides=words(rng, 256), priors=words(rng, 2, 2)),
        ),
        "corners": replace(
            PLAIN, priors=3, corners=CornerParams(offsets=small, priors=words(rng, 3, 4, low=-50, high=50))
        ),
        "corners of any word": replace(
            PLAIN, place=place, corners=CornerParams(offsets=words(rng, 256), priors=words(rng, 1, 4))
        ),
    }


NAMES = tuple(forms(np.random.default_rng(0)))


@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize("name", NAMES)
def test_forms(name: str, stall: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    head = forms(rng)[name]
    check(head, rng, seed=seed, stall=stall)


@pytest.mark.parametrize(
    ("classes", "background", "fraction", "bits", "most", "low", "high"),
    [
        (1, 0, 3, 8, 600, -128, 127),
        (2, 1, 0, 4, 62, -6, 6),
        (7, 1, 2, 5, 200, -20, 20),
        (20, 0, 4, 8, 1500, -40, 40),
        (20, 1, 10, 0, 7, -128, 127),
        (5, 0, 2, 3, 24, 90, 90),
    ],
)
def test_softmaxes(
    classes: int, background: int, fraction: int, bits: int, most: int, low: int, high: int, seed: int
) -> None:
    """Every class of every prior as a candidate; those of too high a cost make no box."""
    rng = np.random.default_rng([seed, classes])
    softmax = SoftmaxParams(background=background * classes, exponents=exponents(fraction), bits=bits, most=most)
    plain = replace(PLAIN, columns=3, rows=2, priors=2)
    box = rng.integers(1, 60, (2, 3, 2, 4))
    named = plain.decode(np.arange(12).reshape(2, 3, 2), box.reshape(2, 3, 8))
    places = {tuple(corners): number for corners, number in zip(named.boxes.tolist(), named.scores, strict=True)}
    assert len(places) == 12
    head = replace(plain, classes=classes, cls_signed=True, threshold=-255, softmax=softmax, every_class=True)
    logits = rng.integers(low, high + 1, (2, 3, 2, classes + 1))
    made = head.decode(logits.reshape(2, 3, -1), box.reshape(2, 3, 8))
    expected = [
        (*corners, int(score), int(label), *map(int, np.unravel_index(places[tuple(corners)], (2, 3, 2))))
        for corners, score, label in zip(made.boxes.tolist(), made.scores, made.labels, strict=True)
    ]
    candidates, sent = [], []
    for row, column, prior in np.ndindex(2, 3, 2):
        for label in range(classes):
            candidates.append({"row": row, "column": column, "prior": prior, "label": label, "score": 0})
            own = logits[row, column, prior][label + (background == 0)]
            sent += [*numbers_of(head, box[row, column, prior]), *logits_of(logits[row, column, prior], int(own))]
    found, _ = decode(head, candidates, sent, heads=ALL, seed=seed, stall=0.3)
    assert found == expected
    assert 0 < len(found) <= len(candidates)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"place": replace(FAR, origin=FAR.origin - 1)}, "not -16384.2 as number 0 of the 8 columns"),
        ({"place": replace(FAR, step=FAR.step + 8)}, "place must be within 16384 pixels .* not 16384 as number 7"),
        (
            {"shift": 8, "distribution": DistributionParams(exponents=exponents(4), bins=32)},
            "shift must be at most 7 with 32 bins, not 8",
        ),
    ],
)
def test_golden_refuses_what_the_registers_do_not_hold(change: dict[str, Any], message: str) -> None:
    """A unit, or a bit, more than the greatest above."""
    with pytest.raises(ValueError, match=message):
        replace(PLAIN, **change)


def test_engines_without_centres_hold_less(seed: int) -> None:
    head, rng = replace(PLAIN, box_signed=True, shift=9, place=NEAR), np.random.default_rng(seed)
    head.check_registers(WHOLE[False])
    check(head, rng, seed=seed, heads=("priors",))
    with pytest.raises(ValueError, match="within 4096 pixels"):
        replace(head, place=replace(NEAR, origin=NEAR.origin - 1)).check_registers(WHOLE[False])


def test_forms_that_are_left_out_cost_nothing() -> None:
    """A decoder of one form is smaller than that of all, and has no memory if it needs none."""
    form = BoxFormat(**SIZE, classes=10)

    def mapped(*heads: str) -> Any:
        return map_design(to_verilog(BoxDecoder(form, heads), "part"), "part", REFERENCE)

    plain, everything = mapped("priors"), mapped(*HEADS)
    assert mapped("product").area_um2 == plain.area_um2
    for name, memory in (("dfl", True), ("softmax", True), ("centre", True), ("corners", True)):
        alone = mapped(name)
        assert plain.area_um2 < alone.area_um2 < 0.9 * everything.area_um2
        assert (alone.memory_bits > 0) == memory
