"""SQNR: one formula, and what it says where there is no signal or no error."""

from math import inf

import numpy as np
import pytest

from roundel.quantization import sqnr_db, tensor_sqnr_db


@pytest.mark.parametrize(
    ("power", "error", "expected"), [(100.0, 1.0, 20.0), (1.0, 1000.0, -30.0), (2.0, 0.0, inf), (0.0, 2.0, -inf)]
)
def test_powers(power, error, expected):
    assert sqnr_db(power, error) == pytest.approx(expected)


def test_nothing_is_exact():
    assert sqnr_db(0.0, 0.0) == inf


def test_tensors_are_summed_in_double_precision():
    signal = np.full(1 << 20, 3.0, np.float32)
    noisy = signal + np.float32(2**-20)
    assert tensor_sqnr_db(signal, noisy) == pytest.approx(20 * np.log10(3.0 / 2**-20), abs=1e-9)
    assert tensor_sqnr_db(signal, signal) == inf
