"""Every form and shift of a shifting requantizer on narrow accumulators: what an exhaustive bench walks through."""

from typing import Any

from roundel.golden.requant import RequantParams, Scheme
from roundel.golden.rounding import Rounding

ACC_WIDTH = 16


def combinations(out_width: int) -> list[tuple[RequantParams, dict[str, int]]]:
    """Parameters and run-time fields of every `shift` and `shift_const` of 16-bit accumulators.

    Parameters
    ----------
    out_width
        Bits of the results.

    Returns
    -------
    list of (RequantParams, dict)
        All roundings, signed, unsigned and rectified results, all shifts from 0 to 15; `shift` is the only field, and
        `shift_const` has none.
    """
    rows: list[tuple[RequantParams, dict[str, int]]] = []
    for rounding in Rounding:
        for kind in ({}, {"relu": True}, {"out_signed": False}):
            common: dict[str, Any] = {"acc_width": ACC_WIDTH, "out_width": out_width, "rounding": rounding} | kind
            rows += [(RequantParams(scheme=Scheme.SHIFT, **common), {"shift": shift}) for shift in range(ACC_WIDTH)]
            rows += [
                (RequantParams(scheme=Scheme.SHIFT_CONST, shift=shift, **common), {}) for shift in range(ACC_WIDTH)
            ]
    return rows
