"""Networks that say their own quantization: formats and weights stay what the file fixes, or are refused."""

from dataclasses import replace

import numpy as np
import pytest

from roundel.golden.formats import Format
from roundel.golden.network import steps
from roundel.golden.rounding import Rounding
from roundel.graph import Add, AveragePool, Conv, MaxPool, Quantize, Relu
from roundel.quantization import QuantizeOptions, quantize
from tests.support.made_graphs import HALVES, SINGLE, conv, dense, network, node, real, refuses, sqnr


def quantizer(x, y, scale, low=-128, high=127, zero_point=0):
    """A quantization of tensor `x`, as files in a quantization dialect have them."""
    return node(Quantize, x, y, scale=scale, zero_point=zero_point, low=low, high=high)


def dialect_network(rng, **wrong):
    """Everything quantized by the file, to powers of two."""
    head = conv(rng, "q", "a", 2, 4)
    steps = np.asarray([0.125, 0.0625, 0.125, 0.25])
    codes = rng.integers(-7, 8, head.weights.shape)
    weights = (codes * steps.reshape(-1, 1, 1, 1)).astype(np.float32)
    bias = np.rint(head.bias * 64) / np.float32(64)  # so that accumulators hold it, whatever the channel
    head = Conv(**{**vars(head), "weights": weights, "bias": bias, "step": steps, "code_width": 4, **wrong})
    graph = network(
        (2, 6, 6),
        quantizer("x", "q", 0.0625, low=0, high=255, zero_point=128),
        head,
        node(Relu, "a", "b"),
        quantizer("b", "c", 0.125),
        node(MaxPool, "c", "d", window=HALVES),
        quantizer("d", "e", 0.125),
        conv(rng, "e", "f", 4, 3),
        quantizer("f", "g", 0.25, low=-100, high=100),
        node(AveragePool, "g", "h", window=None),
        quantizer("h", "y", 0.03125),
    )
    return graph, codes


def test_a_mean_may_be_finer_than_what_it_averages():
    """The file says so: the multiplier makes up for bits that the sum does not have."""
    rng = np.random.default_rng(28)
    nodes = [quantizer("x", "a", 0.25), node(AveragePool, "a", "b", window=HALVES), quantizer("b", "c", 2.0**-7)]
    graph = network((2, 4, 4), *nodes, node(Relu, "c", "d"), quantizer("d", "y", 2.0**-6))
    quantized = quantize(graph, 0.3 * real(rng, 8, 2, 4, 4))
    assert [layer.output.fraction for layer in quantized.network.layers] == [7, 6]
    assert sqnr(graph, quantized, 0.3 * real(rng, 8, 2, 4, 4)) == np.inf


def test_a_dialect_says_formats_and_weights():
    rng = np.random.default_rng(25)
    graph, codes = dialect_network(rng)
    images = real(rng, 64, 2, 6, 6)
    quantized = quantize(graph, images, QuantizeOptions(bias_bits=16, rounding=Rounding.HALF_EVEN))
    integers = quantized.network
    first, _, second, mean = integers.layers
    assert integers.input == Format(width=8, signed=True, fraction=4)
    assert np.array_equal(first.weights, codes.transpose(2, 3, 1, 0).reshape(-1, 4))
    assert (first.w_fractions, first.w.width) == ((3, 4, 3, 2), 4)
    assert first.output == Format(width=7, signed=False, fraction=3)  # 0 to 127 after the ReLU
    assert (second.output, second.bounds) == (Format(width=8, signed=True, fraction=2), (-100, 100))
    assert mean.output == Format(width=8, signed=True, fraction=5)
    step = next(iter(steps(integers, integers.encode(images))))
    assert np.array_equal(first.output.decode(step.outputs), graph.values(images)["c"].transpose(0, 2, 3, 1))
    assert quantized.choices[0].sqnr_db == np.inf
    assert sqnr(graph, quantized, images) > 25


