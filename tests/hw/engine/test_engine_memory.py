"""The activation memory against an array of bytes, all its ports busy at once."""

import numpy as np
import pytest
from amaranth.hdl import ResetInserter, Signal
from amaranth.sim import Simulator

from roundel.golden.engine import EngineParams
from roundel.hw.engine.memory import ActivationMemory

READERS = ("feed", "residual", "boxes", "store")  # in the order of who goes first
WRITERS = ("target", "load")


def words_of(params, port, address):
    """The words that a request touches."""
    if port != "feed":
        return [address]
    first = address // params.lanes
    return [first] if address % params.lanes == 0 else [first, (first + 1) % params.words]


def winners(params, asked, order, late=()):
    """Which ports get what they ask for, banks given away in that order; `boxes` waits for `residual`.

    The feeder gets all; only banks that it was `late` for go before the others.
    """
    taken, found = set(late), set()
    for port in order:
        if port in asked and port == "feed":
            found.add(port)
        elif port in asked:
            banks = {word % params.banks for word in words_of(params, port, asked[port][0])}
            free = not banks & taken and not (port == "boxes" and "residual" in asked)
            found |= {port} if free else set()
            taken |= banks if not (port == "boxes" and "residual" in asked) else set()
    return found


class Traffic:
    """Random requests on every port, held until they are taken, and what must come of them."""

    def __init__(self, params, rng):
        self.params, self.rng = params, rng
        self.content = rng.integers(0, 256, params.memory, dtype=np.uint8)
        self.asked = {}  # port: (address, data)
        # Of the feeder: whether it reads on, and from where; bytes by word that it holds; slots of the request before,
        # banks that it reads in this cycle, and words that it may read in it, which nobody may write.
        self.near, self.fed, self.held, self.slots, self.late, self.reads = 0, None, {}, set(), set(), set()
        self.rates = dict(zip((*READERS, *WRITERS), rng.choice([0.3, 0.7, 1.0], 6), strict=True))

    def fresh(self):
        """Ask on ports that are free, never for a word that is being written or waits to be."""
        params, rng = self.params, self.rng
        for port in (*WRITERS, *READERS):
            if port in self.asked or rng.random() > self.rates[port]:
                continue
            address = int(rng.integers(params.memory if port == "feed" else params.words))
            if port == "feed":
                near = self.fed is not None and bool(rng.random() < 0.8)
                address = (self.fed + int(rng.integers(2 * params.lanes))) % params.memory if near else address
            writing = {self.asked[other][0] for other in WRITERS if other in self.asked}
            reading = {word for other in READERS if other in self.asked for word in self.words(other)}
            reading |= self.reads
            if set(words_of(params, port, address)) & (writing | (reading if port in WRITERS else set())):
                continue
            if port == "feed":
                self.near = near
                self.held = self.held if near else {}
            self.asked[port] = (address, rng.integers(0, 256, params.lanes, dtype=np.uint8))

    def words(self, port):
        """What the waiting request of a port touches."""
        return words_of(self.params, port, self.asked[port][0])

    def take(self, port):
        """Finish the request of a port: bytes read, or None."""
        address, data = self.asked.pop(port)
        start = address if port == "feed" else address * self.params.lanes
        places = (start + np.arange(self.params.lanes)) % self.params.memory
        if port in WRITERS:
            self.content[places] = data
            return None
        if port == "feed":
            return self.feed(address)
        return int.from_bytes(self.content[places].tobytes(), "little")

    def feed(self, address):
        """Bytes of a feeder's request: of words that it holds, those that they had when it read them."""
        words, lanes = words_of(self.params, "feed", address), self.params.lanes
        read = {word: self.held.get(word, self.content[word * lanes :][:lanes].tobytes()) for word in words}
        both = [word for word in (words[0], (words[0] + 1) % self.params.words) if word in read or word in self.held]
        self.held, self.fed = {word: read.get(word) or self.held[word] for word in both}, address
        return int.from_bytes(b"".join(read.values())[address % lanes :][:lanes], "little")

    def defer(self):
        """What the feeder reads a cycle later, as others want those banks, or the request before needs the slots."""
        banks, slots = self.params.banks, min(4, self.params.banks)
        others = {self.asked[port][0] % banks for port in READERS[1:] if port in self.asked} | self.late
        if "residual" in self.asked and "boxes" in self.asked:
            ignored = self.asked["boxes"][0] % banks
            rest = {self.asked[port][0] % banks for port in ("residual", "store") if port in self.asked} | self.late
            others -= {ignored} - rest
        words = words_of(self.params, "feed", self.asked["feed"][0]) if "feed" in self.asked else []
        self.late = {
            word % banks
            for word in words
            if word not in self.held and (word % banks in others or word % slots in self.slots)
        }
        self.slots, self.reads = {word % slots for word in words}, set(words)


