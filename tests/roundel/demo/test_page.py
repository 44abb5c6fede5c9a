"""The demo's tables and sentences from numbers that are made up, each of which stands where its name says."""

from types import SimpleNamespace

import pytest

from roundel.demo import page, tables
from roundel.demo.page import (
    agreement_in_words,
    matches_in_words,
    suppression_in_words,
    terminal_tables,
    verdict,
    write_page,
)
from roundel.demo.summary import _config, _matching, _mean
from roundel.evaluation import REQUANT_FIGURES, Comparison
from roundel.golden.engine import CONFIGS, EngineParams
from roundel.ui import Grid


def layer(name: str, macs: int, start: int, used: float) -> dict:
    keys = ("predicted", "cycles", "compute", "fill", "memory", "decoder", "bytes")
    return {"layer": name, "macs": macs, "utilization": used} | {key: start + place for place, key in enumerate(keys)}


def scene(number: int, start: int, **verdicts: int) -> dict:
    keys = ("cycles", "computing", "read_beats", "write_beats", "boxes_before", "boxes")
    return {"scene": number} | {key: start + place for place, key in enumerate(keys)} | verdicts


COUNTS = {"objects": 3, "true": 2, "missed": 1, "false": 0, "unsure": 4}
FIGURES = {
    "model": "m.onnx",
    "config": "tiny",
    "engine": {"lanes": 4, "columns": 8, "memory": 65_536, "bus": 64},
    "scenes": 2,
    "equal": True,
    "differences": [],
    "warnings": ["scenes are dark"],
    "compared": {"tensors": 7, "elements": 123_456, "boxes": 9},
    "head": {"form": "score softmax", "recognised": True, "notes": ["corners up to 1e-06 pixels"]},
    "nms": {"name": "PSRR", "method": "exact", "threshold": 0.45, "capacity": 8},
    "compression": {"weights": 1234, "zeros": 0.805, "stream_bytes": 567, "float32_bytes": 4936},
    "accuracy": [
        {"network": "float", "nms": "GreedyNMS", "on": "golden", "scenes": 5, "ap50": 0.9876, "ap75": 0.5,
         "ap50_95": 0.61, "agreeing": 1.0},
        {"network": "integer", "nms": "PSRR", "on": "golden", "scenes": 5, "ap50": 0.91, "ap75": 0.41, "ap50_95": 0.31,
         "agreeing": 0.98765},
        {"network": "integer", "nms": "other", "on": "RTL", "scenes": 2, "ap50": 0.1, "ap75": 0.2, "ap50_95": 0.3,
         "agreeing": 0.1},
        {"network": "integer", "nms": "PSRR", "on": "RTL", "scenes": 2, "ap50": 0.9, "ap75": 0.4, "ap50_95": 0.3004,
         "agreeing": 0.5},
    ],
    "modules": [
        {"name": "conv", "n_x": 1, "n_w": 2, "n_w_most": 2, "n_b": 3, "n_o": 4, "shift": 5, "sqnr_db": 31.44},
        {"name": "wide", "n_x": 1, "n_w": 2, "n_w_most": 9, "n_b": 3, "n_o": 4, "shift": 5, "sqnr_db": 31.44},
        {"name": "pool", "n_x": 6, "n_w": None, "n_w_most": None, "n_b": None, "n_o": 7, "shift": None,
         "sqnr_db": None},
    ],
    "chain": [
        {"tensor": "a", "sqnr_db": 25.06, "clamped": 0.01234, "element": [1, 2, 3], "real": 0.12345, "integer": -1.5}
    ],
    "layers": [layer("conv", 5000, 1000, 0.5), layer("pool", 0, 2000, 0.0)],
    "total": layer("total", 5000, 3000, 0.4321),
    "frames": [scene(0, 10_000, **COUNTS), scene(1, 20_000, **COUNTS)],
    "matching": {name: 2 * number for name, number in COUNTS.items()},
    "traffic": [
        {"layer": "conv", "loaded": 1000, "stored": 200, "weights": 30, "parameters": 4},
        {"layer": "pool", "loaded": 5000, "stored": 600, "weights": 0, "parameters": 8},
    ],
    "energy": {
        "cells": "toy",
        "logic_nj": 1234.5,
        "memory_nj": 98_765.4,
        "rows": [
            {"unit": "array", "kind": "logic", "count": 4000, "what": "products", "pj": 0.12345, "nj": 1234.5,
             "node": "130 nm"},
            {"unit": "NMS", "kind": "logic", "count": 7, "what": "boxes", "pj": None, "nj": None, "node": "130 nm"},
            {"unit": "outer", "kind": "memory", "count": 9, "what": "beats", "pj": 1300.0, "nj": 11.7, "node": "45 nm"},
        ],
    },
    "requant": [],
    "tools": {"simulator": "Verilator 5"},
}  # fmt: skip


