"""Watches the ports of an AXI4 master: the rules of the protocol, and the promises that `hw.axi_*` make beyond them."""

from collections import deque
from typing import Any

from cocotb.triggers import RisingEdge

PAGE = 4096
INCR = 1
OKAY = 0


class AxiRules:
    """Checks each cycle; `failures` are raised where `watch` runs.

    Checked are: `valid` holds with its payload until taken, on all five channels; bursts are INCR of whole beats, at
    most `burst` of them, aligned, within 4 KiB, at most `outstanding` in each direction; WLAST with the last beat and
    only there, no W before its AW, none missing once AW is up; no answer without a question; RREADY and BREADY always
    up while an answer is due; after `stop` no new burst.

    Parameters
    ----------
    dut
        With ports `m_axi_*`, and `stop`.
    burst, outstanding
        Of the masters.

    Attributes
    ----------
    reads, writes
        Addresses and beats of all bursts so far, in their order.
    faults
        First read beat and first written burst that were answered with an error, as their addresses, under "r" and "b".
    beats
        How many beats were transferred on R and on W.
    """

    def __init__(self, dut: Any, *, burst: int, outstanding: int):
        self.dut, self.burst, self.outstanding = dut, burst, outstanding
        self.lane = len(dut.m_axi_rdata) // 8
        self.reads: list[tuple[int, int]] = []
        self.writes: list[tuple[int, int]] = []
        self.faults: dict[str, int] = {}
        self.beats = {"r": 0, "w": 0}
        self._held: dict[str, tuple[int, ...]] = {}
        self._stopped = False
        self._due: deque[list[int]] = deque()  # read bursts: address and beats still to come
        self._open: deque[list[int]] = deque()  # written bursts whose AW is up: address, beats still to send
        self._sent: deque[int] = deque()  # addresses of written bursts without their answer
        address = ("addr", "len", "size", "burst", "cache", "prot", "id")
        payloads = {"ar": address, "aw": address, "w": ("data", "strb", "last"), "b": ("resp", "id")}
        payloads["r"] = ("data", "resp", "last", "id")
        port = {
            name: getattr(dut, f"m_axi_{name}") for name in (f"{c}{s}" for c in payloads for s in ("valid", "ready"))
        }
        self._ports = {
            channel: (
                port[f"{channel}valid"],
                port[f"{channel}ready"],
                [getattr(dut, f"m_axi_{channel}{name}") for name in names],
            )
            for channel, names in payloads.items()
        }

    @property
    def owed(self) -> int:
        """Bursts that are not answered to their end."""
        return len(self._due) + len(self._open) + len(self._sent)

    async def watch(self) -> None:
        while True:
            await RisingEdge(self.dut.clk)
            if self.dut.rst.value:
                for forgotten in (self._held, self._due, self._open, self._sent):
                    forgotten.clear()
                self._stopped = False
                continue
            taken = {channel: self._handshake(channel) for channel in ("ar", "aw", "w", "r", "b")}
            self._reading(taken)
            self._writing(taken)
            self._stopped = bool(self.dut.stop.value)

    def _handshake(self, channel: str) -> tuple[int, ...] | None:
        """The payload, if it is taken at this edge."""
        valid, ready, parts = self._ports[channel]
        held = self._held.pop(channel, None)
        if not valid.value:
            assert held is None, f"{channel}valid dropped before it was taken"
            return None
        payload = tuple(int(part.value) for part in parts)
        assert held is None or held == payload, f"{channel} changed while it waited"
        fresh = held is None and channel in ("ar", "aw")
        assert not (fresh and self._stopped), f"{channel} began after stop"
        if fresh and channel == "aw":
            self._open.append([payload[0], payload[1] + 1])
        if not ready.value:
            self._held[channel] = payload
            return None
        return payload

    def _address(self, payload: tuple[int, ...]) -> tuple[int, int]:
        address, length, size, kind = payload[:4]
        beats = length + 1
        assert kind == INCR, f"burst type {kind}"
        assert 1 << size == self.lane, f"beats of {1 << size} bytes"
        assert address % self.lane == 0, f"{address:#x} is not aligned"
        assert beats <= self.burst, f"{beats} beats"
        assert address // PAGE == (address + beats * self.lane - 1) // PAGE, f"{beats} beats from {address:#x}"
        return address, beats

    def _reading(self, taken: dict[str, tuple[int, ...] | None]) -> None:
        if taken["r"] is not None:
            assert self._due, "R without a burst"
            address, beats = self._due[0]
            _, response, last, _ = taken["r"]
            self.beats["r"] += 1
            if response != OKAY:
                self.faults.setdefault("r", address)
            assert last == (beats == 1), "RLAST"
            self._due[0] = [address + self.lane, beats - 1]
            if beats == 1:
                self._due.popleft()
        elif self._due:
            assert "r" not in self._held, "RREADY is low"
        if taken["ar"] is not None:
            self.reads.append(self._address(taken["ar"]))
            self._due.append(list(self.reads[-1]))
            assert len(self._due) <= self.outstanding, "too many reads"

    def _writing(self, taken: dict[str, tuple[int, ...] | None]) -> None:
        if taken["aw"] is not None:
            self.writes.append(self._address(taken["aw"]))
        if self._open:
            assert self._ports["w"][0].value, "WVALID is low although AW went out"
        if taken["w"] is not None:
            assert self._open, "W before AW"
            self.beats["w"] += 1
            self._open[0][1] -= 1
            assert taken["w"][2] == (self._open[0][1] == 0), "WLAST"
            if self._open[0][1] == 0:
                self._sent.append(self._open.popleft()[0])
        if taken["b"] is not None:
            assert self._sent, "B without a burst"
            address = self._sent.popleft()
            if taken["b"][0] != OKAY:
                self.faults.setdefault("b", address)
        assert "b" not in self._held, "BREADY is low"
        assert len(self._open) + len(self._sent) <= self.outstanding, "too many writes"
