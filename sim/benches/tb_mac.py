"""Bench of the MAC array: beats in any order and whole layers, stalls on all four streams.

Configuration: `params`, the keyword arguments of `MacParams`; `latency`; `stalls`, the probability of one on each
stream; `beats`, how many random ones; or `stimulus`, an npz file that `roundel.golden.mac.tiling.Schedule.save` wrote,
driven as it is. The run's folder then gets `outputs.npz`: `outputs` (output beats, columns) as the array gave them, and
`cycles`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cocotb
import numpy as np

from roundel.golden.mac import MacParams, Schedule, concatenate, interpret, schedule
from roundel.golden.requant import Scheme
from roundel.golden.rounding import limits
from roundel.sim.benches.bench import config, generator, start
from roundel.sim.benches.stream import StreamSink, StreamSource, stall_pattern
from roundel.sim.benches.tb_requant import random_field
from roundel.sim.stimuli import Member, pack, unpack

FLAGS = ("first", "last", "swap", "swap_params")


def members(params: MacParams) -> dict[str, list[Member]]:
    """Return the members of each stream's packed payload, by the name of the stream."""
    position = Member("position", max(1, (params.depth - 1).bit_length()))
    requant = params.requant
    runtime = [Member(field.name, field.width, field.signed, max(field.count, 1)) for field in requant.runtime_fields]
    return {
        "weights": [Member("weights", params.weight_width, True, params.lanes)],
        "params": [Member("bias", params.bias_width, True), *runtime],
        "activations": [
            Member("activations", params.act_width, params.act_signed, params.lanes),
            position,
            *(Member(name, 1) for name in FLAGS),
        ],
        "outputs": [Member("data", requant.out_width, requant.out_signed, params.columns), position],
    }


def extreme_mix(rng: np.random.Generator, bounds: tuple[int, int], shape: tuple[int, ...]) -> np.ndarray:
    """Integers within `bounds`: half uniform, half at the ends or zero."""
    uniform = rng.integers(*bounds, shape, endpoint=True)
    return np.where(rng.random(shape) < 0.5, uniform, rng.choice([*bounds, 0], shape))


def random_runtime(rng: np.random.Generator, params: MacParams, count: int) -> dict[str, np.ndarray]:
    """Run-time requantizer parameters of `count` columns; shifts mostly leave something of the sums."""
    runtime = {field.name: random_field(rng, field, count) for field in params.requant.runtime_fields}
    if params.requant.scheme is Scheme.SHIFT:
        runtime["shift"] = np.minimum(runtime["shift"], rng.integers(0, params.dot_width, count))
    return runtime


