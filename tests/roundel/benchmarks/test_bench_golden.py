"""`roundel bench golden`: networks and their float twins have the same shapes; its rows. No speed is asked of them."""

import sys

import numpy as np
import onnxruntime
import pytest

from roundel.benchmarks import golden as bench_golden
from roundel.benchmarks.float_twin import float_twin
from roundel.benchmarks.golden import Image, measure
from roundel.benchmarks.shapes import Builder, centerface, mobilenet_v2, yolov5n
from roundel.benchmarks.show import tables
from roundel.golden.errors import ToolError
from roundel.golden.network import outputs

FIGURES = {"seconds", "float", "over_float", "memory"}


@pytest.mark.parametrize(
    ("build", "shape", "weighted", "depthwise"),
    [(yolov5n, (64, 64, 3), 60, 0), (centerface, (64, 96, 3), 63, 17), (mobilenet_v2, (64, 64, 3), 53, 17)],
)
def test_twins_have_the_shapes_of_the_network(build, shape, weighted, depthwise, seed):
    """Of the same weights and images, results that no layer between has clamped resemble each other too."""
    network = build(Builder(shape=shape, seed=seed))
    assert len(network.weighted) == weighted
    assert sum(layer.groups > 1 for layer in network.weighted) == depthwise
    image = np.random.default_rng(seed).integers(0, 256, (1, *shape))
    session = onnxruntime.InferenceSession(float_twin(network, shape))
    real = (image / 16).transpose(0, 3, 1, 2).astype(np.float32)
    found = dict(zip(network.output_names, session.run(None, {"image": real}), strict=True))
    for name, values in outputs(network, image).items():
        expected = values.transpose(0, 3, 1, 2) if values.ndim == 4 else values
        assert found[name].shape == expected.shape


def test_a_layer_and_its_twin_agree(seed):
    """Products, padding, groups, ReLU, maxima and upsampling, where nothing is clamped from above."""
    builder = Builder(shape=(9, 8, 4), seed=seed)
    first = builder.conv("image", 8, 3, 2, groups=2)
    second = builder.conv(first, 8, 1, residual=first)
    network = builder.network(builder.upsample(builder.pool(second, 2, 2)))
    image = np.random.default_rng(seed).integers(0, 30, (1, 9, 8, 4))
    session = onnxruntime.InferenceSession(float_twin(network, (9, 8, 4)))
    (found,) = session.run(None, {"image": (image / 16).transpose(0, 3, 1, 2).astype(np.float32)})
    (values,) = outputs(network, image).values()
    error = np.abs(found.transpose(0, 2, 3, 1) - values / 16)
    assert values.max() > 30
    assert values.max() < 255
    assert error.max() < 3 / 16


def test_figures(seed, monkeypatch):
    builder = Builder(shape=(8, 8, 4), seed=seed)
    network = builder.network(builder.conv("image", 8, 3))
    figures = measure(network, (8, 8, 4), threads=1, seed=seed, turns=1)
    assert figures.keys() == FIGURES
    assert all(value > 0 for value in figures.values())
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert measure(network, (8, 8, 4), threads=1, seed=seed, turns=1).keys() == {"seconds", "memory"}


def test_rows_come_from_a_process_of_their_own(seed, monkeypatch):
    monkeypatch.setattr(bench_golden, "TURNS", 1)
    rows = Image("yolov5n", 1).rows(seed)
    assert {row["name"] for row in rows} == {f"golden.{name}" for name in FIGURES}
    assert rows[0]["params"] == {"network": "yolov5n", "threads": 1, "seed": seed}
    ((title, heads, cells),) = tables(rows)
    assert (title, heads[:2], cells[0][:2]) == (
        "One image in golden and in onnxruntime", ["network", "threads"], ["yolov5n", "1"],
    )  # fmt: skip
    with pytest.raises(ToolError, match=r"^golden of no: exit code 1: .*KeyError: 'no'"):
        Image("no", 1).rows(seed)
