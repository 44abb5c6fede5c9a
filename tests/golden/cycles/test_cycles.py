"""The cycle model against the RTL of the engine, layer by layer."""

import numpy as np
import pytest

from roundel.benchmarks.shapes import Builder
from roundel.compiler import compile_network
from roundel.golden.cycles import predict
from roundel.golden.cycles.bus import Memory
from roundel.golden.cycles.events import Clock
from roundel.golden.cycles.rows import step_offsets
from roundel.golden.engine import CONFIGS, EngineParams, Opcode, Status, WeightStep, pack_column
from roundel.runtime.random_networks import engine_network
from roundel.sim.engine_run import place, simulate

PART = 0.01
SLACK = 6  # cycles: what the end of a layer of a few hundred cycles may be off


def both(params, network, image, *, delay=20):
    """Cycles of every layer on the compute unit, from the end of the one before to its own, by model and on RTL."""
    compiled = compile_network(network, image.shape, params)
    regions = compiled.regions(image)
    bases, _ = place(regions)
    rows, total = predict(params, np.frombuffer(compiled.image, np.uint8), memory=Memory(delay=delay), bases=bases)
    run = simulate(params, regions, settings={"delay": delay})
    assert run.registers["status"] == Status.DONE
    modelled = [(row.index, row.end) for row in rows if row.opcode is Opcode.COMPUTE]
    measured = sorted((row.index, row.end) for row in run.rows if row.unit == "compute")
    assert [index for index, _ in modelled] == [index for index, _ in measured]
    assert sum(row.computing for row in rows) == run.registers["computing"]
    layers = [compiled.tasks[index].layer for index, _ in modelled]
    begun = min(row.start for row in run.rows) - min(row.start for row in rows)
    return (
        per_layer(layers, [end for _, end in modelled]),
        per_layer(layers, [end - begun for _, end in measured]),
        (total, run.registers["cycles"]),
    )


def per_layer(layers, ends):
    found, before = {}, 0
    for name, end in zip(layers, ends, strict=True):
        found[name], before = found.get(name, 0) + end - before, end
    return found


def assert_close(modelled, measured):
    far = {
        name: (modelled[name], cycles)
        for name, cycles in measured.items()
        if abs(modelled[name] - cycles) > max(PART * cycles, SLACK)
    }
    assert not far


@pytest.mark.parametrize(
    ("config", "seed"), [*(("tiny", seed) for seed in range(6)), *(("small", seed) for seed in range(4))]
)
def test_random_networks_take_as_many_cycles_as_predicted(config, seed):
    params = EngineParams(**CONFIGS[config])
    modelled, measured, (total, cycles) = both(params, *engine_network(seed, layers=5, size=24))
    assert_close(modelled, measured)
    assert total == pytest.approx(cycles, rel=PART, abs=20)


@pytest.mark.parametrize("delay", [2, 100])
def test_slow_and_fast_memories(delay):
    builder = Builder(shape=(16, 16, 16))
    builder.conv(builder.conv("image", 16, 3), 16, 3, 2)
    image = np.random.default_rng(1).integers(0, 256, (16, 16, 16))
    modelled, measured, _ = both(EngineParams(**CONFIGS["small"]), builder.network(), image, delay=delay)
    assert_close(modelled, measured)


def test_offsets_of_the_steps_of_a_parameter_stream():
    params = EngineParams(lanes=4, columns=4)
    column = pack_column(params, {"bias": -1, "shift": 3})
    data, counts = b"", [3, 1, 5]
    for count in counts:
        data += column * 4
        data += b"".join(
            WeightStep(offset=step - 7, dy=-1, dx=-1, last=step == count - 1).pack() for step in range(count)
        )
    offsets = [[step - 7 for step in range(count)] for count in counts]
    assert step_offsets(params, np.frombuffer(data, np.uint8), 3) == offsets


def test_processes_run_in_the_order_of_cycles_and_wake_by_events():
    clock, seen = Clock(), []
    event = clock.event()

    def waiter():
        yield event
        seen.append(("woken", clock.now))

    def worker(name, cycles):
        for cycle in cycles:
            yield cycle
            seen.append((name, clock.now))

    clock.wake(waiter(), 0)
    clock.wake(worker("a", [5, 3, 9]), 0)  # 3 has passed: at once
    clock.wake(worker("b", [4, 5]), 0)
    clock.at(7, event.happens)
    assert clock.run() == 9
    assert seen == [("b", 4), ("a", 5), ("b", 5), ("a", 5), ("woken", 7), ("a", 9)]
