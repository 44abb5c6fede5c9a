"""The joint search against exhaustive search through the golden network, and what it promises."""

from dataclasses import replace
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roundel.golden.formats import Format
from roundel.golden.network import Network, Weighted, run
from roundel.golden.rounding import Rounding
from roundel.graph import Add, AveragePool, Clip, Concat, Flatten, LeakyRelu, MaxPool, Relu, Upsample
from roundel.quantization import QuantizeOptions, calibration, quantize, search, search_weights
from roundel.quantization.calibration import Floats, sample_positions
from roundel.quantization.given import Given
from roundel.quantization.search import estimate, search_input
from tests.support.made_graphs import HALVES, conv, dense, network, node, real, residual_network


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


def middle(values, form):
    """Maximum-magnitude estimate by its definition."""
    return max(n for n in range(-60, 60) if np.abs(values).max() * 2.0**n <= form.limits[1])


def least(errors):
    """The first of the least errors and its key; of errors that differ in the last bits only the first."""
    best = (np.inf, None)
    for key, error in errors:
        if error < best[0] * (1 - 1e-12):
            best = (error, key)
    return best


class Exhaustive:
    """Every triple in the window, run through the golden network after the layers before it."""

    def __init__(self, network, index, head, images, reference, window, clip=None):
        self.prefix = replace(network, layers=network.layers[:index], results=())
        self.layer: Weighted = network.layers[index]
        self.matrix = getattr(head, "matrix", head.weights)
        self.head, self.images, self.reference, self.window, self.clip = head, images, reference, window, clip

    def near(self, values, form):
        """The window around the estimate."""
        n = middle(values, form)
        return range(n - self.window, n + self.window + 1)

    def error(self, n_w, n_b, n_o):
        """`||O - O_q||^2` with N_w of each channel; infinite where a shift is out of range."""
        layer, weights = self.layer, np.rint(np.ldexp(self.matrix.astype(float), np.asarray(n_w)))
        if not all(0 <= layer.x.fraction + n - n_o <= 31 for n in n_w):
            return np.inf
        output, b = replace(layer.output, fraction=n_o), replace(layer.b, fraction=n_b)
        bounds = self.clip and tuple(int(np.clip(np.rint(end * 2.0**n_o), *output.limits)) for end in self.clip)
        candidate = replace(
            layer,
            weights=np.clip(weights, *layer.w.limits).astype(np.int64),
            bias=b.encode(self.head.bias),
            w_fractions=tuple(int(n) for n in n_w),
            b=b,
            output=output,
            bounds=bounds,
        )
        network = replace(self.prefix, layers=(*self.prefix.layers, candidate))
        return np.sum((output.decode(run(network, network.encode(self.images))) - self.reference) ** 2)

    def common(self):
        """Least error and triple, one N_w for all channels."""
        layer, outputs = self.layer, len(self.head.bias)
        tries = product(
            self.near(self.matrix, layer.w),
            self.near(self.head.bias, layer.b),
            self.near(self.reference, layer.output),
        )
        return least((n, self.error([n[0]] * outputs, *n[1:])) for n in tries)

    def per_channel(self):
        """Least error with any N_w of each channel that is near its own estimate or near that of all."""
        layer = self.layer
        near = self.near(self.matrix, layer.w)
        channels = [sorted({*near, *self.near(column, layer.w)}) for column in self.matrix.T]
        pairs = product(self.near(self.head.bias, layer.b), self.near(self.reference, layer.output))
        tries = ((n_w, *pair) for pair in pairs for n_w in product(*channels))
        return least((n, self.error(*n)) for n in tries)


@pytest.fixture(params=["whole", "parts"])
def sizes(request, monkeypatch):
    """What is searched at once: all of these small layers, or two outputs at a few positions."""
    if request.param == "parts":
        monkeypatch.setattr(search, "BLOCK", 12)
        monkeypatch.setattr(search_weights, "PART", 80)


def chosen(layer):
    """The triple of a layer with one N_w."""
    assert layer.w_fractions is None
    return layer.w.fraction, layer.b.fraction, layer.output.fraction


