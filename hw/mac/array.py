"""The MAC array: `lanes` activations times `columns` of held weights, accumulated, requantized."""

from typing import Any

from amaranth.hdl import Cat, Module, Shape, Signal, Value, signed
from amaranth.lib import data, stream

from roundel.golden.mac import MacParams
from roundel.hw.lib import BlockLoader, Component, DoubleBuffer, In, Out, TwoPortMemory
from roundel.hw.mac.column import CONTROL, MacColumn
from roundel.hw.mac.dot_product import activation_layout, weight_layout
from roundel.hw.requant import runtime_layout

STEERING = ("position", "first", "last", "swap", "swap_params")  # what goes along with the numbers of a beat


def weights_payload(params: MacParams) -> data.ArrayLayout:
    """One beat of `weights`: one column's weights, lane 0 first."""
    return weight_layout(params)


def params_payload(params: MacParams) -> data.StructLayout:
    """One beat of `params`: one column's bias, and its run-time requantizer parameters where there are any."""
    runtime = runtime_layout(params.requant)
    return data.StructLayout({"bias": signed(params.bias_width)} | ({} if runtime is None else {"runtime": runtime}))


def activations_payload(params: MacParams) -> data.StructLayout:
    """One beat of `activations`."""
    position = range(max(params.depth, 2))
    flags = dict.fromkeys(("first", "last", "swap", "swap_params"), 1)
    return data.StructLayout({"data": activation_layout(params), "position": Shape.cast(position)} | flags)


def outputs_payload(params: MacParams) -> data.StructLayout:
    """One beat of `outputs`: the results of all columns for one position."""
    result = Shape(params.requant.out_width, params.requant.out_signed)
    position = Shape.cast(range(max(params.depth, 2)))
    return data.StructLayout({"data": data.ArrayLayout(result, params.columns), "position": position})


