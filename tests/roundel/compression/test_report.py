"""The report of a compression: sizes counted by hand, and each column and line with the number of its name."""

from types import SimpleNamespace

import numpy as np
import pytest

from roundel.compression.report import cells, parameter_bits, report_lines, size, summary, worst_layers
from roundel.golden.formats import Format
from roundel.golden.network import Window
from roundel.golden.network.weighted import Weighted
from roundel.quantization import LayerStream
from roundel.scales.report import advice_lines, advice_page, advice_table


def layer(name: str, weights: np.ndarray, width: int, **more: object) -> Weighted:
    return Weighted(
        name=name, sources=("image",), output=Format(width=8, signed=True, fraction=3), weights=weights,
        bias=np.arange(weights.shape[1]), x=Format(width=8, signed=True, fraction=4),
        w=Format(width=width, signed=True, fraction=6), b=Format(width=13, signed=True, fraction=10),
        window=Window(kernel=(1, 1)), **more,
    )  # fmt: skip


def compressed(*layers: Weighted, streams: tuple[bytes, ...]) -> SimpleNamespace:
    kept = [
        LayerStream(layer=item.name, data=data, weights=1, nonzero=1, blocks=1, zero_blocks=0)
        for item, data in zip(layers, streams, strict=False)
    ]
    return SimpleNamespace(network=SimpleNamespace(weighted=layers), streams=kept)


def test_sizes_of_weights_biases_and_parameters():
    """4 bits of 6 x 5 weights as a stream, 12 bits of 7 x 3 as they are; biases of 13 bits, a shift of 5 bits each."""
    first, second = np.zeros((6, 5), int), np.ones((7, 3), int)
    first[:2] = 3
    found = size(compressed(layer("a", first, 4), layer("b", second, 12), streams=(bytes(40),)))
    biases = 9 + 5  # 65 and 39 bits, in whole bytes
    streams = 40 + 32  # 252 bits
    assert found == {
        "weights": 51,
        "zeros": pytest.approx(20 / 51),
        "float32_bytes": 4 * (51 + 8),
        "stream_bytes": streams,
        "bias_bytes": biases,
        "parameter_bytes": 2,
        "total_bytes": streams + biases + 2,
        "codes_bytes": (10 * 4 + 21 * 12) / 8,
        "ratio": pytest.approx(236 / (streams + biases + 2)),
        "ratio_without_positions": pytest.approx(236 / (36.5 + biases + 2)),
    }
    assert size(compressed(streams=()))["ratio"] == 1


def test_parameters_that_differ_are_kept_for_each_channel():
    weights = np.ones((4, 3), int)
    assert parameter_bits(layer("a", weights, 8)) == 5
    assert parameter_bits(layer("a", weights, 8, w_fractions=(6, 6, 6))) == 5
    assert parameter_bits(layer("a", weights, 8, w_fractions=(6, 7, 6))) == 3 * 5


VALUES = {
    "model": "digits.onnx",
    "warnings": ["images are blank"],
    "options": {"requant": "shift", "refit": False},
    "size": {
        "weights": 15_248, "zeros": 0.8125, "float32_bytes": 61_352, "total_bytes": 2950, "ratio": 20.797,
        "ratio_without_positions": 41.26,
    },
    "accuracy": {"float32": 0.98, "integer": 0.9725, "images": 400, "points_lost": 0.75},
    "quantizations": {"before": 10, "after": 4},
    "modules": [{"module": "conv1", "operators": ["Conv", "Relu"], "before": 3, "after": 1}],
    "layers": [
        {"name": "conv1", "n_x": 1, "n_w": 2, "n_b": 3, "n_o": 4, "shift": 5, "weight_bits": 6, "output_bits": 7,
         "sqnr_db": 31.44, "requant": "fixed16", "scale": 0.0123456789, "zero_point": -3},
        {"name": "pool", "n_x": 8, "n_w": None, "n_b": None, "n_o": 9, "shift": None, "weight_bits": None,
         "output_bits": 8, "sqnr_db": None, "requant": "none", "scale": 1.5, "zero_point": 0},
    ],
    "streams": [
        {"layer": "conv1", "file": "streams/000.rws", "weights": 12_345, "nonzero": 2345, "bytes": 1234,
         "bits_per_weight": 0.799, "blocks": 1500, "zero_blocks": 1100},
    ],
    "advice": None,
    "opq": [],
    "host": [{"tensor": "y", "operator": "Softmax"}],
    "notes": ["a is folded"],
}  # fmt: skip


