"""Energy of an image: operations and words counted in the loops of docs/engine.md, and every figure by hand."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from roundel.evaluation import energy_costs
from roundel.evaluation.energy_costs import (
    Costs,
    activation_circuit,
    box_images,
    cost_jobs,
    costs_of,
    layer_beats,
    sampled,
    weight_streams,
)
from roundel.evaluation.energy_frame import Counts, count, energy_rows, total_nj
from roundel.evaluation.stimulus import Accumulators
from roundel.golden.activation import random_table
from roundel.golden.codec import CodecParams, encode
from roundel.golden.engine import CONFIGS, EngineParams, Opcode, Region
from roundel.golden.formats import Format
from roundel.golden.head import Boxes
from roundel.golden.mac import MacParams
from roundel.golden.network import Activated, Network, Weighted, Window, steps
from roundel.graph import read_npz
from roundel.synth.analysis import Energy

TINY = EngineParams(**CONFIGS["tiny"])  # 4 lanes, 4 columns, a bus of 64 bits


def task(opcode: Opcode, steps: tuple[int, int] = (0, 0), **values: int) -> SimpleNamespace:
    return SimpleNamespace(opcode=opcode, values=values, steps=steps)


def counted(
    *tasks: SimpleNamespace, boxes: int = 0, read: int = 0, written: int = 0, params: EngineParams = TINY
) -> Counts:
    compiled = SimpleNamespace(params=params, tasks=tasks)
    return count(compiled, {"read_beats": read, "write_beats": written, "cycles": 9}, boxes)


SHAPES = [
    {"tiles_x": 1, "tiles_y": 1, "tile_w": 9, "tile_h": 9, "last_w": 5, "last_h": 3, "every": 1, "blocks": 1},
    {"tiles_x": 3, "tiles_y": 2, "tile_w": 4, "tile_h": 2, "last_w": 3, "last_h": 5, "every": 2, "blocks": 2},
    {
        "tiles_x": 2,
        "tiles_y": 3,
        "tile_w": 2,
        "tile_h": 1,
        "last_w": 6,
        "last_h": 2,
        "every": 3,
        "blocks": 3,
        "lead": 2,
    },
]


@pytest.mark.parametrize("has_residual", [0, 1])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_convolution_beat_by_beat(shape, has_residual):
    """Five weight blocks of all output blocks; a tile's row is fed `lead` beats ahead, then every so many."""
    beats = weights = feeds = words = 0
    for tile_y in range(shape["tiles_y"]):
        height = shape["last_h"] if tile_y == shape["tiles_y"] - 1 else shape["tile_h"]
        for tile_x in range(shape["tiles_x"]):
            width = shape["last_w"] if tile_x == shape["tiles_x"] - 1 else shape["tile_w"]
            words += shape["blocks"] * height * width
            for _step in range(5):
                weights += 4 * 4
                for _row in range(height):
                    beats += width
                    feeds += shape.get("lead", 0) + (width - 1) * shape["every"] + 1
    found = counted(task(Opcode.COMPUTE, (5, 9), has_residual=has_residual, **shape))
    assert found == Counts(
        beats=beats, weights=weights, results=words * 4, feeds=feeds, residuals=words * has_residual, targets=words
    )


def test_words_of_moves_and_of_boxes():
    """17 bytes are five words of four; 6 x 5 places have two words of 7 logits and one of distances."""
    found = counted(
        task(Opcode.LOAD, run_bytes=17, runs=3, planes=2),
        task(Opcode.LOAD, run_bytes=8),
        task(Opcode.STORE, run_bytes=9, runs=2),
        task(Opcode.BOXES, width=6, height=5, classes=7),
        task(Opcode.END),
        boxes=11,
        read=100,
        written=23,
    )
    assert found == Counts(loads=5 * 6 + 2, stores=3 * 2, heads=6 * 5 * 3, boxes=11, outer_beats=123)
    assert Counts() + Counts() == Counts(**dict.fromkeys(vars(Counts()), 0))
    assert found + found == Counts(loads=64, stores=12, heads=180, boxes=22, outer_beats=246)


