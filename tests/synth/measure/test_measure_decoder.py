"""What a decoder costs: parts that add up, cycles that follow from beats, netlists that are proven."""

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from roundel.evaluation import laplace_weights
from roundel.evaluation.stimulus import DIGITS
from roundel.evaluation.stimulus_decoder import Example, examples, variants
from roundel.golden.codec import CodecParams, DecoderParams, Packing, decode, encode
from roundel.golden.errors import InputError, MismatchError
from roundel.synth.cells import REFERENCE, read_library
from roundel.synth.measure import WeightStreams, decoder_scheme, measure_decoder
from roundel.synth.measure import decoder as unit_under_test
from roundel.synth.measure.common import nand2_area

SMALL = DecoderParams(packing=Packing.MASK, bus=32, lanes=4, width=2)
CODEC = CodecParams(packing=Packing.MASK, lanes=4, width=2)


@pytest.fixture
def stimulus(seed):
    rng = np.random.default_rng(seed)
    counts = (400, 80)
    return WeightStreams(
        source="two layers", streams=tuple(encode(rng.integers(-1, 2, count), CODEC) for count in counts)
    )


def test_a_row_is_proven_and_its_parts_add_up(stimulus):
    row = measure_decoder(SMALL, REFERENCE, stimulus)
    assert (row["unit"], row["scheme"], row["ops"], row["verified"]) == ("decoder", "mask, 4 lanes", 480, True)
    assert row["bits_per_weight"] == 8 * sum(map(len, stimulus.streams)) / 480
    parts = sum(row[f"energy_{part}_pj_per_op"] for part in ("logic", "registers", "clock_gates"))
    assert row["energy_pj_per_op"] == pytest.approx(parts)
    assert parts == pytest.approx(row["internal"] + row["switching"] + row["leakage"])
    assert row["energy_logic_pj_per_op"] > 0
    core = row["area_core_logic_nand2"] + row["area_core_registers_nand2"]
    assert core * nand2_area(read_library(REFERENCE), REFERENCE) == pytest.approx(row["area_core_um2"])
    assert 0 < row["area_core_registers_um2"] < row["area_registers_um2"]
    assert row["area_core_um2"] < row["area_um2"]
    # 10 pJ for 64 bits of SRAM, 1,300 of DRAM; a dense weight has 2 bits
    assert row["saved_sram_pj_per_op"] == pytest.approx(10 / 64 * (2 - row["bits_per_weight"]))
    assert row["saved_dram_pj_per_op"] == pytest.approx(130 * row["saved_sram_pj_per_op"])


def test_cycles_are_those_of_beats_and_of_headers(stimulus):
    """A beat a cycle; what lies between two streams is 5 words of header, a length, and the pipeline."""
    row = measure_decoder(SMALL, REFERENCE, stimulus)
    beats = 480 // 4
    assert beats + 2 * 6 <= row["cycles"] <= beats + 2 * 16
    assert row["weights_per_cycle"] == 480 / row["cycles"]


def test_a_netlist_that_decodes_wrongly_is_refused(stimulus, monkeypatch):
    """Golden takes the weights to have other lanes than the netlist."""
    monkeypatch.setattr(unit_under_test, "cached_row", lambda key, make: make())
    monkeypatch.setattr(DecoderParams, "as_dict", lambda params: {"packing": "mask", "bus": 32, "lanes": 4, "width": 3})
    with pytest.raises(MismatchError, match="the netlist of decoder on roundel_reference differs from golden"):
        measure_decoder(SMALL, REFERENCE, stimulus)


def test_the_stimulus_file_holds_all_streams_as_often_as_asked(stimulus, tmp_path):
    stimulus.write(2)(tmp_path / "a.npz")
    one, two = map(len, stimulus.streams)
    with np.load(tmp_path / "a.npz") as file:
        assert file["ends"].tolist() == [one, one + two, 2 * one + two, 2 * (one + two)]
        assert file["bytes"].tobytes() == b"".join(stimulus.streams * 2)


def test_rows_of_the_comparison():
    found = variants({})
    assert [decoder_scheme(params) for params in found] == [
        "mask, 8 lanes",
        "mask, 16 lanes",
        "relative, 16 lanes",
        "rice, 16 lanes, 1 slice",
        "rice, 16 lanes, 4 slices",
    ]
    assert {params.width for params in found} == {4}
    assert {(params.width, params.bus) for params in variants({"width": 8, "bus": 64})} == {(8, 64)}


@pytest.mark.parametrize(
    ("common", "message"),
    [
        ({"lanes": 8}, "lanes cannot be set, only bus and width"),
        ({"packing": "mask"}, "packing cannot be set, only bus and width"),
        ({"width": 3}, "width must be 4 to 8, as the digits network has codes of 4 bits"),
        ({"width": 9}, "width must be 2 to 8, not 9"),
        ({"bus": 48}, "bus must be a power of two, not 48"),
    ],
)
def test_what_cannot_be_set(common, message):
    with pytest.raises(InputError, match=f"compare decoder: {message}"):
        variants(common)


def test_the_digits_network_is_packed_whole():
    """In every format the streams hold the non-zero weights of the file, and nothing else."""
    model = onnx.load(DIGITS / "digits_sparse.onnx")
    codes = [numpy_helper.to_array(item) for item in model.graph.initializer if item.name.endswith(".codes")]
    wanted = np.sort(np.concatenate([code[code != 0] for code in codes]))
    network = examples()[0]
    assert network.zeros == pytest.approx(np.mean(np.concatenate([code.ravel() for code in codes]) == 0))
    for params in variants({}):
        found = np.concatenate([decode(stream) for stream in network.streams(params).streams])
        assert np.array_equal(np.sort(found[found != 0]), wanted)
        assert len(found) == network.streams(params).weights
        assert network.streams(params).bits_per_weight < 2


def test_laplace_weights_are_as_sparse_and_as_rarely_clipped_at_every_width():
    assert [example.zeros for example in examples()[1:]] == [0.5, 0.8, 0.9, 0.95]
    for width in (4, 8):
        weights = laplace_weights(100_000, 0.8, width)
        most = (1 << (width - 1)) - 1
        assert np.mean(weights == 0) == pytest.approx(0.8, abs=0.01)
        assert np.abs(weights).max() == most
        assert np.mean(np.abs(weights[weights != 0]) == most) == pytest.approx(0.7**6, abs=0.01)
    assert not np.array_equal(laplace_weights(100, 0.5, 4), laplace_weights(100, 0.5, 4, seed=2))


def test_streams_are_for_the_decoder():
    params = DecoderParams(packing="rice", bus=64, lanes=16, slices=4, width=5)
    (stream,) = Example(source="", zeros=0.9).streams(params).streams
    assert np.array_equal(params.decode(stream), laplace_weights(1 << 15, 0.9, 5))
