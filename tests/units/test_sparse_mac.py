"""The array behind a decoder: which pairs are refused, and RTL against golden."""

import numpy as np
import pytest

from roundel.benchmarks.array import generate_array, simulate
from roundel.golden.codec import CodecError, CodecParams, DecoderParams, encode
from roundel.golden.errors import ToolError
from roundel.golden.mac import MacParams, SparseMacParams, schedule, weight_beats
from roundel.hw.configs import SPARSE_MAC_CONFIGS
from tests.support.rtl import check, rtl_cases


def test_parts_may_be_keyword_arguments():
    params = SparseMacParams(mac={"lanes": 8, "weight_width": 4}, decoder={"lanes": 8, "width": 4})
    assert params.mac == MacParams(lanes=8, weight_width=4)
    assert params.decoder == DecoderParams(packing="rice", lanes=8, width=4, slices=4)
    assert SparseMacParams(**params.as_dict()) == params


def test_it_computes_what_the_array_computes(seed):
    rng, params = np.random.default_rng(seed), SparseMacParams()
    acts, weights = rng.integers(0, 256, (5, 20)), rng.integers(-128, 128, (20, 3))
    expected = np.clip(np.floor(acts @ weights / 2**9 + 0.5), -128, 127)
    np.testing.assert_array_equal(params.compute(acts, weights, 0, {"shift": 9}), expected)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"mac": {"lanes": 8}}, ValueError, "mac and decoder must have the same lanes, not 8 and 16"),
        ({"decoder": {"width": 4}}, ValueError, "must have weights of the same width, not 8 and 4 bits"),
        ({"decoder": {"width": 4, "table": True, "lanes": 8}, "mac": {"lanes": 8, "weight_width": 4}}, ValueError, "8"),
        ({"mac": DecoderParams()}, TypeError, "mac must be a MacParams"),
        ({"decoder": 3}, TypeError, "decoder must be a DecoderParams, not 3"),
    ],
)
def test_bad_parameters(given, error, message):
    with pytest.raises(error, match=message):
        SparseMacParams(**given)


@pytest.mark.parametrize("case", rtl_cases("sparse_mac"))
def test_rtl_equals_golden(case, seed):
    check(case, seed)


@pytest.fixture(scope="module")
def layer():
    """A small array, the beats of a layer of two tiles, and its stream."""
    rng, params = np.random.default_rng(3), SparseMacParams(**SPARSE_MAC_CONFIGS["mask_8x4"])
    acts, weights = rng.integers(0, 256, (40, 20)), rng.integers(-8, 8, (20, 6)) * (rng.random((20, 6)) < 0.4)
    beats = schedule(params.mac, acts, weights, 0, {"shift": 4})
    return generate_array("sparse_mac", params), beats, stream_of(weights)


def stream_of(weights):
    return encode(weight_beats(weights, lanes=8, columns=4), CodecParams(packing="mask", width=4, lanes=8))


def test_a_layer_from_files(layer):
    array, beats, stream = layer
    replay = simulate(array, beats, stream)
    assert replay.faults == ()
    np.testing.assert_array_equal(replay.outputs, beats.outputs)
    assert replay.cycles < len(beats.position) + 60  # the second tile's weights load while the first one computes


def test_other_weights_are_found(layer):
    array, beats, _ = layer
    found = simulate(array, beats, stream_of(np.ones((20, 6), np.int64)))
    assert "golden" in found.faults[0]
    assert (found.outputs != beats.outputs).any()


def test_a_damaged_stream_is_reported_with_its_bit(layer):
    array, beats, stream = layer
    with pytest.raises(CodecError) as golden:
        array.params.decoder.decode(stream[:-4])
    with pytest.raises(ToolError, match=f"the decoder reports an error at bit {golden.value.bit}"):
        simulate(array, beats, stream[:-4])
