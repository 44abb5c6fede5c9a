"""`roundel bench`: its rows, on units small enough for a test. Speeds are there; no more is asked of them."""

import json
import sys
from dataclasses import replace

import pytest

import roundel.benchmarks.run
from roundel.benchmarks import codec as bench_codec
from roundel.benchmarks import decoder as bench_decoder
from roundel.benchmarks import nms as bench_nms
from roundel.benchmarks import search as bench_search
from roundel.benchmarks.array import Replay
from roundel.benchmarks.run import BENCHES, measure_rows, measurements
from roundel.benchmarks.show import tables
from roundel.cli.main import main
from roundel.detection import accuracy
from roundel.detection.scenes import KINDS
from roundel.golden.codec import DecoderParams
from roundel.golden.errors import MismatchError
from roundel.golden.mac import MacParams
from roundel.golden.nms import BoxFormat
from roundel.golden.requant import RequantParams
from roundel.hw.units import UNITS

SMALL = MacParams(lanes=4, columns=4, depth=8, reduction=72)


@pytest.fixture
def small(monkeypatch):
    """Two requantizers and a small array with a layer to match."""
    monkeypatch.setattr(roundel.benchmarks.run, "RESULTS", 300)
    monkeypatch.setattr(bench_decoder, "WEIGHTS", 800)
    for name, value in (("MAP", 4), ("CHANNELS", 8), ("OUTPUTS", 8)):
        monkeypatch.setattr(roundel.benchmarks.run, name, value)
    for name, value in (("BOXES", 60), ("IMAGES", 3), ("FORMAT", BoxFormat(width=200, height=120, classes=1))):
        monkeypatch.setattr(bench_nms, name, value)
    variants = {
        "mac": [SMALL],
        "requant": [RequantParams(), RequantParams(scheme="fixed32")],
        "codec": [],
        "engine": [],
        "golden": [],
        "networks": [],
        "search": [bench_search.Case(per_channel=True, positions=16, size=32, images=1)],
        "decoder": [bench_decoder.DecoderRate(DecoderParams(**UNITS["decoder"].configs["mask_8"]), 0.5)],
        "nms": [bench_nms.NmsRate("psrr parallel", 2), bench_nms.Software(60)],
    }
    for name, given in variants.items():
        monkeypatch.setitem(BENCHES, name, replace(BENCHES[name], variants=lambda given=given: given))


def check(rows):
    assert all(set(row) == {"name", "value", "unit", "params"} for row in rows)
    assert all(row["value"] > 0 for row in rows)


