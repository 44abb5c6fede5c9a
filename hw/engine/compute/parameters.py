"""Takes the parameter streams of a layer's tiles apart: columns' parameters for the array, steps for the feeder."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring

from roundel.golden.engine import STEP_BYTES, EngineParams, column_bytes
from roundel.hw.axi import read_layout
from roundel.hw.engine.dispatch import NUMBER
from roundel.hw.engine.ports import OUTER_ADDRESS, TABLE_ROWS, column_layout, step_layout, table_layout
from roundel.hw.lib import Component, Gearbox, In, Out, Port, SmallFifo, named

AHEAD = 4  # steps, and tiles, that may wait


def tile_stream_layout(*, activation: bool = False, select: bool = False) -> data.StructLayout:
    """Return a tile's parameter stream: its output blocks, and its address in the outer memory.

    For an engine with an activation unit also whether it begins with a table, and whether another tile of the layer
    came before: then it is the same table again. For one whose lanes select also whether steps have selectors.
    """
    flags = {"activation": 1, "repeated": 1} if activation else {}
    flags |= {"wide": 1} if select else {}
    return data.StructLayout({"blocks": 16, "address": OUTER_ADDRESS} | flags)


def expected_layout(*, activation: bool = False, select: bool = False) -> data.StructLayout:
    """Return a parameter stream that is on its way, and the number of its descriptor."""
    return data.StructLayout({"stream": tile_stream_layout(activation=activation, select=select), "number": NUMBER})


class Parameters(Component):
    """Eight bytes a cycle: a column's parameters (half of them, with a requantizer that multiplies), or a step.

    The parameters of a column are offered in the cycle after their (last) beat was taken, a step three cycles after.
    It goes on to the next block, tile and layer as far as what it has found is taken: `AHEAD` steps wait, and one more
    at the output; a column's parameters wait until the array has a place for them. The table of an activation, eight
    bytes a cycle too, waits in a FIFO that holds the whole of it; further tiles' are dropped.

    A stream that ends before the last step of its last block, or behind it, or not at a multiple of eight bytes, sets
    `error`. From there on all that comes is taken and dropped, until a reset.

    Parameters
    ----------
    params
        See `roundel.golden.engine.params.EngineParams`.
    """

    def __init__(self, params: EngineParams):
        self.params, self.activation = params, params.activation is not None
        table = dict[str, Port]()
        if self.activation:
            table["table"] = Out(
                stream.Signature(table_layout(params)), "The tables of layers, in rows of eight bytes."
            )
        super().__init__(
            tiles=In(
                stream.Signature(expected_layout(activation=self.activation, select=params.select)),
                "A parameter stream for each transfer.",
            ),
            inputs=In(
                stream.Signature(read_layout(params.bus)), "The transfers, one a tile, `last` at the end of each."
            ),
            columns=Out(stream.Signature(column_layout(params)), "Parameters of the columns, column 0 first."),
            steps=Out(stream.Signature(step_layout(params)), "Steps for the feeder, each with its selector behind it."),
            **table,
            error=Out(1, "A stream was wrong; held."),
            error_address=Out(OUTER_ADDRESS, "Address in the outer memory at which that stream begins."),
            error_number=Out(NUMBER, "Number of that stream's descriptor."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.gearbox = gearbox = Gearbox(source=self.params.bus_bytes, target=STEP_BYTES)
        m.submodules.tile_fifo = tiles = SmallFifo(self.tiles.p.shape(), depth=AHEAD)
        m.submodules.step_fifo = steps = SmallFifo(step_layout(self.params), depth=AHEAD)
        wiring.connect(m, wiring.flipped(self.inputs), gearbox.inputs)
        wiring.connect(m, wiring.flipped(self.tiles), tiles.inputs)
        wiring.connect(m, steps.outputs, wiring.flipped(self.steps))
        word, tile = gearbox.outputs, tiles.outputs

        in_steps, ends = Signal(), Signal()  # this word is a step; it is the last of its tile
        step = data.View(step_layout(self.params), word.p.data)
        last = self._last(m, tile.p.stream, in_steps, step.last, word.valid & word.ready)
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
        column, of_column, slopes = good & ~in_steps, taken, None
        if self.activation:
            slopes = tile.p.stream.activation
            in_table, table_ready = self._table(m, tile.p.stream, word.p.data, good, tile.ready)
            column, of_column = column & ~in_table, of_column & ~in_table
        column_ready = self._columns(m, word.p.data, column, in_steps, of_column, slopes)
        if self.activation:
            column_ready = Mux(in_table, table_ready, column_ready)
        m.d.comb += word.ready.eq(self.error | tile.valid & (bad | Mux(in_steps, steps.inputs.ready, column_ready)))
        self._blocks(m, ends, tile.p.stream.blocks, in_steps, last, taken)
        return m

    def _last(self, m: Module, tile: data.View, in_steps: Value, last: Value, taken: Value) -> Value:
        """Whether this word is the last of its output block: a step, or the selector behind it in a wide one."""
        if not self.params.select:
            return last
        behind, held = Signal(name="selector_next"), Signal(name="step_last", reset_less=True)
        with m.If(taken & in_steps):
            m.d.sync += [behind.eq(tile.wide & ~behind), held.eq(last)]
        return named(m, Mux(tile.wide, behind & held, last), "last")

    def _table(self, m: Module, tile: data.View, word: Value, good: Value, over: Value) -> tuple[Value, Value]:
        """Keep the rows of a table; `over`: the tile ends. Whether this word is a row, and whether it can go."""
        layout = self.table.p.shape()
        m.submodules.table_fifo = rows = SmallFifo(layout, depth=1 << (TABLE_ROWS - 1).bit_length())
        wiring.connect(m, rows.outputs, wiring.flipped(self.table))
        row = Signal(range(TABLE_ROWS + 1))
        in_table = named(m, tile.activation & (row != TABLE_ROWS), "in_table")
        entries = zip(layout.members, range(0, len(word), 16), strict=True)
        m.d.comb += [rows.inputs.p[name].eq(word[start:]) for name, start in entries]
        m.d.comb += rows.inputs.valid.eq(good & in_table & ~tile.repeated)
        ready = rows.inputs.ready | tile.repeated
        with m.If(over):
            m.d.sync += row.eq(0)
        with m.Elif(good & in_table & ready):
            m.d.sync += row.eq(row + 1)
        return in_table, ready

    def _columns(
        self, m: Module, word: Value, valid: Value, in_steps: Signal, taken: Value, slopes: Value | None
    ) -> Value:
        """Gather a column's words and offer it; after all columns of a block come its steps. Whether a word can go.

        With `slopes` a column's slope comes in the place of its `residual_shift`.
        """
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
        shift = head[40:48] if slopes is None else Mux(slopes, fields["zero_point"], head[40:48])
        m.d.comb += [
            self.columns.valid.eq(valid & last_half),
            column.bias.eq(head[:32]),
            column.residual_shift.eq(shift),
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
