"""The engine's array against docs/engine.md, "The array" and "Requantization", written down with plain integers."""

from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import ceil, floor
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import ResetInserter, Signal
from amaranth.sim import Simulator

from roundel.golden.engine import EngineParams
from roundel.golden.requant import Scheme
from roundel.golden.rounding import Rounding
from roundel.hw.engine.compute.array import EngineArray
from roundel.hw.engine.ports import result_layout
from tests.support.engine_pins import bits

SMALL = {"depth": 8, "reduction": 256, "bias_width": 20, "memory": 1 << 10}


@dataclass
class Traffic:
    """What goes into an array and what must come out of it, in order."""

    beats: list[dict[str, Any]] = field(default_factory=list)
    weights: list[dict[str, Any]] = field(default_factory=list)
    columns: list[dict[str, Any]] = field(default_factory=list)
    residuals: list[int] = field(default_factory=list)
    results: list[int] = field(default_factory=list)
    slopes: list[list[int]] = field(default_factory=list)


ROUND = {
    Rounding.HALF_UP: lambda x: floor(x + Fraction(1, 2)),
    Rounding.HALF_EVEN: round,
    Rounding.HALF_AWAY: lambda x: floor(x + Fraction(1, 2)) if x > 0 else ceil(x - Fraction(1, 2)),
    Rounding.FLOOR: floor,
}


def pack(values):
    """Bytes to a word, lane 0 lowest."""
    return sum((int(value) & 0xFF) << 8 * lane for lane, value in enumerate(values))


def random_columns(rng, params):
    """Parameters of all columns of a block: bias, residual_shift and the requantizer's."""
    count = params.columns
    limit = 1 << (params.bias_width - 1)
    block = {"bias": rng.integers(-limit, limit, count), "residual_shift": rng.integers(0, 10, count)}
    if params.scheme is Scheme.SHIFT:
        return block | {"shift": rng.integers(0, 20, count)}
    if params.scheme is Scheme.FLOAT32:
        scale = rng.uniform(1e-5, 1e-2, count).astype(np.float32)
        return block | {"scale": scale.view(np.int32).astype(np.int64), "zero_point": rng.integers(-128, 128, count)}
    width = params.scheme.multiplier_width
    signed = params.scheme is Scheme.FIXED32  # and a fraction of 31 bits, before its shift
    return block | {
        "multiplier": rng.integers(1 << width - 2, 1 << width - signed, count),
        "shift": rng.integers(0, 16, count) if signed else rng.integers(width + 2, width + 16, count),
        "zero_point": rng.integers(-128, 128, count),
    }


def words_of(params, block, acc, fresh):
    """The results of one position in a layer with `activation`: floors of 11 bits, saturated."""
    floors = [floor(Fraction(int(a), 1 << int(s))) for a, s in zip(acc, block["shift"], strict=True)]
    words = sum((min(max(v, -1024), 1023) & 0x7FF) << 11 * column for column, v in enumerate(floors))
    return result_layout(params).const({"words": words, "fresh": fresh})


def requantized(params, layer, block, acc, residual):
    """The bytes of one position."""
    if params.scheme is Scheme.SHIFT:
        total = [int(a) + (int(r) << int(s)) for a, r, s in zip(acc, residual, block["residual_shift"], strict=True)]
        amounts = [int(s) + (layer["leak"] if t < 0 else 0) for s, t in zip(block["shift"], total, strict=True)]
        value = [ROUND[params.rounding](Fraction(t, 1 << a)) for t, a in zip(total, amounts, strict=True)]
    else:
        runtime = {name: block[name] for name in block if name not in ("bias", "residual_shift")}
        value = params.mac.requant.compute(acc, runtime).tolist()
    flip = 0x80 if layer["flip_target"] else 0
    return [(min(max(v, layer["low"]), layer["high"]) & 0xFF) ^ flip for v in value]


