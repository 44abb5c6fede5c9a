"""Circuits for a function of one value, side by side: GELU of the same accumulators, in the words that each takes."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from roundel.evaluation.stimulus import Accumulators
from roundel.golden.activation import ActivationParams, ByteTable, Polynomial, SlopeOffset, best_table, named
from roundel.golden.formats import Format
from roundel.golden.rounding import Ints, Rounding, round_shift
from roundel.synth.measure import Circuit, baseline_circuit, lane_circuit

FUNCTION = "gelu"  # the one that I-BERT's polynomial is for
OUTPUT = Format(width=8, signed=True, fraction=4)
LOW, HIGH = -8.0, 8.0 - 2.0**-4
BASELINES: Mapping[str, Any] = {
    "table of 256 bytes": ByteTable(),
    "I-BERT polynomial": Polynomial(),
    "slopes, offsets, multiplier": SlopeOffset(),
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Compared:
    """A circuit with the bits of a layer's table, and its error in ULP: at any input, and on average over all."""

    circuit: Circuit
    table_bits: int
    max_error: float
    mean_error: float

    @property
    def columns(self) -> dict[str, float]:
        """The columns of a row that no measurement gives."""
        return {"table_bits": self.table_bits, "max_error_ulp": self.max_error, "mean_error_ulp": self.mean_error}


def activation_circuits(accumulators: Accumulators, common: Mapping[str, Any]) -> list[Compared]:
    """Return lanes of the unit and the circuits that they are compared with, each with its stimulus.

    Parameters
    ----------
    accumulators
        Of a network; each layer is shifted to 8 bits, and fractions are kept where a circuit takes longer words.
    common
        Keyword arguments of the lanes' parameters.
    """
    full = ActivationParams(**dict(common))
    lanes = {
        "segments": full,
        "segments in two stages": replace(full, pipeline=True),
        "segments alone": replace(full, residual=False, slopes=False),
    }
    bytes_of = _scaled(accumulators, 0)
    points = np.linspace(LOW, HIGH, 1 << 14)
    fitted = best_table(full, named(FUNCTION), low=LOW, high=HIGH, output=OUTPUT)
    words = _scaled(accumulators, fitted.word.fraction - OUTPUT.fraction, full.in_width)
    compared = [
        Compared(
            circuit=lane_circuit(name, params, fitted.table, words, np.roll(bytes_of, 1)),
            table_bits=params.table_bits,
            max_error=fitted.max_error,
            mean_error=fitted.mean_error,
        )
        for name, params in lanes.items()
    ]
    for name, params in BASELINES.items():
        finer = params.word.width - 8
        step = OUTPUT.scale * 2.0**-finer
        runtime = params.fit(named(FUNCTION), step, OUTPUT)
        # Bytes are rounded, longer words are not: so each does what it can.
        codes = np.floor(points / step + (0 if finer else 0.5)).clip(*params.word.limits).astype(np.int64)
        missed = np.abs(params.compute(codes, runtime) - named(FUNCTION)(points) / OUTPUT.scale)
        given = _scaled(accumulators, finer, params.word.width)
        circuit = baseline_circuit(name, params, runtime, given)
        bits = sum(width * count for width, count in params.fields.values())
        errors = {"max_error": float(missed.max()), "mean_error": float(missed.mean())}
        compared.append(Compared(circuit=circuit, table_bits=bits, **errors))
    return compared


def _scaled(accumulators: Accumulators, finer: int, width: int = 8) -> Ints:
    """Return all accumulators as words with `finer` more fraction bits than a byte; words of a byte are rounded."""
    limit = 1 << (width - 1)
    parts = []
    for layer, shift in zip(accumulators.layers, accumulators.shifts, strict=True):
        right = shift - finer
        rounding = Rounding.FLOOR if finer else Rounding.HALF_UP
        parts.append(np.clip(round_shift(layer << max(-right, 0), max(right, 0), rounding), -limit, limit - 1))
    return np.concatenate(parts)
