"""The stages of heads in hardware against `roundel.golden.head`, bit for bit, with stalls on both sides."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from amaranth.sim import Simulator

from roundel.golden.head import DistributionParams, SoftmaxParams, exponents, length, terms
from roundel.hw.engine.boxes.mean import Mean
from roundel.hw.engine.boxes.powers import Length
from roundel.hw.engine.boxes.softmax import SoftmaxCost
from roundel.hw.engine.boxes.terms import Terms


def through(
    dut: Any,
    ports: tuple[Any, Any],
    given: Sequence[Any],
    *,
    seed: int,
    stall: float,
    settings: dict[str, int] | None = None,
) -> tuple[list[Any], int]:
    """Send beats and collect as many as come until nothing moves for a while; returns them, and the cycles it took."""
    source, sink = ports
    rng, found, cycles = np.random.default_rng(seed), list[Any](), 0

    async def bench(ctx: Any) -> None:
        nonlocal cycles
        for name, value in (settings or {}).items():
            ctx.set(getattr(dut, name), value)
        waiting, idle, offered = list(given), 0, False
        while waiting or idle < 60:
            offered = offered or bool(waiting and rng.random() >= stall)
            ctx.set(source.valid, int(offered))
            if offered:
                ctx.set(source.payload, waiting[0])
            ctx.set(sink.ready, int(rng.random() >= stall))
            _, _, took, gave, beat = await ctx.tick().sample(
                source.valid & source.ready, sink.valid & sink.ready, sink.payload
            )
            cycles += 1
            if took:
                waiting.pop(0)
                offered = False
            if gave:
                found.append(beat)
            idle = 0 if took or gave else idle + 1

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return found, cycles - 60


@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_lengths(stall: float, seed: int) -> None:
    """Around every power of two, all fractions of one, both ends; one a cycle without stalls."""
    rng = np.random.default_rng(seed)
    near = (np.arange(-64, 64)[:, None] * 1024 + np.array([-1, 0, 1, 7, 8, 512, 1023])).reshape(-1)
    all_given = np.concatenate([near, 3 * 1024 + np.arange(1024), rng.integers(-(1 << 16), 1 << 16, 500)])
    given = np.clip(all_given, -(1 << 16), (1 << 16) - 1).tolist()
    dut = Length()
    found, cycles = through(dut, (dut.exponents, dut.lengths), given, seed=seed, stall=stall)
    assert found == length(np.array(given)).tolist()
    assert stall or cycles == len(given) + dut.latency


def rank(logits: Any) -> Any:
    return logits + 128


def runs(rng: np.random.Generator, count: int, most: int) -> list[np.ndarray]:
    """Logits of runs: noise, all alike, the whole range, a single one."""
    made = []
    for number in range(count):
        size = int(rng.integers(1, most + 1)) if number % 2 else most
        low, high = [(-128, 127), (-10, 10), (127, 127), (-128, -128), (0, 60)][number % 5]
        made.append(rng.integers(low, high + 1, size))
    return made


@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize("fraction", [0, 3, 10])
def test_terms_and_their_moments(fraction: int, stall: float, seed: int) -> None:
    """A logit a cycle, then the sum; `own` logits between them are no terms."""
    rng = np.random.default_rng([seed, fraction])
    given, expected, own = [], [], 0
    for logits in runs(rng, 12, 32):
        greatest, chosen = int(logits.max()), int(rng.integers(len(logits)))
        below = exponents(greatest - logits, fraction)
        weights = terms(below)
        beats = [{"rank": rank(int(x)), "greatest": rank(greatest), "own": 0, "last": 0} for x in logits[::-1]]
        beats[-1]["last"] = 1
        if len(beats) > 1 and rng.random() < 0.7:
            at = int(rng.integers(len(beats)))
            beats.insert(at, beats[0] | {"rank": rank(int(logits[chosen])), "own": 1, "last": 0})
            own = int(below[chosen])
        given += beats
        moment = int((weights * np.arange(len(logits))).sum())
        expected.append((int(weights.sum()), own, moment))
    dut = Terms(40, bins=32)
    settings = {"fraction": fraction}
    found, cycles = through(dut, (dut.logits, dut.sums), given, seed=seed, stall=stall, settings=settings)
    assert [(sums.total, sums.exponent, sums.moment) for sums in found] == expected
    assert stall or cycles == len(given) + len(expected) * dut.latency


@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize("bins", [8, 16, 17, 32])
def test_means(bins: int, stall: float, seed: int) -> None:
    """Of distributions of noise, of a single bin, the first, the last."""
    rng, given, expected = np.random.default_rng([seed, bins]), [], []
    form = DistributionParams(bins=bins, fraction=3)
    for number in range(20):
        logits = rng.integers(-128, 128, bins) if number % 3 else np.full(bins, -128)
        if number % 3 == 0:
            logits[[0, bins - 1, int(rng.integers(bins))][number // 3 % 3]] = 127
        weights = terms(exponents(logits.max() - logits, 3))
        moment = int((weights * np.arange(bins)).sum())
        given.append({"total": int(weights.sum()), "moment": moment, "exponent": 0})
        expected.append(int(form.means(logits)))
    dut = Mean(bins)
    found, cycles = through(dut, (dut.sums, dut.means), given, seed=seed, stall=stall)
    assert found == expected
    assert stall or cycles == len(given) * (dut.latency + 1)


@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize("bits", [0, 5, 8])
def test_costs_of_softmaxes(bits: int, stall: float, seed: int) -> None:
    """Of every class, the background's left out; the greatest cost stands for all beyond it."""
    rng, given, expected = np.random.default_rng([seed, bits]), [], []
    for number, logits in enumerate(runs(rng, 16, 91)):
        padded = np.append(logits, rng.integers(-128, 128) if number % 4 else -128)
        fraction = number % 6
        softmax = SoftmaxParams(background=len(logits), fraction=fraction, bits=bits, most=1)
        below = exponents(padded.max() - padded, fraction)
        total = int(terms(below).sum())
        for label in [*rng.integers(0, len(logits), 3).tolist(), int(logits.argmax())]:
            given.append({"total": total, "exponent": int(below[label])})
            expected.append(int(softmax.costs(padded)[label]))
    dut = SoftmaxCost(92)
    found, _ = through(dut, (dut.sums, dut.costs), given, seed=seed, stall=stall, settings={"bits": bits})
    assert found == expected
    assert min(expected) <= 2 << bits
    assert max(expected) >= 32 << bits