def make_traffic(rng, params, layer, *, tiles=2, blocks=2, steps=3, positions=5, every=1, lead=0, kept=(), scales=(0,)):
    """Random numbers for some tiles of a layer; `kept`: numbers of a tile's steps that keep their weights."""
    traffic, width = Traffic(), params.lanes
    past = [np.zeros(width, np.int64)] * params.taps  # the beats before, the latest first
    for _ in range(tiles):
        for block in range(blocks):
            parameters = random_columns(rng, params)
            runtime = [name for name in parameters if name not in ("bias", "residual_shift")]
            for c in range(params.columns):
                values = {name: int(parameters[name][c]) for name in parameters}
                part = {name: values.pop(name) for name in runtime}
                traffic.columns.append(values | {"runtime": part})
            acc: dict[int, np.ndarray] = {}
            order = rng.permutation(params.depth)[:positions]
            if layer.get("activation"):  # there the first one is 0, as the feeder counts
                order = np.append(0, 1 + rng.permutation(params.depth - 1))[:positions]
                traffic.slopes.append(parameters["residual_shift"].tolist())
            for step in range(steps):
                final = block == blocks - 1 and step == steps - 1
                number, scale = block * steps + step, int(rng.choice(scales))
                if number not in kept:
                    weights = rng.integers(-128, 128, (params.columns, width))
                    if layer["depthwise"]:
                        weights[:, params.taps :] = 0
                    end = set(range(number + 1, blocks * steps)) <= set(kept)
                    traffic.weights += [
                        {"weights": [int(w) for w in row], "zero": 0, "last": int(end and c == params.columns - 1)}
                        for c, row in enumerate(weights)
                    ]
                for beat in range(lead + (positions - 1) * every + 1):
                    data = rng.integers(-128, 128, width)
                    past = [data, *past[:-1]]
                    sent: dict[str, Any] = {"data": [int(d) for d in data]}
                    if beat >= lead and (beat - lead) % every == 0:
                        at = (beat - lead) // every
                        position = int(order[at])
                        operand = np.array(past) if layer["depthwise"] else None
                        dot = (
                            [int(weights[c, : params.taps] @ operand[:, c]) for c in range(params.columns)]
                            if operand is not None
                            else [int(row @ data) for row in weights]
                        )
                        start = acc.get(position, parameters["bias"])
                        choose = np.maximum if layer["maximum"] else np.add
                        acc[position] = choose(np.array(start), np.array(dot) * 4**scale)
                        sent |= {"compute": 1, "position": position, "first": int(step == 0), "final": int(final)}
                        sent |= {"last": int(step == steps - 1), "swap": int(at == 0 and number not in kept)}
                        sent |= {"swap_params": int(at == step == 0), "scale": scale}
                        if step == steps - 1 and layer.get("activation"):
                            traffic.results.append(words_of(params, parameters, acc[position], at == 0).as_bits())
                        elif step == steps - 1:
                            residual = rng.integers(-128, 128, params.columns)
                            if layer["has_residual"]:
                                traffic.residuals.append(pack(residual))
                            else:
                                residual = np.zeros_like(residual)
                            traffic.results.append(
                                pack(requantized(params, layer, parameters, acc[position], residual))
                            )
                    traffic.beats.append(sent)
    return traffic


BLANK = dict.fromkeys(("compute", "position", "first", "last", "swap", "swap_params", "final", "scale"), 0)


def drive(params, layer, traffic, *, seed, stalls, before=None):
    """What the array gives, when, and its flags. With `before`, that until its last result, and a reset first."""
    dut = EngineArray(params)
    reset = Signal()
    rng = np.random.default_rng(seed)
    parts = [traffic] if before is None else [before, traffic]
    found = {"latency": dut.latency}

    async def send(ctx, name, source):
        for number, part in enumerate(parts):
            while found["part"] != number:
                await ctx.tick()
            for payload in getattr(part, name):
                while rng.random() < stalls.get(name, 0) and found["part"] == number:
                    await ctx.tick()
                ctx.set(source.payload, BLANK | payload if name == "beats" else payload)
                ctx.set(source.valid, 1)
                ready = False
                while not ready and found["part"] == number:
                    _, _, ready = await ctx.tick().sample(source.ready)
                ctx.set(source.valid, 0)
                if found["part"] != number:
                    break

    async def receive(ctx, part):
        cycle = 0
        found.update(results=[], taken=[], came=[], activity=[], slopes=[])
        owed = 0  # output blocks whose first word came, and whose slopes nobody took
        while len(found["results"]) < len(part.results):
            ctx.set(dut.results.ready, int(rng.random() >= stalls.get("results", 0)))
            taken = dut.beats.valid & dut.beats.ready & dut.beats.p.last
            given = dut.results.valid & dut.results.ready
            if hasattr(dut, "slopes"):
                take = owed and rng.random() >= stalls.get("slopes", 0)
                owed -= take
                held = ctx.get(dut.slopes)
                found["slopes"] += [[held >> 7 * column & 0x7F for column in range(params.columns)]] if take else []
                ctx.set(dut.slopes_taken, int(take))
            _, _, taken, given, result, activity = await ctx.tick().sample(
                taken, given, bits(dut.results.p), dut.activity
            )
            owed += given and bool(layer.get("activation")) and result >> dut.results.p.shape().size - 1
            found["activity"].append(activity)
            found["taken"] += [cycle] if taken else []
            found["came"] += [cycle] if given else []
            found["results"] += [result] if given else []
            cycle += 1
            assert cycle < 20_000
        found["error"] = ctx.get(dut.weights_error)

    async def bench(ctx):
        ctx.set(dut.layer, layer)
        for number, part in enumerate(parts):
            found["part"] = number
            await receive(ctx, part)
            found["part"] = None
            ctx.set(reset, 1)
            await ctx.tick().repeat(2)
            ctx.set(reset, 0)

    found["part"] = None
    simulator = Simulator(ResetInserter(reset)(dut))
    simulator.add_clock(1e-6)
    for name in ("beats", "weights", "columns", "residuals"):

        async def sender(ctx, name=name):
            await send(ctx, name, getattr(dut, name))

        simulator.add_testbench(sender, background=True)
    simulator.add_testbench(bench)
    simulator.run()
    return found