def random_beats(rng: np.random.Generator, params: MacParams, beats: int, spacing: dict[str, int]) -> Schedule:
    """Beats in any order: positions come again at once or after others, sums are long or a single beat.

    Parameters
    ----------
    spacing
        Least number of beats from one `swap` (`swap_params`) to the next, which about half of them have.
    """
    position: list[int] = []
    first, last, lengths = [], [], dict.fromkeys(range(min(params.depth, 8)), 0)
    limit = max(1, min(params.reduction // params.lanes, 12))
    for beat in range(beats):
        address = position[-1] if beat and rng.random() < 0.4 else int(rng.integers(len(lengths)))
        position.append(address)
        first.append(lengths[address] == 0 or rng.random() < 0.1)
        lengths[address] = 1 if first[-1] else lengths[address] + 1
        last.append(beat == beats - 1 or lengths[address] >= limit or rng.random() < 0.3)
        lengths[address] *= not last[-1]
    swaps = {}
    for name, least in spacing.items():
        gaps = least + rng.integers(0, least + 1, beats) * rng.integers(0, 2, beats)
        swaps[name] = np.isin(np.arange(beats), np.cumsum([0, *gaps]))
    blocks, sets = (int(swaps[name].sum()) * params.columns for name in ("swap", "swap_params"))
    return interpret(
        params,
        weights=extreme_mix(rng, limits(params.weight_width, True), (blocks, params.lanes)),
        bias=extreme_mix(rng, limits(params.bias_width, True), (sets,)),
        runtime=random_runtime(rng, params, sets),
        activations=extreme_mix(rng, limits(params.act_width, params.act_signed), (beats, params.lanes)),
        position=np.array(position),
        first=np.array(first),
        last=np.array(last),
        **swaps,
    )


def random_layer(rng: np.random.Generator, params: MacParams, positions: int, products: int, channels: int) -> Schedule:
    """One layer with ragged edges."""
    runtime = random_runtime(rng, params, channels)
    if not params.per_channel:
        runtime = {name: values[0] for name, values in runtime.items()}
    return schedule(
        params,
        extreme_mix(rng, limits(params.act_width, params.act_signed), (positions, products)),
        extreme_mix(rng, limits(params.weight_width, True), (products, channels)),
        extreme_mix(rng, limits(params.bias_width, True), (channels,)),
        runtime,
    )


def extreme_sums(rng: np.random.Generator, params: MacParams) -> Schedule:
    """Make a layer of the largest sums of both signs that the accumulator must hold, of `reduction` products each."""
    layers = []
    for act in limits(params.act_width, params.act_signed):
        for weight, bias in zip(limits(params.weight_width, True), limits(params.bias_width, True), strict=True):
            acts = np.full((1, params.reduction), act)
            held = np.full((params.reduction, params.columns), weight)
            runtime = random_runtime(rng, params, 1)
            runtime = {name: values[0] for name, values in runtime.items()}
            layers.append(schedule(params, acts, held, bias, runtime))
    return concatenate(layers)


@dataclass(frozen=True)
class Scenario:
    """What is driven, and whether without stalls it must keep one beat per cycle."""

    name: str
    beats: Schedule
    full_rate: bool = False


def scenarios(rng: np.random.Generator, params: MacParams, beats: int) -> list[Scenario]:
    """Everything that `params` is put through."""
    columns, lanes = params.columns, params.lanes
    ragged = [
        random_layer(rng, params, positions, min(products, params.reduction), channels)
        for positions, products, channels in (
            (1, 1, 1),
            (min(params.depth, 40) + 1, 2 * lanes + 1, columns + 1),
            (3, lanes, 2 * columns),
        )
    ]
    fastest = {"swap": columns, "swap_params": columns + 2}
    return [
        Scenario("swaps as fast as parameters load", random_beats(rng, params, beats, fastest), full_rate=True),
        Scenario("swaps at once", random_beats(rng, params, beats // columns + 20, {"swap": 1, "swap_params": 1})),
        Scenario("layers back to back", concatenate(ragged)),
        Scenario("extreme sums", extreme_sums(rng, params)),
    ]


async def drive(dut: Any, params: MacParams, beats: Schedule, stalls: float, salt: int) -> tuple[dict[str, Any], int]:
    """Drive all streams; returns what came out and the cycles it took."""
    payloads = members(params)
    columns = {
        "weights": {"weights": beats.weights},
        "params": {"bias": beats.bias, **beats.runtime},
        "activations": {name: getattr(beats, name) for name in ("activations", "position", *FLAGS)},
    }
    counts = {"weights": len(beats.weights), "params": len(beats.bias), "activations": len(beats.position)}
    sending = []
    for index, (name, count) in enumerate(counts.items()):
        source = StreamSource(dut, name, stall_pattern(generator(salt + index), stalls))
        sending.append(cocotb.start_soon(source.send(pack(payloads[name], columns[name], count))))
    sink = StreamSink(dut, "outputs", stall_pattern(generator(salt + 3), stalls))
    words = await sink.receive(len(beats.output_position))
    await sink.expect_silence(8)
    assert all(task.done() for task in sending), "the array left beats untaken"
    received = unpack(payloads["outputs"], words)
    return received | {"data": received["data"].reshape(len(words), params.columns)}, sink.cycles


def check(scenario: Scenario, received: dict[str, Any]) -> None:
    """Compare with golden; the message names the first wrong result."""
    golden = scenario.beats
    wrong = np.argwhere(
        (received["data"] != golden.outputs) | (received["position"] != golden.output_position)[:, None]
    )
    if wrong.size:
        beat, column = map(int, wrong[0])
        was = (int(received["position"][beat]), int(received["data"][beat, column]))
        expected = (int(golden.output_position[beat]), int(golden.outputs[beat, column]))
        raise AssertionError(
            f"{scenario.name}: output beat {beat}, column {column}: (position, value) is {was}, golden {expected}"
        )


@cocotb.test()
async def matches_golden(dut: Any) -> None:
    """Every output equals golden, in order, whatever the stalls; without stalls one beat goes in every cycle."""
    settings = config()
    params = MacParams(**settings["params"])
    stalls = settings.get("stalls", 0.0)
    replay = settings.get("stimulus")
    todo = (
        [Scenario("stimulus", Schedule.load(Path(replay)))]
        if replay
        else scenarios(generator(), params, settings.get("beats", 600))
    )
    await start(dut)
    for index, scenario in enumerate(todo):
        received, cycles = await drive(dut, params, scenario.beats, stalls, 10 * (index + 1))
        if replay:
            np.savez("outputs.npz", outputs=received["data"], cycles=cycles)
        check(scenario, received)
        if scenario.full_rate and not stalls:
            # The first block loads before the first beat can go; the last result comes `latency` after its beat.
            allowed = len(scenario.beats.position) + params.columns + settings["latency"] + 2
            assert cycles <= allowed, f"{scenario.name}: {cycles} cycles, not at most {allowed}"