COSTS = Costs(cells="toy", multiplication=0.5, weight=2.0, requantization=3.0, box=None, box_tables=7.0)
COUNTS = Counts(
    beats=1000, weights=300, results=200, boxes=40, feeds=1, residuals=20, loads=300, stores=4000, targets=50_000,
    heads=600_000, outer_beats=70,
)  # fmt: skip


def test_energies_of_an_image():
    """10 pJ for 64 bits of SRAM, 1.3 nJ of DRAM; an accumulator memory is read and written in every beat."""
    rows = energy_rows(TINY, COUNTS, COSTS)
    sums = 4 * TINY.mac.acc_width
    assert [(row.unit, row.kind, row.count, row.pj, row.node) for row in rows] == [
        ("array", "logic", 1000 * 16, 0.5, "toy"),
        ("decoder", "logic", 300, 2.0, "toy"),
        ("requantizers", "logic", 200, 3.0, "toy"),
        ("NMS", "logic", 40, None, "toy"),
        ("activation memory", "memory", 654_321, pytest.approx(32 * 10 / 64), "45 nm"),
        ("accumulator memory", "memory", 2000, pytest.approx(sums * 10 / 64), "45 nm"),
        ("NMS tables", "memory", 40, 7.0, "45 nm"),
        ("outer memory", "memory", 70, pytest.approx(1300), "45 nm"),
    ]
    assert [row.what for row in rows[4:]] == [
        *("words of 32 bits", f"words of {sums} bits, read and written", "boxes", "beats of 64 bits"),
    ]
    assert [row.nj for row in rows[:4]] == [8, 0.6, 0.6, None]
    assert rows[7].nj == pytest.approx(91)
    assert total_nj(rows, "logic") == pytest.approx(9.2)
    assert total_nj(rows, "memory") == pytest.approx(654_321 * 5e-3 + 2 * sums * 10 / 64 + 0.28 + 91)
    assert rows[0].as_dict() == {
        **{"unit": "array", "kind": "logic", "what": "multiplications, those by zeros included", "count": 16_000},
        **{"pj": 0.5, "node": "toy", "nj": 8.0},
    }


def test_activations_count_as_words_of_lanes_and_of_their_fifo():
    """A COMPUTE with the bit on an engine with the unit; a word of 11 bits a column is written and read."""
    params = replace(TINY, act_lanes=2)
    shape = {"blocks": 3, "tiles_x": 1, "tiles_y": 1, "tile_w": 5, "last_w": 5, "tile_h": 4, "last_h": 4, "every": 1}
    tasks = (task(Opcode.COMPUTE, (2, 2), activation=1, **shape), task(Opcode.COMPUTE, (2, 2), **shape))
    assert counted(*tasks).activated == 0
    found = counted(*tasks, params=params)
    assert (found.results, found.activated) == (2 * 60 * 4, 60 * 4)
    rows = {row.unit: row for row in energy_rows(params, found, replace(COSTS, activation=1.5))}
    assert (rows["activation unit"].count, rows["activation unit"].pj) == (240, 1.5)
    assert (rows["activation FIFO"].count, rows["activation FIFO"].pj) == (120, pytest.approx(44 * 10 / 64))


