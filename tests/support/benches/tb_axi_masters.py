"""Bench of both AXI masters against the slave of cocotbext-axi: random transfers, stalls, errors, stops, and rates."""

import itertools
from typing import Any

import cocotb
from cocotb.triggers import ClockCycles, RisingEdge

from roundel.sim.benches.bench import config, start
from tests.support.axi_harness import Harness, Transfer
from tests.support.axi_rules import PAGE


async def both(harness: Harness, reads: int, writes: int) -> None:
    """All channels and the writer at once, random transfers."""
    tasks = [
        harness.spawn(harness.read(number, [harness.transfer() for _ in range(reads)])) for number in harness.numbers
    ]
    tasks.append(harness.spawn(harness.write(harness.apart(writes))))
    for task in tasks:
        await task


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def transfers_arrive(dut: Any) -> None:
    harness = Harness(dut, config()["stalls"], 1)
    await start(dut)
    await both(harness, 20, 30)
    await harness.quiet()
    assert not dut.read_error.value
    assert not dut.write_error.value


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def the_first_error_is_held_and_nothing_hangs(dut: Any) -> None:
    """Error answers at random beats; the rules know which came first."""
    harness = Harness(dut, config()["stalls"], 2)
    for round_ in range(4):
        await start(dut)
        rules, rng = harness.rules, harness.rng
        rules.faults.clear()
        harness.memory.bad.clear()
        reads = [[harness.transfer() for _ in range(6)] for _ in harness.numbers]
        writes = harness.apart(8)
        for transfer in itertools.chain(*reads, writes):
            if rng.random() < 0.1 + 0.1 * round_:
                beat = int(rng.integers(-(-transfer.size // harness.lane)))
                harness.memory.bad.add(transfer.address + beat * harness.lane)
        tasks = [harness.spawn(harness.read(number, reads[number])) for number in harness.numbers]
        for task in [*tasks, harness.spawn(harness.write(writes))]:
            await task
        await harness.quiet()
        faults = rules.faults
        assert bool(dut.read_error.value) == ("r" in faults)
        assert bool(dut.write_error.value) == ("b" in faults)
        if "r" in faults:
            assert int(dut.read_address.value) == faults["r"], f"{int(dut.read_address.value):#x}, {faults['r']:#x}"
            mine = reads[int(dut.read_channel.value)]
            assert any(transfer.address <= faults["r"] < transfer.address + transfer.size for transfer in mine)
        if "b" in faults:
            assert int(dut.write_address.value) == faults["b"], f"{int(dut.write_address.value):#x}, {faults['b']:#x}"


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def after_a_stop_and_a_reset_all_is_new(dut: Any) -> None:
    """Stop at any time: what is outstanding ends by the rules, nothing else begins, and a reset forgets the rest."""
    harness = Harness(dut, config()["stalls"], 3)
    for _ in range(5):
        await start(dut)
        going = [
            harness.spawn(harness.read(number, [harness.transfer() for _ in range(100)])) for number in harness.numbers
        ]
        going.append(harness.spawn(harness.write(harness.apart(100))))
        await ClockCycles(dut.clk, int(harness.rng.integers(10, 400)))
        dut.stop.value = 1
        await RisingEdge(dut.clk)
        await harness.quiet()
        counts = len(harness.rules.reads), len(harness.rules.writes)
        await ClockCycles(dut.clk, 20)
        assert dut.idle.value, "idle is taken back"
        assert counts == (len(harness.rules.reads), len(harness.rules.writes))
        for task in going:
            assert not task.done(), "there was nothing left to stop"
        harness.renew()
    await start(dut)
    await both(harness, 5, 5)


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def a_slave_that_sleeps_is_waited_for(dut: Any) -> None:
    harness = Harness(dut, 0.0, 4)
    await start(dut)
    work = harness.spawn(both(harness, 10, 10))
    for channel in harness.pausable:
        await ClockCycles(dut.clk, 30)
        channel.pause = True
        await ClockCycles(dut.clk, 3000)
        channel.pause = False
    await work
    assert not dut.read_error.value
    assert not dut.write_error.value


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def a_full_channel_stops_no_other(dut: Any) -> None:
    """Nobody takes what channel 0 reads; the others and the writer go on, and nothing of channel 0 is lost."""
    harness = Harness(dut, config()["stalls"], 5)
    await start(dut)
    whole = [Transfer(1 << 31, 4 * harness.lane * harness.settings["fifo"])] * 2
    await harness.commands[0].send([transfer.address | transfer.size << 32 for transfer in whole])
    others = [harness.spawn(harness.read(number, [harness.transfer()] * 8)) for number in harness.numbers[1:]]
    for task in [*others, harness.spawn(harness.write(harness.apart(8)))]:
        await task
    await harness.quiet()
    await harness.take(0, whole)


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def beats_come_one_per_cycle(dut: Any) -> None:
    """And no gaps between bursts or transfers, in either direction, if FIFOs hold two long bursts."""
    if config()["stalls"] or config()["fifo"] < max(32, 2 * config()["burst"]):
        return
    harness = Harness(dut, 0.0, 6)
    await start(dut)
    beats = 2 * harness.settings["burst"] + 32
    transfers = [Transfer((1 << 31) + number * PAGE * 16, beats * harness.lane) for number in range(4)]
    for direction in (harness.read(0, transfers), harness.write(transfers)):
        reading = direction.__name__ == "read"
        task = harness.spawn(direction)
        channel = "r" if reading else "w"
        begun = harness.rules.beats[channel]
        times: list[int] = []
        for cycle in itertools.count():
            if task.done():
                break
            await RisingEdge(dut.clk)
            if harness.rules.beats[channel] != begun + len(times):
                times.append(cycle)
        took = times[-1] - times[0] + 1
        assert len(times) == 4 * beats
        assert took <= len(times) + 4, f"{channel}: {took} cycles for {len(times)} beats"


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def latencies_are_what_the_docstrings_say(dut: Any) -> None:
    """From a command to ARVALID, from R to the stream, and from the last beat to AWVALID."""
    harness = Harness(dut, 0.0, 7)
    await start(dut)
    seen: dict[str, int] = {}

    async def watch() -> None:
        events = {
            "command": (dut.commands__0__valid, dut.commands__0__ready),
            "ar": (dut.m_axi_arvalid,),
            "r": (dut.m_axi_rvalid, dut.m_axi_rready),
            "output": (dut.outputs__0__valid,),
            "input": (dut.inputs__valid, dut.inputs__ready),
            "aw": (dut.m_axi_awvalid,),
        }
        cycle = 0
        while True:
            await RisingEdge(dut.clk)
            cycle += 1
            for name, signals in events.items():
                if all(int(signal.value) for signal in signals):
                    seen.setdefault(name, cycle)

    harness.spawn(watch())
    await harness.read(0, [Transfer(1 << 31, 3 * harness.lane)])
    await harness.write([Transfer(1 << 20, 1)])
    assert seen["ar"] - seen["command"] == 3
    assert seen["output"] - seen["r"] == 3
    assert seen["aw"] - seen["input"] == 2