def test_every_table():
    assert tables.accuracy(FIGURES).rows == [
        ["float + GreedyNMS", "NumPy", "5", "98.8", "50.0", "61.0", "-"],
        ["integer + PSRR", "golden", "5", "91.0", "41.0", "31.0", "98.8%"],
        ["integer + other", "RTL", "2", "10.0", "20.0", "30.0", "10.0%"],
        ["integer + PSRR", "RTL", "2", "90.0", "40.0", "30.0", "50.0%"],
    ]
    assert tables.modules(FIGURES).rows == [
        ["conv", "1", "2", "3", "4", "5", "31.4"],
        ["wide", "1", "2 to 9", "3", "4", "5", "31.4"],
        ["pool", "6", "-", "-", "7", "-", "exact"],
    ]
    assert tables.chain(FIGURES).rows == [["a", "25.1", "1.23%", "1, 2, 3", "0.123", "-1.500"]]
    assert tables.layers(FIGURES).columns == (
        *("layer", "macs", "model", "cycles", "compute", "fill", "memory", "decoder", "used"),
    )
    assert tables.layers(FIGURES).rows == [
        ["conv", "5,000", "1,000", "1,001", "1,002", "1,003", "1,004", "1,005", "0.500"],
        ["pool", "0", "2,000", "2,001", "2,002", "2,003", "2,004", "2,005", "-"],
        ["total", "5,000", "3,000", "3,001", "3,002", "3,003", "3,004", "3,005", "0.432"],
    ]
    assert tables.frames(FIGURES).rows == [
        ["scene 0", "10,000", "10,001", "10,002", "10,003", "10,004", "10,005"],
        ["scene 1", "20,000", "20,001", "20,002", "20,003", "20,004", "20,005"],
    ]
    assert tables.matches(FIGURES).rows == [
        ["scene 0", "3", "2", "1", "0", "4"],
        ["scene 1", "3", "2", "1", "0", "4"],
        ["all", "6", "4", "2", "0", "8"],
    ]
    assert tables.traffic(FIGURES).rows == [
        ["conv", "1,000", "200", "30", "4"],
        ["pool", "5,000", "600", "0", "8"],
        ["all", "6,000", "800", "30", "12"],
    ]
    assert tables.energy(FIGURES).rows == [
        ["array", "logic", "4,000 products", "0.123", "1.234", "130 nm"],
        ["NMS", "logic", "7 boxes", "-", "not measured", "130 nm"],
        ["outer", "memory", "9 beats", "1,300", "0.012", "45 nm"],
    ]
    assert [tables.picojoules(value) for value in (99.96, 100, 1234.5)] == ["100", "100", "1,234"]
    shown = list(terminal_tables(FIGURES))
    assert [grid.title for grid in shown] == [
        *("Average precision", "Layers on the engine", "Frames", "Boxes of the RTL and objects", "Energy of a frame"),
    ]
    assert "macs" not in shown[1].columns
    assert "counted" not in shown[4].columns
    assert len(list(terminal_tables(FIGURES | {"energy": None}))) == 4


def test_tables_without_some_columns():
    grid = Grid("t", ("a", "b", "c"), [["1", "2", "3"], ["4", "5", "6"]])
    assert grid.without("b") == Grid("t", ["a", "c"], [["1", "3"], ["4", "6"]])
    assert grid.markdown == ["| a | b | c |", "| --- | ---: | ---: |", "| 1 | 2 | 3 |", "| 4 | 5 | 6 |", ""]


def test_sentences():
    assert verdict(FIGURES) == "RTL equal to golden in 2 scenes: 123,456 values of 7 layers, 9 boxes"
    differs = FIGURES | {"equal": False, "differences": ["conv: 1, 2", "pool"]}
    assert verdict(differs) == "RTL DIFFERS from golden, first in conv: 1, 2"
    assert agreement_in_words(FIGURES) == (
        "of the float network's boxes of a probability of 0.25 or more, the integers have 98.8% in 5 scenes, the RTL "
        "50.0% in 2: the same class, an IoU of at least 0.9"
    )
    exact, best, psrr = (
        suppression_in_words({"method": method, "threshold": 0.456, "capacity": 8})
        for method in ("exact", "none", "guarded")
    )
    assert exact.startswith("GreedyNMS at an IoU of 0.456 (`exact`), which `compress` derives")
    assert best == "no suppression, as the detector needs none: the 8 best boxes stay"
    assert psrr.startswith("PSRR-MaxpoolNMS (`guarded`)")
    assert matches_in_words(FIGURES).startswith("RTL's boxes in 2 scenes, 6 objects: 4 true, 2 missed, 8 unsure (")


