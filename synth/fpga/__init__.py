"""Place and route: the only place that knows nextpnr."""

from roundel.synth.fpga.board import BOARD, CRYSTAL_MHZ, PART, constraints, find_pll, wrapper
from roundel.synth.fpga.build import Built, build_ecp5
from roundel.synth.fpga.ecp5 import place_ecp5
from roundel.synth.fpga.nextpnr import nextpnr_version

__all__ = [
    "BOARD",
    "CRYSTAL_MHZ",
    "PART",
    "Built",
    "build_ecp5",
    "constraints",
    "find_pll",
    "nextpnr_version",
    "place_ecp5",
    "wrapper",
]
