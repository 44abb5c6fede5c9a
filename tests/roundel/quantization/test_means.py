"""Means behind a quantizer: every sum there can be, against exact fractions."""

from fractions import Fraction
from math import ceil, floor

import numpy as np
import pytest

from roundel.golden.errors import InputError
from roundel.golden.network import Window, run
from roundel.golden.requant import Scheme
from roundel.golden.rounding import Rounding
from roundel.graph import AveragePool, Quantize
from roundel.quantization import QuantizeOptions, quantize
from tests.support.made_graphs import network, node

ROUND = {"ROUND": round, "FLOOR": floor, "CEIL": ceil}


def mean_graph(taps, rounding, step, signed):
    """A mean of `taps` 8-bit integers in a row, then a quantizer; the scale of the output is `step`."""
    low, high = (-128, 127) if signed else (0, 255)
    about = {"zero_point": 0, "low": low, "high": high}
    nodes = [
        node(Quantize, "x", "q", scale=1.0, **about),
        node(AveragePool, "q", "a", window=Window(kernel=(1, taps))),
        node(Quantize, "a", "y", scale=step, rounding=rounding, **about),
    ]
    return network((1, 1, taps), *nodes), low, high


def rows(taps, low, high):
    """A row of integers for every sum."""
    sums = np.arange(taps * low, taps * high + 1)
    values = np.stack([(sums + index) // taps for index in range(taps)], axis=1)
    assert (values.sum(axis=1) == sums).all()
    return sums, values.reshape(-1, 1, 1, taps).astype(np.float32)


@pytest.mark.parametrize("scheme", [Scheme.SHIFT, Scheme.FIXED16])
@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize(
    ("taps", "rounding", "step"),
    [(9, "ROUND", 1.0), (9, "ROUND", 0.5), (9, "FLOOR", 1.0), (9, "CEIL", 2.0), (6, "FLOOR", 1.0), (49, "ROUND", 1.0),
     (49, "CEIL", 0.5), (8, "ROUND", 4.0), (8, "CEIL", 1.0)],
)  # fmt: skip
def test_every_sum_is_rounded_as_the_file_says(taps, rounding, step, signed, scheme):
    graph, low, high = mean_graph(taps, rounding, step, signed)
    sums, images = rows(taps, low, high)
    quantized = quantize(graph, images[:: len(images) // 99], QuantizeOptions(requant=scheme)).network
    wanted = [min(max(ROUND[rounding](Fraction(int(total), taps) / Fraction(step)), low), high) for total in sums]
    assert run(quantized, quantized.encode(images)).ravel().tolist() == wanted


@pytest.mark.parametrize(("taps", "step"), [(6, 1.0), (9, 2.0), (12, 1.0)])
def test_halves_that_no_multiplier_hits_are_refused_or_asked_for(taps, step):
    """A rounding of the user's own takes the multiplier that is nearest, and is off by one at halves only."""
    graph, low, high = mean_graph(taps, "ROUND", step, signed=True)
    sums, images = rows(taps, low, high)
    with pytest.raises(InputError, match=f"node quantize_y: no multiplier rounds all means of {taps} values by ROUND"):
        quantize(graph, images[::31])
    asked = quantize(graph, images[::31], QuantizeOptions(rounding=Rounding.HALF_EVEN)).network
    got = run(asked, asked.encode(images)).ravel().tolist()
    for total, value in zip(sums.tolist(), got, strict=True):
        mean = Fraction(total, taps) / Fraction(step)
        assert abs(value - mean) <= Fraction(9, 16)