@pytest.fixture
def drawn(monkeypatch):
    """Which pictures were drawn, of what."""
    seen = {}
    for name in ("draw_scenes", "draw_cycles", "draw_roofline", "draw_energy"):
        monkeypatch.setattr(page, name, lambda path, *given, name=name: seen.update({path.name: given}))
    return seen


def test_the_page(tmp_path, drawn):
    params = EngineParams(**CONFIGS["tiny"])
    demo = SimpleNamespace(scenes=SimpleNamespace(images="images", objects="objects"), params=params)
    write_page(demo, FIGURES, tmp_path)
    text = (tmp_path / "demo.md").read_text()
    assert drawn == {
        "scenes.png": ("images", "objects", FIGURES["frames"]),
        "cycles.png": (FIGURES["layers"],),
        "roofline.png": (FIGURES["layers"], 16, 8),
        "energy.png": (FIGURES["energy"]["rows"],),
    }
    for sentence in (
        "# From `m.onnx` to boxes out of verified RTL",
        "Its tail was recognised by running it: `score softmax`.",
        "the engine (`tiny`: 4 x 8 multipliers,\n64 KiB on chip, AXI4 of 64 bits), whose parameters",
        "and run on its RTL\n(Verilator 5) from the image to the boxes",
        "in onnx's reference:\n\n- Corners up to 1e-06 pixels.",
        "- The engine's suppression is GreedyNMS at an IoU of 0.45",
        "Of the float network's boxes of a probability of 0.25",
        "An image takes 3,001 cycles, 43.2% of all",
        "- Warning: scenes are dark.",
        "1,234 weights, 80% of them zero, take 567 bytes as\nstreams instead of 4,936.",
        "Logic 1.23 µJ; memories 98.77 µJ.",
        "toy and simulated with this network's own data",
    ):
        assert sentence in text, sentence
    for grid in (
        *(tables.accuracy, tables.modules, tables.chain, tables.layers, tables.frames, tables.matches),
        *(tables.traffic, tables.energy),
    ):
        assert "\n".join(grid(FIGURES).markdown[:-1]) in text
    assert "## What a requantizer costs" not in text
    drawn.clear()
    write_page(demo, FIGURES | {"energy": None, "warnings": [], "differences": ["conv"]}, tmp_path)
    text = (tmp_path / "demo.md").read_text()
    assert "energy.png" not in drawn
    assert "## Energy of a frame" not in text
    assert "\n- conv\n\n![Held-out" in text
    write_page(demo, FIGURES | {"head": FIGURES["head"] | {"recognised": False, "notes": []}}, tmp_path)
    assert "A file says what its outputs are: `score softmax`." in (tmp_path / "demo.md").read_text()


def test_ratios_of_requantizers():
    rows = [
        {"scheme": scheme, "cells": cells} | dict.fromkeys(REQUANT_FIGURES.values(), value)
        for scheme, cells, value in (
            ("shift", "a", 2.0),
            ("fixed8", "a", 5.0),
            ("shift", "b", 1.0),
            ("float32", "b", 9.0),
        )
    ]
    first, second = tables.ratio_tables(rows)
    assert (first.title, first.rows) == ("How many times more than `shift` on a", [["fixed8", *["2.50"] * 6]])
    assert (second.title, second.rows) == ("How many times more than `shift` on b", [["float32", *["9.00"] * 6]])
    assert Comparison(rows=rows).as_dict() == rows


@pytest.mark.parametrize(
    ("engine", "name"),
    [
        ("small", "small"),
        ("/a/b/engine.toml", "engine.toml"),
        (EngineParams(**CONFIGS["tiny"]), "given parameters"),
        ({"config": "tiny", "burst": 8, "fifo": 32}, "tiny with burst=8, fifo=32"),
        ({"burst": 8, "nms": {"capacity": 4}}, "small with burst=8"),
        ({"nms": {"capacity": 4}}, "small with nms"),
    ],
)
def test_names_of_engines(engine, name):
    assert _config(engine) == name


def test_sums_and_means_of_scenes():
    sums = _matching(FIGURES["frames"])
    assert {name: sums[name] for name in COUNTS} == FIGURES["matching"]
    assert (sums["iou"], sums["least"]) == (0.5, 0.25)
    counts = [
        SimpleNamespace(beats=1, words=10),
        SimpleNamespace(beats=4, words=11),
        SimpleNamespace(beats=6, words=20),
    ]
    assert vars(_mean(counts)) == {"beats": 4, "words": 14}
