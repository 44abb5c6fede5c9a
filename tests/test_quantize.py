"""Unified modules and the joint search: against exhaustive search through the golden network, and on the digits."""

from dataclasses import replace
from fractions import Fraction
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from golden import layers
from golden.conv import Window, window_max
from golden.errors import InputError
from golden.formats import Format
from golden.layers import Weighted
from golden.mac import MacParams
from golden.network import Network, run, steps
from golden.rounding import Rounding, round_shift
from roundel.graph import Add, Affine, AveragePool, Conv, Dense, Flatten, Graph, MaxPool, Node, Relu
from roundel.images import load_images
from roundel.modules import fold, unify
from roundel.onnx_import import import_onnx
from roundel.quantize import quantize
from roundel.search import Options, estimate, search_input

DIGITS = Path(__file__).parent.parent / "examples" / "digits"
PADDED = Window(kernel=(3, 3), pad=(1, 1, 1, 1))
HALVES = Window(kernel=(2, 2), stride=(2, 2))


def real(rng, *shape):
    """Random weights."""
    return rng.normal(size=shape).astype(np.float32)


def conv(rng, x, y, channels, outputs, window=PADDED):
    """A random convolution from tensor `x` to `y`."""
    weights = real(rng, outputs, channels, *window.kernel) / np.float32(np.sqrt(channels * window.taps))
    return Conv(name=f"conv_{y}", inputs=(x,), output=y, weights=weights, bias=real(rng, outputs), window=window)


def dense(rng, x, y, features, outputs):
    """A random matrix product from tensor `x` to `y`."""
    weights = real(rng, features, outputs) / np.float32(np.sqrt(features))
    return Dense(name=f"dense_{y}", inputs=(x,), output=y, weights=weights, bias=real(rng, outputs))


def node(kind, inputs, y, **parameters):
    """A node without weights, named by operator and result."""
    return kind(name=f"{kind.__name__.lower()}_{y}", inputs=tuple(inputs), output=y, **parameters)


def network(shape, *nodes: Node):
    """A graph from input `x` to the last node's output."""
    shapes = {"x": shape}
    for item in nodes:
        blanks = (np.zeros((1, *shapes[name]), np.float32) for name in item.inputs)
        shapes[item.output] = item.compute(*blanks).shape[1:]
    return Graph(file="made.onnx", source="x", shape=shape, nodes=nodes, results=(nodes[-1].output,), shapes=shapes)


def sqnr(graph, quantized, images):
    """Signal to quantization noise of the network's result on `images`, dB; integer maps are channel last."""
    result = run(quantized.network, quantized.network.encode(images))
    expected, got = graph.run(images).astype(np.float64), quantized.network.output.decode(result)
    expected = expected.transpose(0, 2, 3, 1) if expected.ndim == 4 else expected
    return 10 * np.log10(np.sum(expected**2) / np.sum((expected - got) ** 2))


@given(st.floats(1e-20, 1e20), st.integers(2, 8), st.booleans())
def test_estimate_is_the_most_bits_that_fit(greatest, width, signed):
    form = Format(width=width, signed=signed, fraction=0)
    n = estimate(np.array([0.0, -greatest / 2, greatest]), form)
    scaled = [Fraction(greatest) * Fraction(2) ** k for k in (n, n + 1)]
    # the estimate divides in binary64: at an exact boundary it may be a last bit off
    slack = 1 + Fraction(1, 2**50)
    assert scaled[0] <= form.limits[1] * slack
    assert scaled[1] * slack >= form.limits[1]


def test_estimate_of_nothing_is_zero():
    assert estimate(np.zeros(3), Format(width=8, signed=True, fraction=0)) == 0


def exhaustive(prefix: Network, layer: Weighted, weights, bias, images, reference, window):
    """The best triple by running the golden network `prefix` + `layer` with every one in the window."""

    def middle(values, width, signed):
        high = 2 ** (width - 1) - 1 if signed else 2**width - 1
        return max(n for n in range(-60, 60) if np.abs(values).max() * 2.0**n <= high)

    estimates = (
        middle(weights, layer.w.width, True),
        middle(bias, layer.b.width, True),
        middle(reference, layer.output.width, layer.output.signed),
    )
    best = (np.inf, None)
    for n_w, n_b, n_o in product(*(range(n - window, n + window + 1) for n in estimates)):
        if not 0 <= layer.x.fraction + n_w - n_o <= 31:
            continue
        w, b = replace(layer.w, fraction=n_w), replace(layer.b, fraction=n_b)
        output = replace(layer.output, fraction=n_o)
        encoded = {"weights": w.encode(weights), "bias": b.encode(bias)}
        candidate = replace(prefix, layers=(*prefix.layers, replace(layer, w=w, b=b, output=output, **encoded)))
        got = output.decode(run(candidate, candidate.encode(images)))
        error = np.sum((got - reference) ** 2)
        if error < best[0] * (1 - 1e-12):
            best = (error, (n_w, n_b, n_o))
    return best


