"""The engine's runs seen from outside: what differs is named, cycles add up, counts are those of the program."""

from dataclasses import replace

import numpy as np
import pytest

import roundel.golden.engine.interpreter
from roundel.compiler import compile_network, total
from roundel.evaluation import Costs, count, energy_rows, total_nj
from roundel.evaluation.energy_costs import layer_beats
from roundel.evaluation.energy_frame import Counts
from roundel.evaluation.stimulus import digits_network
from roundel.golden.engine import CONFIGS, RECORD, Engine, EngineParams, Opcode, Region, Status
from roundel.golden.engine.compute import output_blocks
from roundel.golden.errors import InputError, MismatchError
from roundel.golden.head import Boxes
from roundel.golden.network import steps
from roundel.runtime import Frame, batches, golden_records, layer_cycles, record_differences, tensor_differences
from roundel.runtime.execution import _places
from roundel.runtime.frames import check_ended
from roundel.runtime.random_networks import engine_network
from roundel.sim.engine_run import MOST, Row

TINY = EngineParams(**CONFIGS["tiny"])
FLAGS = ("computing", "waiting_weights", "waiting_parameters", "waiting_memory", "waiting_tokens")


def compiled_run(seed):
    """A random network as a traced program, and its run by the golden engine."""
    network, image = engine_network(seed, size=12)
    compiled = compile_network(network, image.shape, TINY, trace=True)
    regions = {region: content.copy() for region, content in compiled.regions(image).items()}
    Engine(params=TINY, regions=regions).run()
    expected = {step.layer.name: step.outputs for step in steps(network, image[None])}
    return compiled, Frame(regions=regions, registers={}, rows=()), expected


def test_nothing_differs():
    compiled, frame, expected = compiled_run(3)
    assert list(tensor_differences(compiled, [frame], expected)) == []


def test_first_difference_is_the_first_in_dataflow_order():
    compiled, frame, expected = compiled_run(3)
    names = list(expected)
    wrong = {name: values.copy() for name, values in expected.items()}
    for name in (names[-1], names[1]):
        place = (0, *(size - 1 for size in wrong[name].shape[1:]))
        wrong[name][place] += 1
    found = list(tensor_differences(compiled, [frame], wrong))
    assert [one.tensor for one in found] == [names[1], names[-1]]
    first, values = found[0], expected[names[1]][0]
    assert (first.image, first.wrong, first.size) == (0, 1, values.size)
    assert first.element == tuple(size - 1 for size in values.shape)
    assert (first.rtl, first.golden) == (values[first.element], values[first.element] + 1)
    place = ", ".join(map(str, first.element))
    assert str(first) == (
        f"image 0: {names[1]}: 1 of {values.size} elements differ, first [{place}]: "
        f"RTL {first.rtl}, golden {first.golden}"
    )


def test_a_byte_of_the_outer_memory_is_seen():
    compiled, frame, expected = compiled_run(5)
    name = compiled.outputs[0]
    damaged = {region: content.copy() for region, content in frame.regions.items()}
    before = compiled.read(name, damaged)
    region = compiled.tensors[name].storage.root[0].outer.region
    damaged[region] ^= 1
    found = list(tensor_differences(compiled, [replace(frame, regions=damaged)], {name: expected[name]}))
    assert [one.tensor for one in found] == [name]
    assert found[0].wrong == np.count_nonzero(compiled.read(name, damaged) != before) > 0


def test_records_that_differ():
    boxes = Boxes(
        boxes=np.array([[0, 0, 40, 40], [100, 100, 200, 200]]), scores=np.array([200, 90]), labels=np.array([3, 4])
    )
    expected = golden_records(TINY.nms, boxes)
    np.testing.assert_array_equal(expected, [[0, 0, 40, 40, 200, 3, 0], [100, 100, 200, 200, 90, 4, 1]])
    assert RECORD.size == 16
    assert list(record_differences([expected], [expected])) == []
    wrong = expected.copy()
    wrong[1, 4] = 91
    (found,) = record_differences([wrong], [expected])
    assert (found.tensor, found.element, found.rtl, found.golden) == ("boxes", (1, "score"), 91, 90)
    (found,) = record_differences([expected[:1]], [expected])
    assert (found.element, found.rtl, found.golden) == (("count",), 1, 2)


def test_an_error_of_the_engine_is_named_with_its_layer():
    compiled, *_ = compiled_run(3)
    index = next(at for at, task in enumerate(compiled.tasks) if task.opcode is Opcode.COMPUTE)
    registers = {"status": Status.DONE, "error_code": 0, "error_address": 0, "error_index": 0}
    check_ended(compiled, registers, "image 0")
    registers |= {"status": Status.ERROR, "error_code": 8, "error_address": 0x30, "error_index": index}
    layer = compiled.tasks[index].layer
    message = f"image 4: the engine stopped: weights at 0x30, descriptor {index} \\(layer {layer}\\)"
    with pytest.raises(MismatchError, match=message):
        check_ended(compiled, registers, "image 4")


