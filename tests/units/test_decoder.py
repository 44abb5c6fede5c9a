"""The decoder: its parameters, what it must say of a stream, the plain model of its bench; then RTL against golden."""

import json
import re
from typing import Any

import numpy as np
import pytest

from roundel.golden.codec import CodecError, CodecParams, DecoderParams, Packing, decode, encode, header_words
from roundel.sim.benches.tb_decoder import DAMAGED
from roundel.sim.stimuli import foreign, mutated, sound, sound_weights
from tests.support import rtl

MASK = DecoderParams(packing=Packing.MASK, lanes=8, width=4)
TABLE = DecoderParams(packing=Packing.RELATIVE, lanes=8, width=3, table=True)
RICE = DecoderParams(packing=Packing.RICE, lanes=8, width=4, slices=4)
ALL = (MASK, TABLE, RICE)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"packing": "zip"}, "packing must be one of mask, relative, rice, not 'zip'"),
        ({"bus": 16}, "bus must be 32 to 128, not 16"),
        ({"bus": 96}, "bus must be a power of two, not 96"),
        ({"lanes": 2}, "lanes must be 4 to 32, not 2"),
        ({"width": 6, "table": True}, "width must be 2 to 5, not 6"),
        ({"slices": 2}, "slices must be 1 to 1, not 2"),
        ({"packing": "rice", "slices": 8, "lanes": 4}, "slices must be at most lanes, not 8 of 4"),
    ],
)
def test_bad_parameters(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        DecoderParams(**wrong)


def test_kinds_of_parameters() -> None:
    with pytest.raises(TypeError, match=r"^table must be a bool, not 1$"):
        DecoderParams(table=1)  # type: ignore[arg-type]


def test_parameters_survive_json() -> None:
    assert DecoderParams(**json.loads(json.dumps(RICE.as_dict()))) == RICE


@pytest.mark.parametrize("params", ALL, ids=lambda params: params.packing.value)
def test_streams_made_for_it_are_decoded(params: DecoderParams, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for stream in [sound(rng, params) for _ in range(50)]:
        assert params.decode(stream).tolist() == decode(stream).tolist()
        assert sound_weights(stream).tolist() == decode(stream).tolist()


@pytest.mark.parametrize(
    ("params", "made", "bit"),
    [
        (MASK, {"packing": "relative"}, 32),
        (MASK, {"lanes": 16}, 32),
        (MASK, {"width": 5}, 32),
        (MASK, {"levels": (0, 1, -1)}, 96),
        (TABLE, {"packing": "relative", "width": 3}, 96),
        (RICE, {"packing": "rice", "slices": 2}, 96),
    ],
)
def test_streams_made_for_others_are_refused(params: DecoderParams, made: dict[str, Any], bit: int) -> None:
    form: dict[str, Any] = {"packing": "mask", "lanes": 8, "width": 4} | made
    stream = encode([0, 1, -1, 0], CodecParams(**form))
    decode(stream)
    with pytest.raises(CodecError) as caught:
        params.decode(stream)
    assert caught.value.bit == bit


def test_lanes_are_nothing_to_relative() -> None:
    params = DecoderParams(packing=Packing.RELATIVE, lanes=8)
    for lanes in (4, 8, 16, 32):
        assert params.decode(encode([0, 1, 0, -3], CodecParams(packing=Packing.RELATIVE, lanes=lanes))).tolist() == [
            0,
            1,
            0,
            -3,
        ]


@pytest.mark.parametrize("params", ALL, ids=lambda params: params.packing.value)
def test_a_cut_stream_is_sound_up_to_its_end(params: DecoderParams, seed: int) -> None:
    whole = sound(np.random.default_rng(seed), params, 300)
    weights = decode(whole).tolist()
    before = 0
    for size in range(0, len(whole), 4):
        found = sound_weights(whole[:size]).tolist()
        assert found == weights[: len(found)]
        assert before <= len(found) < len(weights)
        before = len(found)
    assert before > len(weights) / 2


@pytest.mark.parametrize("params", ALL, ids=lambda params: params.packing.value)
def test_a_damaged_stream_has_no_more_than_it_announces(params: DecoderParams, seed: int) -> None:
    rng = np.random.default_rng(seed)
    errors = 0
    for stream in [mutated(rng, sound(rng, params, 100)) for _ in range(300)]:
        found = sound_weights(params.as_seen(stream))
        try:
            assert found.tolist() == params.decode(stream).tolist()
        except CodecError as error:
            errors += 1
            assert not len(found) or len(found) <= int.from_bytes(stream[8:12], "little")
            if 8 * (header_words(stream[12]) * 4 if len(stream) > 12 else 20) >= error.bit and len(stream) % 4 == 0:
                assert not len(found)
    assert 100 < errors < 300


def test_foreign_streams_are_refused_in_the_header(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for params in ALL:
        for stream in [foreign(rng, params) for _ in range(20)]:
            decode(stream)
            with pytest.raises(CodecError) as caught:
                params.decode(stream)
            assert caught.value.bit in (32, 96)


@pytest.mark.parametrize("case", rtl.rtl_cases("decoder"))
def test_rtl_equals_golden(case: Any, seed: int) -> None:
    rtl.check(case, seed)


def test_at_least_a_thousand_damaged_streams_reach_the_rtl() -> None:
    assert DAMAGED * len(rtl.rtl_cases("decoder")) >= 1000
