"""Whole networks through the joint quantization: close to float, bit-exact on the array; what is refused."""

from dataclasses import replace

import numpy as np
import pytest

from roundel.compiler import compile_network
from roundel.data import DIGITS
from roundel.frontend import read_onnx
from roundel.golden import network as layers
from roundel.golden.engine import EngineParams
from roundel.golden.formats import Format
from roundel.golden.mac import MacParams
from roundel.golden.network import Window, outputs, run, steps
from roundel.graph import Add, AveragePool, Clip, Concat, Flatten, LeakyRelu, MaxPool, Relu, Upsample, load_images
from roundel.quantization import QuantizeOptions, quantize
from roundel.quantization.given import Given
from tests.support.made_graphs import (
    HALVES,
    PADDED,
    SINGLE,
    affine,
    conv,
    dense,
    network,
    node,
    ratio_db,
    real,
    refuses,
    residual_network,
    sqnr,
)
from tests.support.told import Told


def test_relu_makes_the_output_unsigned_and_gains_a_bit():
    rng = np.random.default_rng(10)
    head = dense(rng, "x", "a", 5, 6)
    images = real(rng, 30, 5)
    plain = quantize(network((5,), head), images).network
    with_relu = quantize(network((5,), head, node(Relu, "a", "y")), images).network
    assert plain.output.signed
    assert not with_relu.output.signed
    assert with_relu.output.limits == (0, 255)


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("window", [HALVES, Window(kernel=(3, 3)), None])
def test_residual_network_comes_close_to_float(window, per_channel):
    """A bit is worth 6 dB: eight of them leave well over 25 dB after six roundings, unless some order is confused."""
    rng = np.random.default_rng(12)
    graph = residual_network(rng)
    pool = next(item for item in graph.nodes if isinstance(item, AveragePool))
    features = int(np.prod(AveragePool.compute(replace(pool, window=window), np.zeros((1, 6, 4, 4))).shape))
    nodes = [replace(item, window=window) if item is pool else item for item in graph.nodes[:-1]]
    graph = network(graph.shape, *nodes, dense(rng, "k", "y", features, 5))
    quantized = quantize(graph, real(rng, 32, 3, 8, 8), QuantizeOptions(bias_bits=12, per_channel=per_channel))
    assert sqnr(graph, quantized, real(rng, 32, 3, 8, 8)) > 25


def test_depthwise_network_comes_close_to_float():
    rng = np.random.default_rng(20)
    graph = network(
        (3, 8, 8),
        conv(rng, "x", "a", 3, 8),
        affine(rng, "a", "b", 8),
        node(Clip, "b", "c", low=0.0, high=6.0),
        conv(rng, "c", "d", 8, 8, replace(PADDED, stride=(2, 2)), groups=8),
        node(Clip, "d", "e", low=0.0, high=6.0),
        conv(rng, "e", "f", 8, 12, SINGLE),
        node(AveragePool, "f", "g", window=PADDED, count_padding=False),
        node(AveragePool, "g", "h", window=None),
        node(Flatten, "h", "i"),
        dense(rng, "i", "y", 12, 5),
    )
    images = real(rng, 32, 3, 8, 8)
    assert sqnr(graph, quantize(graph, images, QuantizeOptions(bias_bits=12)), images) > 25


def two_scales(rng):
    """A detector's neck: a coarse head, upsampled and concatenated for a fine one."""
    return network(
        (3, 8, 8),
        conv(rng, "x", "a", 3, 6),
        node(LeakyRelu, "a", "fine", slope=0.125),
        node(MaxPool, "fine", "b", window=HALVES),
        conv(rng, "b", "c", 6, 8),
        node(LeakyRelu, "c", "coarse", slope=0.125),
        conv(rng, "coarse", "out_coarse", 8, 4, SINGLE),
        conv(rng, "coarse", "d", 8, 4, SINGLE),
        node(Upsample, "d", "e"),
        node(Concat, ("e", "fine"), "f"),
        conv(rng, "f", "out_fine", 10, 4, SINGLE),
        results=("out_fine", "out_coarse"),
    )


def test_two_results_come_close_to_float():
    rng = np.random.default_rng(21)
    graph = two_scales(rng)
    images = real(rng, 16, 3, 8, 8)
    quantized = quantize(graph, images, QuantizeOptions(bias_bits=12))
    integers = quantized.network
    assert integers.results == ("conv_out_fine", "conv_out_coarse")
    formats = {layer.name: layer.output for layer in integers.layers}
    codes, expected = outputs(integers, integers.encode(images)), graph.outputs(images)
    for name in graph.results:
        got = formats[f"conv_{name}"].decode(codes[f"conv_{name}"]).transpose(0, 3, 1, 2)
        assert ratio_db(expected[name].astype(float), got) > 28
    assert [choice.name for choice in quantized.choices] == [
        layer.name for layer in integers.layers if isinstance(layer, layers.Requantized | layers.Concat)
    ]


