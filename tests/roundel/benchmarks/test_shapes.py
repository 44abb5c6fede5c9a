"""Networks whose shapes are measured: against the numbers of multiplications and parameters that their papers give."""

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest

from roundel.benchmarks.shapes import NETWORKS, Builder, macs, mobilenet_v2, resnet50, yolov3_tiny
from roundel.golden.network import AveragePool, Weighted, run


def convolution(size: int, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, kind: str = "") -> tuple:
    """Size of the result, channels, window; `kind` has g for depthwise, r for a residual, s for signed results."""
    return size, inputs, outputs, kernel, stride, "g" in kind, "r" in kind, "s" in kind


def table_of_resnet50() -> Iterator[tuple]:
    """Table 1 of the paper, strides in the 3 x 3 convolutions (torchvision's "v1.5")."""
    yield convolution(112, 3, 64, 7, 2)
    inputs, before = 64, 56
    for size, width, blocks in ((56, 64, 3), (28, 128, 4), (14, 256, 6), (7, 512, 3)):
        stride = before // size
        yield convolution(size, inputs, 4 * width, 1, stride, "s")
        yield convolution(before, inputs, width)
        yield convolution(size, width, width, 3, stride)
        for _ in range(blocks - 1):
            yield convolution(size, 4 * width, width)
            yield convolution(size, width, width, 3)
        yield from [convolution(size, width, 4 * width, kind="r")] * blocks
        inputs, before = 4 * width, size


def table_of_mobilenet_v2() -> Iterator[tuple]:
    """Table 2 of the paper: linear bottlenecks, residuals between those of one size."""
    yield convolution(112, 3, 32, 3, 2)
    yield convolution(112, 32, 32, 3, 1, "g")
    yield convolution(112, 32, 16, kind="s")
    inputs, before = 16, 112
    for size, outputs, count in ((56, 24, 2), (28, 32, 3), (14, 64, 4), (14, 96, 3), (7, 160, 3), (7, 320, 1)):
        for block in range(count):
            yield convolution(before, inputs, 6 * inputs)
            yield convolution(size, 6 * inputs, 6 * inputs, 3, before // size, "g")
            yield convolution(size, 6 * inputs, outputs, kind="sr" if block else "s")
            inputs, before = outputs, size
    yield convolution(7, 320, 1280)


def table_of_yolov3_tiny() -> Iterator[tuple]:
    """yolov3-tiny.cfg, layer by layer; the pool of stride 1 keeps 13 x 13."""
    for size, inputs, outputs in ((416, 3, 16), (208, 16, 32), (104, 32, 64), (52, 64, 128), (26, 128, 256)):
        yield convolution(size, inputs, outputs, 3)
    yield convolution(13, 256, 512, 3)
    yield convolution(13, 512, 1024, 3)
    yield convolution(13, 1024, 256)
    yield convolution(13, 256, 512, 3)
    yield convolution(13, 512, 255, kind="s")
    yield convolution(13, 256, 128)
    yield convolution(26, 128 + 256, 256, 3)
    yield convolution(26, 256, 255, kind="s")


TABLES = {"resnet50": table_of_resnet50, "mobilenet_v2": table_of_mobilenet_v2, "yolov3_tiny": table_of_yolov3_tiny}


def convolutions(builder: Builder, network) -> Iterator[tuple]:
    for layer in network.weighted:
        if layer.window is None:
            continue
        rows, columns, outputs = builder.shapes[layer.name]
        inputs = builder.shapes[layer.sources[0]][2]
        (kernel, other), (stride, same) = layer.window.kernel, layer.window.stride
        assert (kernel, stride, rows) == (other, same, columns)
        assert layer.window.pad == (kernel // 2,) * 4
        assert layer.groups in (1, inputs)
        assert layer.weights.shape == (kernel**2 * inputs // layer.groups, outputs)
        yield rows, inputs, outputs, kernel, stride, layer.groups > 1, layer.residual is not None, layer.output.signed


def check_numbers(builder: Builder, network) -> None:
    """Laplace weights of mean magnitude 16 within 8 bits, biases within 1000; formats that fit one another."""
    formats = {"image": network.input} | {layer.name: layer.output for layer in network.layers}
    assert {(form.width, form.fraction, form.zero) for form in formats.values()} == {(8, 4, 0)}
    assert not network.input.signed
    largest = max(network.weighted, key=lambda layer: layer.weights.size)
    assert np.abs(largest.weights).mean() == pytest.approx(16, rel=0.01)
    assert (largest.weights.min(), largest.weights.max()) == (-128, 127)
    for layer in network.weighted:
        assert layer.x == formats[layer.sources[0]]
        assert layer.residual == (formats[layer.sources[1]] if len(layer.sources) > 1 else None)
        assert (layer.w.width, layer.w.signed, layer.w.fraction) == (8, True, 7)
        assert (layer.b.width, layer.b.signed, layer.b.fraction) == (16, True, layer.x.fraction + layer.w.fraction)
        assert -1000 <= layer.bias.min() <= layer.bias.max() < 1000
    assert len({layer.bias.max() for layer in network.weighted}) > 2
    assert np.max([layer.bias.max() for layer in network.weighted if layer.bias.size > 100]) > 900
    for layer in network.layers:
        if isinstance(layer, AveragePool):
            rows, columns, _ = builder.shapes[layer.sources[0]]
            assert layer.window.kernel == (rows, columns)
            assert (layer.w.width, layer.w.signed) == (8, True)
            assert round(layer.w.scale**-1 / (rows * columns)) in range(64, 128), "a weight of 7 bits and a sign"


def test_maps_that_are_joined_and_enlarged():
    builder = Builder(shape=(6, 4, 3))
    twice = builder.upsample("image")
    joined = builder.concat(twice, builder.conv(twice, 5))
    flat = builder.dense(builder.mean(builder.pool(joined, 2, 2)), 7)
    assert [builder.shapes[layer.name] for layer in builder.layers] == [
        *((12, 8, 3), (12, 8, 5), (12, 8, 8), (6, 4, 8)),
        *((1, 1, 8), (1, 1, 8), (1, 1, 7)),
    ]
    assert len({layer.name for layer in builder.layers}) == len(builder.layers)
    network = builder.network(flat)
    assert (network.results, network.layers[2].sources) == ((flat,), (twice, "conv_1"))
    assert network.layers[-1].weights.shape == (8, 7)
    assert network.layers[-1].output.signed
    assert np.array_equal(Builder(shape=(6, 4, 3)).rng.random(3), Builder(shape=(1, 1, 1), seed=1).rng.random(3))
    assert not np.array_equal(Builder(shape=(6, 4, 3)).rng.random(3), Builder(shape=(1, 1, 1), seed=2).rng.random(3))


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
    assert Counter(convolutions(builder, network)) == Counter(TABLES[name]())
    check_numbers(builder, network)


@pytest.mark.parametrize(("build", "count"), [(resnet50, 53), (mobilenet_v2, 52), (yolov3_tiny, 13)])
def test_they_run_and_have_the_published_number_of_convolutions(build, count):
    builder = Builder(shape=(64, 64, 3))
    network = build(builder)
    image = np.random.default_rng(1).integers(0, 256, (1, 64, 64, 3))
    result = run(network, image)
    assert result.shape[-1] == builder.shapes[network.output_names[-1]][2]
    assert len(np.unique(result)) > 10
    assert sum(isinstance(layer, Weighted) and layer.window is not None for layer in network.layers) == count