class MacArray(Component):
    """Dot-product array with held, double-buffered weights and a memory of partial sums. One beat per cycle.

    A beat of `activations` goes to all columns. What it adds for `position` starts from the bias (`first`) or goes on
    from the memory, and either returns there or leaves through the requantizer (`last`) `latency` cycles after it came,
    if nobody stalls. A position must start with `first`; between, it may come as often and in any order, in consecutive
    beats too.

    The next block of weights and the next set of parameters load in the background, `columns` beats each, column 0
    first. The beat that says `swap` (`swap_params`) waits for the block (set) to be complete and is the first to use
    it: without a bubble if `columns` beats (for parameters `columns + 2`) passed since the last swap. The very first
    beat swaps both. Without `per_channel`, the run-time parameters beside column 0's bias serve all columns.

    The whole pipeline stands while `outputs` waits to be taken.

    Parameters
    ----------
    params
        See `roundel.golden.mac.params.MacParams`.
    """

    def __init__(self, params: MacParams):
        self.mac = params
        self.columns = [MacColumn(params) for _ in range(params.columns)]
        self.core_latency = self.columns[0].core.LATENCY
        self.latency = 4 + self.core_latency
        super().__init__(
            weights=In(stream.Signature(weights_payload(params)), "Blocks of weights, a column a beat."),
            params=In(stream.Signature(params_payload(params)), "Bias and run-time parameters, a column a beat."),
            activations=In(
                stream.Signature(activations_payload(params)),
                "Activations, with position, `first`, `last`, `swap` and `swap_params`.",
            ),
            outputs=Out(stream.Signature(outputs_payload(params)), "Results of all columns, with their position."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        advance = Signal()
        m.d.comb += advance.eq(self.outputs.ready | ~self.outputs.valid)

        m.submodules.weights_loader = weights_loader = BlockLoader(self.mac.columns)
        m.submodules.params_loader = params_loader = BlockLoader(self.mac.columns)
        for loader, source in ((weights_loader, self.weights), (params_loader, self.params)):
            m.d.comb += [loader.valid.eq(source.valid), source.ready.eq(loader.ready)]

        stages = self._pipeline(m, advance, weights_loader.full, params_loader)
        arriving, multiplying, adding, *_, leaving = stages
        operand = Signal(self.columns[0].operand.shape(), reset_less=True)
        with m.If(arriving.valid):
            m.d.sync += operand.eq(self.columns[0].dot.prepare(self.activations.p.data))

        control = Signal(CONTROL)
        self._memory(m, advance, multiplying, adding, control)
        m.d.comb += [
            weights_loader.take.eq(arriving.valid & arriving.swap),
            params_loader.take.eq(advance & adding.valid & adding.swap_params),
            control.swap_weights.eq(weights_loader.take),
            control.dot.eq(advance & multiplying.valid),
            control.swap_bias.eq(advance & multiplying.valid & multiplying.swap_params),
            control.total.eq(advance & adding.valid),
            control.advance.eq(advance),
            control.output.eq(advance & leaving.valid & leaving.last),
        ]
        self._columns(m, control, operand, weights_loader, params_loader)
        self._output(m, advance, leaving)
        return m

    def _columns(
        self, m: Module, control: Value, operand: Value, weights_loader: BlockLoader, params_loader: BlockLoader
    ) -> None:
        """Connect all columns, and choose the one that a loaded beat is for."""
        for index, column in enumerate(self.columns):
            m.submodules[f"column_{index}"] = column
            m.d.comb += [
                column.control.eq(control),
                column.operand.eq(operand),
                column.weights.eq(self.weights.p),
                column.load_weights.eq(weights_loader.load[index]),
                column.bias.eq(self.params.p.bias),
                column.load_bias.eq(params_loader.load[index]),
            ]
        self._runtime(m, params_loader)

    def _pipeline(self, m: Module, advance: Value, block_full: Value, params_loader: BlockLoader) -> list[data.View]:
        """Accept beats, and let what steers them go along with their numbers, one stage per register."""
        source, beat = self.activations, self.activations.p
        claimed = Signal()  # a beat that will take the waiting set of parameters is on its way
        block_ready = ~beat.swap | block_full
        params_ready = ~beat.swap_params | (params_loader.full & ~claimed)
        m.d.comb += source.ready.eq(advance & block_ready & params_ready)

        layout = data.StructLayout({"valid": 1, **{name: beat.shape()[name].shape for name in STEERING}})
        arriving = Signal(layout)
        m.d.comb += arriving.valid.eq(source.valid & source.ready)
        m.d.comb += [arriving[name].eq(beat[name]) for name in STEERING]
        stages = [arriving]
        for index in range(3 + self.core_latency):
            stage = Signal(layout, name=f"stage_{index}")
            with m.If(advance):
                m.d.sync += stage.eq(stages[-1])
            stages.append(stage)

        with m.If(params_loader.take):
            m.d.sync += claimed.eq(0)
        with m.If(arriving.valid & arriving.swap_params):
            m.d.sync += claimed.eq(1)
        return stages

    def _memory(self, m: Module, advance: Value, multiplying: data.View, adding: data.View, control: data.View) -> None:
        """Read while multiplying, write while adding; a sum that is not written yet is passed on in its column."""
        width = self.mac.acc_width
        m.submodules.memory = words = TwoPortMemory(width=width * self.mac.columns, depth=self.mac.depth)
        again = adding.valid & (adding.position == multiplying.position)
        source = Signal(
            data.StructLayout(dict.fromkeys(("from_bias", "from_total", "from_stored"), 1)), reset_less=True
        )
        with m.If(advance):
            m.d.sync += [
                source.from_bias.eq(multiplying.first),
                source.from_total.eq(~multiplying.first & again),
                source.from_stored.eq(~multiplying.first & ~again),
            ]
        m.d.comb += [control[name].eq(source[name]) for name in source.shape().members]
        m.d.comb += [
            words.read_en.eq(advance & multiplying.valid & ~multiplying.first & ~again),
            words.read_addr.eq(multiplying.position),
            words.write_en.eq(advance & adding.valid & ~adding.last),
            words.write_addr.eq(adding.position),
            words.write_data.eq(Cat(column.total for column in self.columns)),
        ]
        for index, column in enumerate(self.columns):
            m.d.comb += column.stored.eq(words.read_data[index * width :][:width])

    def _runtime(self, m: Module, params_loader: BlockLoader) -> None:
        """Run-time parameters of the requantizers: a double buffer per column, or one for all."""
        if "runtime" not in self.params.p.shape().members:
            return
        buffers = []
        for index in range(self.mac.columns if self.mac.per_channel else 1):
            m.submodules[f"runtime_{index}"] = buffer = DoubleBuffer(self.params.p.runtime.shape())
            m.d.comb += [
                buffer.beat.eq(self.params.p.runtime),
                buffer.load.eq(params_loader.load[index]),
                buffer.swap.eq(params_loader.take),
            ]
            buffers.append(buffer)
        for index, column in enumerate(self.columns):
            m.d.comb += column.runtime.eq(buffers[index if self.mac.per_channel else 0].active)

    def _output(self, m: Module, advance: Value, leaving: data.View) -> None:
        """Form the output beat: results are registered in the columns, the position here."""
        valid = Signal()
        position = Signal.like(leaving.position, reset_less=True)
        with m.If(advance):
            m.d.sync += [valid.eq(leaving.valid & leaving.last), position.eq(leaving.position)]
        m.d.comb += [
            self.outputs.valid.eq(valid),
            self.outputs.p.position.eq(position),
            Cat(self.outputs.p.data).eq(Cat(column.data for column in self.columns)),
        ]