def test_add_without_a_convolution_to_join():
    """Both operands have other readers or a ReLU of their own: the sum is a layer by itself."""
    rng = np.random.default_rng(13)
    graph = network(
        (3, 4, 4),
        conv(rng, "x", "a", 3, 4),
        node(Relu, "a", "b"),
        conv(rng, "b", "c", 4, 4),
        node(Relu, "c", "d"),
        node(Add, ("b", "d"), "e"),
        node(Flatten, "e", "f"),
        node(Flatten, "d", "g"),
        node(Add, ("f", "g"), "h"),
        dense(rng, "h", "y", 64, 5),
    )
    images = real(rng, 32, 3, 4, 4)
    quantized = quantize(graph, images, QuantizeOptions(bias_bits=12))
    added = [layer for layer in quantized.network.layers if isinstance(layer, layers.Add)]
    assert [layer.sources for layer in added] == [("conv_a", "conv_c"), ("flatten_f", "flatten_g")]
    assert not any(layer.output.signed for layer in added)
    assert sqnr(graph, quantized, images) > 25


@pytest.mark.parametrize(
    "activation",
    [node(Relu, "a", "y"), node(Clip, "a", "y", low=-0.5, high=0.75), node(LeakyRelu, "a", "y", slope=0.25)],
)
def test_an_activation_by_itself_is_a_layer(activation):
    """Others read what it reads, so that no module can take it in."""
    rng = np.random.default_rng(22)
    graph = network((2, 4, 4), conv(rng, "x", "a", 2, 3), activation, results=("a", "y"))
    images = real(rng, 8, 2, 4, 4)
    integers = quantize(graph, images).network
    codes, expected = outputs(integers, integers.encode(images)), graph.values(images)
    got = integers.output.decode(codes[activation.name]).transpose(0, 3, 1, 2)
    assert ratio_db(expected["y"].astype(float), got) > 30
    assert integers.output.signed is not isinstance(activation, Relu)


@pytest.mark.parametrize("alone", [node(Clip, "c", "y", low=-1.0, high=1.5), node(LeakyRelu, "c", "y", slope=0.125)])
def test_a_concatenation_leaves_clamps_to_a_layer_of_their_own(alone):
    rng = np.random.default_rng(27)
    parts = [conv(rng, "x", "a", 2, 3), conv(rng, "x", "b", 2, 3)]
    graph = network((2, 4, 4), *parts, node(Concat, ("a", "b"), "c"), alone)
    images = real(rng, 8, 2, 4, 4)
    quantized = quantize(graph, images)
    assert [layer.name for layer in quantized.network.layers] == ["conv_a", "conv_b", "concat_c", alone.name]
    assert sqnr(graph, quantized, images) > 28


def test_features_with_a_relu_of_their_own():
    rng = np.random.default_rng(23)
    graph = network((4,), dense(rng, "x", "a", 4, 4), node(Relu, "a", "b"), node(Add, ("a", "b"), "y"))
    images = real(rng, 30, 4)
    assert sqnr(graph, quantize(graph, images), images) > 30


def test_flattened_maps_and_features_together():
    """Concatenated features keep their orders apart."""
    rng = np.random.default_rng(24)
    graph = network(
        (3, 4, 2),
        node(Flatten, "x", "a"),
        dense(rng, "a", "b", 24, 7),
        conv(rng, "x", "c", 3, 2, SINGLE),
        node(Flatten, "c", "d"),
        node(Concat, ("d", "b", "a"), "e"),
        dense(rng, "e", "y", 47, 5),
    )
    images = real(rng, 40, 3, 4, 2)
    assert sqnr(graph, quantize(graph, images, QuantizeOptions(bias_bits=12)), images) > 28


@pytest.mark.parametrize("scale", [1e-20, 1e-6, 1.0, 1e6, 1e20])
@pytest.mark.parametrize("what", ["weights", "bias", "images"])
@pytest.mark.parametrize("per_channel", [False, True])
def test_any_scale_gives_a_valid_network(what, scale, per_channel):
    """Fractional bits may be negative or larger than the word, and the shift stays 0 to 31."""
    rng = np.random.default_rng(14)
    first, second = conv(rng, "x", "a", 2, 3), conv(rng, "a", "b", 3, 3)
    if what != "images":
        first = replace(first, **{what: getattr(first, what) * np.float32(scale)})
    images = real(rng, 4, 2, 4, 4) * np.float32(scale if what == "images" else 1)
    graph = network((2, 4, 4), first, second, node(Add, ("a", "b"), "y"))
    quantized = quantize(graph, images, QuantizeOptions(bias_bits=16, per_channel=per_channel))
    assert all(0 <= choice.shift <= 31 for choice in quantized.choices)
    assert sqnr(graph, quantized, images) > 20


