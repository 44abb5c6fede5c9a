"""Figures of the sparse weight formats: size against the entropy floor, speed in software, rounds of a `rice` decoder.

`python -m roundel.benchmarks.codec` prints the tables of `docs/codecs.md`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from time import process_time
from typing import Any

import numpy as np

from roundel.golden.codec import CodecParams, Packing, decode, decode_codes, encode, rounds
from roundel.golden.opq import floor_bits, laplace_levels
from roundel.ui import Row, row, seconds

DENSITIES = (0.5, 0.2, 0.1, 0.05)
RHOS = (0.2, 0.3, 0.5, 0.7, 0.8, 0.9)
TABLE = (0, *(sign * magnitude for magnitude in range(1, 8) for sign in (-1, 1)))
RHO = 0.7  # of the magnitudes: 15 levels
MOST = 7  # greatest magnitude
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
        """All figures; weights are Laplace, pruned, 15 levels."""
        return self.sizes(seed) + self.speeds(seed)

    def sizes(self, seed: int) -> list[Row]:
        """Bits of a stream with its header, and how far a decoder gets in a round."""
        params, weights = PARAMS[self.packing], self._weights(SIZED, seed)
        stream = encode(weights, params)
        bits, floor = 8 * len(stream) / SIZED, floor_bits(self.density, RHO, most=MOST)
        about = self._about(seed, SIZED)
        rows = [
            row("codec.bits_per_weight", bits, "bit", about),
            row("codec.over_floor", 100 * (bits / floor - 1), "%", about),
        ]
        if self.packing is Packing.RICE:
            fitted, codes = decode_codes(stream)
            parts = (codes[first : first + fitted.segment] for first in range(0, SIZED, fitted.segment))
            cycles = sum(int(np.maximum(rounds(part, fitted), 1).sum()) for part in parts)
            rows.append(row("codec.weights_per_round", SIZED / cycles, "weights", about))
        return rows

    def speeds(self, seed: int) -> list[Row]:
        """Return the speeds of software, on one core, by its processor time."""
        params, weights = PARAMS[self.packing], self._weights(TIMED, seed)
        stream, about = encode(weights, params), self._about(seed, TIMED)
        return [
            row("codec.encode_speed", TIMED / _seconds(lambda: encode(weights, params)), "weights/s", about),
            row("codec.decode_speed", TIMED / _seconds(lambda: decode(stream)), "weights/s", about),
        ]

    def _about(self, seed: int, weights: int) -> dict[str, Any]:
        params = PARAMS[self.packing]
        about = {"format": self.packing.value, "zeros": 1 - self.density, "weights": weights, "seed": seed}
        return about | {"width": params.width, "lanes": params.lanes, "slices": params.slices}

    def _weights(self, count: int, seed: int) -> np.ndarray:
        return laplace_levels(np.random.default_rng(seed), count, density=self.density, rho=RHO)


def _seconds(call: Callable[[], Any]) -> float:
    return seconds(call, 3, process_time)


def variants() -> Sequence[Format]:
    """All formats at all densities."""
    return [Format(packing, density) for density in DENSITIES for packing in Packing]


def over_floor(params: CodecParams, density: float, rho: float) -> float:
    """Return by how much a stream of `SIZED` weights, seed 1, is longer than the entropy, per cent.

    Parameters
    ----------
    params
        The format.
    density
        Share of the weights that is not zero, 0 to 1.
    rho
        How fast magnitudes become rare (`laplace_levels`).
    """
    weights = laplace_levels(np.random.default_rng(1), SIZED, density=density, rho=rho)
    return 100 * (8 * len(encode(weights, params)) / SIZED / floor_bits(density, rho, most=MOST) - 1)


def main() -> None:
    """Print the tables."""
    print("| zeros | floor | format | bits per weight | over the floor | weights per round |")
    print("|---|---|---|---|---|---|")
    for variant in variants():
        values = {item["name"].removeprefix("codec."): item["value"] for item in variant.sizes(seed=1)}
        floor = f"{floor_bits(variant.density, RHO, most=MOST):.3f}"
        size, over = f"{values['bits_per_weight']:.3f}", f"{values['over_floor']:.1f} %"
        rounds = f"{values['weights_per_round']:.1f}" if "weights_per_round" in values else ""
        print(f"| {' | '.join((f'{1 - variant.density:.0%}', floor, variant.packing.value, size, over, rounds))} |")
    print("\n| rho | codebook |" + "".join(f" {1 - density:.0%} zeros |" for density in DENSITIES))
    print("|---" * (2 + len(DENSITIES)) + "|")
    for rho in RHOS:
        for levels in (None, TABLE):
            params = replace(PARAMS[Packing.RICE], levels=levels)
            cells = [f"{over_floor(params, density, rho):.1f} %" for density in DENSITIES]
            print(f"| {rho} | {'table' if levels else 'none'} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