@pytest.mark.parametrize("rounding", Rounding)
@pytest.mark.parametrize("bits", [3, 8])
def test_search_finds_the_minimum_module_by_module(rounding, bits, sizes):
    """Each module's triple is the best one *given* the integer modules before it."""
    rng = np.random.default_rng(7)
    graph = network((5,), dense(rng, "x", "a", 5, 6), node(Relu, "a", "b"), dense(rng, "b", "y", 6, 3))
    images = real(rng, 40, 5)
    options = QuantizeOptions(weight_bits=bits, activation_bits=bits, bias_bits=bits, rounding=rounding, window=1)
    quantized = quantize(graph, images, options)
    values = graph.values(images)
    for index, (tensor, head) in enumerate((("b", graph.nodes[0]), ("y", graph.nodes[2]))):
        layer, choice = quantized.network.layers[index], quantized.choices[index]
        error, triple = Exhaustive(quantized.network, index, head, images, values[tensor], 1).common()
        assert chosen(layer) == triple == (choice.n_w, choice.n_b, choice.n_o)
        assert choice.error == pytest.approx(error)
        assert choice.shift == choice.n_x + choice.n_w - choice.n_o == layer.shift
        power = np.sum(values[tensor] ** 2)
        assert choice.sqnr_db == pytest.approx(10 * np.log10(power / error))


def test_search_with_a_residual_finds_the_minimum(sizes):
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
    quantized = quantize(graph, images, QuantizeOptions(weight_bits=4, activation_bits=4, window=1))
    before, adding = quantized.network.layers
    assert adding.sources == (before.name, before.name)
    reference = graph.run(images).transpose(0, 2, 3, 1)
    error, triple = Exhaustive(quantized.network, 1, graph.nodes[2], images, reference, 1).common()
    assert chosen(adding) == triple
    assert quantized.choices[1].error == pytest.approx(error)


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("activation", ["clip", "leaky"])
def test_search_of_groups_and_activations_finds_the_minimum(groups, activation, sizes):
    rng = np.random.default_rng(9)
    kinds = {
        "clip": (node(Clip, "a", "y", low=-0.7, high=1.1), (-0.7, 1.1)),
        "leaky": (node(LeakyRelu, "a", "y", slope=0.25), None),
    }
    item, clip = kinds[activation]
    graph = network((4, 4, 4), conv(rng, "x", "a", 4, 4, groups=groups), item)
    images = real(rng, 5, 4, 4, 4)
    quantized = quantize(graph, images, QuantizeOptions(weight_bits=4, activation_bits=5, window=1))
    layer = quantized.network.layers[0]
    assert (layer.groups, layer.leak) == (groups, 2 if activation == "leaky" else 0)
    reference = graph.run(images).transpose(0, 2, 3, 1)
    error, triple = Exhaustive(quantized.network, 0, graph.nodes[0], images, reference, 1, clip).common()
    assert chosen(layer) == triple
    assert quantized.choices[0].error == pytest.approx(error)


def uneven(rng, item):
    """The same convolution with outputs of very different size."""
    factors = np.asarray([1, 0.2, 0.03, 2], np.float32)[: len(item.bias)]
    return replace(item, weights=item.weights * factors.reshape(-1, *[1] * (item.weights.ndim - 1)))


def test_search_per_channel_finds_the_minimum(sizes):
    rng = np.random.default_rng(10)
    graph = network((2, 3, 3), uneven(rng, conv(rng, "x", "a", 2, 2)), node(Relu, "a", "y"))
    images = real(rng, 4, 2, 3, 3)
    options = QuantizeOptions(weight_bits=3, activation_bits=4, bias_bits=6, window=1, per_channel=True)
    quantized = quantize(graph, images, options)
    layer, choice = quantized.network.layers[0], quantized.choices[0]
    reference = graph.run(images).transpose(0, 2, 3, 1)
    error, triple = Exhaustive(quantized.network, 0, graph.nodes[0], images, reference, 1).per_channel()
    assert (layer.w_fractions, layer.b.fraction, layer.output.fraction) == triple
    assert len(set(layer.w_fractions)) == 2
    assert choice.error == pytest.approx(error)
    assert (choice.n_w, choice.n_w_most, choice.shift) == (min(triple[0]), max(triple[0]), layer.shifts.min())


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("residual", [False, True])
def test_per_channel_is_never_worse_for_the_first_module(bits, residual):
    """Afterwards the inputs differ. At 4 bits, with outputs of different size, it is much better."""
    for seed in range(5):
        rng = np.random.default_rng(seed)
        nodes = [uneven(rng, conv(rng, "x", "a", 4, 4))]
        nodes += [node(Add, ("a", "x"), "y")] if residual else []
        graph, images = network((4, 4, 4), *nodes), real(rng, 4, 4, 4, 4)
        errors = [
            quantize(graph, images, QuantizeOptions(weight_bits=bits, bias_bits=16, per_channel=per_channel))
            .choices[0]
            .error
            for per_channel in (False, True)
        ]
        assert errors[1] <= errors[0]
        assert residual or bits != 4 or errors[1] < 0.8 * errors[0]


