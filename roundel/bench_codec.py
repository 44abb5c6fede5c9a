"""Figures of the sparse weight formats: size against the entropy floor, speed in software, rounds of a `rice` decoder.

`python -m roundel.bench_codec` prints the table of `docs/codecs.md`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from golden import codec_rice
from golden.codec import decode, decode_codes, encode
from golden.codec_laplace import entropy_floor, laplace_levels
from golden.codec_params import CodecParams, Packing
from roundel.measurement import Row, row, seconds

DENSITIES = (0.5, 0.2, 0.1, 0.05)
RHO = 0.7  # of the magnitudes: 15 levels
SIZED = 100_000  # weights whose stream is weighed
TIMED = 10_000_000  # weights that are encoded and decoded for their speed
PARAMS = {
    Packing.MASK: CodecParams(packing=Packing.MASK),
    Packing.RELATIVE: CodecParams(packing=Packing.RELATIVE),
    Packing.RICE: CodecParams(packing=Packing.RICE, slices=4),
}


@dataclass(frozen=True)
class Format:
    """One format at one density."""

    packing: Packing
    density: float

    def rows(self, seed: int) -> list[Row]:
        """The figures; weights are Laplace, pruned, 15 levels."""
        params = PARAMS[self.packing]
        about = {"format": self.packing.value, "zeros": 1 - self.density, "lanes": params.lanes, "seed": seed}
        few, many = (self._weights(count, seed) for count in (SIZED, TIMED))
        stream, long = encode(few, params), encode(many, params)
        bits, floor = 8 * len(stream) / SIZED, entropy_floor(density=self.density, rho=RHO)
        sized, timed = about | {"weights": SIZED}, about | {"weights": TIMED}
        rows = [
            row("codec.bits_per_weight", bits, "bit", sized),
            row("codec.over_floor", 100 * (bits / floor - 1), "%", sized),
            row("codec.encode_speed", TIMED / seconds(lambda: encode(many, params), repeats=3), "weights/s", timed),
            row("codec.decode_speed", TIMED / seconds(lambda: decode(long), repeats=3), "weights/s", timed),
        ]
        if self.packing is Packing.RICE:
            fitted, codes = decode_codes(stream)
            parts = (codes[first : first + fitted.segment] for first in range(0, SIZED, fitted.segment))
            cycles = sum(int(np.maximum(codec_rice.rounds(part, fitted), 1).sum()) for part in parts)
            rows.append(row("codec.weights_per_round", SIZED / cycles, "weights", sized | {"slices": fitted.slices}))
        return rows

    def _weights(self, count: int, seed: int) -> np.ndarray:
        return laplace_levels(np.random.default_rng(seed), count, density=self.density, rho=RHO)


def variants() -> Sequence[Format]:
    """All formats at all densities."""
    return [Format(packing, density) for density in DENSITIES for packing in Packing]


def main() -> None:
    """Print the table."""
    print("| zeros | format | bits per weight | over the floor | encode, M/s | decode, M/s | weights per round |")
    print("|---|---|---|---|---|---|---|")
    for variant in variants():
        found = {item["name"].removeprefix("codec."): item["value"] for item in variant.rows(seed=1)}
        speeds = (f"{found[name] / 1e6:.0f}" for name in ("encode_speed", "decode_speed"))
        size, over = f"{found['bits_per_weight']:.3f}", f"{found['over_floor']:.1f} %"
        rounds = f"{found['weights_per_round']:.1f}" if "weights_per_round" in found else ""
        cells = (f"{1 - variant.density:.0%}", variant.packing.value, size, over, *speeds, rounds)
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
