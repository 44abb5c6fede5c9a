"""The float network itself: what its nodes compute where ONNX has no word for it, and how a graph is run."""

from dataclasses import replace

import numpy as np
import pytest

from roundel.golden.network import Window
from roundel.graph import (
    AT_ONCE,
    AveragePool,
    Clip,
    Concat,
    Conv,
    Fill,
    Gate,
    Graph,
    LeakyRelu,
    MaxPool,
    Quantize,
    Relu,
    Upsample,
    nodes,
    padded_shape,
    result_shape,
    window_values,
)
from tests.support.every_node import every_node

ONE = {"name": "one", "inputs": ("x",), "output": "y"}


def two_results():
    """Relu, then everything twice along the channels; the second is the first result."""
    return Graph(
        file="made.onnx",
        source="x",
        shape=(2, 3, 3),
        nodes=(
            Relu(name="relu", inputs=("x",), output="a"),
            Concat(name="both", inputs=("a", "x"), output="b"),
        ),
        results=("b", "a"),
        shapes={"x": (2, 3, 3), "a": (2, 3, 3), "b": (4, 3, 3)},
    )


def test_outputs_of_more_images_than_are_run_at_once(seed):
    images = np.random.default_rng(seed).normal(size=(2 * AT_ONCE + 3, 2, 3, 3))
    graph = two_results()
    outputs = graph.outputs(images)
    assert list(outputs) == ["b", "a"]
    np.testing.assert_array_equal(outputs["a"], np.maximum(images, 0).astype(np.float32))
    np.testing.assert_array_equal(outputs["b"], np.concatenate([outputs["a"], images.astype(np.float32)], axis=1))
    np.testing.assert_array_equal(graph.run(images), outputs["b"])
    np.testing.assert_array_equal(graph.values(images)["a"], outputs["a"])


def test_readers():
    graph = two_results()
    assert [node.name for node in graph.readers("x")] == ["relu", "both"]
    assert graph.readers("b") == []
    assert [graph.maker("b").name, graph.maker("x")] == ["both", None]
    assert graph.result == "b"


def direct(x, node):
    """A grouped convolution by its definition, one output value at a time."""
    outputs, channels, rows, columns = node.weights.shape
    top, left, bottom, right = node.window.pad
    y = np.empty((len(x), outputs, *node.window.output_size(*x.shape[2:])))
    x = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    for image, o, i, j in np.ndindex(*y.shape):
        first = o // (outputs // node.groups) * channels
        (down, over), (skip, hop) = node.window.stride, node.window.dilation
        patch = x[image, first : first + channels, i * down :: skip, j * over :: hop][:, :rows, :columns]
        y[image, o, i, j] = np.sum(patch * node.weights[o]) + node.bias[o]
    return y