def test_a_leak_leaves_room_in_the_shift():
    """Weights that hardly count against the bias would take a long shift, and negative values a much longer one."""
    rng = np.random.default_rng(29)
    head = conv(rng, "x", "a", 2, 3)
    head = replace(head, weights=head.weights * np.float32(1e-8))
    graph = network((2, 4, 4), head, node(LeakyRelu, "a", "y", slope=2.0**-20))
    images = real(rng, 4, 2, 4, 4)
    quantized = quantize(graph, images, QuantizeOptions(bias_bits=16))
    assert quantized.choices[0].shift == 31 - 20
    assert sqnr(graph, quantized, images) > 30


@pytest.mark.parametrize("per_channel", [False, True])
def test_weights_far_smaller_than_the_bias_leave_sums_that_named_engines_hold(per_channel):
    rng = np.random.default_rng(18)
    layer = conv(rng, "x", "y", 3, 4)
    layer = replace(layer, weights=layer.weights * np.float32(1e-6), bias=np.float32([0.5, -0.25, 0.75, 1]))
    images = real(rng, 8, 3, 6, 6)
    quantized = quantize(network((3, 6, 6), layer), images, QuantizeOptions(per_channel=per_channel))
    assert np.abs(quantized.network.layers[0].aligned_bias).max() < 1 << 27
    assert sqnr(network((3, 6, 6), layer), quantized, images) > 40
    assert compile_network(quantized.network, (6, 6, 3), EngineParams.named("tiny")).image


def test_zero_weights_and_zero_images():
    rng = np.random.default_rng(15)
    zero = replace(dense(rng, "x", "y", 4, 2), weights=np.zeros((4, 2), np.float32), bias=np.zeros(2, np.float32))
    for per_channel in (False, True):
        choice = quantize(network((4,), zero), np.zeros((3, 4)), QuantizeOptions(per_channel=per_channel)).choices[0]
        assert (choice.error, choice.sqnr_db) == (0, np.inf)


def test_progress_and_determinism():
    rng = np.random.default_rng(16)
    graph, images = residual_network(rng), real(rng, 8, 3, 8, 8)
    told = Told()
    options = QuantizeOptions(positions=100)
    first = quantize(graph, images, options, progress=told)
    assert told.parts == [("joint search", 8, [layer.name for layer in first.network.layers])]
    assert [module.name for module in first.modules] == [layer.name for layer in first.network.layers]
    assert quantize(graph, images, options).choices == first.choices


@pytest.mark.parametrize(
    ("window", "count_padding", "fraction"),
    [
        (HALVES, True, 2),  # a quarter is a shift
        (Window(kernel=(3, 3)), True, 14),  # 1820 / 2**14 is a ninth
        (PADDED, False, 12),  # 1/9, 1/6 and 1/4: 1024 / 2**12 is the greatest; 2048 would not fit
        (replace(HALVES, pad=(1, 1, 0, 0)), False, 10),  # 1/4, 1/2 and 1: 1024 / 2**10
    ],
)
def test_multipliers_of_means(window, count_padding, fraction):
    rng = np.random.default_rng(32)
    graph = network((2, 4, 4), node(AveragePool, "x", "y", window=window, count_padding=count_padding))
    images = real(rng, 8, 2, 4, 4)
    quantized = quantize(graph, images)
    assert quantized.network.layers[0].w.fraction == fraction
    assert sqnr(graph, quantized, images) > 34


def test_refusals():
    rng = np.random.default_rng(17)
    head = dense(rng, "x", "a", 4, 4)
    for images in (real(rng, 3, 5), real(rng, 0, 4), np.full((3, 4), np.nan)):
        refuses(network((4,), head), images, r"calibration images: expected finite numbers of shape \(count, 4\)")
    tiny = [replace(head, bias=head.bias * 0), node(Relu, "a", "b"), dense(rng, "b", "c", 4, 4), node(Relu, "c", "d")]
    far = network((4,), *tiny, node(Add, ("b", "d"), "y"))
    refuses(far, real(rng, 3, 4) * 1e-12, r"made\.onnx: node add_y: summands are \d+ bits apart, more than 31")
    huge = replace(head, weights=head.weights * np.float32(1e38))
    refuses(network((4,), huge), real(rng, 3, 4) * 1000, r"made\.onnx: node dense_a: expected finite results")
    refuses(network((4,), head, results=("x", "a")), real(rng, 3, 4), r"output x: expected at least one layer")
    mixed = [conv(rng, "x", "a", 3, 2, SINGLE), node(Flatten, "a", "b"), dense(rng, "b", "c", 16, 16)]
    mixed = network((3, 2, 4), *mixed, node(Add, ("b", "c"), "y"))
    refuses(mixed, real(rng, 3, 3, 2, 4), r"made\.onnx: node add_y: a flattened map cannot be added to features")