def test_words_that_drive_a_lane(seed):
    """Of the layer with most: golden's words, spread over it; none for an engine or a network without."""
    form = Format(width=8, signed=True, fraction=4)
    table = random_table(np.random.default_rng(seed), segments=16, knot_width=11, core=7, slopes=False)
    table = replace(table, unsigned=False, residual_shift=0)
    word = Format(width=11, signed=True, fraction=7)
    plain = layer("plain", 27, 4, signed=True, sources=("image",))
    active = replace(plain, name="active", activation=Activated(table=table, word=word))
    network = Network(source="image", input=form, layers=(plain, active), results=("plain", "active"))
    runs = list(steps(network, np.random.default_rng(seed).integers(-128, 128, (1, 40, 40, 3))))
    assert activation_circuit(TINY, runs) is None
    params = replace(TINY, act_lanes=2)
    assert activation_circuit(params, runs[:1]) is None
    circuit = activation_circuit(params, runs)
    assert circuit.params.pipeline
    bytes_of = next(step.outputs for step in runs if step.layer is active).reshape(-1, 4).T.ravel()
    taken = bytes_of[:: -(-bytes_of.size // 4096)] & 0xFF
    assert np.array_equal(circuit.expected, taken)


def test_costs_of_what_was_measured():
    rows = {
        name: {"cells": f"of {name}", "energy_pj_per_op": value}
        for name, value in (("array", 1.0), ("decoder", 2.0), ("requantizer", 3.0))
    }
    assert costs_of(rows) == Costs(
        cells="of array", multiplication=1, weight=2, requantization=3, box=None, box_tables=0
    )
    rows["nms"] = {"cells": "", "energy_pj_per_op": 4.0, "energy_tables_pj_per_op": 5.0}
    assert (costs_of(rows).box, costs_of(rows).box_tables) == (4, 5)


def layer(name: str, rows: int, outputs: int, *, signed: bool, sources: tuple[str, ...]) -> Weighted:
    rng = np.random.default_rng(rows)
    form = Format(width=8, signed=signed, fraction=4)
    return Weighted(
        name=name, sources=sources, output=Format(width=8, signed=True, fraction=4), x=form,
        weights=rng.integers(-128, 128, (rows, outputs)), bias=rng.integers(-500, 500, outputs),
        w=Format(width=8, signed=True, fraction=6), b=Format(width=16, signed=True, fraction=9),
        window=Window(kernel=(3, 3), pad=(1, 1, 1, 1)),
    )  # fmt: skip


def test_the_layer_that_drives_the_array():
    """The one of the most products among 144 rows of each; unsigned bytes less 128 give the same sums."""
    form = Format(width=8, signed=False, fraction=4)
    first = layer("first", 27, 20, signed=False, sources=("image",))
    second = layer("second", 180, 6, signed=True, sources=("first",))
    network = Network(source="image", input=form, layers=(first, second), results=("second",))
    image = np.random.default_rng(3).integers(0, 256, (1, 14, 14, 3))
    runs = list(steps(network, image))
    mac = MacParams(lanes=4, columns=4, depth=128, act_signed=True, reduction=1024)
    beats = layer_beats(mac, runs)
    acts = runs[1].columns[:128, :144]
    assert beats.outputs.shape[0] == 2 * 128 // 2, "of 196 positions 128, of 6 channels 4"
    assert beats.activations.shape[0] == 128 * 144 // 4
    sums = acts @ second.weights[:144, :4] + second.aligned_bias[:4]
    runtime = {name: np.max(values) for name, values in second.runtime().items()}
    assert np.array_equal(np.sort(beats.outputs, axis=None), np.sort(mac.requant.compute(sums, runtime), axis=None))
    alone = layer_beats(mac, runs[:1])
    acts = runs[0].columns[:128]
    sums = acts @ first.weights[:, :4] + first.aligned_bias[:4]
    runtime = {name: np.max(values) for name, values in first.runtime().items()}
    assert np.array_equal(np.sort(alone.outputs, axis=None), np.sort(mac.requant.compute(sums, runtime), axis=None))
    assert (alone.activations.min() >= -128, alone.activations.max() <= 127) == (True, True)


def test_a_row_of_the_array(monkeypatch, tmp_path):
    form = Format(width=8, signed=False, fraction=4)
    network = Network(
        source="image", input=form, layers=(layer("one", 36, 9, signed=False, sources=("image",)),), results=("one",)
    )
    runs = list(steps(network, np.random.default_rng(3).integers(0, 256, (1, 12, 12, 4))))
    seen = {}

    def measure(mapped, cells, *, bench, config, stimulus):
        stimulus(tmp_path / "stimulus.npz")
        seen.update(config, beats=len(read_npz(tmp_path / "stimulus.npz")["activations"]))
        spent = {"logic": Energy(1.0, 0.5, 0.25), "memory": Energy(2.0, 0.0, 0.0)}
        proof = SimpleNamespace(passed=True)
        return SimpleNamespace(power=SimpleNamespace(by=lambda _: spent), cycles=3000, proof=proof)

    for name, value in (
        ("cached_row", lambda key, make: make()),
        ("code_digest", lambda: "code"),
        ("MacArray", lambda params: SimpleNamespace(latency=3)),
        ("to_verilog", lambda *_: ""),
        ("map_design", lambda *_: None),
        ("read_library", lambda _: SimpleNamespace(digest="d", name="toy")),
        ("prove_and_estimate", measure),
    ):
        monkeypatch.setattr(energy_costs, name, value)
    row = energy_costs.measure_array(TINY, tmp_path, runs, source="its own data")
    operations = 128 * 9 * 4 * 4
    assert seen["beats"] == 128 * 9
    assert (seen["params"]["columns"], seen["params"]["depth"]) == (4, 128)
    assert row == {
        **{"unit": "array", "cells": "toy", "params": seen["params"], "ops": operations},
        **{"energy_pj_per_op": pytest.approx(3.75 * 3000 / operations), "stimulus": "its own data", "verified": True},
    }


def test_streams_of_the_longest_layers():
    """Until 16,384 weights are there: 12,000 are too few, the next one's 8,000 are enough."""
    codec = CodecParams(packing="mask", lanes=4, width=8)
    streams = [encode(np.arange(size) % 100 + 1, codec) for size in (8000, 400, 12_000)]
    image, places = b"", []
    for stream in streams:
        image += bytes(-len(image) % 8)
        places.append((len(image), len(stream)))
        image += stream
    descriptors = [
        SimpleNamespace(opcode=Opcode.COMPUTE, weights_offset=at, weights_bytes=size, weights_region=Region.PROGRAM)
        for at, size in (*places, places[1])
    ]
    descriptors.append(SimpleNamespace(opcode=Opcode.LOAD))
    compiled = SimpleNamespace(program=SimpleNamespace(descriptors=descriptors), image=image)
    assert weight_streams(compiled, "").streams == (streams[2], streams[0])
    descriptors.pop(2)
    assert weight_streams(compiled, "").streams == (streams[0], streams[1]), "each once, and all if they are too few"


def boxes(count: int) -> Boxes:
    return Boxes(boxes=np.tile([1, 2, 9, 8], (count, 1)), scores=np.arange(count), labels=np.zeros(count, int))


def test_images_of_boxes_end_with_the_first_one():
    images = box_images(TINY, [boxes(count) for count in range(1, 16)])
    assert [len(image) for image in images] == [*range(1, 13), 1]
    assert images[1].scores.tolist() == [0, 1]


def test_jobs_of_an_engine():
    acc = Accumulators(source="", layers=(np.array([1]),), shifts=(1,))
    compiled = SimpleNamespace(params=TINY)
    cells = SimpleNamespace(stem="toy")
    for given, names in (([boxes(1)], 3), ([boxes(1), boxes(2)], 4)):
        stimulus = SimpleNamespace(compiled=compiled, name="n", accumulators=acc, boxes=given, steps=())
        jobs = cost_jobs(stimulus, cells)
        assert list(jobs) == ["array", "decoder", "requantizer", "nms"][:names]
        assert jobs["array"].name == "array on toy"


def test_accumulators_are_spread_over_every_layer():
    layers = (np.arange(1000), np.arange(5000, 5003), np.arange(90))
    found = sampled(Accumulators(source="s", layers=layers, shifts=(1, 2, 3)), 30)
    assert [part.tolist() for part in found.layers] == [
        list(range(0, 1000, 100)),
        [5000, 5001, 5002],
        list(range(0, 90, 9)),
    ]
    assert (found.source, found.shifts) == ("s", (1, 2, 3))
    assert [len(part) for part in sampled(found, 2).layers] == [1, 1, 1]
    many = sampled(Accumulators(source="s", layers=(np.arange(10_000),), shifts=(1,)))
    assert len(many.layers[0]) == 10_000 // 3 + 1, "about 4,096"
