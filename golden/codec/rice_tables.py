"""Symbols of `rice`: what runs and levels look like in bits, how to read them back, and which parameters suit best."""

from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache

import numpy as np

from roundel.golden.bits import mask
from roundel.golden.codec.params import RUN_LIMIT, CodecParams
from roundel.golden.codec.runs import Runs, run_histograms
from roundel.golden.rounding import Ints

RICE_RUN_BITS, MAX_LEVEL_BITS, MAX_LEVEL_LIMIT, MAX_LEVEL_EXTRA = 9, 8, 7, 8
NO_CODE = 256


def run_fields(zeros: Ints, run_bits: int) -> tuple[Ints, Ints]:
    """Bits and their number for each run of at most `RUN_LIMIT << run_bits` zeros; that many is a run that goes on."""
    ones = zeros >> run_bits
    goes_on = ones == RUN_LIMIT
    value = ((1 << ones) - 1) | (zeros & mask(run_bits)) << (ones + 1)
    return value, np.where(goes_on, RUN_LIMIT, ones + 1 + run_bits)


@lru_cache(maxsize=128)
def level_fields(params: CodecParams) -> tuple[Ints, Ints]:
    """(256,) each, by code: its bits and their number; -1 of them for codes that the parameters cannot write."""
    rank, limit, low = params.rank_of_code, params.level_limit, params.level_bits
    ones = np.minimum(rank >> low, limit)
    long = ones == limit
    rest = rank - (ones << low)
    written = (rank >= 0) & ~(long & (rest >> params.level_extra > 0))
    ones = np.where(written, ones, 0)
    value = ((1 << ones) - 1) | rest << np.where(long, ones, ones + 1)
    length = np.where(long, limit + params.level_extra, ones + 1 + low)
    return np.where(written, value, 0), np.where(written, length, -1)


def _trailing_ones(values: Ints, limit: int) -> Ints:
    count = np.zeros_like(values)
    for ones in range(1, limit + 1):
        count += values & mask(ones) == mask(ones)
    return count


@lru_cache(maxsize=16)
def run_table(run_bits: int) -> Ints:
    """By the lowest `RUN_LIMIT + run_bits` bits: zeros << 6 | a level may follow << 5 | length."""
    bits = np.arange(1 << (RUN_LIMIT + run_bits))
    ones = _trailing_ones(bits, RUN_LIMIT)
    ended = ones < RUN_LIMIT
    zeros = ones << run_bits | np.where(ended, bits >> (ones + 1) & mask(run_bits), 0)
    return np.asarray(zeros << 6 | ended << 5 | np.where(ended, ones + 1 + run_bits, RUN_LIMIT))


@lru_cache(maxsize=16)
def level_table(params: CodecParams) -> Ints:
    """By as many of the lowest bits as a level has at most: code << 5 | length; `NO_CODE` is outside the codebook."""
    limit, low, extra = params.level_limit, params.level_bits, params.level_extra
    bits = np.arange(1 << (limit + max(low, extra)))
    ones = _trailing_ones(bits, limit)
    ended = ones < limit
    rest = np.where(ended, bits >> (ones + 1) & mask(low), bits >> ones & mask(extra))
    rank = (ones << low) + rest
    codes = params.code_of_rank.astype(np.int64)
    code = np.where(rank < len(codes), codes[np.minimum(rank, len(codes) - 1)], -1)
    return np.asarray(np.where(code < 0, NO_CODE, code) << 5 | np.where(ended, ones + 1 + low, limit + extra))


def best_run_bits(pieces: Iterable[Runs]) -> int:
    """Find the `run_bits` that makes the runs of all slices shortest."""
    inner, trailing = run_histograms(pieces)

    def size(run_bits: int) -> int:
        bits = inner @ ((np.arange(len(inner)) >> run_bits) + 1 + run_bits)
        return int(bits + trailing[1:] @ ((np.arange(1, len(trailing)) >> run_bits) + 1 + run_bits))

    return min(range(RICE_RUN_BITS + 1), key=size)


def fit_levels(params: CodecParams, histogram: Ints) -> CodecParams:
    """Replace the levels' part of the parameters by what writes them shortest.

    Parameters
    ----------
    params
        With what is not to be chosen; `levels` are put in falling order of their number.
    histogram
        (256,): how often each code occurs.
    """
    if not histogram[1:].any():
        return replace(params, base=1, level_bits=0, level_limit=0, level_extra=0)
    if params.levels is not None:
        order = 1 + np.argsort(-histogram[1 : params.codes], kind="stable")
        params = replace(params, levels=(0, *(params.levels[code] for code in order)))
        histogram = np.concatenate((histogram[:1], histogram[order], np.zeros(256 - params.codes, dtype=np.int64)))
    else:
        used = params.level_of_code[histogram > 0].astype(np.int64)
        params = replace(params, base=int(np.abs(used[used != 0]).min()))
    rank = params.rank_of_code[histogram > 0]
    greatest = int(rank.max())
    choices = []
    for low in range(MAX_LEVEL_BITS + 1):
        for limit in range(MAX_LEVEL_LIMIT + 1):
            extra = max(greatest - (limit << low), 0).bit_length()
            if extra <= MAX_LEVEL_EXTRA:
                choice = replace(params, level_bits=low, level_limit=limit, level_extra=extra)
                size = int(histogram[1:] @ level_fields(choice)[1][1:])
                choices.append((size, limit + max(low, extra), low, choice))
    return min(choices, key=lambda entry: entry[:3])[3]
