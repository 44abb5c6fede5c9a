"""The suppression unit: RTL against golden, how fast it is, and what it is made of."""

from dataclasses import replace

import numpy as np
import pytest
from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib.memory import Memory

from roundel.golden.errors import MismatchError
from roundel.golden.nms import NmsParams, Shift
from roundel.hw.lib import TwoPortMemory
from roundel.hw.nms import Nms
from roundel.hw.nms.windows import patterns, runs
from roundel.hw.units import UNITS
from roundel.sim.nms_run import run_images
from roundel.sim.stimuli import BoxImage, clusters, equal_sizes
from roundel.sim.verify import cases
from tests.support.rtl import check, rtl_cases

SMALL = {"width": 200, "height": 120, "classes": 1}
UNIT = UNITS["nms"]


@pytest.mark.parametrize("case", rtl_cases("nms"))
def test_rtl_equals_golden(case, seed):
    check(case, seed)


def best_first(image):
    """The same boxes, the best in front: it is kept whatever the pyramid."""
    order = np.argsort(-image.scores, kind="stable")
    return BoxImage(
        boxes=image.boxes[order], scores=image.scores[order], labels=image.labels[order], present=image.present
    )


@pytest.mark.parametrize(("method", "lanes"), [("psrr", 1), ("psrr", 2), ("psrr", 4), ("guarded", 1), ("guarded", 2)])
def test_parallel_units_take_lanes_boxes_per_cycle(method, lanes, seed):
    """Also that the first box kept leaves as soon as the unit says, within 64 cycles of the last box of its image."""
    params = NmsParams(format=SMALL, method=method, semantics="parallel", shift="none", lanes=lanes, capacity=64)
    images = [best_first(one) for one in equal_sizes(np.random.default_rng(seed), params.format, 60, 9)]
    found = run_images(UNIT, params, images, seed=seed)
    beats = 60 // lanes
    assert found["latency"] <= 64
    starts = np.concatenate([[0], found["ends"][:-1]])
    assert found["arrivals"][starts].tolist() == [beats * (image + 1) + found["latency"] for image in range(9)]


def test_a_cascade_takes_a_box_per_cycle(seed):
    params = NmsParams(format=SMALL, method="psrr", shift="none", capacity=64)
    one = best_first(clusters(np.random.default_rng(seed), params.format, 60))
    found = run_images(UNIT, params, [one] * 9, seed=seed)
    lasts = found["arrivals"][found["ends"] - 1]
    assert np.diff(lasts).tolist() == [60] * 8


def test_a_unit_that_keeps_other_boxes_is_a_mismatch(seed):
    params = NmsParams(format=SMALL, method="psrr", semantics="parallel", capacity=64)
    wrong = replace(UNIT, component=lambda given: Nms(replace(given, shift=Shift.NONE)))
    images = equal_sizes(np.random.default_rng(seed), params.format, 60, 3)
    with pytest.raises(MismatchError, match=r"differs from golden: .*image 0 of 60 boxes: kept"):
        run_images(wrong, params, images, seed=seed)


def test_sweeps_cost_no_more_than_they_must(seed):
    """With three epochs every third image waits until the tables are clear, and no other does."""
    params = NmsParams(format=SMALL, method="psrr", semantics="parallel", capacity=16, epoch_width=2)
    words = 1 << (max(map(params.pyramid.window_count, params.pyramid.passes)) - 1).bit_length()
    images = equal_sizes(np.random.default_rng(seed), params.format, 16, 12)
    found = run_images(UNIT, params, images, seed=seed)
    pauses = found["cycles"] - 16 * (12 + 1) - found["latency"]
    assert (
        4 * words <= pauses + words <= 4 * (words + 16 + 2 * found["latency"])
    )  # the first sweep is over at the start


def colliding(memory, platform):
    """A memory that answers a read of the word that is being written with a mix of old and new."""
    m = Module()
    m.submodules.words = words = Memory(shape=unsigned(len(memory.read_data)), depth=memory.depth, init=[])
    read, write = words.read_port(), words.write_port()
    collision, new = Signal(), Signal.like(memory.write_data)
    with m.If(memory.read_en):
        m.d.sync += [collision.eq(memory.write_en & (memory.read_addr == memory.write_addr)), new.eq(memory.write_data)]
    m.d.comb += [
        read.en.eq(memory.read_en),
        read.addr.eq(memory.read_addr),
        memory.read_data.eq(Mux(collision, read.data | new, read.data)),
        write.en.eq(memory.write_en),
        write.addr.eq(memory.write_addr),
        write.data.eq(memory.write_data),
    ]
    return m


@pytest.mark.parametrize(
    ("unit", "config"), [("nms", "psrr_parallel"), ("nms", "psrr_2_lanes"), ("greedy_nms", "100x76")]
)
def test_no_unit_uses_what_is_read_while_it_is_written(unit, config, monkeypatch, seed):
    monkeypatch.setattr(TwoPortMemory, "elaborate", colliding)
    check(next(case for case in cases(UNITS[unit]) if case.name == config), seed)


@pytest.mark.parametrize("width", [1, 3, 6])
def test_patterns_hold_each_integer_of_a_range_once(width):
    for low in range(1 << width):
        for high in range(low + 1, (1 << width) + 1):
            found = list(patterns(low, high, width))
            assert all(len(one) == width for one in found)
            held = [int(one.replace("-", "0"), 2) + rest for one in found for rest in range(1 << one.count("-"))]
            assert sorted(held) == list(range(low, high))


def test_runs_of_equal_values():
    assert list(runs((5, 5, 7, 5))) == [(5, 0, 2), (7, 2, 3), (5, 3, 4)]
    assert list(runs((4,))) == [(4, 0, 1)]