def layer_of(**changes):
    plain = {"depthwise": 0, "maximum": 0, "has_residual": 0, "flip_target": 0, "leak": 0, "low": -128, "high": 127}
    return plain | changes


WAITING = ("results", "weights", "parameters", "residual")
STALLS = {"beats": 0.3, "weights": 0.2, "columns": 0.3, "residuals": 0.5, "results": 0.4}
LAYERS = {
    "plain": (layer_of(), {}),
    "relu6": (layer_of(low=0, high=200, flip_target=1), {}),
    "leak": (layer_of(leak=3), {}),
    "leak beyond every bit": (layer_of(leak=63), {}),
    "residual": (layer_of(has_residual=1), {}),
    "residual and leak": (layer_of(has_residual=1, leak=2, low=-100, high=100), {}),
    "maximum": (layer_of(maximum=1, flip_target=1, low=0, high=255), {"steps": 5}),
    "depthwise": (layer_of(depthwise=1), {"every": 1, "lead": 3}),
    "depthwise, stride 2": (layer_of(depthwise=1, has_residual=1), {"every": 2, "lead": 1}),
    "maximum of depthwise": (layer_of(depthwise=1, maximum=1), {"every": 1, "lead": 0}),
    "matrix product": (layer_of(), {"positions": 1, "steps": 7}),
    "one step": (layer_of(), {"steps": 1, "positions": 8}),
    "one position, one step": (layer_of(has_residual=1), {"steps": 1, "positions": 1, "blocks": 3}),
}


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize(
    "shape",
    [{"lanes": 4, "columns": 4}, {"lanes": 4, "columns": 4, "taps": 3, "structure": "pairs"}],
    ids=["4", "pairs"],
)
def test_array_is_what_the_document_says(shape, name, seed):
    layer, sizes = LAYERS[name]
    params = EngineParams(**SMALL | shape)
    traffic = make_traffic(np.random.default_rng(seed), params, layer, **sizes)
    found = drive(params, layer, traffic, seed=seed, stalls=STALLS)
    assert found["results"] == traffic.results
    assert not found["error"]


@pytest.mark.parametrize("name", ["plain", "maximum", "depthwise, stride 2", "one position, one step"])
@pytest.mark.parametrize("structure", ["product", "pairs"])
def test_steps_that_scale_or_keep_their_weights(structure, name, seed):
    """Within an output block and across blocks, the last one of a tile too; a position again after three cycles."""
    layer, sizes = LAYERS[name]
    params = EngineParams(**SMALL | {"lanes": 4, "columns": 4, "structure": structure, "reduction": 4096})
    rng = np.random.default_rng(seed)
    sizes = {"blocks": 3, "steps": 4, "positions": int(rng.integers(1, 5))} | sizes
    kept = {int(step) for step in rng.integers(1, sizes["blocks"] * sizes["steps"], 8)}
    traffic = make_traffic(rng, params, layer, kept=kept, scales=range(4), **sizes)
    for stalls in (STALLS, {}):
        found = drive(params, layer, traffic, seed=seed, stalls=stalls)
        assert found["results"] == traffic.results
        assert not found["error"]


