"""Bench of the requantizer: random and corner accumulators and run-time parameters, stalls on both sides.

Configuration: `params`, the keyword arguments of `RequantParams`; `latency`; `stalls`, the probability of one; `beats`;
or `stimulus`, an npz file with `acc` and one array per run-time field, driven without stalls instead.
"""

from typing import Any

import cocotb
import numpy as np

from roundel.golden.requant import Field, RequantParams, Scheme
from roundel.golden.rounding import limits
from roundel.sim.benches.bench import config, generator, start
from roundel.sim.benches.stream import StreamSink, StreamSource, stall_pattern
from roundel.sim.stimuli import Member, pack, unpack

FRAME = [Member("first", 1), Member("last", 1)]


def input_members(params: RequantParams) -> list[Member]:
    """Return the members of the input's packed payload: accumulator, run-time parameters, frame."""
    runtime = [Member(field.name, field.width, field.signed, max(field.count, 1)) for field in params.runtime_fields]
    return [Member("acc", params.acc_width, True), *runtime, *FRAME]


def output_members(params: RequantParams) -> list[Member]:
    """Return the members of the output's packed payload: data, the index of a codebook, frame."""
    index = [Member("index", params.index_width)] if params.index_width is not None else []
    return [Member("data", params.out_width, params.out_signed), *index, *FRAME]


def corner_integers(rng: np.random.Generator, width: int, signed: bool, shape: tuple[int, ...]) -> np.ndarray:
    """Integers of `width` bits: uniform, of every magnitude, beside powers of two, and the extremes."""
    low, high = limits(width, signed)
    uniform = rng.integers(low, high, shape, endpoint=True)
    magnitudes = uniform >> rng.integers(0, width, shape)
    near_powers = (np.int64(1) << rng.integers(0, width, shape)) * rng.choice([-1, 1], shape)
    near_powers = near_powers + rng.integers(-2, 3, shape)
    extremes = rng.choice([low, high, 0, 1, -1], shape)
    pick = rng.integers(0, 4, shape)
    values: np.ndarray = np.clip(np.choose(pick, [uniform, magnitudes, near_powers, extremes]), low, high)
    return values


def random_field(rng: np.random.Generator, field: Field, beats: int) -> np.ndarray:
    """Legal values of a run-time field with its corners: tables ascend, scales are finite."""
    shape = (beats, field.count) if field.count else (beats,)
    if field.name == "scale":
        useful = np.exp(rng.uniform(-25, 3, shape)).astype(np.float32) * rng.choice([-1, 1], shape).astype(np.float32)
        powers = np.ldexp(np.float32(1), -rng.integers(0, 40, shape)).astype(np.float32)
        anything = rng.integers(0, 0xFF, shape) << 23 | rng.integers(0, 1 << 23, shape)
        bits = np.choose(rng.integers(0, 3, shape), [useful.view(np.uint32), powers.view(np.uint32), anything])
        return bits.astype(np.int64)
    values = corner_integers(rng, field.width, field.signed, shape)
    return np.sort(values, axis=-1) if field.name in ("thresholds", "boundaries") else values


def random_stimulus(rng: np.random.Generator, params: RequantParams, beats: int) -> dict[str, Any]:
    """Accumulators and run-time parameters for `beats` beats."""
    columns: dict[str, Any] = {field.name: random_field(rng, field, beats) for field in params.runtime_fields}
    acc = corner_integers(rng, params.acc_width, True, (beats,))
    if params.scheme is Scheme.SHIFT:
        # Half of all accumulators are made to leave a small result with every kind of remainder.
        near = rng.integers(-300, 300, beats) << columns["shift"].clip(0, 40)
        near = near + (np.int64(1) << np.maximum(columns["shift"].clip(0, 40) - 1, 0)) + rng.integers(-1, 2, beats)
        limit = 1 << (params.acc_width - 1)
        acc = np.where(rng.random(beats) < 0.5, np.clip(near, -limit, limit - 1), acc)
    return columns | {"acc": acc}


async def drive_and_check(dut: Any, params: RequantParams, stimulus: dict[str, Any], stalls: float) -> int:
    """Send the stimulus, compare everything that comes out with golden, return the cycles it took."""
    rng = generator(1)
    beats = len(stimulus["acc"])
    frame = {"first": rng.integers(0, 2, beats), "last": rng.integers(0, 2, beats)}
    source = StreamSource(dut, "inputs", stall_pattern(generator(2), stalls))
    sink = StreamSink(dut, "outputs", stall_pattern(generator(3), stalls))
    await start(dut)
    sending = cocotb.start_soon(source.send(pack(input_members(params), stimulus | frame, beats)))
    received = unpack(output_members(params), await sink.receive(beats))
    await sending
    await sink.expect_silence(8)

    runtime = {field.name: stimulus[field.name] for field in params.runtime_fields}
    expected = {"data": params.compute(stimulus["acc"], runtime)} | frame
    if params.scheme is Scheme.CODEBOOK:
        expected["index"] = params.compute_index(stimulus["acc"], runtime)
    for name, values in expected.items():
        wrong = np.flatnonzero(received[name] != values)
        if wrong.size:
            beat = int(wrong[0])
            given = {key: np.asarray(value)[beat].tolist() for key, value in stimulus.items()}
            raise AssertionError(f"beat {beat} of {given}: {name} is {received[name][beat]}, golden {values[beat]}")
    return sink.cycles


@cocotb.test()
async def matches_golden(dut: Any) -> None:
    """Every result equals golden, in order, whatever the stalls; without stalls one beat comes every cycle."""
    settings = config()
    params = RequantParams(**settings["params"])
    if "stimulus" in settings:
        with np.load(settings["stimulus"]) as archive:
            stimulus = {name: archive[name] for name in archive.files}
        stalls = 0.0
    else:
        stimulus = random_stimulus(generator(), params, settings.get("beats", 2000))
        stalls = settings.get("stalls", 0.0)
    cycles = await drive_and_check(dut, params, stimulus, stalls)
    if not stalls:
        allowed = len(stimulus["acc"]) + settings["latency"] + 2
        assert cycles <= allowed, f"{len(stimulus['acc'])} beats took {cycles} cycles, not at most {allowed}"