def test_array_does_one_beat_per_cycle(small, seed):
    rows = measure_rows(["mac"], seed=seed)
    check(rows)
    values = {row["name"]: row["value"] for row in rows}
    assert {row["name"]: row["unit"] for row in rows} == {
        "mac.beats_per_cycle": "beats/cycle",
        "mac.macs_per_cycle": "MAC/cycle",
        "mac.simulation_speed": "cycles/s",
        "mac.golden_speed": "MAC/s",
    }
    beats = 16 * (72 // 4) * (8 // 4)
    assert beats / (beats + 30) <= values["mac.beats_per_cycle"] < 1
    # no lane is idle in this layer
    assert values["mac.macs_per_cycle"] == pytest.approx(values["mac.beats_per_cycle"] * 16)


def test_requantizers_do_one_result_per_cycle(small, seed, tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        main(["bench", "requant", "--seed", str(seed), "-o", str(tmp_path / "out"), "--json"])
    assert end.value.code == 0
    rows = json.loads((tmp_path / "out" / "bench.json").read_text())
    assert json.loads(capsys.readouterr().out) == rows
    check(rows)
    assert [(row["name"], row["params"]["scheme"]) for row in rows] == [
        (f"requant.{what}", scheme)
        for scheme in ("shift", "fixed32")
        for what in ("results_per_cycle", "simulation_speed", "golden_speed")
    ]
    assert all(300 / 330 <= row["value"] < 1 for row in rows if row["name"] == "requant.results_per_cycle")
    assert all(row["params"]["seed"] == seed for row in rows)


def test_suppression_takes_two_boxes_a_cycle_with_two_lanes(small, seed):
    rows = measure_rows(["nms"], seed=seed)
    check(rows)
    values = {(row["name"], row["params"].get("scheme")): row["value"] for row in rows}
    assert values["nms.boxes_per_cycle", "psrr parallel"] == 2
    assert values["nms.cycles_per_image", "psrr parallel"] == 30
    kept = values["greedy_nms.cycles_per_image", "psrr parallel"] / 30 - 2  # a scan each, one more, and loading
    assert values["nms.speedup_over_greedy", "psrr parallel"] > kept > 1
    assert ("software.psrr_numpy", "guarded cascade") in values
    assert values["nms.over_greedy_compiled", None] == pytest.approx(
        values["software.greedy_compiled", None] * bench_nms.CLOCK_MHZ / 60
    )


def test_without_onnxruntime_the_compiled_greedy_nms_is_left_out(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    rows = bench_nms.Software(20).rows(seed=1)
    assert "software.greedy_numpy" in {row["name"] for row in rows}
    assert [row["name"] for row in rows if "compiled" in row["name"]] == []
    ((title, heads, _),) = [table for table in tables(rows) if table[0].startswith("Suppression in NumPy")]
    assert title.endswith("needs onnxruntime: pip install 'roundel[bench]')")
    assert heads == ["scheme", "boxes", "NumPy, us", "ratio to NumPy greedy"]


def test_mask_gives_all_lanes_every_cycle(small, seed):
    rows = measure_rows(["decoder"], seed=seed)
    check(rows)
    values = {row["name"]: row["value"] for row in rows}
    assert values["decoder.weights_per_cycle"] == 8
    # 5 words of header, a length, and the registers between input and output
    assert 5 <= values["decoder.cycles_between_streams"] <= 16
    assert 3 < values["decoder.nonzero_per_cycle"] < 5
    (line,) = {title: cells for title, _, cells in tables(rows)}["Decoder, dense weights per cycle, by zeros"]
    assert line == ["mask, 8 lanes", "8"]


def test_speeds_of_codecs_have_a_line_for_each_format_and_a_column_for_each_density(monkeypatch):
    monkeypatch.setattr(bench_codec, "TIMED", 1000)
    monkeypatch.setattr(bench_codec, "SIZED", 1000)
    rows = [row for variant in bench_codec.variants() for row in variant.rows(seed=1)]
    by_title = {title: (heads, cells) for title, heads, cells in tables(rows)}
    heads, cells = by_title["Decoding, million weights per second, by zeros"]
    assert heads == ["format", "50%", "80%", "90%", "95%"]
    assert [line[0] for line in cells] == ["mask", "relative", "rice"]
    speeds = {
        (row["params"]["format"], row["params"]["zeros"]): row["value"]
        for row in rows
        if row["name"] == "codec.decode_speed"
    }
    assert float(cells[2][1]) == pytest.approx(speeds["rice", 0.5] / 1e6, rel=1e-3)
    assert [line[0] for line in by_title["Weights per round, by zeros"][1]] == ["rice"]


def test_the_joint_search_has_a_line(small):
    rows = measure_rows(["search"], seed=1)
    check(rows)
    values = {row["name"]: row["value"] for row in rows}
    # 20 convolutions and their normalizations, 17 activations, 8 sums, a mean, a matrix product; 20 + 2 modules
    assert (values["search.quantizations_before"], values["search.quantizations_after"]) == (20 + 20 + 17 + 8 + 2, 22)
    (table,) = tables(rows)
    assert table[1][1:] == ["seconds", "peak memory, GiB", "SQNR, dB", "quantizations", "as modules"]
    assert (table[2][0][0], table[2][0][4:]) == ("per channel", ["67", "22"])


def test_tables_have_every_row_once(small, seed):
    """Rows that are about the same thing share a line; the rest have a line each."""
    rows = measure_rows(["nms", "requant"], seed=seed)
    scenes = accuracy({"easy": KINDS["easy"]}, scenes=1, seed=seed)
    by_title = {title: (heads, cells) for title, heads, cells in tables([*rows, *scenes])}
    assert list(by_title)[:3] == ["Speed", "Suppression, images of 60 boxes", "Suppression in NumPy"]
    (line,) = by_title["Suppression, images of 60 boxes"][1]
    assert line[:3] == ["psrr parallel", "2", "2.000"]
    assert len(by_title["Suppression in NumPy"][1]) == 4
    assert sum(cells[0].startswith("requant.results_per_cycle") for cells in by_title["Speed"][1]) == 2
    assert by_title["AP50"][0] == ["method", "easy"]
    assert all(len(cells) == len(heads) for heads, rows in by_title.values() for cells in rows)


def test_progress_is_told_of_every_measurement(small, monkeypatch):
    for name in BENCHES:
        monkeypatch.setitem(BENCHES, name, replace(BENCHES[name], measure=lambda params, seed: []))
    done = []
    assert measure_rows([], seed=1, done=done.append) == []
    assert done == ["mac", "requant", "requant", "decoder", "search", "nms", "nms"]
    assert len(done) == measurements([])
    assert measurements(["mac", "mac"]) == 1


def test_wrong_rtl_gives_no_figures(small, monkeypatch):
    wrong = Replay(outputs=None, cycles=1, faults=("output beat 3, column 1 differs",), speed=1.0)
    monkeypatch.setattr(roundel.benchmarks.run, "simulate", lambda *_: wrong)
    with pytest.raises(MismatchError, match="differs from golden: output beat 3, column 1 differs"):
        measure_rows(["mac"], seed=1)


def test_unknown_unit_is_one_line_and_leaves_nothing(tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        main(["bench", "mac", "nope", "-o", str(tmp_path / "out")])
    assert end.value.code == 2
    known = "mac, requant, codec, decoder, search, engine, networks, golden, nms"
    assert capsys.readouterr().err == f"roundel: unit 'nope' has no benchmark, expected one of {known}\n"
    assert list(tmp_path.iterdir()) == []
