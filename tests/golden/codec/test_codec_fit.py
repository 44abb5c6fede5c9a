"""Parameters that `fit` finds against all that there are, and the tables of codes, by counting."""

from dataclasses import replace

import numpy as np
import pytest

from roundel.golden.codec import CodecError, CodecParams, DecoderParams, encode, fit, write

SCENES = {
    "runs": lambda rng: np.where(rng.random(900) < 0.07, rng.integers(1, 8, 900), 0),
    "long runs": lambda rng: np.where(rng.random(3000) < 0.01, -rng.integers(1, 8, 3000), 0),
    "dense": lambda rng: np.where(rng.random(500) < 0.8, rng.integers(-8, 8, 500), 0),
    "zeros at the end": lambda rng: np.append(np.tile([0, 0, 0, 3], 40), np.zeros(4000, int)),
    "zeros at the end of segments": lambda rng: np.tile(np.append([0, 5], np.zeros(1022, int)), 4),
    "far from 0": lambda rng: np.where(rng.random(700) < 0.3, rng.choice([-7, 6, 7], 700), 0),
    "one level": lambda rng: np.tile([0, 0, 1], 200),
    "no zeros": lambda rng: rng.integers(1, 8, 300),
}


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("slices", [1, 4])
@pytest.mark.parametrize("packing", ["relative", "rice"])
def test_no_other_run_bits_write_a_shorter_stream(packing, slices, scene, seed):
    if packing == "relative" and slices > 1:
        return
    weights = SCENES[scene](np.random.default_rng(seed)).tolist()
    params = fit(weights, CodecParams(packing=packing, slices=slices, segment=1024))
    others = range(9 if packing == "relative" else 10)
    sizes = [len(write(weights, replace(params, run_bits=bits))) for bits in others]
    assert len(write(weights, params)) <= min(sizes) + 4 * slices  # whole words
    assert sizes[params.run_bits] == len(write(weights, params))


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("levels", [None, (0, 7, 1, -3, 5, 6, -7, -8, 2, 3, 4, -1, -2, -4, -5, -6)])
def test_no_other_levels_write_a_shorter_stream(levels, scene, seed):
    weights = SCENES[scene](np.random.default_rng(seed)).tolist()
    params = fit(weights, CodecParams(packing="rice", levels=levels))
    numbers = [params.rank_of_code[code] for code in np.unique(codes_of(weights, params)) if code]
    for low in range(9):
        for limit in range(8):
            extra = max(int(max(numbers)) - (limit << low), 0).bit_length()
            if extra <= 8:
                other = replace(params, level_bits=low, level_limit=limit, level_extra=extra)
                assert len(write(weights, params)) <= len(write(weights, other))
    least = min(abs(weight) for weight in weights if weight)
    assert params.base == (1 if levels else least)


def codes_of(weights, params):
    return params.code_of_level[np.asarray(weights).astype(np.uint8)]


def test_zeros_alone_need_no_levels():
    params = fit([0] * 100, CodecParams(packing="rice"))
    assert (params.base, params.level_bits, params.level_limit, params.level_extra) == (1, 0, 0, 0)


@pytest.mark.parametrize("levels", [None, (0, 5, -100, 127, -128, 1, 77)])
@pytest.mark.parametrize("width", [3, 5])
def test_tables_of_codes(width, levels):
    """Two's complement or the given levels; numbers of `rice` count magnitudes from `base` on, negative ones first."""
    params = CodecParams(width=width, levels=levels, base=1 if levels else 2)
    meant = (
        dict(enumerate(levels)) if levels else {code: code - (code >> width - 1 << width) for code in range(1 << width)}
    )
    assert params.level_of_code.shape == (256,)
    assert params.level_of_code.tolist() == [meant.get(code, 0) for code in range(256)]
    codes = {level % 256: code for code, level in meant.items()}
    assert params.code_of_level.tolist() == [codes.get(level, -1) for level in range(256)]
    if levels:
        numbered = list(range(1, len(levels)))
    else:
        most = 1 << width - 1
        pairs = [sign * size for size in range(2, most + 1) for sign in (-1, 1) if sign * size < most]
        numbered = [level % (1 << width) for level in pairs]
    assert params.code_of_rank.shape == (512,)
    assert [code for code in params.code_of_rank.tolist() if code >= 0] == numbered
    ranks = {code: rank for rank, code in enumerate(params.code_of_rank.tolist()) if code >= 0}
    assert params.rank_of_code.tolist() == [ranks.get(code, -1) for code in range(256)]


def test_a_stream_of_a_header_alone_is_judged_too():
    """20 bytes: no weights. A decoder of another width refuses it at the field of the width."""
    stream = encode([], CodecParams(packing="mask", width=4, lanes=8))
    assert len(stream) == 20
    assert len(DecoderParams(width=4).decode(stream)) == 0
    with pytest.raises(CodecError) as error:
        DecoderParams(width=5).decode(stream)
    assert error.value.bit == 32  # the word of packing, width and lanes


LEVELS = (0, 3, -5)
WORDS = {"packing": 32, "width": 32, "lanes": 32, "slices": 96, "table": 96}  # docs/codecs.md: where the header says so


@pytest.mark.parametrize("count", [0, 100])
@pytest.mark.parametrize(
    ("decoder", "what", "other"),
    [
        ({}, "packing", {"packing": "relative"}),
        ({}, "packing", {"packing": "rice"}),
        ({"packing": "rice"}, "packing", {"packing": "mask"}),
        ({}, "width", {"width": 3}),
        ({}, "width", {"width": 8}),
        ({}, "lanes", {"lanes": 4}),
        ({}, "lanes", {"lanes": 32}),
        ({"packing": "rice"}, "lanes", {"packing": "rice", "lanes": 16}),
        ({"packing": "rice", "slices": 2}, "slices", {"packing": "rice", "slices": 4}),
        ({"packing": "rice"}, "slices", {"packing": "rice", "slices": 8}),
        ({}, "table", {"levels": LEVELS}),
        ({"table": True}, "table", {}),
    ],
)
def test_a_decoder_refuses_streams_for_others(decoder, what, other, count):
    made = DecoderParams(**decoder)
    usual = {"packing": "mask", "width": 4, "lanes": 8, "segment": 64}
    weights = ([0, 0, 3, 0] * 25)[:count]
    own = usual | decoder | ({"levels": LEVELS} if decoder.get("table") else {})
    own.pop("table", None)
    assert made.decode(encode(weights, CodecParams(**own))).tolist() == weights
    with pytest.raises(CodecError) as error:
        made.decode(encode(weights, CodecParams(**usual | other)))
    assert error.value.bit == WORDS[what]


def test_lanes_are_of_no_matter_to_relative():
    stream = encode([0, 1, 2], CodecParams(packing="relative", width=4, lanes=32))
    assert DecoderParams(packing="relative", lanes=4).decode(stream).tolist() == [0, 1, 2]
