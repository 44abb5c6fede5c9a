"""The engine's array: beats of activations meet held weights, are summed up, and leave as words of the memory."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream

from roundel.golden.engine import EngineParams
from roundel.hw.decoder import weights_layout
from roundel.hw.engine.compute.column import EngineColumn, control_layout, holds_operand, in_order
from roundel.hw.engine.ports import beat_layout, column_layout, layer_layout, result_layout, scale_layout, word
from roundel.hw.lib import BlockLoader, Component, In, Out, Port, TwoPortMemory, named

STEERING = ("position", "first", "last", "swap_params")  # what goes along with the numbers of a beat

WAY = 2  # stages from where a sum is read to where it is written


def activity_layout() -> data.StructLayout:
    """Return what the array does in a cycle: it multiplies, or lets a beat wait for one of the others."""
    return data.StructLayout(dict.fromkeys(("computing", "results", "weights", "parameters", "residual"), 1))


class EngineArray(Component):
    """`columns` sums of `lanes` products, a memory of partial sums, and requantizers. One beat per cycle.

    As in `roundel.hw.mac.array.MacArray`, a beat goes to all columns; a position starts with `first`, comes once with
    every step, and leaves with `last`, `latency` cycles after that beat was taken. The next block of
    weights and the next columns' parameters load in the background, a beat a column, column 0 first. The beat that says
    `swap` (`swap_params`) waits for them and is the first to use them: without a bubble if `columns` beats (for
    parameters `columns + dot_stages + 1`) passed since the last swap. The very first beat swaps both.

    Everything that a beat needs it waits for at the entrance, its residual too. The pipeline behind stands while a
    result waits in `results` and another one behind it.

    With an activation unit results are words of `result_layout`, a byte in the lower bits of each, else in those of
    the unit. There a layer with `activation` keeps the slopes of an output block in `slopes` until `slopes_taken`: the
    first beat of the next block waits for that.

    Parameters
    ----------
    params
        See `roundel.golden.engine.params.EngineParams`.

    Attributes
    ----------
    latency
        Cycles from a `last` beat to its result.
    """

    def __init__(self, params: EngineParams):
        self.params = params
        self.parts = [EngineColumn(params) for _ in range(params.columns)]
        self.dot_stages, self.requant_stages = self.parts[0].dot.latency, self.parts[0].requant.latency
        self.latency = 2 + self.dot_stages + self.requant_stages
        results, slopes = word(params), dict[str, Port]()
        if params.activation is not None:
            results = result_layout(params)
            slopes["slopes"] = Out(
                params.activation.slope_width * params.columns,
                "Slopes of the output block whose results come next; there with the first of them at the latest.",
            )
            slopes["slopes_taken"] = In(1, "`slopes` may change from the next cycle on.")
        super().__init__(
            beats=In(stream.Signature(beat_layout(params)), "Beats of activations, from the feeder."),
            weights=In(
                stream.Signature(weights_layout(params.decoder)),
                "Blocks of weights, one column a beat; `last` with the last column of a tile's last block.",
            ),
            columns=In(stream.Signature(column_layout(params)), "Parameters of the columns, column 0 first."),
            residuals=In(
                stream.Signature(word(params)),
                "Signed bytes, a word for every `last` beat of a layer with `has_residual`, in their order.",
            ),
            layer=In(
                layer_layout(params), "The layer; it stands still from the first beat of a layer to its last result."
            ),
            results=Out(stream.Signature(results), "A word for every `last` beat."),
            **slopes,
            activity=Out(activity_layout(), "State of this cycle; at most one bit is set."),
            weights_error=Out(1, "A `last` of the weights is not where the beats' `final` says. Held until reset."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        advance, claimed = Signal(), Signal()
        m.submodules.weights_loader = weights = BlockLoader(self.params.columns)
        m.submodules.columns_loader = columns = BlockLoader(self.params.columns)
        for loader, source in ((weights, self.weights), (columns, self.columns)):
            m.d.comb += [loader.valid.eq(source.valid), source.ready.eq(loader.ready)]
        stages = self._pipeline(m, advance)
        self._accept(m, advance & ~self._unwritten(stages), weights.full, columns.full & ~claimed)
        arriving, leaving = stages[0], stages[-1]
        multiplying, (adding, *finishing) = stages[1 : 1 + self.dot_stages], stages[1 + self.dot_stages : -1]
        reading, starting = stages[self.dot_stages - 1], multiplying[-1]

        control = Signal(control_layout(self.params, self.dot_stages, self.requant_stages))
        m.d.comb += [
            control.operand.eq(arriving.valid),
            control.swap_weights.eq(arriving.valid & self.beats.p.swap),
            control.dot.eq(Cat(advance & stage.valid for stage in multiplying)),
            control.swap_bias.eq(advance & reading.valid & reading.swap_params),
            control.swap_runtime.eq(advance & adding.valid & adding.swap_params),
            control.total.eq(advance & adding.valid),
            control.first.eq(starting.first),
            *(control[name].eq(starting[name]) for name in scale_layout(self.params)),
            control.requant.eq(Cat(advance & stage.valid & stage.last for stage in finishing)),
            weights.take.eq(control.swap_weights),
            columns.take.eq(control.swap_runtime),
        ]
        with m.If(columns.take):
            m.d.sync += claimed.eq(0)  # by a beat on its way to take the parameters that wait
        with m.If(arriving.valid & arriving.swap_params):
            m.d.sync += claimed.eq(1)
        self._memory(m, advance, reading, adding)
        self._columns(m, control, weights.load, columns.load)
        self._residuals(m, advance)
        self._results(m, advance, leaving)
        self._check_weights(m, weights)
        return m

    def _unwritten(self, stages: list[data.View]) -> Value:
        """Whether the sum that the next beat goes on from is on its way to the memory.

        A position comes again with the next step. Where its weights take `columns` cycles to load, its sum got there in
        these, unless the pipeline stood; a step that keeps its weights may come earlier, and waits.
        """
        beat = self.beats.p
        again = Cat(stage.valid & (stage.position == beat.position) for stage in stages[1 : 1 + WAY])
        return beat.compute & ~beat.first & again.any()

    def _accept(self, m: Module, free: Value, weights_full: Value, columns_full: Value) -> None:
        """Take a beat when all that it needs is there."""
        beat, waiting = self.beats.p, self.beats.valid
        needs_residual = beat.compute & beat.last & self.layer.has_residual
        if self.params.activation is not None:
            free &= ~self._slopes_wanted(m)
        reasons = {
            "results": ~free,
            "weights": beat.swap & ~weights_full,
            "parameters": beat.swap_params & ~columns_full,
            "residual": needs_residual & ~self.residuals.valid,
        }
        for name, reason in reasons.items():
            m.d.comb += self.activity[name].eq(waiting & reason)
            waiting = waiting & ~reason
        m.d.comb += [
            self.beats.ready.eq(~Cat(*reasons.values()).any()),
            self.residuals.ready.eq(waiting & needs_residual),
            self.activity.computing.eq(waiting & beat.compute),
        ]

    def _pipeline(self, m: Module, advance: Value) -> list[data.View]:
        """Return what steers computing beats, one stage per register: the first is the beat being taken."""
        beat = self.beats.p
        names = (*STEERING, *scale_layout(self.params))
        layout = data.StructLayout({"valid": 1, **{name: beat.shape()[name].shape for name in names}})
        arriving = Signal(layout)
        m.d.comb += arriving.valid.eq(self.activity.computing)
        m.d.comb += [arriving[name].eq(beat[name]) for name in names]
        stages = [arriving]
        for index in range(self.latency):
            stage = Signal(layout, name=f"stage_{index}")
            with m.If(advance):
                m.d.sync += stage.eq(stages[-1])
            stages.append(stage)
        return stages

    def _columns(self, m: Module, control: Value, load_weights: Value, load_columns: Value) -> None:
        """Connect all columns: operand and windows; which of them a loaded beat is for."""
        beat, taken = self.beats.p, self.beats.valid & self.beats.ready
        operand = Signal(self.parts[0].operand.shape(), reset_less=True)
        with m.If(self.activity.computing):
            m.d.sync += operand.eq(self.parts[0].dot.structure.prepare(in_order(self.params, beat.data)))
        rows = self._window(m, taken)
        for index, column in enumerate(self.parts):
            m.submodules[f"column_{index}"] = column
            m.d.comb += [
                column.control.eq(control),
                column.layer.eq(self.layer),
                column.operand.eq(operand),
                Cat(column.broadcast).eq(Cat(rows[0])),
                Cat(column.window).eq(Cat(row[index] for row in rows)),
                column.weights.eq(self.weights.p.weights),
                column.load_weights.eq(load_weights[index]),
                column.parameters.eq(self.columns.p),
                column.load_parameters.eq(load_columns[index]),
            ]

    def _window(self, m: Module, taken: Value) -> list[Value]:
        """Return what the columns' own operands are, tap by tap: this beat and those before it.

        Where beats may have several words the window of a layer with `split` has a part for each word, so that some
        taps have a word of the beat instead of what the tap before them had.
        """

        def register(value: Value, name: str) -> Signal:
            row = Signal.like(beat.data, name=name, reset_less=True)
            with m.If(taken):
                m.d.sync += row.eq(value)
            return row

        beat, taps = self.beats.p, self.params.taps
        if self.params.beat_words == 1:
            rows = [beat.data]
            for age in range(1, taps if holds_operand(self.params) else taps + 1):
                rows.append(register(rows[-1], f"row_{age}"))
            return rows[-taps:]
        words = [beat.data, *beat.others]
        if not holds_operand(self.params):
            words = [register(word, f"word_{number}") for number, word in enumerate(words)]
        rows = words[:1]
        for tap in range(1, taps):
            row: Value = register(rows[-1], f"row_{tap}").as_value()
            for split in range(1, self.params.beat_words.bit_length()):
                word, age = divmod(tap, max(1, taps >> split))
                if age == 0 and word < 1 << split:
                    row = Mux(self.layer.split == split, words[word].as_value(), row)
            rows.append(data.View(beat.data.shape(), named(m, row, f"tap_{tap}")))
        return rows

    def _memory(self, m: Module, advance: Value, reading: data.View, adding: data.View) -> None:
        """Read two cycles before adding, write while adding: `WAY` stages in all."""
        width = self.params.mac.acc_width
        m.submodules.memory = words = TwoPortMemory(width=width * self.params.columns, depth=self.params.depth)
        m.d.comb += [
            words.read_en.eq(advance & reading.valid & ~reading.first),
            words.read_addr.eq(reading.position),
            words.write_en.eq(advance & adding.valid & ~adding.last),
            words.write_addr.eq(adding.position),
            words.write_data.eq(Cat(column.total for column in self.parts)),
        ]
        for index, column in enumerate(self.parts):
            m.d.comb += column.stored.eq(words.read_data[index * width :][:width])

    def _residuals(self, m: Module, advance: Value) -> None:
        """Delay a residual beside its beat until the sum is made."""
        residual = self.residuals.p
        for stage in range(self.dot_stages + 2):
            register = Signal.like(residual, name=f"residual_{stage}", reset_less=True)
            with m.If(advance & self.layer.has_residual):
                m.d.sync += register.eq(residual)
            residual = register
        for index, column in enumerate(self.parts):
            m.d.comb += column.residual.eq(residual.word_select(index, 8))

    def _slopes_wanted(self, m: Module) -> Value:
        """Whether this beat begins an output block while nobody has taken the slopes of the one before."""
        beat, waiting = self.beats.p, Signal(name="slopes_waiting")
        m.d.comb += self.slopes.eq(Cat(column.slope for column in self.parts))
        with m.If(self.activity.computing & beat.swap_params & self.layer.activation):
            m.d.sync += waiting.eq(1)
        with m.Elif(self.slopes_taken):
            m.d.sync += waiting.eq(0)
        return beat.swap_params & waiting

    def _results(self, m: Module, advance: Value, leaving: data.View) -> None:
        """Move a result aside that is not taken, so that `advance` comes from a register."""
        valid = leaving.valid & leaving.last
        made = Cat(column.byte for column in self.parts)
        if self.params.activation is not None:
            made = Cat(made, leaving.position == 0)
        aside, full = Signal.like(self.results.p, reset_less=True), Signal()
        m.d.comb += [
            advance.eq(~full),
            self.results.valid.eq(full | valid),
            self.results.p.eq(Mux(full, aside, made)),
        ]
        with m.If(self.results.ready):
            m.d.sync += full.eq(0)
        with m.Elif(valid & ~full):
            m.d.sync += [full.eq(1), aside.eq(made)]

    def _check_weights(self, m: Module, loader: BlockLoader) -> None:
        """Whether the stream of weights ends with the last block that the steps of the tile take.

        The first computing beat of a tile takes one.
        """
        beat, ends = self.weights.p, Signal()  # of the block that waits
        taken, ended, over = self.beats.p, Signal(), Signal(init=1)  # of the block in use; the last beat was `final`
        now = Mux(taken.swap, ends, ended)
        with m.If(loader.load.any() & (beat.last & ~loader.load[-1])):
            m.d.sync += self.weights_error.eq(1)
        with m.If(loader.load[-1]):
            m.d.sync += ends.eq(beat.last)
        with m.If(self.activity.computing):
            m.d.sync += [ended.eq(now), over.eq(taken.final)]
        with m.If(self.activity.computing & taken.final & ~now):
            m.d.sync += self.weights_error.eq(1)  # more come, but none is wanted
        with m.If(self.beats.valid & taken.swap & ended & ~over):
            m.d.sync += self.weights_error.eq(1)  # one is wanted, but no more come