@pytest.mark.parametrize(("kept", "number", "last"), [((2, 4, 5), -1, 0), ((1, 2), 3, 1), ((1, 2, 4, 5), 3, 1)])
def test_weights_that_go_on_or_end_beside_steps_that_keep_them(kept, number, last, seed):
    params, layer = EngineParams(**SMALL | {"lanes": 4, "columns": 4}), layer_of()
    traffic = make_traffic(np.random.default_rng(seed), params, layer, tiles=1, kept=kept)
    traffic.weights = damaged(traffic.weights, number % len(traffic.weights), last)
    assert drive(params, layer, traffic, seed=seed, stalls={})["error"]


@pytest.mark.parametrize("name", ["residual and leak", "maximum of depthwise", "matrix product"])
def test_eight_lanes(name, seed):
    layer, sizes = LAYERS[name]
    params = EngineParams(**SMALL | {"lanes": 8, "columns": 8})
    traffic = make_traffic(np.random.default_rng(seed), params, layer, **sizes)
    assert drive(params, layer, traffic, seed=seed, stalls=STALLS)["results"] == traffic.results


UNIT = SMALL | {"lanes": 4, "columns": 4, "act_lanes": 2}


@pytest.mark.parametrize(
    ("name", "rounding"),
    [
        ("depthwise, stride 2", "half_even"),
        ("one position, one step", "half_away"),
        ("one step", "half_up"),
    ],
)
def test_words_and_slopes_of_layers_with_an_activation(name, rounding, seed):
    """Floors, whatever the rounding, without the clamp; slopes stay until they are taken, and no block overtakes."""
    layer, sizes = LAYERS[name]
    layer = layer | {"activation": 1, "has_residual": 0, "low": -3, "high": 5, "flip_target": 1}
    params = EngineParams(**UNIT | {"rounding": rounding})
    traffic = make_traffic(np.random.default_rng(seed), params, layer, **sizes)
    for stalls in (STALLS | {"slopes": 0.9}, {}):
        found = drive(params, layer, traffic, seed=seed, stalls=stalls)
        assert found["results"] == traffic.results
        assert found["slopes"] == traffic.slopes[: len(found["slopes"])]
        assert len(found["slopes"]) >= len(traffic.slopes) - 1
        assert not found["error"]


@pytest.mark.parametrize("name", ["relu6", "residual and leak"])
def test_layers_without_an_activation_beside_an_activation_unit(name, seed):
    """The same bytes in the same cycles as in an array without the unit."""
    layer, sizes = LAYERS[name]
    params = EngineParams(**UNIT)
    without = replace(params, act_lanes=0)
    traffic = make_traffic(np.random.default_rng(seed), without, layer, **sizes)
    runs = [drive(each, layer, traffic, seed=seed, stalls=STALLS) for each in (without, params)]
    results = [[result >> 11 * column & 0x7FF for column in range(4)] for result in runs[1]["results"]]
    assert [pack(row) for row in results] == runs[0]["results"] == traffic.results
    assert runs[0]["came"] == runs[1]["came"]
    assert [row for row in results if max(row) > 255] == []


@pytest.mark.parametrize("structure", ["product", "pairs"])
@pytest.mark.parametrize(("positions", "steps"), [(1, 3), (2, 3), (3, 3), (1, 1), (2, 1)])
def test_a_standing_pipeline_brings_steps_close(structure, positions, steps, seed):
    """Results wait for long, so that weights are there at once when the pipeline goes on.

    Sums must be there too, and parameters be those of the right block.
    """
    layer = layer_of()
    params = EngineParams(**SMALL | {"lanes": 4, "columns": 4, "structure": structure})
    traffic = make_traffic(
        np.random.default_rng(seed), params, layer, tiles=4, blocks=4, steps=steps, positions=positions
    )
    found = drive(params, layer, traffic, seed=seed, stalls={"results": 0.9, "beats": 0.2})
    assert found["results"] == traffic.results


@pytest.mark.parametrize("scheme", ["fixed8", "fixed16", "fixed32", "float32"])
def test_requantizers_that_multiply(scheme, seed):
    layer = layer_of(low=-100, high=120, flip_target=1)
    params = EngineParams(**SMALL | {"lanes": 4, "columns": 4, "scheme": scheme})
    traffic = make_traffic(np.random.default_rng(seed), params, layer)
    assert drive(params, layer, traffic, seed=seed, stalls=STALLS)["results"] == traffic.results


