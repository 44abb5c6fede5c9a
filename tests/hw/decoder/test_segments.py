"""Where segments end, against plain integers: counts and lengths of all sizes, the largest segment included."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from roundel.golden.codec import DecoderParams
from roundel.hw.decoder.segments import SegmentCounter


class Plain:
    """The same in plain integers; words left are of no matter where a length was absurd."""

    def __init__(self, words):
        self.words, self.count, self.left, self.first = words, 0, 0, 0

    def seen(self, segment, index, size):
        """What the ports say in a cycle."""
        after = self.count - segment if self.count >= segment else 0
        within = self.left <= size
        return {
            "weights": min(self.count, segment),
            "more": self.count > 0,
            "ending": after == 0,
            "within": within,
            "ends": self.left <= self.words,
            "reaches": self.left >= self.words,
            "end": self.left if within else size,
            "first": self.first,
            "void": self.left == index,
        }


@pytest.mark.parametrize("bus", [32, 64, 128])
def test_segments(bus, seed):
    params, rng = DecoderParams(bus=bus), np.random.default_rng([seed, bus])
    unit, plain = SegmentCounter(params), Plain(bus // 32)
    words = params.words

    async def bench(ctx):
        for turn in range(300):
            segment = 1 << int(rng.integers(6, 17))
            count = int(rng.choice([0, 1, segment - 1, segment, segment + 1, 2 * segment, 3 * segment + 7, 2**32 - 1]))
            length = int(rng.choice([0, 1, 2, words, words + 1, 5 * words - 1, 2**17 - 1, 2**17, 2**31]))
            start = int(rng.integers(words)) if length < 2**17 - 1 else 0
            ctx.set(unit.below, segment - 1)
            for name, word in (("announce", count), ("begin", length)):
                ctx.set(unit.word, word)
                ctx.set(unit.start, start)
                ctx.set(getattr(unit, name), 1)
                ctx.set(unit.complete, turn % 2)  # an announcement goes before
                ctx.set(unit.take, turn % 3 == 0)  # and so does a beginning
                await ctx.tick()
                for port in ("announce", "begin", "complete", "take"):
                    ctx.set(getattr(unit, port), 0)
                if name == "announce":
                    plain.count = count
                elif turn % 2:
                    plain.count = max(0, plain.count - segment)
            plain.left, plain.first = length + start if length < 2**17 else 1 << 60, 1
            for _ in range(5):
                index, size = int(rng.integers(words + 1)), int(rng.integers(words + 1))
                ctx.set(unit.index, index)
                ctx.set(unit.size, size)
                wanted = plain.seen(segment, index, size)
                if not plain.first or index >= words:
                    del wanted["void"]  # only asked for before any are taken
                assert {name: ctx.get(getattr(unit, name)) for name in wanted} == wanted
                take, complete = plain.left >= words and rng.random() < 0.6, rng.random() < 0.5
                ctx.set(unit.take, take)
                ctx.set(unit.complete, complete)
                await ctx.tick()
                ctx.set(unit.take, 0)
                ctx.set(unit.complete, 0)
                if take:
                    plain.left, plain.first = plain.left - words, 0
                if complete:
                    plain.count = max(0, plain.count - segment)

    simulator = Simulator(unit)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
