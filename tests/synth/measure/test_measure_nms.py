"""What a suppression unit costs: parts that add up, accesses that golden explains, netlists that are proven."""

from functools import partial

import numpy as np
import pytest
from amaranth.back import rtlil

from roundel.evaluation.stimulus_nms import box_stream, variants
from roundel.golden.errors import InputError, MismatchError
from roundel.golden.nms import BoxFormat, GreedyParams, NmsParams
from roundel.golden.nms.psrr import windows
from roundel.hw.emit import to_verilog
from roundel.hw.units import UNITS
from roundel.sim.nms_run import save_images
from roundel.sim.stimuli import clusters
from roundel.sim.verify import BENCHES
from roundel.synth.analysis import MemoryUse, memory_use
from roundel.synth.cells import REFERENCE
from roundel.synth.measure import BoxStream, measure_nms, nms_scheme
from roundel.synth.measure import nms as unit_under_test

FORM = BoxFormat(width=64, height=48, score_width=4, classes=1)
PASSES = (
    {"scales": ((0,), (1,)), "ratios": ((0,),), "kernel": "largest"},
    {"scales": ((0, 1),), "ratios": ((0,),), "shift_x": True, "shift_y": True},
)
PYRAMID = {"method": "psrr", "areas": (100, 400), "ratios": (1.0,), "stride": 4, "passes": PASSES}
PARALLEL = NmsParams(format=FORM, capacity=16, semantics="parallel", **PYRAMID)
GREEDY = GreedyParams(format=FORM, capacity=16, lanes=2, threshold=0.3)


@pytest.fixture
def stream(seed):
    rng = np.random.default_rng(seed)
    images = [clusters(rng, FORM, count, spread=0.2, boxes_each=5) for count in (16, 16, 16)]
    return BoxStream(source="clusters", images=tuple(images))


def used(unit: str, params: NmsParams | GreedyParams, stream: BoxStream) -> MemoryUse:
    """What the memories do for all images."""
    component = UNITS[unit].component(params)
    config = {"params": params.as_dict(), "latency": component.latency}
    return memory_use(to_verilog(component, unit), unit, bench=BENCHES[unit], config=config, stimulus=stream.runs[1])


def running_bests(params, image, one) -> int:
    """How often a window gets a box that is better than all before it."""
    best: dict[int, int] = {}
    keys = windows(params.recover(params.format.corners(image.boxes)), params.pyramid, one)
    count = 0
    for key, score in zip(keys.tolist(), image.scores.tolist(), strict=True):
        if score > best.get(key, -1):
            best[key] = score
            count += 1
    return count


def test_accesses_of_window_tables_are_running_bests(stream):
    memories = {memory.name: memory for memory in used("nms", PARALLEL, stream).memories}
    boxes = sum(len(image) for image in stream.images)
    for number, one in enumerate(PARALLEL.pyramid.passes):
        wins = sum(running_bests(PARALLEL, image, one) for image in stream.images)
        scores = memories[f"stage_0_pass_{number}_scores_0_memory_words"]
        names = memories[f"stage_0_pass_{number}_names_0_0_words"]
        assert scores.reads == boxes
        assert names.writes == wins < boxes
        # After the reset the tables are cleared once: a write for each of as many windows as the largest table has.
        assert scores.writes - wins >= scores.depth
    buffer = memories["stage_0_buffer_memory_words"]
    assert (buffer.reads, buffer.writes) == (boxes, boxes)
    assert buffer.width == len(FORM.fields) * FORM.coordinate_width + FORM.score_width + FORM.label_width + 1
    assert buffer.depth == PARALLEL.banks * PARALLEL.capacity