def test_the_page():
    lines = report_lines(VALUES)
    assert lines == [
        "# digits.onnx, compressed",
        "",
        "- 15,248 weights, 81.2% of them zero.",
        "- 61,352 bytes in float32, 2,950 as weight streams, integer biases and requantizer parameters: 20.8x smaller, "
        "positions and headers counted; 41.3x without positions.",
        "- 97.25% of 400 held-out images right, 98.00% in float: 0.75 points lost.",
        "- Left to the host: Softmax of y.",
        "- a is folded.",
        "",
        "## Warnings",
        "",
        "- images are blank.",
        "",
        "## Layers",
        "",
        "| layer | N_x | N_w | N_b | N_o | shift | weight bits | output bits | SQNR, dB |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        "| conv1 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 31.4 |",
        "| pool | 8 |  |  | 9 |  |  | 8 |  |",
        "",
        "## Weight streams",
        "",
        "| layer | file | weights | not zero | bytes | bits per weight | blocks | all zero |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        "| conv1 | streams/000.rws | 12,345 | 2,345 | 1,234 | 0.80 | 1,500 | 1,100 |",
        "",
        "## Unified modules",
        "",
        "| module | operators | quantizations before | after |",
        "| --- | ---: | ---: | ---: |",
        "| conv1 | Conv, Relu | 3 | 1 |",
        "",
        "10 quantization operations one operator at a time, 4 as modules.",
    ]
    scaled = report_lines(VALUES | {"options": {"requant": "fixed16", "refit": False}, "warnings": []})
    assert "| layer | requantizer | scale | zero point | weight bits | output bits | SQNR, dB |" in scaled
    assert "| conv1 | fixed16 | 0.0123457 | -3 | 6 | 7 | 31.4 |" in scaled
    assert "## Warnings" not in scaled


def test_the_worst_layers_are_shown():
    rows = [{"name": f"l{number}", "sqnr_db": db} for number, db in enumerate((9.0, None, -3.5, 20.0, 9.5))]
    found = worst_layers({"layers": rows, "streams": [{"layer": "l2", "weights": 7, "bytes": 5, "file": "f"}]}, 3)
    assert found == [
        {"name": "l2", "sqnr_db": -3.5, "weights": 7, "bytes": 5},
        {"name": "l0", "sqnr_db": 9.0, "weights": None, "bytes": None},
        {"name": "l4", "sqnr_db": 9.5, "weights": None, "bytes": None},
    ]
    assert [row["name"] for row in worst_layers({"layers": rows, "streams": []}, 9)] == ["l2", "l0", "l4", "l3", "l1"]


OPQ = {
    "layer": "conv1", "weights": 1000, "pruned": 0.8, "zeros": 0.8123, "width": 4, "step": 0.03125,
    "laplace_scale": 0.12345, "laplace_distance": 0.04567, "pruning_predicted": 1.234e-3, "pruning_measured": 2.346e-3,
    "rounding_predicted": 3.456e-5, "rounding_measured": 4.567e-5, "float32_bytes": 4000.0, "codes_bytes": 100.4,
    "floor_bytes": 150.6, "entropy_bytes": 160.2, "stream_bytes": 180, "over_floor": 0.1236,
}  # fmt: skip