@pytest.mark.parametrize("groups", [1, 2, 6])
def test_convolution_is_its_definition(groups, seed, monkeypatch):
    """Also where not all images fit into one matrix of windows."""
    rng = np.random.default_rng(seed)
    window = Window(kernel=(3, 2), stride=(2, 1), pad=(1, 0, 2, 1), dilation=(1, 2))
    weights = rng.normal(size=(12, 6 // groups, 3, 2)).astype(np.float32)
    node = Conv(**ONE, weights=weights, bias=rng.normal(size=12).astype(np.float32), window=window, groups=groups)
    x = rng.normal(size=(5, 6, 6, 7)).astype(np.float32)
    expected = direct(x, node)
    np.testing.assert_allclose(node.compute(x), expected, rtol=1e-4, atol=1e-4)
    for images in (2, 0.5, 0.01):  # at once: below 1 some rows of one, at least one row
        monkeypatch.setattr(nodes, "COLUMNS", int(images * expected[0, 0].size * 6 * window.taps))
        np.testing.assert_allclose(node.compute(x), expected, rtol=1e-4, atol=1e-4)


def test_shapes_are_those_of_the_values(seed):
    network = every_node(seed)
    for node in network.nodes:
        shapes = [network.shapes[name] for name in node.inputs]
        assert result_shape(node, *shapes) == network.shapes[node.output]


def test_windows_and_padding_are_counted_as_they_are_read():
    window = Window(kernel=(3, 2), stride=(2, 1), pad=(1, 0, 2, 1))
    pool = MaxPool(**ONE, window=window)
    assert padded_shape(pool, (4, 6, 7)) == (4, 9, 8)
    assert result_shape(pool, (4, 6, 7)) == (4, 4, 7)
    assert window_values(pool, (4, 6, 7), (4, 4, 7)) == 4 * 4 * 7 * 3 * 2
    assert (padded_shape(Relu(**ONE), (4, 6, 7)), window_values(Relu(**ONE), (4,), (4,))) == ((4, 6, 7), 0)


def test_further_channels_stand_behind_the_others():
    image = np.arange(2 * 3 * 5 * 7, dtype=np.float32).reshape(2, 3, 5, 7)
    fill = Fill(**ONE, value=0.5, count=2)
    made = fill.compute(image)
    assert np.array_equal(made[:, :3], image)
    assert (made[:, 3:] == 0.5).all()
    assert result_shape(fill, (3, 5, 7)) == made.shape[1:] == (5, 5, 7)


def test_shapes_that_do_not_fit_together():
    pair = {"name": "pair", "inputs": ("x", "z"), "output": "y"}
    with pytest.raises(ValueError, match="differ in more than their channels"):
        result_shape(Concat(**pair), (2, 3, 3), (2, 3, 4))
    with pytest.raises(ValueError, match=r"expected an image .* not 2 axes"):
        result_shape(Upsample(**ONE), (5,))
    for factors in ((1, 2, 3, 1), (1, 1, 1, 1), (1, 2, 1)):
        with pytest.raises(ValueError, match="are not one a channel of"):
            Gate(**pair).compute(np.ones((1, 2, 3, 3)), np.ones(factors))
    with pytest.raises(TypeError, match="Node: the shape of its result is not known"):
        result_shape(nodes.Node(**ONE), (5,))


def test_large_networks_run_on_fewer_images_at_once():
    graph = two_results()
    assert graph.at_once == AT_ONCE
    assert replace(graph, shapes={"x": (1 << 13, 1 << 13), "a": (1 << 13, 1 << 13)}).at_once == 2
    assert replace(graph, shapes={"x": (1 << 20, 1 << 20)}).at_once == 1


def test_rows_of_the_matrix_are_taps_then_channels():
    weights = np.arange(2 * 3 * 2 * 2, dtype=np.float32).reshape(2, 3, 2, 2)
    matrix = Conv(**ONE, weights=weights, bias=np.zeros(2, np.float32), window=Window(kernel=(2, 2))).matrix
    np.testing.assert_array_equal(matrix[:4], [[0, 12], [4, 16], [8, 20], [1, 13]])


def test_padding_never_wins_and_counts_only_if_told():
    x = np.full((1, 1, 2, 2), -3, np.float32)
    window = Window(kernel=(2, 2), stride=(2, 2), pad=(1, 1, 1, 1))
    np.testing.assert_array_equal(MaxPool(**ONE, window=window).compute(x), x)
    np.testing.assert_array_equal(AveragePool(**ONE, window=window).compute(x), x / 4)
    np.testing.assert_array_equal(AveragePool(**ONE, window=window, count_padding=False).compute(x), x)


def test_activations():
    x = np.array([[-8, -0.5, 0, 3, 9]], np.float32)
    np.testing.assert_array_equal(Clip(**ONE, low=0.0, high=6.0).compute(x), [[0, 0, 0, 3, 6]])
    np.testing.assert_array_equal(Clip(**ONE, low=None, high=-1.0).compute(x), [[-8, -1, -1, -1, -1]])
    np.testing.assert_array_equal(Clip(**ONE, low=4.0, high=2.0).compute(x), [[2, 2, 2, 2, 2]])
    np.testing.assert_array_equal(LeakyRelu(**ONE, slope=0.25).compute(x), [[-2, -0.125, 0, 3, 9]])


def test_upsampling_repeats():
    y = Upsample(**ONE, factor=2).compute(np.array([[[[1, 2]]]], np.float32))
    np.testing.assert_array_equal(y, [[[[1, 1, 2, 2], [1, 1, 2, 2]]]])


@pytest.mark.parametrize(
    ("rounding", "expected"),
    [
        ("ROUND", [-1, 0, 0, 1, 1.5]),
        ("FLOOR", [-1, -0.5, 0, 0.5, 1.5]),
        ("CEIL", [-0.5, 0, 0.5, 1, 1.5]),
        ("ROUND_TO_ZERO", [-0.5, 0, 0, 0.5, 1.5]),
    ],
)
def test_quantization_rounds_as_told(rounding, expected):
    """In steps of a half from -1 to 1.5: -1.5, -0.5, 0.5, 1.5 of them, and more than there are."""
    node = Quantize(**ONE, scale=0.5, zero_point=2, low=0, high=5, rounding=rounding)
    np.testing.assert_array_equal(node.compute(np.array([-0.75, -0.25, 0.25, 0.75, 40], np.float32)), expected)