def fill(ctx, unit, content, lanes):
    """Write everything, a word a cycle."""
    for address in range(len(content) // lanes):
        value = int.from_bytes(content[address * lanes :][:lanes].tobytes(), "little")
        ctx.set(unit.target.request.payload, {"address": address, "data": value})
        ctx.set(unit.target.request.valid, 1)
        yield
    ctx.set(unit.target.request.valid, 0)


@pytest.mark.parametrize(("lanes", "banks"), [(4, 2), (8, 4), (16, 8), (32, 4)])
def test_all_ports_at_once(lanes, banks, seed):
    params = EngineParams(lanes=lanes, columns=lanes, banks=banks, memory=1024)
    unit, rng = ActivationMemory(params), np.random.default_rng(seed)
    latency = dict.fromkeys(READERS, unit.READ_LATENCY) | {"feed": unit.FEED_LATENCY}
    traffic, waited = Traffic(params, rng), dict.fromkeys((*READERS, *WRITERS), 0)
    expected = {port: {} for port in READERS}  # cycle: bytes

    async def bench(ctx):
        for _ in fill(ctx, unit, traffic.content, lanes):
            await ctx.tick()
        for cycle in range(1500):
            traffic.fresh()
            for port in (*READERS, *WRITERS):
                request = getattr(unit, port).request
                ctx.set(request.valid, port in traffic.asked)
                if port in READERS and port in traffic.asked:
                    address = traffic.asked[port][0]
                    near = {"address": address, "near": traffic.near}
                    ctx.set(request.payload, near if port == "feed" else address)
                elif port in traffic.asked:
                    address, data = traffic.asked[port]
                    ctx.set(request.payload, {"address": address, "data": int.from_bytes(data.tobytes(), "little")})
            went = winners(params, traffic.asked, READERS, traffic.late) | winners(params, traffic.asked, WRITERS)
            for port in list(traffic.asked):
                assert ctx.get(getattr(unit, port).request.ready) == (port in went), (cycle, port)
                waited[port] += port not in went
            traffic.defer()
            for port in went & set(READERS):
                expected[port][cycle + latency[port]] = traffic.take(port)
            for port in went & set(WRITERS):
                traffic.take(port)
            for port in READERS:
                due = expected[port].get(cycle)
                assert ctx.get(getattr(unit, port).valid) == (due is not None), (cycle, port)
                assert due is None or ctx.get(getattr(unit, port).data) == due, (cycle, port)
            await ctx.tick()

    simulator = Simulator(unit)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert all(len(found) > 100 for found in expected.values())
    assert (
        waited["feed"] == waited["target"] == 0 < min(waited[port] for port in ("residual", "boxes", "store", "load"))
    )


def test_a_reset_forgets_what_is_on_its_way():
    params = EngineParams(memory=1024)
    unit = ActivationMemory(params)
    reset = Signal()

    async def bench(ctx):
        for port in READERS:
            ctx.set(getattr(unit, port).request.valid, 1)
        await ctx.tick().repeat(unit.FEED_LATENCY)
        assert ctx.get(unit.feed.valid)
        ctx.set(reset, 1)
        await ctx.tick()
        ctx.set(reset, 0)
        for port in READERS:
            ctx.set(getattr(unit, port).request.valid, 0)
        for _ in range(unit.FEED_LATENCY + 1):
            assert not any(ctx.get(getattr(unit, port).valid) for port in READERS)
            await ctx.tick()

    simulator = Simulator(ResetInserter(reset)(unit))
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
