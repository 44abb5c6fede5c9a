"""The MAC array: `lanes` activations times `columns` of held weights, accumulated, requantized."""

from dataclasses import dataclass

from amaranth.hdl import Cat, Module, Shape, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from golden.mac import MacParams
from hw.accumulator import AccumulatorMemory
from hw.dot_product import activation_layout, weight_layout
from hw.double_buffer import BlockLoader, DoubleBuffer
from hw.mac_column import MacColumn
from hw.requant_ports import runtime_layout


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


class MacArray(wiring.Component):
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
        See `golden.mac.MacParams`.

    Members
    -------
    weights : In(stream.Signature(weights_payload(params)))
    params : In(stream.Signature(params_payload(params)))
    activations : In(stream.Signature(activations_payload(params)))
    outputs : Out(stream.Signature(outputs_payload(params)))
    """

    def __init__(self, params: MacParams):
        self.mac = params
        self.columns = [MacColumn(params) for _ in range(params.columns)]
        self.core_latency = self.columns[0].core.LATENCY
        self.latency = 4 + self.core_latency
        super().__init__(
            {
                "weights": In(stream.Signature(weights_payload(params))),
                "params": In(stream.Signature(params_payload(params))),
                "activations": In(stream.Signature(activations_payload(params))),
                "outputs": Out(stream.Signature(outputs_payload(params))),
            }
        )