@pytest.mark.parametrize("rounding", Rounding)
@pytest.mark.parametrize("bits", [3, 8])
def test_search_finds_the_minimum_module_by_module(rounding, bits):
    """Each module's triple is the best one *given* the integer modules before it."""
    rng = np.random.default_rng(7)
    graph = network((5,), dense(rng, "x", "a", 5, 6), node(Relu, "a", "b"), dense(rng, "b", "y", 6, 3))
    images = real(rng, 40, 5)
    options = Options(weight_bits=bits, activation_bits=bits, bias_bits=bits, rounding=rounding, window=1)
    quantized = quantize(graph, images, options)
    values = graph.values(images)
    for index, (tensor, head) in enumerate((("b", graph.nodes[0]), ("y", graph.nodes[2]))):
        layer, choice = quantized.network.layers[index], quantized.choices[index]
        prefix = replace(quantized.network, layers=quantized.network.layers[:index])
        error, triple = exhaustive(prefix, layer, head.weights, head.bias, images, values[tensor], window=1)
        assert (choice.n_w, choice.n_b, choice.n_o) == triple
        assert choice.error == pytest.approx(error)
        assert (layer.w.fraction, layer.b.fraction, layer.output.fraction) == triple
        assert choice.shift == choice.n_x + choice.n_w - choice.n_o == layer.shift
        power = np.sum(values[tensor] ** 2)
        assert choice.sqnr_db == pytest.approx(10 * np.log10(power / error))


def test_search_with_a_residual_finds_the_minimum():
    rng = np.random.default_rng(8)
    graph = network(
        (2, 4, 4),
        conv(rng, "x", "a", 2, 3),
        node(Relu, "a", "b"),
        conv(rng, "b", "c", 3, 3),
        node(Add, ("c", "b"), "d"),
        node(Relu, "d", "y"),
    )
    images = real(rng, 6, 2, 4, 4)
    quantized = quantize(graph, images, Options(weight_bits=4, activation_bits=4, window=1))
    one, two = quantized.network.layers
    assert two.sources == (one.name, one.name)
    prefix = replace(quantized.network, layers=(one,))
    reference = graph.run(images).transpose(0, 2, 3, 1)
    error, triple = exhaustive(prefix, two, graph.nodes[2].matrix, graph.nodes[2].bias, images, reference, window=1)
    choice = quantized.choices[1]
    assert (choice.n_w, choice.n_b, choice.n_o) == triple
    assert choice.error == pytest.approx(error)