def test_a_wider_window_is_never_worse_for_the_first_module():
    rng = np.random.default_rng(9)
    graph, images = network((9,), dense(rng, "x", "y", 9, 4)), real(rng, 50, 9)
    errors = [
        quantize(graph, images, QuantizeOptions(weight_bits=3, activation_bits=4, window=w)).choices[0].error
        for w in range(4)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > errors[-1]


def test_given_weights_stay_and_the_rest_is_searched():
    rng = np.random.default_rng(11)
    graph = network((2, 4, 4), conv(rng, "x", "a", 2, 3), node(Relu, "a", "y"))
    images, codes = real(rng, 5, 2, 4, 4), rng.integers(-3, 4, (3, 2, 3, 3))
    given = Given(codes=codes, format=Format(width=3, signed=True, fraction=1))
    quantized = quantize(graph, images, QuantizeOptions(window=1), given={"conv_a": given})
    layer = quantized.network.layers[0]
    assert np.array_equal(layer.weights, codes.transpose(2, 3, 1, 0).reshape(-1, 3))
    assert (layer.w, layer.w_fractions) == (given.format, None)
    fixed = Exhaustive(quantized.network, 0, graph.nodes[0], images, graph.run(images).transpose(0, 2, 3, 1), 1)
    fixed.matrix = np.ldexp(layer.weights.astype(float), -1)
    tries = product(fixed.near(fixed.head.bias, layer.b), fixed.near(fixed.reference, layer.output))
    error, pair = least((pair, fixed.error([1] * 3, *pair)) for pair in tries)
    assert (layer.b.fraction, layer.output.fraction) == pair
    assert quantized.choices[0].error == pytest.approx(error)
    by_channel = replace(given, fractions=(1, 3, 2), format=replace(given.format, fraction=1))
    layer = quantize(graph, images, given={"conv_a": by_channel}).network.layers[0]
    assert layer.w_fractions == (1, 3, 2)


def test_weight_bits_by_module():
    rng = np.random.default_rng(12)
    graph = network((5,), dense(rng, "x", "a", 5, 6), node(Relu, "a", "b"), dense(rng, "b", "y", 6, 3))
    quantized = quantize(graph, real(rng, 40, 5), QuantizeOptions(weight_bits=6, module_bits={"dense_y": 3}))
    assert [layer.w.width for layer in quantized.network.weighted] == [6, 3]


@pytest.mark.parametrize("kind", ["average", "add", "concat"])
def test_modules_without_weights_find_the_minimum(kind):
    """Every N_o in the window through the golden layer."""
    rng = np.random.default_rng(13)
    middle_nodes = {
        "average": [node(AveragePool, "b", "y", window=replace(HALVES, kernel=(3, 3)))],
        "add": [node(Add, ("b", "c"), "y")],
        "concat": [node(Concat, ("b", "c", "b"), "y")],
    }[kind]
    nodes = [conv(rng, "x", "b", 2, 3), node(Flatten, "b", "unread"), conv(rng, "x", "c", 2, 3), node(Relu, "c", "d")]
    graph = network((2, 7, 7), *nodes[:3], *middle_nodes, node(Concat, ("b", "c"), "r"), results=("r", "y"))
    images = real(rng, 6, 2, 7, 7)
    quantized = quantize(graph, images, QuantizeOptions(activation_bits=4, window=3))
    index = next(i for i, layer in enumerate(quantized.network.layers) if layer.name.endswith("_y"))
    layer = quantized.network.layers[index]
    reference = graph.values(images)["y"].transpose(0, 2, 3, 1)

    def error(n_o):
        candidate = replace(layer, output=replace(layer.output, fraction=n_o))
        layers = (*quantized.network.layers[:index], candidate)
        part = Network(source="x", input=quantized.network.input, layers=layers)
        return np.sum((candidate.output.decode(run(part, part.encode(images))) - reference) ** 2)

    estimated = middle(reference, layer.output)
    tries = [n for n in range(estimated - 3, estimated + 4) if kind == "concat" or n <= layer.accumulator_fraction]
    best, n_o = least((n, error(n)) for n in tries)
    assert layer.output.fraction == n_o
    choice = next(choice for choice in quantized.choices if choice.name == layer.name)
    assert choice.error == pytest.approx(best)


def test_positions_are_the_same_number_of_each_image_and_never_twice():
    chosen = sample_positions(5, 100, 60, seed=3)
    assert np.array_equal(np.bincount(chosen // 100), [12] * 5)
    assert len(set(chosen.tolist())) == 60
    assert np.array_equal(chosen, sample_positions(5, 100, 60, seed=3))
    assert not np.array_equal(chosen, sample_positions(5, 100, 60, seed=4))
    assert np.array_equal(sample_positions(5, 100, 500, seed=3), np.arange(500))
    assert len(sample_positions(50, 100, 7, seed=3)) == 50


def test_fewer_positions_find_almost_the_minimum():
    rng = np.random.default_rng(14)
    graph, images = residual_network(rng), real(rng, 32, 3, 8, 8)
    options = QuantizeOptions(weight_bits=4, activation_bits=4)
    all_positions, some = (quantize(graph, images, replace(options, positions=count)).choices for count in (2048, 256))
    for whole, part in zip(all_positions[:1], some[:1], strict=True):  # the same inputs still
        assert whole.error <= part.error < 1.2 * whole.error
    assert all(part.sqnr_db > whole.sqnr_db - 1.5 for whole, part in zip(all_positions, some, strict=True))


def test_the_size_of_batches_changes_nothing(monkeypatch):
    rng = np.random.default_rng(17)
    graph, images = residual_network(rng), real(rng, 8, 3, 8, 8)
    whole = quantize(graph, images, QuantizeOptions(positions=300))
    monkeypatch.setattr(calibration, "BATCH_VALUES", 600)
    monkeypatch.setattr(search, "BLOCK", 250)
    monkeypatch.setattr(search_weights, "PART", 1000)
    parts = quantize(graph, images, QuantizeOptions(positions=300))
    for choice, other in zip(whole.choices, parts.choices, strict=True):
        assert replace(choice, error=0.0, sqnr_db=0.0) == replace(other, error=0.0, sqnr_db=0.0)
        assert choice.error == pytest.approx(other.error)


def test_floats_forget_what_nobody_reads_any_more():
    rng = np.random.default_rng(15)
    graph, images = residual_network(rng), real(rng, 2, 3, 8, 8)
    values, wanted = graph.values(images), ["c", "e", "h", "h", "y"]
    floats = Floats(graph, images, wanted)
    for tensor in wanted:
        np.testing.assert_array_equal(floats.take(tensor), values[tensor])
    assert not floats._values


def test_images_of_small_integers_stay_as_they_are():
    images = np.arange(17).reshape(1, 1, 1, 17)
    assert search_input(images, QuantizeOptions()) == Format(width=8, signed=False, fraction=0)
    assert search_input(images - 8, QuantizeOptions()) == Format(width=8, signed=True, fraction=0)
    assert search_input(images / 16, QuantizeOptions()) == Format(width=8, signed=False, fraction=4)


@pytest.mark.parametrize(
    ("wrong", "kind", "message"),
    [
        ({"weight_bits": 9}, ValueError, "weight_bits must be 2 to 8, not 9"),
        ({"window": 1.5}, TypeError, r"window must be an integer, not 1\.5"),
        ({"module_bits": {"a": 1}}, ValueError, r"module_bits\['a'\] must be 2 to 8, not 1"),
        ({"per_channel": 1}, TypeError, "per_channel must be a bool, not 1"),
        ({"positions": 0}, ValueError, "positions must be 1 to"),
    ],
)
def test_options_are_checked(wrong, kind, message):
    with pytest.raises(kind, match=message):
        QuantizeOptions(**wrong)


def test_what_moves_values_moves_integers():
    """Pooling, upsampling and flattening change no integer."""
    rng = np.random.default_rng(16)
    graph = network(
        (3, 4, 4),
        conv(rng, "x", "a", 3, 4),
        node(MaxPool, "a", "b", window=HALVES),
        node(Upsample, "b", "c"),
        node(Flatten, "c", "y"),
    )
    images = real(rng, 4, 3, 4, 4)
    integers = quantize(graph, images).network
    whole = run(integers, integers.encode(images))
    part = replace(integers, layers=integers.layers[:1], results=())
    maps = run(part, part.encode(images)).reshape(4, 2, 2, 2, 2, 4).max(axis=(2, 4))
    assert np.array_equal(whole, maps.repeat(2, axis=1).repeat(2, axis=2).reshape(4, -1))
