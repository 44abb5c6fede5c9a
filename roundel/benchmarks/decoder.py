"""Figures of the decoders of sparse weights: dense weights per cycle of the RTL, without stalls."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from roundel.evaluation import FORMATS, WIDTH, laplace_weights
from roundel.golden.codec import CodecParams, DecoderParams, decode, encode
from roundel.hw.emit import to_verilog
from roundel.hw.units import UNITS
from roundel.sim.runner import Design
from roundel.sim.verify import BENCHES
from roundel.synth.analysis import proven
from roundel.synth.measure import WeightStreams, decoder_scheme
from roundel.ui import Row, row

ZEROS = (0.0, 0.5, 0.8, 0.9, 0.95)
WEIGHTS = 1 << 14  # less than a segment
TIMES = 2


@dataclass(frozen=True)
class DecoderRate:
    """Weights per cycle of one decoder, the same stream sent twice."""

    params: DecoderParams
    zeros: float

    def rows(self, seed: int) -> list[Row]:
        """From the first beat of a stream to its last, and from the end of a stream to the end of the next."""
        params = self.params
        codec = CodecParams(packing=params.packing, width=params.width, lanes=params.lanes, slices=params.slices)
        stream = encode(laplace_weights(WEIGHTS, self.zeros, params.width, seed=seed), codec)
        starts, ends = _beats(params, WeightStreams(source="", streams=(stream,)))
        beats = WEIGHTS // params.lanes
        within, between = ends[1] - starts[1], ends[1] - ends[0]
        about = {
            "scheme": decoder_scheme(params),
            "bus": params.bus,
            "zeros": self.zeros,
            "weights": WEIGHTS,
            "seed": seed,
        }
        return [
            row("decoder.weights_per_cycle", (beats - 1) * params.lanes / within, "weights/cycle", about),
            row("decoder.nonzero_per_cycle", np.count_nonzero(decode(stream)) / between, "weights/cycle", about),
            row("decoder.cycles_between_streams", starts[1] - ends[0] - 1, "cycles", about),
        ]


def _beats(params: DecoderParams, stimulus: WeightStreams) -> tuple[list[int], list[int]]:
    """Cycles in which the first and the last beat of the stream come out, of each time that it is sent."""
    unit = UNITS["decoder"]
    component = unit.component(params)
    design = Design(sources=(to_verilog(component, unit.name),), top=unit.name)
    config = {"params": params.as_dict(), "latency": component.latency}
    what = f"the RTL of {decoder_scheme(params)}"
    measured = proven(design, what, bench=BENCHES[unit.name], config=config, stimulus=stimulus.write(TIMES))
    with measured as (_, folder), np.load(folder / "decoded.npz") as decoded:
        arrivals = decoded["arrivals"]
    tiles = arrivals.reshape(TIMES, -1)
    return tiles[:, 0].tolist(), tiles[:, -1].tolist()


def variants() -> Sequence[DecoderRate]:
    """Every format at all of `ZEROS`."""
    return [DecoderRate(DecoderParams(width=WIDTH, **form), zeros) for form in FORMATS for zeros in ZEROS]
