"""One row of a report for each kind of unit."""

from roundel.synth.measure.activation import Circuit, baseline_circuit, lane_circuit, measure_activation
from roundel.synth.measure.common import cached_row, code_digest, measure_operator, prove_and_estimate
from roundel.synth.measure.decoder import WeightStreams, decoder_scheme, measure_decoder
from roundel.synth.measure.mac import measure_mac
from roundel.synth.measure.nms import BoxStream, Params, measure_nms, nms_scheme
from roundel.synth.measure.parts import DRAM_PJ_PER_BIT, SRAM_PJ_PER_BIT, part_of
from roundel.synth.measure.requant import Operator

__all__ = [
    "DRAM_PJ_PER_BIT",
    "SRAM_PJ_PER_BIT",
    "BoxStream",
    "Circuit",
    "Operator",
    "Params",
    "WeightStreams",
    "baseline_circuit",
    "cached_row",
    "code_digest",
    "decoder_scheme",
    "lane_circuit",
    "measure_activation",
    "measure_decoder",
    "measure_mac",
    "measure_nms",
    "measure_operator",
    "nms_scheme",
    "part_of",
    "prove_and_estimate",
]
