"""Write the table of docs/decoder_rice.md: `python docs/make/decoder_rice.py`, a minute.

Cycles are those that the bench holds the hardware to (`roundel.golden.codec.rice.cycles`); areas are of the core alone.
Nothing between the page's markers is written by hand.
"""

from pathlib import Path

import numpy as np
from figures import replace as put

from roundel.golden.codec import CodecParams, DecoderParams, Packing, cycles, decode_codes, encode
from roundel.golden.opq import laplace_levels
from roundel.hw.decoder.rice import RiceCore
from roundel.hw.emit import to_verilog
from roundel.synth.analysis import analyse
from roundel.synth.cells import REFERENCE, read_library
from roundel.synth.mapping import MappingOptions, map_design, read_netlist
from roundel.ui import markdown_table

PAGE = Path(__file__).resolve().parents[1] / Path(__file__).with_suffix(".md").name
SLICES = (1, 2, 4, 8)
ZEROS = (0.5, 0.8, 0.9, 0.95)
WEIGHTS, SEED = 100_000, 1
FLOW = MappingOptions(full_adders=False)
"""As small as the default, and up to a tenth faster: the longest path has short carries on it."""


def main() -> None:
    columns = ["slices", "NAND2", "of which registers", "longest path, ns", *(f"{zeros:.0%} zeros" for zeros in ZEROS)]
    table = markdown_table(columns, [[str(slices), *cost(slices), *rates(slices)] for slices in SLICES])
    PAGE.write_text(put(PAGE.read_text(encoding="utf-8"), "slices", "\n".join(table)), encoding="utf-8")


def cost(slices: int) -> list[str]:
    """Area and delay of a core on the reference cells."""
    params = DecoderParams(packing=Packing.RICE, bus=32, lanes=16, width=4, slices=slices)
    core = map_design(to_verilog(RiceCore(params), "core"), "core", REFERENCE, options=FLOW)
    delay = analyse(read_netlist(core.json, read_library(REFERENCE), core.top)).delay_ns
    return [f"{core.area_nand2:,.0f}", f"{core.flip_flop_area_um2 / core.area_um2:.0%}", f"{delay:.1f}"]


def rates(slices: int) -> list[str]:
    """Dense weights per cycle at each share of zeros; header, lengths and the ends of segments left out."""
    texts = []
    for zeros in ZEROS:
        weights = laplace_levels(np.random.default_rng(SEED), WEIGHTS, density=1 - zeros, rho=0.7)
        params, codes = decode_codes(encode(weights, CodecParams(width=4, lanes=16, slices=slices)))
        parts = np.split(codes, range(params.segment, WEIGHTS, params.segment))
        texts.append(f"{WEIGHTS / sum(cycles(part, params).sum() for part in parts):.1f}")
    return texts


if __name__ == "__main__":
    main()
