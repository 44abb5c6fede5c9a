"""Signal-to-quantization-noise ratio (SQNR), the measure of all tables that compare integers with real numbers."""

from math import inf, log10
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEAST_DB = 10.0  # below, the error is more than a third of the signal: more than rounding explains


def sqnr_db(power: float, error: float) -> float:
    """`10 log10(power / error)`, in dB.

    Parameters
    ----------
    power, error
        Sums of the squares of the signal, and of its difference from what stands for it.

    Returns
    -------
    float
        Infinite without an error, minus infinity where there is an error and no signal.
    """
    if not error:
        return inf
    return 10 * log10(power / error) if power else -inf


def tensor_sqnr_db(signal: NDArray[Any], noisy: NDArray[Any]) -> float:
    """SQNR in dB of `noisy`, which stands for `signal` of the same shape; infinite as `sqnr_db` has it."""
    signal = np.asarray(signal, dtype=np.float64)
    return sqnr_db(float(np.square(signal).sum()), float(np.square(signal - noisy).sum()))