def test_steps_of_a_matrix_product():
    rng = np.random.default_rng(30)
    codes, steps = rng.integers(-7, 8, (4, 3)), np.asarray([0.5, 0.25, 0.125])
    head = replace(dense(rng, "x", "y", 4, 3), weights=(codes * steps).astype(np.float32), step=steps, code_width=4)
    layer = quantize(network((4,), head), real(rng, 20, 4)).network.weighted[0]
    assert np.array_equal(layer.weights, codes)
    assert layer.w_fractions == (1, 2, 3)


@pytest.mark.parametrize("scale", [2.0**-6, 2.0**-2])
@pytest.mark.parametrize("residual", [False, True])
def test_weights_are_as_fine_as_a_fixed_output_needs(scale, residual):
    """Large weights would have few fractional bits; a residual as fine as the output makes up for that."""
    rng = np.random.default_rng(31)
    head = conv(rng, "q", "a", 2, 2, SINGLE)
    head = replace(head, weights=head.weights * np.float32(40), bias=head.bias * np.float32(40))
    nodes = [quantizer("x", "q", 0.25), head]
    nodes += [node(Add, ("a", "q"), "b"), quantizer("b", "y", scale)] if residual else [quantizer("a", "y", scale)]
    graph = network((2, 4, 4), *nodes)
    quantized = quantize(graph, real(rng, 8, 2, 4, 4), QuantizeOptions(weight_bits=4))
    layer, choice = quantized.network.layers[0], quantized.choices[0]
    assert layer.output.scale == scale
    summed = max(choice.n_x + choice.n_w, 2) if residual else choice.n_x + choice.n_w
    assert choice.shift == summed - choice.n_o >= 0
    if scale == 0.25 and residual:
        assert choice.n_x + choice.n_w < choice.n_o  # nothing keeps weights from being coarser than the output


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"step": np.asarray(0.3)}, r"node conv_a: step of the weights: expected a power of two, not 0\.3"),
        ({"step": np.asarray(4.0)}, r"node conv_a: shift must be 0 to 31, not -1"),  # finer than 4 / 16 is the output
        ({"step": np.asarray(2.0**-9)}, r"node conv_a: expected weights of at most 8 bits, not \d+"),
    ],
)
def test_refused_steps(wrong, message):
    rng = np.random.default_rng(19)
    graph, _ = dialect_network(rng, **wrong)
    refuses(graph, real(rng, 4, 2, 6, 6), message)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"scale": 0.1}, r"node quantize_q: scale: expected a power of two, not 0\.1"),
        ({"scale": 0.5, "low": 0, "high": 255, "zero_point": 3}, r"expected integers of at most 8 bits .* -3 to 252"),
    ],
)
def test_refused_quantizers(wrong, message):
    rng = np.random.default_rng(26)
    graph = network((4,), dense(rng, "x", "a", 4, 4), quantizer("a", "q", **wrong), dense(rng, "q", "y", 4, 3))
    refuses(graph, real(rng, 4, 4), message)


def test_an_input_is_quantized_in_one_way():
    """Equal quantizers are one; another, or somebody who reads the input as it is, would get other numbers."""
    rng = np.random.default_rng(27)
    heads = [
        quantizer("x", "q", 0.5),
        dense(rng, "q", "a", 4, 3),
        dense(rng, "r", "b", 4, 3),
        node(Add, ("a", "b"), "y"),
    ]
    graph = network((4,), heads[0], quantizer("x", "r", 0.5), *heads[1:])
    quantized = quantize(graph, real(rng, 9, 4))
    assert quantized.network.input == Format(width=8, signed=True, fraction=1)
    assert [len(layer.sources) for layer in quantized.network.layers] == [1, 2]
    other = network((4,), heads[0], quantizer("x", "r", 0.25), *heads[1:])
    refuses(other, real(rng, 4, 4), r"node quantize_r: expected the quantization of quantize_q, which reads the .* too")
    bare = network((4,), heads[0], heads[1], dense(rng, "x", "b", 4, 3), heads[3])
    refuses(bare, real(rng, 4, 4), r"node dense_b: expected it to read what quantize_q makes of the network's input")