def test_clamps_and_slopes_of_features_by_themselves():
    """Behind a concatenation, which only joins, or where others read the same."""
    rng = np.random.default_rng(17)
    for end in (node(Clip, "b", "c", low=-0.5, high=0.3), node(LeakyRelu, "b", "c", slope=0.25)):
        graph = network((4,), dense(rng, "x", "a", 4, 4), node(Concat, ("a", "x"), "b"), end, results=("b", "c"))
        images = real(rng, 64, 4)
        quantized = quantize(graph, images)
        clip = quantized.network.layers[-1]
        got = clip.output.decode(outputs(quantized.network, quantized.network.encode(images))[clip.name])
        assert ratio_db(graph.outputs(images)["c"].astype(np.float64), got) > 30


def test_refused_options():
    rng = np.random.default_rng(18)
    graph, images = network((4,), dense(rng, "x", "y", 4, 3)), real(rng, 5, 4)
    form = Format(width=4, signed=True, fraction=2)
    weights = Given(codes=np.zeros((3, 4), np.int64), format=form)
    refuses(graph, images, r"given: no module conv with weights, expected dense_y", given={"conv": weights})
    refuses(graph, images, r"made\.onnx: node dense_y: codes \(3, 4\) for weights \(4, 3\)", given={"dense_y": weights})
    named = QuantizeOptions(module_bits={"other": 4})
    refuses(graph, images, r"module_bits: no module other with weights, expected dense_y", options=named)


@pytest.fixture(scope="module")
def digits():
    """Graph, calibration and held-out images of the digits."""
    graph = read_onnx(DIGITS / "digits.onnx")
    return graph, load_images(DIGITS / "calibration.npz", graph), load_images(DIGITS / "heldout.npz", graph)


@pytest.mark.parametrize(
    ("weights", "activations", "points"),
    [(8, 8, 0.5), (4, 8, 1.0), (4, 4, 2.0)],
)
@pytest.mark.parametrize("per_channel", [False, True])
def test_digits_lose_few_points(digits, weights, activations, points, per_channel):
    graph, calibration, held_out = digits
    options = QuantizeOptions(weight_bits=weights, activation_bits=activations, per_channel=per_channel)
    integers = quantize(graph, calibration.images, options).network
    scores = run(integers, integers.encode(held_out.images))
    lost = held_out.accuracy(graph.run(held_out.images)) - held_out.accuracy(scores)
    assert 100 * lost <= points


def test_the_array_computes_the_digits(digits):
    """One array's golden model, with the runtime shift, gives every weighted layer's integers from its columns."""
    graph, calibration, held_out = digits
    integers = quantize(graph, calibration.images).network
    ran = [step for step in steps(integers, integers.encode(held_out.images[:20])) if step.columns is not None]
    assert [step.layer.name for step in ran] == ["conv1", "conv2", "conv3", "dense"]
    for step in ran:
        layer = step.layer
        requant = {"scheme": "shift", "out_width": layer.output.width, "out_signed": layer.output.signed}
        array = MacParams(act_width=layer.x.width, act_signed=layer.x.signed, reduction=288, requant=requant)
        assert np.array_equal(array.accumulate(step.columns, layer.weights, layer.aligned_bias), step.accumulators)
        result = array.compute(step.columns, layer.weights, layer.aligned_bias, {"shift": layer.shift})
        assert np.array_equal(result.reshape(step.outputs.shape), step.outputs)


@pytest.mark.parametrize("per_channel", [False, True])
def test_formats_are_chosen_where_a_result_counts(per_channel):
    """Numbers of boxes are about 3 where there are boxes, and about 40 elsewhere, which may then be out of range."""
    rng = np.random.default_rng(31)
    images = np.full((4, 1, 6, 6), 40.0)
    places = np.zeros((4, 6, 6), dtype=bool)
    places[:, 1:3, 2:5] = True
    images[:, 0][places] = rng.uniform(-3, 3, places.sum())
    graph = network((1, 6, 6), replace(conv(rng, "x", "y", 1, 1, SINGLE), weights=np.ones((1, 1, 1, 1), np.float32)))
    options = QuantizeOptions(per_channel=per_channel)
    everywhere = quantize(graph, images, options).network
    there = quantize(graph, images, options, focus={"y": places}).network
    assert everywhere.output.limits[1] * everywhere.output.scale >= 39
    assert 3 <= there.output.limits[1] * there.output.scale < 8
    few = quantize(graph, images, replace(options, positions=5), focus={"y": places}).network
    assert few.output.limits[1] * few.output.scale < 8
