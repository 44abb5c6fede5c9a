"""Drivers and monitors for valid/ready streams, with random stalls; shared by all benches.

A payload is one packed integer, see `roundel.sim.stimuli.payload`.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
from cocotb.triggers import RisingEdge


def stall_pattern(rng: np.random.Generator, probability: float) -> Iterable[bool]:
    """Yield for each cycle, without end, whether a stream stalls; stalls come in bursts.

    Parameters
    ----------
    rng
        Draws the bursts.
    probability
        Part of all cycles that stall, 0 for none.
    """
    while True:
        if probability <= 0:
            yield False
            continue
        # Bursts of changing density find more than independent draws do.
        density = rng.choice([0.0, probability, min(1.0, 2 * probability)])
        yield from (bool(stall) for stall in rng.random(16) < density)


class StreamSource:
    """Drives the words of a stream; `valid` stays up with its payload until taken."""

    def __init__(self, dut: Any, name: str, stalls: Iterable[bool]):
        self.clock = dut.clk
        self.valid, self.ready = getattr(dut, f"{name}__valid"), getattr(dut, f"{name}__ready")
        self.payload = getattr(dut, f"{name}__payload")
        self.stalls = iter(stalls)
        self.valid.value = 0

    async def send(self, words: Iterable[int]) -> None:
        """Send `words` in order; returns after the edge that takes the last one."""
        edge = RisingEdge(self.clock)
        for word in words:
            while next(self.stalls):
                self.valid.value = 0
                await edge
            self.valid.value = 1
            self.payload.value = word
            await edge
            while not self.ready.value:
                await edge
        self.valid.value = 0


class StreamSink:
    """Takes the words of a stream and checks its contract: `valid` holds with its payload until taken."""

    def __init__(self, dut: Any, name: str, stalls: Iterable[bool]):
        self.clock = dut.clk
        self.valid, self.ready = getattr(dut, f"{name}__valid"), getattr(dut, f"{name}__ready")
        self.payload = getattr(dut, f"{name}__payload")
        self.stalls = iter(stalls)
        self.cycles = 0
        self.ready.value = 0

    async def receive(self, count: int, timeout: int = 10_000) -> list[int]:
        """Take `count` words; `cycles` counts the clock edges it took.

        Raises
        ------
        AssertionError
            Nothing came for `timeout` cycles although ready, or the source broke the contract.
        """
        edge = RisingEdge(self.clock)
        words: list[int] = []
        held: int | None = None
        idle = 0
        while len(words) < count:
            ready = not next(self.stalls)
            self.ready.value = ready
            await edge
            self.cycles += 1
            if self.valid.value:
                word = int(self.payload.value)
                assert held is None or word == held, "payload changed while valid waited for ready"
                held = None if ready else word
                if ready:
                    words.append(word)
                idle = 0
            else:
                assert held is None, "valid dropped before its payload was taken"
                idle += 1
                assert idle < timeout, f"stream dried up after {len(words)} of {count} words"
        self.ready.value = 0
        return words

    async def expect_silence(self, cycles: int) -> None:
        """Check that nothing more comes for `cycles` cycles."""
        for _ in range(cycles):
            self.ready.value = 1
            await RisingEdge(self.clock)
            assert not self.valid.value, "more words came than were expected"
        self.ready.value = 0
