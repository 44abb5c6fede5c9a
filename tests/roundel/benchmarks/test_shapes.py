"""Networks whose shapes are measured: against the numbers of multiplications and parameters that their papers give."""

import numpy as np
import pytest

from roundel.benchmarks.shapes import NETWORKS, Builder, macs, mobilenet_v2, resnet50, yolov3_tiny
from roundel.golden.network import Weighted, run


@pytest.mark.parametrize(
    ("name", "gmacs", "millions"),
    [
        ("resnet50", 4.09, 25.5),  # torchvision's model page: 4.09 GFLOPS (of one MAC each), 25.6 M with batch norm
        ("mobilenet_v2", 0.30, 3.47),  # torchvision's: 0.30, 3.50 M
        ("yolov3_tiny", 2.78, 8.85),  # darknet: 5.56 BFLOPS of two operations a MAC, 8.86 M
    ],
)
def test_multiplications_and_weights_are_the_published_ones(name, gmacs, millions):
    build, shape = NETWORKS[name]
    builder = Builder(shape=shape)
    network = build(builder)
    total = sum(macs(layer, *builder.shapes[layer.name][:2]) for layer in network.weighted)
    weights = sum(layer.weights.size for layer in network.weighted)
    assert total / 1e9 == pytest.approx(gmacs, rel=0.02)
    assert weights / 1e6 == pytest.approx(millions, rel=0.01)


@pytest.mark.parametrize(("build", "count"), [(resnet50, 53), (mobilenet_v2, 52), (yolov3_tiny, 13)])
def test_they_run_and_have_the_published_number_of_convolutions(build, count):
    builder = Builder(shape=(64, 64, 3))
    network = build(builder)
    image = np.random.default_rng(1).integers(0, 256, (1, 64, 64, 3))
    result = run(network, image)
    assert result.shape[-1] == builder.shapes[network.output_names[-1]][2]
    assert len(np.unique(result)) > 10
    assert sum(isinstance(layer, Weighted) and layer.window is not None for layer in network.layers) == count