def test_a_wider_window_is_never_worse_for_the_first_module():
    rng = np.random.default_rng(9)
    graph, images = network((9,), dense(rng, "x", "y", 9, 4)), real(rng, 50, 9)
    errors = [
        quantize(graph, images, Options(weight_bits=3, activation_bits=4, window=w)).choices[0].error for w in range(4)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > errors[-1]


@given(st.integers(0, 10**6), st.integers(0, 6), st.sampled_from(Rounding))
def test_max_pooling_commutes_with_requantization(seed, shift, rounding):
    acc = np.random.default_rng(seed).integers(-3000, 3000, (1, 4, 4, 2))
    after = window_max(np.clip(round_shift(acc, shift, rounding), 0, 15), HALVES, 0)
    before = np.clip(round_shift(window_max(acc, HALVES, -(10**6)), shift, rounding), 0, 15)
    assert np.array_equal(after, before)


def test_relu_makes_the_output_unsigned_and_gains_a_bit():
    rng = np.random.default_rng(10)
    head = dense(rng, "x", "a", 5, 6)
    images = real(rng, 30, 5)
    plain = quantize(network((5,), head), images).network
    with_relu = quantize(network((5,), head, node(Relu, "a", "y")), images).network
    assert plain.output.signed
    assert not with_relu.output.signed
    assert with_relu.output.limits == (0, 255)


def test_images_of_small_integers_stay_as_they_are():
    images = np.arange(17).reshape(1, 1, 1, 17)
    assert search_input(images, Options()) == Format(width=8, signed=False, fraction=0)
    assert search_input(images - 8, Options()) == Format(width=8, signed=True, fraction=0)
    assert search_input(images / 16, Options()) == Format(width=8, signed=False, fraction=4)


def residual_network(rng):
    """A block whose skip path has a convolution of its own, one with a plain skip, mean, flattening, dense."""
    return network(
        (3, 8, 8),
        conv(rng, "x", "a", 3, 4),
        node(MaxPool, "a", "b", window=HALVES),
        node(Relu, "b", "c"),
        conv(rng, "c", "main", 4, 6),
        conv(rng, "c", "skip", 4, 6, Window(kernel=(1, 1))),
        node(Add, ("main", "skip"), "d"),
        node(Relu, "d", "e"),
        conv(rng, "e", "f", 6, 6),
        Affine(name="norm", inputs=("f",), output="g", scale=1 + real(rng, 6) / 4, offset=real(rng, 6)),
        node(Add, ("e", "g"), "h"),
        node(AveragePool, "h", "i", window=HALVES),
        node(Flatten, "i", "j"),
        node(Relu, "j", "k"),
        dense(rng, "k", "y", 24, 5),
    )


def test_modules_of_a_residual_network():
    modules = unify(fold(residual_network(np.random.default_rng(11))))
    assert [(module.name, module.sources, module.relu) for module in modules] == [
        ("conv_a", ("x",), True),
        ("maxpool_b", ("conv_a",), False),
        ("conv_main", ("maxpool_b",), False),
        ("conv_skip", ("maxpool_b", "conv_main"), True),
        ("conv_f", ("conv_skip", "conv_skip"), False),
        ("averagepool_i", ("conv_f",), True),
        ("flatten_j", ("averagepool_i",), False),
        ("dense_y", ("flatten_j",), False),
    ]


@pytest.mark.parametrize("window", [HALVES, Window(kernel=(3, 3)), None])
def test_residual_network_comes_close_to_float(window):
    """A bit is worth 6 dB: eight of them leave well over 25 dB after six roundings, unless some order is confused."""
    rng = np.random.default_rng(12)
    graph = residual_network(rng)
    pool = next(item for item in graph.nodes if isinstance(item, AveragePool))
    features = int(np.prod(AveragePool.compute(replace(pool, window=window), np.zeros((1, 6, 4, 4))).shape))
    nodes = [replace(item, window=window) if item is pool else item for item in graph.nodes[:-1]]
    graph = network(graph.shape, *nodes, dense(rng, "k", "y", features, 5))
    quantized = quantize(graph, real(rng, 32, 3, 8, 8), Options(bias_bits=12))
    assert sqnr(graph, quantized, real(rng, 32, 3, 8, 8)) > 25


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
    quantized = quantize(graph, images, Options(bias_bits=12))
    added = [layer for layer in quantized.network.layers if isinstance(layer, layers.Add)]
    assert [layer.sources for layer in added] == [("conv_a", "conv_c"), ("flatten_f", "flatten_g")]
    assert not any(layer.output.signed for layer in added)
    assert sqnr(graph, quantized, images) > 25


@pytest.mark.parametrize("scale", [1e-20, 1e-6, 1.0, 1e6, 1e20])
@pytest.mark.parametrize("what", ["weights", "bias", "images"])
def test_any_scale_gives_a_valid_network(what, scale):
    """Fractional bits may be negative or larger than the word, and the shift stays 0 to 31."""
    rng = np.random.default_rng(14)
    first, second = conv(rng, "x", "a", 2, 3), conv(rng, "a", "b", 3, 3)
    if what != "images":
        first = replace(first, **{what: getattr(first, what) * np.float32(scale)})
    images = real(rng, 4, 2, 4, 4) * np.float32(scale if what == "images" else 1)
    graph = network((2, 4, 4), first, second, node(Add, ("a", "b"), "y"))
    quantized = quantize(graph, images, Options(bias_bits=16))
    assert all(0 <= choice.shift <= 31 for choice in quantized.choices)
    assert sqnr(graph, quantized, images) > 20


def test_zero_weights_and_zero_images():
    rng = np.random.default_rng(15)
    zero = replace(dense(rng, "x", "y", 4, 2), weights=np.zeros((4, 2), np.float32), bias=np.zeros(2, np.float32))
    choice = quantize(network((4,), zero), np.zeros((3, 4))).choices[0]
    assert (choice.error, choice.sqnr_db) == (0, np.inf)


def test_progress_and_determinism():
    rng = np.random.default_rng(16)
    graph, images = residual_network(rng), real(rng, 8, 3, 8, 8)
    calls = []
    first = quantize(graph, images, progress=lambda *call: calls.append(call))
    assert [done for done, _, _ in calls] == list(range(9))
    assert [name for _, _, name in calls[:-1]] == [layer.name for layer in first.network.layers]
    assert quantize(graph, images).choices == first.choices


def test_refusals():
    rng = np.random.default_rng(17)
    head = dense(rng, "x", "a", 4, 4)
    two_readers = network((4,), head, node(Relu, "a", "b"), node(Add, ("a", "b"), "y"))
    with pytest.raises(InputError, match=r"made\.onnx: node relu_b: Relu must follow"):
        quantize(two_readers, real(rng, 3, 4))
    with pytest.raises(InputError, match=r"made\.onnx: node relu_y: Relu must follow"):
        quantize(network((4,), node(Relu, "x", "y")), real(rng, 3, 4))
    for images in (real(rng, 3, 5), real(rng, 0, 4), np.full((3, 4), np.nan)):
        with pytest.raises(InputError, match=r"calibration images: expected finite numbers of shape \(count, 4\)"):
            quantize(network((4,), head), images)
    tiny = [replace(head, bias=head.bias * 0), node(Relu, "a", "b"), dense(rng, "b", "c", 4, 4), node(Relu, "c", "d")]
    far = network((4,), *tiny, node(Add, ("b", "d"), "y"))
    with pytest.raises(InputError, match=r"made\.onnx: node add_y: summands are \d+ bits apart, more than 31"):
        quantize(far, real(rng, 3, 4) * 1e-12)
    huge = replace(head, weights=head.weights * np.float32(1e38))
    with pytest.raises(InputError, match=r"made\.onnx: node dense_a: expected finite results"):
        quantize(network((4,), huge), real(rng, 3, 4) * 1000)
    with pytest.raises(ValueError, match="weight_bits must be 2 to 8, not 9"):
        Options(weight_bits=9)
    with pytest.raises(TypeError, match=r"window must be an integer, not 1\.5"):
        Options(window=1.5)


@pytest.fixture(scope="module")
def digits():
    """Graph, calibration and held-out images of the digits."""
    graph = import_onnx(DIGITS / "digits.onnx")
    return graph, load_images(DIGITS / "calibration.npz", graph), load_images(DIGITS / "heldout.npz", graph)


@pytest.mark.parametrize(
    ("weights", "activations", "points"),
    [(8, 8, 0.5), (4, 8, 1.0), (4, 4, 2.0)],
)
def test_digits_lose_few_points(digits, weights, activations, points):
    graph, calibration, held_out = digits
    options = Options(weight_bits=weights, activation_bits=activations)
    network = quantize(graph, calibration.images, options).network
    scores = run(network, network.encode(held_out.images))
    lost = held_out.accuracy(graph.run(held_out.images)) - held_out.accuracy(scores)
    assert 100 * lost <= points


def test_digits_modules(digits):
    modules = unify(fold(digits[0]))
    names = [(module.name, module.relu) for module in modules]
    relus, pools = [("conv1", True), ("conv2", True)], [("pool2", False), ("conv3", True), ("pool3", False)]
    assert names == [*relus, *pools, ("flatten", False), ("dense", False)]


def test_the_array_computes_the_digits(digits):
    """One array's golden model, with the runtime shift, gives every weighted layer's integers from its columns."""
    graph, calibration, held_out = digits
    network = quantize(graph, calibration.images).network
    ran = [step for step in steps(network, network.encode(held_out.images[:20])) if step.columns is not None]
    assert [step.layer.name for step in ran] == ["conv1", "conv2", "conv3", "dense"]
    for step in ran:
        layer = step.layer
        requant = {"scheme": "shift", "out_width": layer.output.width, "out_signed": layer.output.signed}
        array = MacParams(act_width=layer.x.width, act_signed=layer.x.signed, reduction=288, requant=requant)
        assert np.array_equal(array.accumulate(step.columns, layer.weights, layer.aligned_bias), step.accumulators)
        result = array.compute(step.columns, layer.weights, layer.aligned_bias, {"shift": layer.shift})
        assert np.array_equal(result.reshape(step.outputs.shape), step.outputs)
