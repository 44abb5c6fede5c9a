"""Takes the parameter streams of a layer's tiles apart: columns' parameters for the array, steps for the feeder."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring

from roundel.golden.engine import STEP_BYTES, EngineParams, column_bytes
from roundel.hw.axi import read_layout
from roundel.hw.engine.dispatch import NUMBER
from roundel.hw.engine.ports import OUTER_ADDRESS, column_layout, step_layout
from roundel.hw.lib import Component, Gearbox, In, Out, SmallFifo

AHEAD = 4  # steps, and tiles, that may wait


def tile_stream_layout() -> data.StructLayout:
    """Return a tile's parameter stream: its output blocks, and its address in the outer memory."""
    return data.StructLayout({"blocks": 16, "address": OUTER_ADDRESS})


def expected_layout() -> data.StructLayout:
    """Return a parameter stream that is on its way, and the number of its descriptor."""
    return data.StructLayout({"stream": tile_stream_layout(), "number": NUMBER})


class Parameters(Component):
    """Eight bytes a cycle: a column's parameters (half of them, with a requantizer that multiplies), or a step.

    The parameters of a column are offered in the cycle after their (last) beat was taken, a step three cycles after.
    It goes on to the next block, tile and layer as far as what it has found is taken: `AHEAD` steps wait, and one more
    at the output; a column's parameters wait until the array has a place for them.

    A stream that ends before the last step of its last block, or behind it, or not at a multiple of eight bytes, sets
    `error`. From there on all that comes is taken and dropped, until a reset.

    Parameters
    ----------
    params
        See `roundel.golden.engine.params.EngineParams`.
    """

    def __init__(self, params: EngineParams):
        self.params = params
        super().__init__(
            tiles=In(stream.Signature(expected_layout()), "A parameter stream for each transfer."),
            inputs=In(
                stream.Signature(read_layout(params.bus)), "The transfers, one a tile, `last` at the end of each."
            ),
            columns=Out(stream.Signature(column_layout(params)), "Parameters of the columns, column 0 first."),
            steps=Out(stream.Signature(step_layout()), "Steps for the feeder."),
            error=Out(1, "A stream was wrong; held."),
            error_address=Out(OUTER_ADDRESS, "Address in the outer memory at which that stream begins."),
            error_number=Out(NUMBER, "Number of that stream's descriptor."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.gearbox = gearbox = Gearbox(source=self.params.bus_bytes, target=STEP_BYTES)
        m.submodules.tile_fifo = tiles = SmallFifo(expected_layout(), depth=AHEAD)
        m.submodules.step_fifo = steps = SmallFifo(step_layout(), depth=AHEAD)
        wiring.connect(m, wiring.flipped(self.inputs), gearbox.inputs)
        wiring.connect(m, wiring.flipped(self.tiles), tiles.inputs)
        wiring.connect(m, steps.outputs, wiring.flipped(self.steps))
        word, tile = gearbox.outputs, tiles.outputs

        in_steps, ends = Signal(), Signal()  # this word is a step; it is the last of its tile
        step = data.View(step_layout(), word.p.data)
        good, bad, taken = Signal(), Signal(), Signal()
        m.d.comb += [
            bad.eq(~word.p.keep.all() | (word.p.last != ends)),
            good.eq(word.valid & tile.valid & ~bad & ~self.error),
            taken.eq(word.valid & word.ready),
            steps.inputs.valid.eq(good & in_steps),
            steps.inputs.p.eq(step),
            tile.ready.eq(good & ends & taken),
            self.error_address.eq(tile.p.stream.address),
            self.error_number.eq(tile.p.number),
        ]
        with m.If(word.valid & tile.valid & bad):
            m.d.sync += self.error.eq(1)
        column_ready = self._columns(m, word.p.data, good & ~in_steps, in_steps, taken)
        m.d.comb += word.ready.eq(self.error | tile.valid & (bad | Mux(in_steps, steps.inputs.ready, column_ready)))
        self._blocks(m, ends, tile.p.stream.blocks, in_steps, step.last, taken)
        return m

    def _columns(self, m: Module, word: Value, valid: Value, in_steps: Signal, taken: Value) -> Value:
        """Gather a column's words and offer it; after all columns of a block come its steps. Whether a word can go."""
        halves = column_bytes(self.params) // STEP_BYTES
        head, last_half = word, Signal(init=halves == 1)
        index = Signal(range(self.params.columns))
        if halves == 2:
            head = Signal.like(word, name="head", reset_less=True)
            with m.If(taken & ~in_steps):
                m.d.sync += last_half.eq(~last_half)
                with m.If(~last_half):
                    m.d.sync += head.eq(word)
        column = self.columns.p
        fields = {"shift": head[32:40], "zero_point": head[48:64], "multiplier": word[:32], "scale": word[:32]}
        m.d.comb += [
            self.columns.valid.eq(valid & last_half),
            column.bias.eq(head[:32]),
            column.residual_shift.eq(head[40:48]),
        ]
        m.d.comb += [column.runtime[name].eq(fields[name]) for name in column.runtime.shape().members]
        with m.If(taken & ~in_steps & last_half):
            m.d.sync += [index.eq(index + 1), in_steps.eq(index == self.params.columns - 1)]
        return self.columns.ready | ~last_half

    def _blocks(self, m: Module, ends: Signal, blocks: Value, in_steps: Signal, last: Value, taken: Value) -> None:
        """Count the output blocks of a tile."""
        number, last_block = Signal(16, init=1), Signal()
        m.d.sync += last_block.eq(number == blocks)  # a cycle late: a tile and a block begin with columns, not steps
        m.d.comb += ends.eq(in_steps & last & last_block)
        with m.If(taken & in_steps & last):
            m.d.sync += [number.eq(Mux(ends, 1, number + 1)), in_steps.eq(0)]
