"""One symbol read from a window of bits, against the plain decoder's reading of docs/codecs.md."""

import struct

import numpy as np
import pytest
from amaranth.hdl import Module, Signal
from amaranth.sim import Simulator

from roundel.hw.decoder.rice_symbol import RiceSymbol, ones_below, trailing_ones
from tests.support.codec_reference import Bits, Words, unary

ROWS = 5000


def expected(window, header, left, width):
    """Zeros, whether a level follows, its number, whether the symbol is wrong, bits of the run and of the level."""
    bits = Bits(Words(struct.pack("<2I", window, 0)))
    ones = unary(bits, 8)
    zeros = ones << header["run_bits"]
    zeros += bits.take(header["run_bits"]) if ones < 8 else 0
    run_length, number, coded = bits.bit, 0, ones < 8 and zeros != left
    if coded:
        ones = unary(bits, header["level_limit"])
        ended = ones < header["level_limit"]
        number = (ones << header["level_bits"]) + bits.take(header["level_bits" if ended else "level_extra"])
    wrong = zeros > left or number >= 1 << width
    return zeros, coded, number % (1 << width), wrong, run_length, bits.bit - run_length


@pytest.mark.parametrize("width", [4, 8])
def test_symbols(width, seed):
    rng = np.random.default_rng([seed, width])
    unit = RiceSymbol(width=width, rows=ROWS)
    names = ("zeros", "coded", "rank", "wrong", "run_length", "level_length")
    kinds = set()

    async def bench(ctx):
        for _ in range(600):
            header = {
                "run_bits": int(rng.integers(10)),
                "level_bits": int(rng.integers(9)),
                "level_limit": int(rng.integers(8)),
                "level_extra": int(rng.integers(9)),
            }
            first, second = (int(word) for word in rng.integers(1 << 32, size=2))
            window = (first, first | second, first | (1 << int(rng.integers(33))) - 1)[rng.integers(3)]
            zeros, *_ = expected(window, header, ROWS, width)
            left = min(ROWS, max(0, (zeros + int(rng.integers(-1, 2)), int(rng.integers(ROWS)))[rng.integers(2)]))
            for name, value in header.items():
                ctx.set(unit.header[name], value)
            ctx.set(unit.window, window)
            ctx.set(unit.left, left)
            wanted = expected(window, header, left, width)
            kinds.add((wanted[1], wanted[3]))
            seen = tuple(ctx.get(getattr(unit, name)) for name in names)
            if not wanted[1]:  # the number of no level
                seen, wanted = (*seen[:2], 0, *seen[3:]), (*wanted[:2], 0, *wanted[3:])
            assert seen == wanted, (window, header, left)

    simulator = Simulator(unit)
    simulator.add_testbench(bench)
    simulator.run()
    assert len(kinds) == 4


def test_counts_and_masks_of_ones():
    bits, count = Signal(7), Signal(4)
    m = Module()
    ones, mask = Signal(3), Signal(9)
    m.d.comb += [ones.eq(trailing_ones(bits)), mask.eq(ones_below(count, 9))]

    async def bench(ctx):
        for value in range(128):
            ctx.set(bits, value)
            assert ctx.get(ones) == len(f"{value:07b}") - len(f"{value:07b}".rstrip("1"))
        for value in range(10):
            ctx.set(count, value)
            assert ctx.get(mask) == (1 << value) - 1

    simulator = Simulator(m)
    simulator.add_testbench(bench)
    simulator.run()
