"""Streams of sparse weights: round trips, against a plain decoder, against the entropy floor, damaged ones."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roundel.golden.codec import CodecParams, Packing, decode, encode, fit, write
from roundel.golden.codec import rice as codec_rice
from roundel.golden.opq import floor_bits, laplace_levels
from roundel.golden.rounding import limits
from tests.support import codec_reference

PACKINGS = [packing.value for packing in Packing]
DENSITIES = (0.5, 0.2, 0.1, 0.05)
RHO = 0.7  # 15 levels: 0.86 bits per weight at 90 % zeros
TABLE = (0, 5, -100, 127, -128, 1, 77)


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[int], CodecParams]:
    """Weights in zero runs of any length with levels of the whole range, and parameters to write them with."""
    packing = draw(st.sampled_from(Packing))
    lanes = draw(st.sampled_from([4, 8, 16, 32]))
    slices = draw(st.sampled_from([n for n in (1, 2, 4, 8) if n <= lanes])) if packing is Packing.RICE else 1
    levels = draw(st.sampled_from([None, TABLE, (0, 1), tuple(range(32))]))
    width = draw(st.integers(2, 8)) if levels is None else max(2, (len(levels) - 1).bit_length())
    allowed = st.integers(*limits(width, True)) if levels is None else st.sampled_from(levels)
    runs = st.one_of(st.integers(0, 5), st.integers(0, 5000))
    pieces = draw(st.lists(st.tuples(runs, st.lists(allowed, max_size=12)), max_size=6))
    weights = [weight for zeros, some in pieces for weight in [0] * zeros + some]
    segment = draw(st.sampled_from([64, 1024, 1 << 15]))
    params = CodecParams(packing=packing, width=width, lanes=lanes, slices=slices, levels=levels, segment=segment)
    return weights, params


@given(cases())
@settings(max_examples=150)
def test_round_trip(case: tuple[list[int], CodecParams]) -> None:
    weights, params = case
    found = decode(encode(weights, params))
    assert found.dtype == np.int8
    assert found.tolist() == weights


@given(cases(), st.integers(0, 8), st.integers(0, 8), st.integers(0, 7))
@settings(max_examples=60)
def test_plain_decoder_agrees(case: tuple[list[int], CodecParams], run: int, low: int, limit: int) -> None:
    """Whatever the parameters are: those that fit, and any others that can write the weights."""
    weights, params = case
    weights = weights[:600]
    streams = [encode(weights, params)]
    if params.packing is Packing.RELATIVE:
        streams.append(write(weights, replace(params, run_bits=run)))
    if params.packing is Packing.RICE and limit << low <= 256 <= (limit << low) + 256:
        streams.append(write(weights, replace(params, run_bits=run, level_bits=low, level_limit=limit, level_extra=8)))
    for stream in streams:
        assert codec_reference.decode(stream) == weights
        assert decode(stream).tolist() == weights


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("weights", [[], [0], [-8], [7], [0] * 100_000, [-8, 7] * 40, [0] * 70_000 + [1] + [0] * 9])
def test_corners(packing: str, weights: list[int]) -> None:
    stream = encode(weights, CodecParams(packing=packing, slices=4 if packing == "rice" else 1))
    assert decode(stream).tolist() == weights
    assert codec_reference.decode(stream) == weights


# Two non-zero weights of eight; every word below was put together by hand from docs/codecs.md.
EIGHT = [0, 0, 3, 0, -1, 0, 0, 0]
BY_HAND = {
    "mask": (CodecParams(packing="mask", lanes=4, segment=64), [0x06020400, 8, 0x00000100, 0, 1, 0xF134]),
    "relative": (
        CodecParams(packing="relative", lanes=4, segment=64, run_bits=2),
        [0x06020401, 8, 0x02000100, 0, 1, 0x2F4E],
    ),
    "rice": (
        CodecParams(
            packing="rice", lanes=4, segment=64, slices=2, run_bits=1, level_bits=1, level_limit=2, level_extra=1
        ),
        [0x06020402, 8, 0x01010100, 0x00010201, 2, 0x41E, 0x3],
    ),
    "levels": (
        CodecParams(packing="mask", lanes=4, segment=64, width=2, levels=(0, 3, -1)),
        [0x06020200, 8, 0x00000103, 0, 0x00FF0300, 1, 0b10_0001_01_0100],
    ),
}


@pytest.mark.parametrize(("params", "words"), BY_HAND.values(), ids=BY_HAND)
def test_by_hand(params: CodecParams, words: list[int]) -> None:
    stream = np.array([0x01535752, *words], dtype="<u4").tobytes()
    assert write(EIGHT, params) == stream
    assert decode(stream).tolist() == EIGHT


@pytest.fixture(scope="module")
def sizes() -> dict[tuple[str, float], float]:
    """Bits per weight of whole streams, 100,000 weights."""
    found = {}
    for density in DENSITIES:
        weights = laplace_levels(np.random.default_rng(1), 100_000, density=density, rho=RHO)
        for packing in PACKINGS:
            stream = encode(weights, CodecParams(packing=packing, slices=4 if packing == "rice" else 1))
            found[packing, density] = 8 * len(stream) / len(weights)
    return found


@pytest.mark.parametrize("density", DENSITIES)
def test_sizes_are_what_theory_says(sizes: dict[tuple[str, float], float], density: float) -> None:
    """Bounds from the model alone; 1 % is what 100,000 weights may have more or less of, and of the header."""
    floor = floor_bits(density, RHO, most=7)
    assert 0.985 * floor < sizes["rice", density] < 1.04 * floor
    assert sizes["mask", density] == pytest.approx(1 + 4 * density, rel=0.01)
    # Of geometric runs, (1 - d)**(2**z) go on each time: so many entries for each weight, at the best z.
    entries = {z: density / (1 - (1 - density) ** (1 << z)) for z in range(9)}
    assert sizes["relative", density] == pytest.approx(min((z + 4) * n for z, n in entries.items()), rel=0.015)


def test_sizes_are_those_of_the_design(sizes: dict[tuple[str, float], float]) -> None:
    """algorithms.md, 90 % zeros: rice at most 0.91 bits per weight, relative 0.98, mask 1.40."""
    assert floor_bits(0.1, RHO) == pytest.approx(0.86, abs=0.005)
    assert sizes["rice", 0.1] < 0.91
    assert sizes["relative", 0.1] < 0.98
    assert sizes["mask", 0.1] == pytest.approx(1.40, rel=0.01)


def test_floor_is_the_entropy_of_the_levels() -> None:
    chance = np.array([RHO**i * (1 - RHO) for i in range(6)] + [RHO**6])
    magnitudes = -(chance * np.log2(chance)).sum()
    zero = -(0.2 * np.log2(0.2) + 0.8 * np.log2(0.8))
    assert floor_bits(0.2, RHO, most=7) == pytest.approx(zero + 0.2 * (1 + magnitudes))


@pytest.mark.parametrize(("lanes", "slices"), [(8, 4), (16, 4), (16, 1)])
def test_rounds_of_a_beat_are_the_symbols_of_its_busiest_slice(lanes: int, slices: int) -> None:
    """Runs of at most 8 rows, so that a symbol is a code with the zeros before it, or the zeros at the end."""
    weights = np.tile([0, 0, 1, 0, 3, 3, 3, 0, 0, 0, 0, 0, 0], 20)
    params = CodecParams(packing="rice", lanes=lanes, slices=slices, run_bits=3)
    begun = np.zeros((slices, -(-len(weights) // lanes)), dtype=int)
    for index in range(slices):
        part = weights[index::slices]
        after_code = np.flatnonzero(np.append(1, part[:-1]))  # rows in which symbols begin
        np.add.at(begun[index], after_code // (lanes // slices), 1)
    assert codec_rice.rounds(weights.astype(np.uint8), params).tolist() == begun.max(axis=0).tolist()


def test_levels_are_put_in_order_for_rice() -> None:
    weights = [0] * 30 + [77] * 20 + [-100] * 5 + [5]
    params = fit(weights, CodecParams(packing="rice", width=3, levels=TABLE))
    assert params.levels is not None
    assert params.levels[:4] == (0, 77, -100, 5)
