"""What LOAD and STORE descriptors mean, spelled out, for the tests of both units."""

import numpy as np
from amaranth.sim import Simulator

from roundel.golden.engine import EngineParams

SIZES = [(4, 64), (8, 64), (16, 64), (32, 64), (4, 128), (8, 128), (16, 128), (32, 128)]  # lanes, bus
LONGEST = 10_000  # cycles of a descriptor: far more than any here takes


def params_of(lanes, bus):
    return EngineParams(lanes=lanes, columns=lanes, bus=bus, banks=2, memory=1024)


def random_move(params, rng):
    """Values of a descriptor, and the four bases."""
    step = params.bus_bytes
    values = {
        "offset": int(rng.integers((1 << 30) // step)) * step,
        "region": int(rng.integers(4)),
        "chip": int(rng.integers(params.words)),
        "runs": int(rng.integers(1, 5)),
        "planes": int(rng.integers(1, 4)),
        "run_bytes": int(rng.choice([1, params.lanes, step, step + 1, 96, *rng.integers(1, 70, 3)])),
        "outer_run": int(rng.integers((1 << 32) // step)) * step,
        "outer_plane": int(rng.integers((1 << 32) // step)) * step,
        "chip_run": int(rng.integers(1 << 32)),
        "chip_plane": int(rng.integers(1 << 32)),
    }
    return values, [int(base) * step for base in rng.integers((1 << 32) // step, size=4)]


def runs(params, values, bases):
    """(outer address, first word) of every run, in order."""
    start = bases[values["region"]] + values["offset"]
    return [
        (
            (start + plane * values["outer_plane"] + run * values["outer_run"]) % (1 << 32),
            (values["chip"] + plane * values["chip_plane"] + run * values["chip_run"]) % params.words,
        )
        for plane in range(values["planes"])
        for run in range(values["runs"])
    ]


def pieces(content, size):
    """Bytes as numbers of `size` bytes, lowest first, the last one filled up with zeros."""
    return [int.from_bytes(content[at : at + size], "little") for at in range(0, len(content), size)]


def totals(params, values):
    """Words and beats of all runs together."""
    count = values["runs"] * values["planes"]
    return tuple(count * -(-values["run_bytes"] // size) for size in (params.lanes, params.bus_bytes))


def outer_bytes(address, count):
    """What the outer memory holds: something else at every address."""
    places = (address + np.arange(count, dtype=np.uint64)) % (1 << 32)
    return ((places * 2654435761 >> 13) & 0xFF).astype(np.uint8).tobytes()


async def begin(ctx, unit, values, bases):
    """`start` and what goes with it; it is for the caller to end it after a cycle."""
    for port, base in zip(unit.bases, bases, strict=True):
        ctx.set(port, base)
    ctx.set(unit.unit.descriptor, values)
    ctx.set(unit.unit.start, 1)


def simulate(unit, bench):
    simulator = Simulator(unit)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
