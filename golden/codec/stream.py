"""Sparse weights as streams of bytes and back: the three formats of `docs/codecs.md` behind one pair of functions."""

from dataclasses import replace
from types import ModuleType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from roundel.golden.bits import Words
from roundel.golden.codec import mask as codec_mask
from roundel.golden.codec import relative as codec_relative
from roundel.golden.codec import rice as codec_rice
from roundel.golden.codec import rice_tables as codec_rice_tables
from roundel.golden.codec.frame import Segments, frame, read_frame
from roundel.golden.codec.header import MAX_COUNT, header_words, read_header, write_header
from roundel.golden.codec.params import CodecError, CodecParams, Codes, Levels, Packing
from roundel.golden.codec.runs import zero_runs
from roundel.golden.errors import InputError

FORMATS: dict[Packing, ModuleType] = {
    Packing.MASK: codec_mask,
    Packing.RELATIVE: codec_relative,
    Packing.RICE: codec_rice,
}


def encode(weights: ArrayLike, params: CodecParams) -> bytes:
    """Return the shortest stream that the format allows: `write` with what `fit` finds.

    Parameters
    ----------
    weights
        Integer levels, any shape, in the order in which the array wants them; at most 2^32 - 1.
    params
        Format, code, lanes, slices; whatever depends on the weights is chosen here.

    Raises
    ------
    InputError
        Weights that are not integers, or a level that the codebook does not have.
    """
    return write(weights, fit(weights, params))


def fit(weights: ArrayLike, params: CodecParams) -> CodecParams:
    """Replace the parameters that depend on the weights: of runs, of levels, the order of `levels`."""
    codes = _codes(weights, params)
    if params.packing is Packing.MASK:
        return params
    parts = [codes[first : first + params.segment] for first in range(0, len(codes), params.segment)]
    pieces = (zero_runs(part[index :: params.slices]) for part in parts for index in range(params.slices))
    if params.packing is Packing.RELATIVE:
        return replace(params, run_bits=codec_relative.best_run_bits(pieces, params.width))
    params = replace(params, run_bits=codec_rice_tables.best_run_bits(pieces))
    histogram = sum((np.bincount(part, minlength=256) for part in parts), start=np.zeros(256, dtype=np.int64))
    return codec_rice_tables.fit_levels(params, histogram)


def write(weights: ArrayLike, params: CodecParams) -> bytes:
    """Return the stream with exactly these parameters.

    Raises
    ------
    InputError
        As `encode`; or a level that the parameters of `rice` cannot write.
    """
    codes = _codes(weights, params)
    if params.packing is Packing.RICE:
        written = codec_rice_tables.level_fields(params)[1] >= 0
        written[0] = True
        _check_all(written[codes], params, "cannot be written with these level parameters")
    words = [write_header(params, len(codes))]
    for first in range(0, len(codes), params.segment):
        words += frame(FORMATS[params.packing].encode(codes[first : first + params.segment], params))
    return np.concatenate(words).astype("<u4").tobytes()


def decode(data: bytes) -> Levels:
    """Return the weights of a stream, (count,).

    Raises
    ------
    CodecError
        The stream is damaged: the first thing wrong that a decoder comes across.
    """
    params, codes = decode_codes(data)
    return np.asarray(params.level_of_code[codes])


def decode_codes(data: bytes) -> tuple[CodecParams, Codes]:
    """Return the parameters in the header of a stream, and the codes (count,); errors as `decode`."""
    if len(data) % 4:
        raise CodecError(8 * len(data), "the stream ends", "whole words of 32 bits")
    words: Words = np.frombuffer(data, dtype="<u4").astype(np.uint32)
    params, count = read_header(words)
    segments, fault = read_frame(words, header_words(len(params.levels or ())), count, params.segment)
    try:
        codes = _unpack(words, segments, params)
    except CodecError as error:
        if fault is None or error.bit < fault.bit:
            raise
    if fault is not None:
        raise fault
    return params, codes


def _unpack(words: Words, segments: Segments, params: CodecParams) -> Codes:
    """Return the codes of all segments, or the first fault in them."""
    unpack = FORMATS[params.packing].decode
    try:
        return np.asarray(unpack(words, segments, params))
    except CodecError:
        # All were decoded at once; the first fault is that of the first faulty segment.
        for segment in segments if len(segments.counts) > 1 else ():
            unpack(words, segment, params)
        raise


def _codes(weights: ArrayLike, params: CodecParams) -> Codes:
    """(count,): the code of each weight."""
    levels: NDArray[np.generic] = np.asarray(weights).reshape(-1)
    if not levels.size:
        return np.zeros(0, dtype=np.uint8)
    if not np.issubdtype(levels.dtype, np.integer):
        raise InputError(f"weights must be integers, not {levels.dtype}")
    if len(levels) > MAX_COUNT:
        raise InputError(f"weights must be at most {MAX_COUNT}, not {len(levels)}")
    if levels.dtype != np.int8 and (int(levels.min()) < -128 or int(levels.max()) > 127):
        raise InputError(f"weights must be -128 to 127, not {levels.min()} to {levels.max()}")
    codes = params.code_of_level[levels.astype(np.uint8)]
    _check_all(codes >= 0, params, "is not in the codebook")
    return np.asarray(codes.astype(np.uint8))


def _check_all(allowed: NDArray[np.bool_], params: CodecParams, reason: str) -> None:
    """Raise unless every weight is allowed; the message names the first one that is not."""
    if not allowed.all():
        raise InputError(f"weight {np.argmin(allowed)} {reason}: {params.packing.value}, {params.width} bits")
