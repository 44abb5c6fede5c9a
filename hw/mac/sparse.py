"""The MAC array with a weight decoder before its weight port: compressed weights in, results out."""

from typing import Any

from amaranth.hdl import Module
from amaranth.lib import stream, wiring

from roundel.golden.mac import SparseMacParams
from roundel.hw.decoder import Decoder, input_layout, status_layout
from roundel.hw.lib import Component, In, Out
from roundel.hw.mac.array import MacArray, activations_payload, outputs_payload, params_payload


class SparseMac(Component):
    """Decoder and array as one. The stream of a layer comes once for every tile (`roundel.golden.mac.tiling`).

    The decoder works ahead while the array's next weight block is not complete, then waits for the array. A damaged
    stream leaves the array waiting for weights: `status` says so, and a reset ends it.

    Parameters
    ----------
    params
        See `roundel.golden.mac.sparse.SparseMacParams`.
    """

    def __init__(self, params: SparseMacParams):
        self.decoder, self.array = Decoder(params.decoder), MacArray(params.mac)
        self.latency = self.array.latency
        super().__init__(
            stream=In(
                stream.Signature(input_layout(params.decoder)),
                "Weight streams, one after the other, in the order of `roundel.golden.mac.tiling.weight_beats`.",
            ),
            status=Out(status_layout(), "State of the decoder, see `roundel.hw.decoder.unit.Decoder`."),
            params=In(
                stream.Signature(params_payload(params.mac)),
                "Bias and run-time parameters, see `roundel.hw.mac.array.MacArray`.",
            ),
            activations=In(
                stream.Signature(activations_payload(params.mac)), "Activations, see `roundel.hw.mac.array.MacArray`."
            ),
            outputs=Out(stream.Signature(outputs_payload(params.mac)), "Results, see `roundel.hw.mac.array.MacArray`."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.decoder, m.submodules.array = decoder, array = self.decoder, self.array
        wiring.connect(m, wiring.flipped(self.stream), decoder.inputs)
        for name in ("params", "activations"):
            wiring.connect(m, wiring.flipped(getattr(self, name)), getattr(array, name))
        wiring.connect(m, array.outputs, wiring.flipped(self.outputs))
        m.d.comb += [
            array.weights.valid.eq(decoder.outputs.valid),
            array.weights.p.eq(decoder.outputs.p.weights),
            decoder.outputs.ready.eq(array.weights.ready),
            self.status.eq(decoder.status),
        ]
        return m