def test_the_table_of_pruning():
    lines = report_lines(VALUES | {"opq": [OPQ]})
    at = lines.index("## Pruning and quantization (OPQ)")
    assert lines[at + 2].count("|") == 19
    assert lines[at + 4] == (
        "| conv1 | 1,000 | 80.0% | 81.2% | 4 | 0.0312 | 0.123 | 0.046 | 1.23e-03 | 2.35e-03 | 3.46e-05 | 4.57e-05 "
        "| 4,000 | 100 | 151 | 160 | 180 | 12.4% |"
    )
    assert lines[at + 6].startswith("Errors: predicted under a Laplace model")
    assert cells((("a", "x", ".1f"), ("b", "y", "")), [{"x": None, "y": [1, 2]}]) == [["", "1, 2"]]


ADVICE = {
    "requant": "fixed16",
    "tensors": [
        {"tensor": "w", "role": "weights", "scale": 0.01, "scale_most": 0.02, "zero_point": 0, "shift": 6,
         "shift_most": 7, "ratio": 1.28, "ratio_most": 1.28, "before_db": None, "after_db": 30.06, "results_db": 31.25,
         "fold": "into the weights"},
        {"tensor": "x", "role": "input", "scale": 0.5, "scale_most": 0.5, "zero_point": 3, "shift": 1, "shift_most": 1,
         "ratio": 1, "ratio_most": 1, "before_db": 40.0, "after_db": None, "results_db": None, "fold": "none"},
    ],
    "results_db": {"file": 35.55, "kept": 34.0, "moved": None},
    "requantizers": [
        {"layer": "conv1", "acc_width": 24, "out_width": 8, "kept_um2": 3000.4,
         "shift_um2": 1000.6, "saved_um2": 1999.8},
        {"layer": "conv2", "acc_width": 20, "out_width": 7, "kept_um2": 2000.0,
         "shift_um2": 1000.0, "saved_um2": 1000.0},
    ],
    "notes": ["y keeps its scale"],
}  # fmt: skip


def test_the_advice():
    lines = advice_lines(ADVICE)
    assert lines[:3] == [
        "- 2 tensors with a scale; 1 of the scales are not powers of two.",
        "- SQNR of the results, against real activations: 35.5 dB as the file computes them, 34.0 dB in integers with "
        "`--requant fixed16`.",
        "- Requantizers, one column of each layer: 5,000 um2 with fixed16, 2,001 with shifts, 2.5 times smaller.",
    ]
    assert lines[3].startswith("- The columns SQNR, moved and results are in dB")
    assert lines[4:] == ["- y keeps its scale."]
    assert advice_table(ADVICE) == [
        "| tensor | scale | zero | nearest | ratio | SQNR | moved | results |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        "| w | 0.01 to 0.02 |  | 2^-7 to 2^-6 | 1.280 | exact | 30.1 | 31.2 |",
        "| x | 0.5 | 3 | 2^-1 | 1.000 | 40.0 | exact | exact |",
        "",
        "| tensor | change |",
        "| --- | ---: |",
        "| w | into the weights |",
        "| x | none |",
        "",
        "| requantizer of | bits in | out | keeps the scale, um2 | shift, um2 | saved, um2 |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        "| conv1 | 24 | 8 | 3,000 | 1,001 | 2,000 |",
        "| conv2 | 20 | 7 | 2,000 | 1,000 | 1,000 |",
    ]
    page = advice_page(ADVICE, "m.onnx")
    assert page == ["# m.onnx: scales as powers of two", "", *lines, "", *advice_table(ADVICE)]
    moved = ADVICE | {"requantizers": [], "results_db": {"file": 35.0, "kept": None, "moved": 33.0}}
    assert advice_lines(moved)[1].endswith("35.0 dB as the file computes them, 33.0 dB in integers with `--refit`.")
    assert len(advice_lines(moved)) == 4
    report = report_lines(VALUES | {"advice": ADVICE})
    assert report[report.index("## Scales") + 2 :][: len(lines)] == lines
    assert "- Scales that are not powers of two: kept by fixed16." in summary(VALUES | {"advice": ADVICE})
    refit = VALUES | {"advice": ADVICE, "options": {"requant": "shift", "refit": True}}
    assert "- Scales that are not powers of two: moved to powers of two (--refit)." in summary(refit)
    assert not any("held-out" in line for line in summary(VALUES | {"accuracy": None}))
