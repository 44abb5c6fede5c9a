"""Unified modules: the normal form computes the same, the grouping is what the rules say, the table counts right."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roundel.compression.passes import prune_weights
from roundel.data import DIGITS
from roundel.frontend import read_onnx
from roundel.golden.errors import InputError
from roundel.golden.formats import Format
from roundel.golden.network.conv import window_max
from roundel.golden.opq import OpqParams
from roundel.golden.rounding import Rounding, round_shift
from roundel.graph import (
    Activation,
    Add,
    Affine,
    AveragePool,
    Clip,
    Concat,
    Conv,
    Flatten,
    LeakyRelu,
    MaxPool,
    Quantize,
    Relu,
    Upsample,
    fold,
)
from roundel.quantization import feature_order, modules_table, quantize, unify
from roundel.quantization.modules import input_quantizers
from tests.support.made_graphs import HALVES, SINGLE, affine, conv, dense, network, node, real, residual_network


def grouped(graph):
    """Names of the modules with their sources and the kinds of their operators."""
    modules = unify(fold(graph))
    return [(item.name, item.sources, " ".join(type(node).__name__ for node in item.nodes)) for item in modules]


ACTIVATIONS = st.one_of(
    st.builds(lambda: ("relu",)),
    st.builds(lambda low, high: ("clip", low, high), *(2 * [st.one_of(st.none(), st.floats(-3, 3, width=32))])),
    st.builds(lambda k: ("leaky", 2.0**-k), st.integers(1, 5)),
)


@given(st.lists(ACTIVATIONS, max_size=4), st.integers(0, 10**6))
def test_a_chain_of_activations_is_one(chain, seed):
    kinds = {"relu": (Relu, ()), "clip": (Clip, ("low", "high")), "leaky": (LeakyRelu, ("slope",))}
    x = 4 * np.random.default_rng(seed).normal(size=50)
    expected, activation = x, Activation()
    for name, *parameters in chain:
        kind, names = kinds[name]
        item = node(kind, "x", "y", **dict(zip(names, parameters, strict=True)))
        expected, activation = item.compute(expected), activation.then(item)
    leaky = np.where(x < 0, x * 2.0**-activation.leak, x)
    np.testing.assert_allclose(np.minimum(np.maximum(leaky, activation.low), activation.high), expected, rtol=1e-6)
    assert activation.signed or expected.min() >= 0


def test_bounds_are_the_clamp_in_integers_of_the_output():
    six = Activation().then(node(Clip, "x", "y", low=0.0, high=6.0))
    assert six.bounds(Format(width=8, signed=False, fraction=5)) == (0, 192)
    assert six.bounds(Format(width=8, signed=False, fraction=6)) is None
    both = Activation().then(node(Clip, "x", "y", low=-1.0, high=1.0))
    assert both.bounds(Format(width=8, signed=True, fraction=4)) == (-16, 16)
    assert Activation().bounds(Format(width=8, signed=True, fraction=4)) is None


@given(st.integers(0, 10**6), st.integers(0, 6), st.sampled_from(Rounding))
def test_max_pooling_commutes_with_requantization(seed, shift, rounding):
    acc = np.random.default_rng(seed).integers(-3000, 3000, (1, 4, 4, 2))
    after = window_max(np.clip(round_shift(acc, shift, rounding), 0, 15), HALVES, 0)
    before = np.clip(round_shift(window_max(acc, HALVES, -(10**6)), shift, rounding), 0, 15)
    assert np.array_equal(after, before)


def moved_network(rng):
    """Activations behind everything that moves values, a batch normalization in a grouped convolution, a dead end."""
    return network(
        (4, 8, 8),
        conv(rng, "x", "a", 4, 6, groups=2),
        affine(rng, "a", "b", 6),
        node(Relu, "b", "unread"),
        node(MaxPool, "b", "c", window=HALVES),
        node(Upsample, "c", "d"),
        node(LeakyRelu, "d", "e", slope=0.125),
        node(Flatten, "e", "f"),
        node(Clip, "f", "g", low=-0.25, high=1.0),
        dense(rng, "g", "h", 384, 5),
        affine(rng, "h", "y", 5),
    )


@pytest.mark.parametrize("make", [residual_network, moved_network])
def test_the_fold_computes_the_same(make):
    rng = np.random.default_rng(1)
    graph = make(rng)
    images = real(rng, 3, *graph.shape)
    folded = fold(graph)
    assert not any(isinstance(item, Affine) for item in folded.nodes)
    np.testing.assert_allclose(folded.run(images), graph.run(images), rtol=1e-5, atol=1e-5)
    values = folded.values(images)
    assert all(values[item.output].shape[1:] == folded.shapes[item.output] for item in folded.nodes)
    assert [item.name for item in fold(folded).nodes] == [item.name for item in folded.nodes]


def test_activations_move_ahead_of_what_moves_values():
    folded = fold(moved_network(np.random.default_rng(2)))
    kinds = [type(item).__name__ for item in folded.nodes]
    assert kinds == ["Conv", "LeakyRelu", "Clip", "MaxPool", "Upsample", "Flatten", "Dense"]


def test_activations_stay_behind_a_tensor_that_others_read():
    graph = network(
        (4, 8, 8),
        conv(np.random.default_rng(3), "x", "a", 4, 4),
        node(MaxPool, "a", "b", window=HALVES),
        node(Relu, "b", "c"),
        node(MaxPool, "a", "d", window=HALVES),
        node(Add, ("c", "d"), "y"),
    )
    assert [type(item).__name__ for item in fold(graph).nodes] == ["Conv", "MaxPool", "Relu", "MaxPool", "Add"]
    assert grouped(graph)[2] == ("relu_c", ("maxpool_b",), "Relu")


def test_folding_scales_the_step_with_the_weights():
    rng = np.random.default_rng(4)
    head = conv(rng, "x", "a", 2, 3)
    codes = rng.integers(-7, 8, head.weights.shape)
    quantized = Conv(
        **{**vars(head), "weights": (codes * 0.25).astype(np.float32), "step": np.asarray(0.25), "code_width": 4}
    )
    norm = Affine(name="n", inputs=("a",), output="y", scale=np.array([2.0, -0.5, 0.0]), offset=np.ones(3))
    folded = fold(network((2, 4, 4), quantized, norm)).nodes[0]
    multiples = folded.weights / folded.step.reshape(-1, 1, 1, 1)
    assert np.array_equal(multiples, codes * np.array([1, -1, 0]).reshape(-1, 1, 1, 1))


def test_an_affine_of_features_without_a_matrix_product_is_refused():
    rng = np.random.default_rng(5)
    with pytest.raises(InputError, match=r"made\.onnx: node norm_y: no convolution or matrix product"):
        fold(network((2,), affine(rng, "x", "y", 2)))


def test_modules_of_a_residual_network():
    assert grouped(residual_network(np.random.default_rng(11))) == [
        ("conv_a", ("x",), "Conv Relu"),
        ("maxpool_b", ("conv_a",), "MaxPool"),
        ("conv_main", ("maxpool_b",), "Conv"),
        ("conv_skip", ("maxpool_b", "conv_main"), "Conv Add Relu"),
        ("conv_f", ("conv_skip", "conv_skip"), "Conv Add"),
        ("averagepool_i", ("conv_f",), "AveragePool Relu"),
        ("flatten_j", ("averagepool_i",), "Flatten"),
        ("dense_y", ("flatten_j",), "Dense"),
    ]


def test_modules_of_the_digits():
    assert [(name, kinds) for name, _, kinds in grouped(read_onnx(DIGITS / "digits.onnx"))] == [
        ("conv1", "Conv Relu"),
        ("conv2", "Conv Relu"),
        ("pool2", "MaxPool"),
        ("conv3", "Conv Relu"),
        ("pool3", "MaxPool"),
        ("flatten", "Flatten"),
        ("dense", "Dense"),
    ]


def quantizer(x, y, scale=0.25, low=-128, high=127, zero_point=0):
    """A quantization of tensor `x`."""
    return node(Quantize, x, y, scale=scale, zero_point=zero_point, low=low, high=high)


def test_a_quantizer_ends_a_module():
    rng = np.random.default_rng(6)
    graph = network(
        (2, 4, 4),
        quantizer("x", "q"),
        conv(rng, "q", "a", 2, 2),
        node(Relu, "a", "b"),
        node(MaxPool, "b", "c", window=HALVES),
        quantizer("c", "d"),
        quantizer("d", "e"),  # once more the same
        node(Relu, "e", "f"),
        quantizer("f", "g", scale=0.5),
        conv(rng, "g", "h", 2, 2),
        quantizer("h", "i"),
        node(Add, ("i", "g"), "y"),
    )
    assert grouped(graph) == [
        ("conv_a", ("x",), "Conv Relu Quantize Quantize"),
        ("relu_f", ("conv_a",), "Relu Quantize"),
        ("maxpool_c", ("relu_f",), "MaxPool"),
        ("conv_h", ("maxpool_c",), "Conv Quantize"),
        ("add_y", ("conv_h", "maxpool_c"), "Add"),
    ]
    assert [node.output for node in input_quantizers(fold(graph))] == ["q"]


def test_only_the_quantization_of_the_moved_tensor_itself_is_repeated():
    """A quantizer like that of an earlier module rounds what came in between."""
    rng = np.random.default_rng(13)
    first = [conv(rng, "x", "a", 2, 2), quantizer("a", "b"), conv(rng, "b", "c", 2, 2)]
    pools = [node(MaxPool, "c", "d", window=HALVES), quantizer("d", "e")]
    graph = network((2, 4, 4), *first, *pools, results=("c", "e"))
    assert grouped(graph)[2:] == [("maxpool_d", ("conv_c",), "MaxPool"), ("quantize_e", ("maxpool_d",), "Quantize")]
    again = network(
        (2, 4, 4), *first[:2], *[replace(item, inputs=("b",)) for item in pools[:1]], pools[1], results=("b", "e")
    )
    assert grouped(again)[1:] == [("maxpool_d", ("conv_a",), "MaxPool Quantize")]


def test_the_table_counts_quantizations():
    rng = np.random.default_rng(7)
    graph = residual_network(rng)
    table = modules_table(graph, unify(fold(graph)))
    assert [(row.module, " ".join(row.operators), row.before, row.after) for row in table.rows] == [
        ("conv_a", "Conv Relu", 2, 1),
        ("maxpool_b", "MaxPool", 0, 0),
        ("conv_main", "Conv", 1, 1),
        ("conv_skip", "Conv Add Relu", 3, 1),
        ("conv_f", "Conv Affine Add", 3, 1),
        ("averagepool_i", "AveragePool Relu", 2, 1),
        ("flatten_j", "Flatten", 0, 0),
        ("dense_y", "Dense", 1, 1),
    ]
    assert (table.before, table.after, table.saved) == (12, 6, 6)


def test_the_table_of_quantizers():
    """The quantization of a result that others read as well is one of its own, on either side."""
    rng = np.random.default_rng(12)
    nodes = [quantizer("x", "q"), conv(rng, "q", "a", 2, 2), quantizer("a", "b"), conv(rng, "b", "c", 2, 2)]
    graph = network((2, 4, 4), *nodes, quantizer("c", "d"), node(MaxPool, "c", "y", window=SINGLE), results=("d", "y"))
    table = modules_table(graph, unify(fold(graph)))
    assert [(row.module, " ".join(row.operators), row.before, row.after) for row in table.rows] == [
        ("conv_a", "Conv Quantize", 1, 1),
        ("conv_c", "Conv", 1, 1),
        ("quantize_d", "Quantize", 1, 1),
        ("maxpool_y", "MaxPool", 0, 0),
    ]


def test_the_table_leaves_out_what_nothing_needs():
    graph = moved_network(np.random.default_rng(8))
    table = modules_table(graph, unify(fold(graph)))
    assert [operator for row in table.rows for operator in row.operators].count("Relu") == 0
    assert (table.before, table.after) == (6, 2)


def test_feature_orders():
    """Where the integer order finds its features, checked on the values themselves."""
    rng = np.random.default_rng(9)
    graph = network(
        (3, 4, 2),
        conv(rng, "x", "a", 3, 5, SINGLE),
        node(Flatten, "a", "b"),
        node(Flatten, "x", "c"),
        node(Relu, "c", "d"),
        dense(rng, "d", "e", 24, 7),
        node(Concat, ("b", "e", "d"), "y"),
    )
    values = graph.values(real(rng, 2, 3, 4, 2))
    last = {name: values[name].transpose(0, 2, 3, 1).reshape(2, -1) for name in ("a", "x")}
    expected = np.concatenate([last["a"], values["e"], np.maximum(last["x"], 0)], axis=1)
    assert np.array_equal(values["y"][:, feature_order(graph, "y")], expected)
    assert feature_order(graph, "e") is None
    assert feature_order(network((3, 1, 1), node(Flatten, "x", "y")), "y") is None


def test_two_results_keep_their_modules():
    rng = np.random.default_rng(10)
    graph = network(
        (2, 4, 4),
        conv(rng, "x", "a", 2, 3),
        node(Relu, "a", "b"),
        node(AveragePool, "b", "c", window=None),
        node(Relu, "c", "d"),
        results=("a", "c", "d"),
    )
    assert grouped(graph) == [
        ("conv_a", ("x",), "Conv"),
        ("relu_b", ("conv_a",), "Relu"),
        ("averagepool_c", ("relu_b",), "AveragePool"),
        ("relu_d", ("averagepool_c",), "Relu"),
    ]


def test_a_network_that_normalizes_before_it_convolves():
    """The input's normalization, and one ahead of an activation: modules of their own, which no pruning touches."""
    rng = np.random.default_rng(5)
    factors = [
        Affine(name=f"n{k}", inputs=(x,), output=y, scale=rng.normal(size=4), offset=rng.normal(size=4))
        for k, (x, y) in enumerate((("x", "a"), ("c", "d")))
    ]
    nodes = (factors[0], conv(rng, "a", "b", 4, 4), node(Add, ("a", "b"), "c"), factors[1], node(Relu, "d", "e"))
    graph = network((4, 6, 6), *nodes, conv(rng, "e", "f", 4, 3))
    images = rng.normal(size=(16, 4, 6, 6)).astype(np.float32)
    np.testing.assert_allclose(fold(graph).run(images), graph.run(images), rtol=1e-4, atol=1e-4)
    quantized = quantize(graph, images)
    rows = {row.module: (row.operators, row.before, row.after) for row in modules_table(graph, quantized.modules).rows}
    assert rows == {
        "n0": (("Affine",), 1, 1),
        "conv_b": (("Conv", "Add"), 2, 1),
        "n1": (("Affine", "Relu"), 2, 1),
        "conv_f": (("Conv",), 1, 1),
    }
    assert quantized.choices[-1].sqnr_db > 30
    pruned, plans = prune_weights(fold(graph), OpqParams(sparsity=0.5, bits=4, max_width=4, power_of_two=True))
    assert list(plans) == ["conv_b", "conv_f"]
    assert [item.step is None for item in pruned.nodes if isinstance(item, Conv)] == [True, False, True, False]