def test_batches_fit_into_the_simulated_memory():
    compiled, *_ = compiled_run(3)
    parts = batches(compiled, 11)
    assert [image for part in parts for image in range(part.start, part.stop)] == list(range(11))
    large = replace(compiled, sizes=compiled.sizes | {Region.SCRATCH: MOST // 3})
    assert all(part.stop - part.start <= 2 for part in batches(large, 11))
    with pytest.raises(InputError, match="for the maps of one do not fit"):
        batches(replace(compiled, sizes=compiled.sizes | {Region.SCRATCH: MOST}), 1)


def test_cycles_of_layers_add_up():
    """Two computations of a layer with a gap before the second, which waited for a load."""
    compiled, frame, _ = compiled_run(3)
    indices = [at for at, task in enumerate(compiled.tasks) if task.opcode is Opcode.COMPUTE][:2]
    rows, start = [Row(index=0, unit="load", start=100, end=130, flags=dict.fromkeys(FLAGS, 0))], 132
    for index in indices:
        flags = dict(zip(FLAGS, (50, 3, 4, 5, 0), strict=True))
        rows.append(Row(index=index, unit="compute", start=start, end=start + 70, flags=flags))
        start += 80
    found = layer_cycles(compiled, replace(frame, rows=tuple(rows)))
    whole = total(found, 16)
    assert whole.cycles == 132 + 80 + 70 - 100  # from the first load to the last end
    assert (whole.compute, whole.decoder, whole.fill) == (100, 14, 2 * (70 - 50 - 12))
    assert whole.memory == 10 + 32 + 10
    assert whole.macs == sum(compiled.tasks[index].macs for index in indices)
    assert whole.utilization == whole.macs / (whole.cycles * 16)


@pytest.mark.parametrize("number", range(6))
def test_counts_are_what_the_golden_engine_does(number, seed, monkeypatch):
    """Feeds, products, results and weights of the program against those of the interpreter, whose loops are its own."""
    network, image = engine_network(50 * seed + number, size=16)
    compiled = compile_network(network, image.shape, TINY)
    seen = dict.fromkeys(("feeds", "beats"), 0)
    real = roundel.golden.engine.interpreter.gathered

    def counted(one, tile, step, memory, params):
        found = real(one, tile, step, memory, params)
        seen["feeds"] += sum(map(len, found))
        seen["beats"] += tile.positions
        return found

    monkeypatch.setattr(roundel.golden.engine.interpreter, "gathered", counted)
    regions = {region: content.copy() for region, content in compiled.regions(image).items()}
    Engine(params=TINY, regions=regions).run()
    found = count(compiled, {"read_beats": 11, "write_beats": 4}, boxes=9)
    assert (found.feeds, found.beats) == (seen["feeds"], seen["beats"])
    assert (found.outer_beats, found.boxes, found.heads) == (15, 9, 0)
    weights = sum(decoded(compiled, one) for one in compiled.program.descriptors if one.opcode is Opcode.COMPUTE)
    assert found.weights == weights
    assert found.results == TINY.columns * found.targets


def decoded(compiled, one):
    """Weights that the streams of a descriptor hold, all tiles together."""
    parameters = compiled.image[one.parameters_offset :][: one.parameters_bytes]
    weights = compiled.image[one.weights_offset :][: one.weights_bytes]
    blocks = output_blocks(TINY, one, parameters, weights)
    return one.tiles_x * one.tiles_y * sum(held.size for _, steps in blocks for _, held in steps)


def test_energy_is_counts_times_costs():
    costs = Costs(cells="some", multiplication=2.0, weight=3.0, requantization=5.0, box=None, box_tables=7.0)
    rows = energy_rows(TINY, Counts(beats=10, weights=20, results=30, boxes=4, feeds=6, outer_beats=2), costs)
    by_unit = {row.unit: row for row in rows}
    assert by_unit["array"].nj == pytest.approx(10 * 16 * 2.0 / 1000)
    assert by_unit["decoder"].nj == pytest.approx(0.06)
    assert by_unit["requantizers"].nj == pytest.approx(0.15)
    assert by_unit["NMS"].nj is None
    assert by_unit["activation memory"].nj == pytest.approx(6 * 32 * (10 / 64) / 1000)  # algorithms: 10 pJ for 64 bits
    assert by_unit["outer memory"].nj == pytest.approx(2 * 1.3)  # 1,300 pJ for 64 bits
    assert {row.node for row in rows if row.kind == "logic"} == {"some"}
    assert total_nj(rows, "logic") == pytest.approx(0.32 + 0.06 + 0.15)


def test_beats_of_the_measured_array_are_the_layers_own():
    """Bytes are signed, which the bias makes up for: sums are those of the layer's first products."""
    network, images = digits_network(1)
    beats = layer_beats(TINY.mac, list(steps(network, images)))
    assert -128 <= beats.activations.min() < 0 <= beats.activations.max() <= 127
    found = next(
        step
        for step in steps(network, images)
        if step.columns is not None and step.layer.weights.shape[0] >= 144 and len(step.columns) == 64
    )
    sums = found.columns[:128, :144] @ found.layer.weights[:144, :4] + found.layer.aligned_bias[:4]
    expected = TINY.mac.requant.compute(sums, {"shift": np.asarray(found.layer.shift)})
    np.testing.assert_array_equal(beats.outputs, expected)


def test_places_of_kept_boxes():
    """By the number of a record, or by what it holds itself; a number beyond all boxes, which RTL gave, is no place."""
    found = [np.array([[0, 1, 2, 0], [0, 3, 4, 8], [2, 5, 6, 1]]), np.zeros((0, 4), np.int64)]
    records = [np.array([[0, 0, 9, 9, 50, 1, 2], [0, 0, 9, 9, 40, 1, 0]]), np.array([[0, 0, 9, 9, 50, 1, 7]])]
    assert [rows.tolist() for rows in _places(records, found, named=False)] == [
        [[2, 5, 6, 1], [0, 1, 2, 0]],
        [[0, 0, 0, 0]],
    ]
    records[0][:, 6] = 2 << 28 | 5 << 16 | 6 << 4 | 1, 1 << 16 | 2 << 4
    assert _places(records[:1], found[:1], named=True)[0].tolist() == [[2, 5, 6, 1], [0, 1, 2, 0]]
