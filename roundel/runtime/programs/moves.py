"""LOAD and STORE, drawn at random: runs and planes of any distance, on chip and outside."""

import numpy as np

from roundel.golden.engine import Opcode
from roundel.runtime.programs.draw import Draw
from roundel.runtime.programs.parts import ADDRESSES, Outside, Step, spread, words_of

TRIES = 30


def whole_memory(outside: Outside, opcode: Opcode, at: int) -> Step:
    """Load or store all of the activation memory, at a place of the data."""
    params = outside.params
    values = {"runs": 1, "planes": 1, "run_bytes": params.memory} | outside.place("", at)
    return _step(outside, opcode, values, spread((params.words, 1)), at + spread((params.memory, 1)))


def move(draw: Draw, outside: Outside, opcode: Opcode) -> Step:
    """Draw a LOAD or a STORE."""
    params, bus = outside.params, outside.params.bus_bytes
    area = outside.data if opcode is Opcode.LOAD else outside.writable
    while True:
        runs, planes = draw.of([1, 1, 2, 3, 5]), draw.of([1, 1, 1, 2, 3])
        size = draw.of([1, params.lanes, params.lanes + 1, bus - 1, bus, bus + 1, draw.whole(1, 90)])
        if draw.chance(0.03):
            size = draw.whole(1, len(area) // 2)
        beats = -(-size // bus)
        outer = [draw.of([0, 1, beats, -beats, beats + 1, draw.whole(-9, 9)]) * bus for _ in range(2)]
        low = 0
        if draw.chance(0.3):  # bits below a beat of the bus
            low, *more = (draw.whole(0, bus - 1) for _ in range(3))
            outer = [step + bits for step, bits in zip(outer, more, strict=True)]
        places = (low + spread((planes, outer[1]), (runs, outer[0]))) // bus * bus
        least, most = area.start - int(places.min()), area.stop - size - int(places.max())
        if -(-least // bus) > most // bus:
            continue
        at = draw.whole(-(-least // bus), most // bus) * bus
        words = -(-size // params.lanes)
        values = {
            "runs": runs,
            "planes": planes,
            "run_bytes": size,
            "chip": draw.field(24, draw.whole(0, params.words)),
        }
        values |= {"chip_run": draw.field(32, 0, 1, words, words + 1, -words)}
        values |= {"chip_plane": draw.field(32, 0, words, runs * words, -1)}
        values |= {"outer_run": outer[0] % ADDRESSES, "outer_plane": outer[1] % ADDRESSES}
        values |= outside.place("", at, low)
        if runs * planes == 1:  # not used: any value will do
            values |= {name: draw.field(32) for name in ("outer_run", "outer_plane", "chip_run", "chip_plane")}
        chip = values["chip"] + spread((planes, values["chip_plane"]), (runs, values["chip_run"]), (words, 1))
        return _step(outside, opcode, values, chip, (at + places[:, None] + np.arange(size)).ravel())


def _step(outside: Outside, opcode: Opcode, values: dict[str, int], chip: np.ndarray, places: np.ndarray) -> Step:
    words, none = words_of(outside.params, chip), np.zeros(outside.params.words, bool)
    outer = outside.nothing()
    outer[places - outside.data.start] = True
    loads = opcode is Opcode.LOAD
    return Step(
        opcode=opcode,
        values=values,
        reads=none if loads else words,
        writes=words if loads else none,
        outer_reads=outer if loads else outside.nothing(),
        outer_writes=outside.nothing() if loads else outer,
    )
