"""YOLOv8n's shapes: against the published numbers, and what its layers are."""

import numpy as np
import pytest

from roundel.benchmarks.shapes import LINEAR, Builder, macs
from roundel.benchmarks.yolov8n import silu, yolov8n
from roundel.golden.network import MaxPool, Weighted, run


def test_multiplications_and_weights_are_the_published_ones():
    """Ultralytics' table: 8.7 GFLOPs at 640 x 640, two a MAC; 3.2 M parameters, batch norm and biases among them."""
    builder = Builder(shape=(640, 640, 3))
    network = yolov8n(builder)
    assert sum(macs(layer, *builder.shapes[layer.name][:2]) for layer in network.weighted) * 2 / 1e9 == pytest.approx(
        8.7, rel=0.01
    )
    assert sum(layer.weights.size for layer in network.weighted) / 1e6 == pytest.approx(3.15, rel=0.005)
    shapes = [builder.shapes[name] for name in network.output_names]
    assert shapes == [(size, size, channels) for size in (80, 40, 20) for channels in (64, 80)]


def test_layers_and_their_activations():
    builder = Builder(shape=(64, 64, 3))
    network = yolov8n(builder, silu())
    convolutions = network.weighted
    assert len(convolutions) == 63
    assert sum(layer.activation is not None for layer in convolutions) == 57
    residuals = [layer for layer in convolutions if layer.residual is not None]
    assert [layer.activation.table.residual_shift for layer in residuals] == [3] * 6
    assert sum(isinstance(layer, MaxPool) for layer in network.layers) == 3
    assert {layer.name for layer in convolutions if layer.activation is None} == set(network.output_names)
    result = run(network, np.random.default_rng(1).integers(0, 256, (1, 64, 64, 3)))
    assert len(np.unique(result)) > 50
    without = yolov8n(Builder(shape=(64, 64, 3)))
    assert [type(layer) for layer in without.layers] == [type(layer) for layer in network.layers]
    assert not any(isinstance(layer, Weighted) and layer.activation for layer in without.layers)


def test_silu_is_that_of_its_format():
    values = np.arange(-128, 128) * LINEAR.scale
    words = np.floor(values / silu().word.scale).astype(np.int64).clip(*silu().word.limits)[:, np.newaxis]
    results = silu().compute(words)[:, 0] * LINEAR.scale
    assert np.abs(results - values / (1 + np.exp(-values))).max() < 0.7 * LINEAR.scale