@pytest.mark.parametrize("rounding", [one.value for one in Rounding])
def test_roundings(rounding, seed):
    """All shifts, halves among them; the greatest sums too."""
    layer = layer_of(leak=1, low=-256, high=255)
    params = EngineParams(**SMALL | {"lanes": 4, "columns": 4, "rounding": rounding})
    traffic = make_traffic(np.random.default_rng(seed), params, layer, tiles=2, blocks=6, steps=1, positions=8)
    assert drive(params, layer, traffic, seed=seed, stalls={})["results"] == traffic.results


@pytest.mark.parametrize("taps", [1, 2, 3])
@pytest.mark.parametrize("structure", ["product", "pairs"])
def test_taps(taps, structure, seed):
    layer = layer_of(depthwise=1)
    params = EngineParams(**SMALL | {"lanes": 4, "columns": 4, "taps": taps, "structure": structure})
    traffic = make_traffic(np.random.default_rng(seed), params, layer, lead=taps - 1)
    assert drive(params, layer, traffic, seed=seed, stalls=STALLS)["results"] == traffic.results


@pytest.mark.parametrize("name", ["plain", "residual", "depthwise"])
def test_one_beat_a_cycle(name, seed):
    """Steps as long as it takes to load a block, and a set of parameters: no beat waits but the first."""
    layer, _ = LAYERS[name]
    params = EngineParams(**SMALL | {"lanes": 4, "columns": 4})
    traffic = make_traffic(np.random.default_rng(seed), params, layer, tiles=1, blocks=3, steps=2, positions=4)
    found = drive(params, layer, traffic, seed=seed, stalls={})
    computing = [bool(flags["computing"]) for flags in found["activity"]]
    first = computing.index(True)
    assert all(computing[first : first + len(traffic.beats)])
    assert {came - taken for taken, came in zip(found["taken"], found["came"], strict=True)} == {found["latency"]}


@pytest.mark.parametrize("reason", ["weights", "columns", "residuals", "results"])
def test_says_what_it_waits_for(reason, seed):
    params = EngineParams(**SMALL | {"lanes": 4, "columns": 4})
    layer = LAYERS["residual"][0]
    traffic = make_traffic(np.random.default_rng(seed), params, layer, tiles=1)
    found = drive(params, layer, traffic, seed=seed, stalls={reason: 0.9})
    name = {"columns": "parameters", "residuals": "residual"}.get(reason, reason)
    count = {key: sum(int(flags[key]) for flags in found["activity"]) for key in ("computing", *WAITING)}
    assert count["computing"] == sum(beat.get("compute", 0) for beat in traffic.beats)
    assert max(WAITING, key=count.__getitem__) == name
    assert all(sum(int(flags[key]) for key in count) <= 1 for flags in found["activity"])


def damaged(weights, number, last):
    """The weight beats with another `last` in one of them."""
    return [beat | {"last": last} if index == number else beat for index, beat in enumerate(weights)]


@pytest.mark.parametrize(
    ("number", "last"), [(-1, 0), (0, 1), (2, 1), (3, 1), (11, 1)], ids=["missing", "first", "third", "block", "early"]
)
def test_a_wrong_end_of_the_weights_is_an_error(number, last, seed):
    params = EngineParams(**SMALL | {"lanes": 4, "columns": 4})
    layer = layer_of()
    traffic = make_traffic(np.random.default_rng(seed), params, layer, tiles=1)
    traffic.weights = damaged(traffic.weights, number % len(traffic.weights), last)
    assert drive(params, layer, traffic, seed=seed, stalls={})["error"]


def test_reset_forgets_everything(seed):
    """In the middle of a layer, with beats, blocks and results on their way; and an error."""
    params = EngineParams(**SMALL | {"lanes": 4, "columns": 4})
    layer = LAYERS["residual"][0]
    rng = np.random.default_rng(seed)
    for error in (False, True):
        before, traffic = make_traffic(rng, params, layer), make_traffic(rng, params, layer)
        if error:
            before.weights = damaged(before.weights, 0, 1)
        before.results = before.results[: int(rng.integers(2, len(before.results)))]
        found = drive(params, layer, traffic, seed=seed, stalls=STALLS, before=before)
        assert found["results"] == traffic.results
        assert not found["error"]
