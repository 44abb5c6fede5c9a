"""Bench of the activation unit: layers of random tables, words at every corner, stalls on all three streams.

Configuration: `params`, the keyword arguments of `ActivationParams`; `latency`; `stalls`, the probability of one;
`layers` and `beats`, how many of each, or `stimulus`, an npz file with `control`, `knots`, `words`, and where the unit
has them `residuals` and `slopes`: one layer, driven without stalls instead.
"""

from typing import Any

import cocotb
import numpy as np

from roundel.golden.activation import ActivationParams
from roundel.sim.benches.bench import config, generator, start
from roundel.sim.benches.stream import StreamSink, StreamSource, stall_pattern
from roundel.sim.stimuli import FRAME, Member, activation_members, expected_bytes, pack, random_layer, unpack


@cocotb.test()
async def matches_golden(dut: Any) -> None:
    """Every byte equals golden, in order, whatever stalls; without stalls a beat leaves every `columns / lanes`."""
    settings = config()
    params = ActivationParams(**settings["params"])
    stalls = settings.get("stalls", 0.0)
    rng = generator()
    layers = []
    for _ in range(settings.get("layers", 12)):
        # Layers of a single beat, and of several.
        beats = int(rng.choice([1, 2, 7, settings.get("beats", 60)]))
        layers.append(random_layer(rng, params, beats))

    members = [*activation_members(params), *FRAME]
    entry_mask = (1 << params.entry_width) - 1
    entries = [entry & entry_mask for table, _ in layers for entry in table.entries]
    words, expected = [], []
    for table, columns in layers:
        beats = len(columns["words"])
        place = np.arange(beats)
        frame = {"first": (place == 0).astype(np.int64), "last": (place == beats - 1).astype(np.int64)}
        words += pack(members, columns | frame, beats)
        expected.append({"bytes": expected_bytes(params, table, columns)} | frame)

    tables = StreamSource(dut, "tables", stall_pattern(generator(1), stalls))
    source = StreamSource(dut, "inputs", stall_pattern(generator(2), stalls))
    sink = StreamSink(dut, "outputs", stall_pattern(generator(3), stalls))
    await start(dut)
    sending = [cocotb.start_soon(tables.send(entries)), cocotb.start_soon(source.send(words))]
    results = unpack([Member("bytes", params.OUT_WIDTH, False, params.columns), *FRAME], await sink.receive(len(words)))
    for task in sending:
        await task
    await sink.expect_silence(8)

    for name in ("bytes", "first", "last"):
        wanted = np.concatenate([layer[name] for layer in expected])
        wrong = np.argwhere(results[name].reshape(wanted.shape) != wanted)
        if wrong.size:
            beat = int(wrong[0][0])
            raise AssertionError(f"beat {beat}: {name} is {results[name][beat]}, golden {wanted[beat]}")
    if not stalls:
        turns = params.columns // params.lanes
        # Between two layers a table is loaded once the last beat has left the lanes.
        allowed = len(words) * turns + len(layers) * (params.entries + settings["latency"] - turns + 1) + 4
        assert sink.cycles <= allowed, f"{len(words)} beats took {sink.cycles} cycles, not at most {allowed}"
