"""Write the table of narrow arrays in docs/engine_cycles.md: `python docs/make/digit_area.py LIBRARY`; some minutes.

LIBRARY is a Liberty file. Areas are those of a column of `medium`, with all that it has: the shift of digits, double
buffers of weights and parameters, the window of depthwise layers, accumulator and requantizer. Biases, and with them
accumulators, are as much narrower as weights are. Energies are those of the array's gates, driven by the largest layer
of the digits network: of digits on the array that has them.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from figures import replace as put

import roundel
from roundel.data import DIGITS
from roundel.evaluation import measure_array
from roundel.golden.engine import EngineParams
from roundel.golden.network import Step, Weighted, steps
from roundel.golden.rounding import Ints
from roundel.hw.emit import to_verilog
from roundel.hw.engine.compute.column import EngineColumn
from roundel.synth.mapping import map_design
from roundel.ui import markdown_table

PAGE = Path(__file__).resolve().parents[1] / "engine_cycles.md"
HEADS = ["weights of the array", "um2 a multiplier", "of these the shift", "pJ a product, weights as wide",
         "pJ, weights of 8 bits"]  # fmt: skip
RATIOS = ["products of layers as wide as the array", "products a cycle and um2, times those of 8 bits", "pJ a product"]
SHARES = (0, 0.5, 0.8, 1)
WIDE = 8


@dataclass(frozen=True, kw_only=True)
class Array:
    """An array of `width` bits: um2 a multiplier, without the shift too; pJ a product of its own weights, of 8 bits."""

    width: int
    area: float
    unscaled: float
    own: float
    wide: float

    def cells(self) -> list[str]:
        """Return its row."""
        sizes = f"{self.area:,.0f}", f"{self.area - self.unscaled:.1f}"
        return [f"{self.width} bits", *sizes, f"{self.own:.2f}", f"{self.wide:.2f}"]


def measured(params: EngineParams, cells: Path) -> Array:
    """Measure an array."""
    areas = [
        map_design(to_verilog(EngineColumn(replace(params, scales=scales)), "column"), "column", cells).area_um2
        for scales in (True, False)
    ]
    own, wide = (sum(energies(params, cells, bits)) for bits in (params.weight_width, WIDE))
    area, unscaled = (area / params.lanes for area in areas)
    return Array(width=params.weight_width, area=area, unscaled=unscaled, own=own, wide=wide)


def energies(params: EngineParams, cells: Path, bits: int) -> Iterator[float]:
    """Energy of a product of each digit of the digits network's weights of so many bits, pJ."""
    made = roundel.compress(DIGITS / "digits.onnx", DIGITS / "calibration.npz", weight_bits=bits)
    with np.load(DIGITS / "heldout.npz") as images:
        codes = made.network.encode(images["images"][:8])
    runs = list(steps(made.network, codes))
    for place in range(-(-bits // params.weight_width)):
        held = [digit_of(run, params.weight_width, place) for run in runs]
        source = f"digits network, weights of {bits} bits, digit {place}"
        yield measure_array(params, cells, held, source=source)["energy_pj_per_op"]


def digit_of(run: Step, width: int, place: int) -> Step:
    """Return a layer's run with a digit of its weights in place of these; the last one is cut to its width."""
    if not isinstance(run.layer, Weighted):
        return run
    rest: Ints = run.layer.weights
    half = 1 << width - 1
    for _ in range(place):
        rest = (rest - ((rest + half) % (2 * half) - half)) // (2 * half)
    digit = np.clip((rest + half) % (2 * half) - half if place == 0 and width < WIDE else rest, -half, half - 1)
    return replace(run, layer=replace(run.layer, weights=digit))


def ratios(arrays: list[Array]) -> Iterator[list[str]]:
    """Give what arrays do against the first one, by the share of products in layers of their own width."""
    first = arrays[0]
    for array in arrays[1:]:
        digits = WIDE // array.width
        for share in SHARES:
            steps_each = share + (1 - share) * digits
            faster = first.area / (array.area * steps_each)
            energy = share * array.own + (1 - share) * array.wide
            yield [f"{share:.0%} on {array.width} bits", f"{faster:.2f}", f"{energy:.2f} ({energy / first.own:.2f})"]


def main() -> None:
    """Fill both tables."""
    medium = replace(EngineParams.named("medium"), nms=None, structure="pairs")
    widths = {width: medium.bias_width - (WIDE - width) for width in (8, 4, 2)}
    arrays = [measured(replace(medium, weight_width=width, bias_width=bias), Path(sys.argv[1]))
              for width, bias in widths.items()]  # fmt: skip
    tables = {
        "narrow": markdown_table(HEADS, [array.cells() for array in arrays]),
        "shares": markdown_table(RATIOS, list(ratios(arrays))),
    }
    for name, lines in tables.items():
        PAGE.write_text(put(PAGE.read_text(encoding="utf-8"), name, "\n".join(lines)), encoding="utf-8")


if __name__ == "__main__":
    main()
