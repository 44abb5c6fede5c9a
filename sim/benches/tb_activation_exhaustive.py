"""Every word through the table of every function, one after the other: a layer each, on one build of the unit.

Configuration: `params`, the keyword arguments of `ActivationParams`; `functions`, names with their attributes; `low`,
`high`, the inputs that the tables are fitted to; `latency`.
"""

from typing import Any

import cocotb
import numpy as np

from roundel.golden.activation import ActivationParams, ActivationTable, best_table, named, slope_table
from roundel.golden.formats import Format
from roundel.sim.benches.bench import config, start
from roundel.sim.benches.stream import StreamSink, StreamSource
from roundel.sim.stimuli import FRAME, Member, activation_members, expected_bytes, pack, unpack


def fitted(params: ActivationParams, name: str, attributes: dict[str, float], low: float, high: float) -> Any:
    """Return the table of a function whose output has the finest step that holds it: 1 counts as held by 255 / 256."""
    function = named(name, **attributes)
    values = function(np.linspace(low, high, 1025))
    unsigned = bool(values.min() >= 0)
    fraction = int(np.floor(np.log2((256 if unsigned else 128) / np.abs(values).max() + 1e-9)))
    output = Format(width=8, signed=not unsigned, fraction=fraction)
    return best_table(params, function, low=low, high=high, output=output).table


@cocotb.test()
async def matches_golden_everywhere(dut: Any) -> None:
    """All words of all functions, and of columns with slopes."""
    settings = config()
    params = ActivationParams(**settings["params"])
    ends = settings["low"], settings["high"]
    layers: list[tuple[ActivationTable, Any]] = [
        (fitted(params, name, attributes, *ends), np.int64(0)) for name, attributes in settings["functions"]
    ]
    slopes = np.linspace(-0.9, 0.9, params.columns)
    layers += [slope_table(params, slopes * steepness) for steepness in (2, 1, 0.5)]

    count = 1 << params.in_width
    words = np.arange(count, dtype=np.int64).reshape(-1, params.columns) - count // 2
    beats = len(words)
    frame = {"first": np.arange(beats) == 0, "last": np.arange(beats) == beats - 1}
    members = [*activation_members(params), *FRAME]
    source = StreamSource(dut, "inputs", iter(lambda: False, None))
    tables = StreamSource(dut, "tables", iter(lambda: False, None))
    sink = StreamSink(dut, "outputs", iter(lambda: False, None))
    await start(dut)
    for number, (table, columns) in enumerate(layers):
        # A residual of every size behind the functions.
        added = np.resize(np.arange(-256, 256), words.shape) * (number % 2)
        given = {"words": words, "residuals": added, "slopes": np.broadcast_to(columns, words.shape)}
        mask = (1 << params.entry_width) - 1
        sending = [
            cocotb.start_soon(tables.send([entry & mask for entry in table.entries])),
            cocotb.start_soon(source.send(pack(members, given | frame, beats))),
        ]
        taken = unpack([Member("bytes", params.OUT_WIDTH, False, params.columns)], await sink.receive(beats))["bytes"]
        for task in sending:
            await task
        wrong = np.argwhere(taken != expected_bytes(params, table, given))
        assert not wrong.size, f"layer {number}: word {words[tuple(wrong[0])]} gives {taken[tuple(wrong[0])]}"
