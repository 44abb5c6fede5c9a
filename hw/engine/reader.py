"""Reads words of the activation memory ahead of whoever takes them."""

from typing import Any

from amaranth.hdl import Cat, Module, ShapeLike, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFO

from roundel.golden.engine import EngineParams
from roundel.hw.engine.memory import ActivationMemory
from roundel.hw.engine.ports import read_port, word, word_address
from roundel.hw.lib import Component, In, Out, StreamRegister, delay


def tagged(shape: ShapeLike) -> data.StructLayout:
    """Something with a mark that travels beside it."""
    return data.StructLayout({"value": shape, "mark": 1})


class WordReader(Component):
    """Asks for a word only when its FIFO has room for it: a word a cycle as long as the memory is free.

    What it knows of that room is two cycles old, so that it keeps so many places free; and a register keeps the
    memory's choice out of the way of the addresses.

    A word is offered `LATENCY` cycles after its address was taken.

    Parameters
    ----------
    params
        The engine.
    """

    DEPTH = 16  # words asked for or waiting; from 9 on nothing is lost, the others bridge cycles without the memory
    LATENCY = StreamRegister.LATENCY + ActivationMemory.READ_LATENCY + 1

    def __init__(self, params: EngineParams):
        self.params = params
        super().__init__(
            addresses=In(stream.Signature(tagged(word_address(params))), "Addresses of words, each with a mark."),
            memory=Out(read_port(params), "Reads words of the activation memory."),
            words=Out(stream.Signature(tagged(word(params))), "The words, with the marks of their addresses."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.fifo = fifo = SyncFIFO(width=len(self.words.payload.as_value()), depth=self.DEPTH)
        m.submodules.register = register = StreamRegister(self.addresses.payload.shape())
        wiring.connect(m, wiring.flipped(self.addresses), register.inputs)
        request, addresses, words = self.memory.request, register.outputs, self.words
        room, asked, is_open = Signal(range(self.DEPTH + 1), init=self.DEPTH), Signal(), Signal()
        m.d.sync += [
            asked.eq(request.valid & request.ready),
            room.eq(room - asked + (words.valid & words.ready)),
            is_open.eq(room > 2),  # of one cycle ago, not counting what was asked for in it and in the one before
        ]
        m.d.comb += [
            request.valid.eq(addresses.valid & is_open),
            request.payload.eq(addresses.p.value),
            addresses.ready.eq(request.ready & is_open),
            fifo.w_en.eq(self.memory.valid),
            fifo.w_data.eq(Cat(self.memory.data, delay(m, addresses.p.mark, ActivationMemory.READ_LATENCY, "mark"))),
            words.valid.eq(fifo.r_rdy),
            words.payload.eq(fifo.r_data),
            fifo.r_en.eq(words.ready),
        ]
        return m