def test_every_scan_of_greedy_reads_all_boxes(stream):
    memories = {
        memory.name.removeprefix("scan_memory_"): memory for memory in used("greedy_nms", GREEDY, stream).memories
    }
    beats = [-(-len(image) // GREEDY.lanes) for image in stream.images]
    kept = [len(GREEDY.compute(image.boxes, image.scores, image.labels).kept) for image in stream.images]
    looks = sum(count * (found + 1) for count, found in zip(beats, kept, strict=True))
    boxes, scores, left = (memories[f"{name}_words_words"] for name in ("box", "score", "left"))
    assert (boxes.reads, boxes.writes) == (looks + sum(kept), sum(beats))
    assert (scores.reads, scores.writes) == (looks, sum(beats))
    assert (left.reads, left.writes) == (looks, looks + sum(beats))


@pytest.mark.parametrize(("unit", "params"), [("nms", PARALLEL), ("greedy_nms", GREEDY)])
def test_a_row_is_proven_and_its_parts_add_up(unit, params, stream):
    row = measure_nms(unit, params, REFERENCE, stream)
    assert (row["unit"], row["scheme"], row["verified"]) == (unit, nms_scheme(params), True)
    assert row["ops"] == 32
    assert 0 < row["area_registers_um2"] < row["area_um2"]
    parts = sum(row[f"energy_{part}_pj_per_op"] for part in ("logic", "registers", "clock_gates"))
    assert row["energy_pj_per_op"] == pytest.approx(parts)
    assert parts == pytest.approx(row["internal"] + row["switching"] + row["leakage"])
    purposes = ("boxes", "windows", "queues")
    assert row["memory_bits"] == sum(row[f"memory_bits_{name}"] for name in purposes)
    assert row["energy_tables_pj_per_op"] == pytest.approx(
        sum(row[f"energy_tables_{name}_pj_per_op"] for name in purposes)
    )
    assert (row["memory_bits_windows"] == 0) == (unit == "greedy_nms")
    assert row["boxes_per_cycle"] == pytest.approx(32 / row["cycles"])


def test_the_first_image_does_not_count(stream):
    """A pipelined unit takes a box a cycle: nothing of reset, clearing and draining is left in a row."""
    row = measure_nms("nms", PARALLEL, REFERENCE, stream)
    assert row["cycles"] == row["ops"] == 32


def test_a_netlist_too_large_is_not_simulated(stream, monkeypatch):
    monkeypatch.setattr(unit_under_test, "GATES", 10)
    monkeypatch.setattr(unit_under_test, "cached_row", lambda key, make: make())
    row = measure_nms("nms", PARALLEL, REFERENCE, stream)
    assert row["gates"] > 10
    assert row["energy_pj_per_op"] is row["switching"] is row["energy_registers_pj_per_op"] is None
    assert row["energy_tables_pj_per_op"] > 0
    assert row["verified"]


def test_rtl_that_differs_from_golden_is_refused(stream):
    component = UNITS["nms"].component(PARALLEL)
    config = {"params": PARALLEL.as_dict() | {"passes": PASSES[:1]}, "latency": component.latency}
    with pytest.raises(MismatchError, match="the RTL of nms differs from golden: "):
        memory_use(
            to_verilog(component, "nms"),
            "nms",
            bench="roundel.sim.benches.tb_nms",
            config=config,
            stimulus=stream.runs[1],
        )


def test_a_row_is_kept_for_the_verilog_of_its_unit(stream, monkeypatch):
    keys = []
    monkeypatch.setattr(unit_under_test, "cached_row", lambda key, make: keys.append(key) or {})

    def text(component, top, name):
        rtlil.convert(component, name=top)  # it must be used
        return name

    for name in ("one", "one", "another"):
        monkeypatch.setattr(unit_under_test, "to_verilog", partial(text, name=name))
        measure_nms("greedy_nms", GREEDY, REFERENCE, stream)
    assert keys[0] == keys[1] != keys[2]


def test_an_image_alone_has_no_steady_state(stream):
    with pytest.raises(ValueError, match="images must be at least 2, not 1"):
        BoxStream(source="one", images=stream.images[:1])


def test_the_stimulus_file_holds_the_images(seed, tmp_path):
    rng = np.random.default_rng(seed)
    images = [clusters(rng, FORM, count) for count in (16, 13, 16)]
    save_images(tmp_path / "a.npz", images)
    with np.load(tmp_path / "a.npz") as file:
        assert file["ends"].tolist() == [16, 29, 45]
        assert (file["boxes"][16:29] == images[1].boxes).all()
        assert (file["scores"][29:] == images[2].scores).all()


def test_rows_of_the_comparison():
    schemes = [(unit, nms_scheme(params)) for unit, params in variants({})]
    lanes = ("1 lane", "2 lanes", "4 lanes")
    assert schemes == [
        *(("nms", f"psrr parallel, {count}") for count in lanes),
        ("nms", "psrr cascade"),
        ("nms", "guarded parallel, 1 lane"),
        ("nms", "guarded cascade"),
        ("nms", "adjacent with a guard parallel, 1 lane"),
        *(("exact_nms", f"exact, {count} comparators") for count in (4, 8)),
        ("topk", "1024 best"),
        *(("greedy_nms", f"greedy, {count}") for count in lanes),
    ]
    small = variants({"format": {"width": 64}, "capacity": 16, "epoch_width": 4})
    assert {(params.format.width, params.format.classes, params.capacity) for _, params in small} == {(64, 1, 16)}
    assert {params.epoch_width for unit, params in small if unit == "nms"} == {4}


@pytest.mark.parametrize("name", ["method", "semantics", "lanes", "passes"])
def test_what_makes_the_rows_differ_cannot_be_set(name):
    with pytest.raises(InputError, match=f"compare nms: {name} cannot be set"):
        variants({name: 1})


def test_a_bad_parameter_is_named():
    with pytest.raises(InputError, match="compare nms: capacity must be a multiple of lanes, not 15"):
        variants({"capacity": 15})


def test_the_stimulus_is_seeded_and_fits():
    one, two, other = (box_stream(FORM, 16, seed=seed) for seed in (1, 1, 2))
    assert one.source == "2 images of 16 boxes around 1 objects of any size, seed 1"
    assert one.images[0] is one.images[-1]
    assert all((a.boxes == b.boxes).all() for a, b in zip(one.images, two.images, strict=True))
    assert any((a.boxes != b.boxes).any() for a, b in zip(one.images, other.images, strict=True))
