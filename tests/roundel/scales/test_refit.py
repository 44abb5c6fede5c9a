"""Scales moved to powers of two: the network stays the same function, and its integers where they may."""

from dataclasses import replace
from math import log2

import numpy as np
import pytest

from roundel.data import DIGITS
from roundel.frontend import read_onnx
from roundel.golden.errors import InputError
from roundel.golden.network import outputs, run
from roundel.golden.requant import Scheme
from roundel.graph import Add, AveragePool, Clip, Conv, Dense, LeakyRelu, MaxPool, Quantize, Relu, fold, load_images
from roundel.quantization import QuantizeOptions, is_power, quantize
from roundel.scales import advise
from roundel.scales.measure import unrounded
from roundel.scales.moves import natural_scale, plain
from roundel.scales.refitting import refit
from tests.support.made_graphs import HALVES, PADDED, SINGLE, conv, dense, network, node, ratio_db, real
from tests.support.onnx_models import model, saved
from tests.support.places import NETWORKS
from tests.support.qdq_models import pair, weighted


def quantizer(x, y, scale, zero, low=-128, high=127):
    return node(Quantize, x, y, scale=scale, zero_point=zero, low=low, high=high)


def exact_weights(convolution, step=2.0**-9):
    """The convolution with weights and bias that binary32 and any sum of them hold exactly."""
    weights = np.clip(np.rint(convolution.weights / step), -127, 127) * step
    return replace(
        convolution, weights=weights.astype(np.float32), bias=np.rint(convolution.bias * 64).astype(np.float32) / 64
    )


@pytest.mark.parametrize("name", ["separable", "two_scales"])
def test_the_function_stays(name):
    """But for what was rounding: compared without it, and without what a clamp at the end of a range did to few."""
    graph = read_onnx(NETWORKS / f"{name}_qdq.onnx")
    images = np.random.default_rng(5).normal(size=(16, *graph.shape)).astype(np.float32)
    fitted = refit(graph, images)
    before, after = unrounded(fold(graph)).outputs(images), unrounded(fitted.graph).outputs(images)
    assert list(after) == list(graph.results)
    for tensor in graph.results:
        assert ratio_db(before[tensor].astype(np.float64), after[tensor]) > 40


@pytest.mark.parametrize("name", ["separable", "two_scales"])
def test_what_is_left_is_shifts(name):
    graph = read_onnx(NETWORKS / f"{name}_qdq.onnx")
    images = np.random.default_rng(6).normal(size=(16, *graph.shape)).astype(np.float32)
    fitted = refit(graph, images)
    for item in fitted.graph.nodes:
        assert not isinstance(item, Quantize) or is_power(item.scale)
        assert not isinstance(item, Conv | Dense) or item.step is None
    integers = quantize(fitted.graph, images, fitted.options(QuantizeOptions())).network
    assert {layer.requant for layer in integers.weighted} == {Scheme.SHIFT}
    assert max(layer.w.width for layer in integers.weighted) <= 8
    formats = {layer.name: layer.output for layer in integers.layers}
    for tensor, (layer, codes) in zip(graph.results, outputs(integers, integers.encode(images)).items(), strict=True):
        got = formats[layer].decode(codes)
        expected = graph.outputs(images)[tensor]
        expected = expected.transpose(0, 2, 3, 1) if expected.ndim == 4 else expected
        assert ratio_db(expected.astype(np.float64), got) > 30


def test_integers_behind_relu_stay_what_they_are():
    """The digits: each tensor behind a ReLU keeps its codes, as its ratio goes into weights."""
    graph = read_onnx(DIGITS / "digits_qdq.onnx")
    images = load_images(DIGITS / "calibration.npz", graph).images[:32]
    folded, fitted = fold(graph), refit(graph, images)
    kept = {item.name: item for item in fitted.graph.nodes if isinstance(item, Quantize)}
    old = {item.name: item for item in folded.nodes if isinstance(item, Quantize)}
    before, after = unrounded(folded).values(images), unrounded(fitted.graph).values(images)
    assert len(kept) >= 3
    for name, item in kept.items():
        assert is_power(item.scale)
        codes, fitted_codes = before[old[name].inputs[0]] / old[name].scale, after[item.inputs[0]] / item.scale
        np.testing.assert_allclose(codes, fitted_codes, rtol=1e-4, atol=1e-3)


def test_accuracy_on_held_out_digits():
    """Scales kept in binary32 or in 16 bits, and moved: none loses more than half a point of 400 digits."""
    graph, original = read_onnx(DIGITS / "digits_qdq.onnx"), read_onnx(DIGITS / "digits.onnx")
    calibration = load_images(DIGITS / "calibration.npz", graph).images
    held_out = load_images(DIGITS / "heldout.npz", graph)
    fitted = refit(graph, calibration[:32])
    least = held_out.accuracy(original.run(held_out.images)) - 0.005
    kept = [
        quantize(graph, calibration, QuantizeOptions(requant=scheme)) for scheme in (Scheme.FLOAT32, Scheme.FIXED16)
    ]
    for quantized in (*kept, quantize(fitted.graph, calibration, fitted.options(QuantizeOptions()))):
        assert held_out.accuracy(run(quantized.network, quantized.network.encode(held_out.images))) >= least


def zero_point_network(rng, second=SINGLE, between=()):
    """Two convolutions, between them integers with a zero point."""
    return network(
        (3, 6, 6),
        exact_weights(conv(rng, "x", "a", 3, 4, PADDED)),
        quantizer("a", "b", 0.07, 37),
        *between,
        exact_weights(conv(rng, between[-1].output if between else "b", "y", 4, 5, second)),
    )


def test_a_zero_point_goes_into_biases(seed):
    """Scale and zero point vanish, and the integers are those of before."""
    rng = np.random.default_rng(seed)
    graph, images = zero_point_network(rng, between=(node(MaxPool, "b", "c", window=HALVES),)), real(rng, 8, 3, 6, 6)
    fitted = refit(graph, images)
    [item] = [item for item in fitted.graph.nodes if isinstance(item, Quantize)]
    assert (item.zero_point, item.low, item.high) == (0, -128, 127)
    assert is_power(item.scale)
    assert fitted.moves["b"].offset == pytest.approx(item.scale * 37)
    before, after = graph.values(images)["b"] / 0.07 + 37, fitted.graph.values(images)["b"] / item.scale
    assert np.mean(np.abs(before - after) > 0.01) < 0.01  # but for ties
    np.testing.assert_allclose(graph.run(images), fitted.graph.run(images), atol=0.2)
    assert ratio_db(graph.run(images).astype(np.float64), fitted.graph.run(images)) > 40


@pytest.mark.parametrize(
    ("second", "between", "why"),
    [
        (PADDED, (), "padding of conv_y is 0"),
        (SINGLE, (node(LeakyRelu, "b", "c", slope=0.125),), "leakyrelu_c does not commute with an offset"),
        (SINGLE, (node(AveragePool, "b", "c", window=replace(PADDED)),), "padding of averagepool_c is 0"),
    ],
)
def test_zero_points_that_stay(second, between, why, seed):
    """Then 0 has to be 0: the range becomes symmetric, and the function is the same."""
    rng = np.random.default_rng(seed)
    graph, images = zero_point_network(rng, second, between), real(rng, 8, 3, 6, 6)
    fitted = refit(graph, images)
    assert (fitted.moves["b"].offset, fitted.moves["b"].why_no_offset) == (0, why)
    assert not any(isinstance(item, Quantize) for item in fitted.graph.nodes)
    np.testing.assert_allclose(unrounded(graph).run(images), fitted.graph.run(images), atol=0.15)


def test_a_relu_moves_with_its_zero(seed):
    """A zero point that is not the least integer although nothing is negative: ReLU becomes a clamp at the offset."""
    rng = np.random.default_rng(seed)
    first, second = exact_weights(conv(rng, "x", "a", 3, 4)), exact_weights(conv(rng, "c", "y", 4, 2, SINGLE))
    graph = network((3, 6, 6), first, node(Relu, "a", "b"), quantizer("b", "c", 0.07, -100), second)
    images = real(rng, 8, 3, 6, 6)
    fitted = refit(graph, images)
    [clamp] = [item for item in fitted.graph.nodes if isinstance(item, Clip)]
    assert clamp.low == fitted.moves["c"].offset < 0
    np.testing.assert_allclose(graph.run(images), fitted.graph.run(images), atol=0.2)


def test_summands_have_one_unit(seed):
    rng = np.random.default_rng(seed)
    graph = network(
        (3, 6, 6),
        conv(rng, "x", "a", 3, 4),
        quantizer("a", "b", 0.03, 0),
        conv(rng, "b", "c", 4, 4),
        quantizer("c", "d", 0.05, 0),
        node(Add, ("b", "d"), "e"),
        quantizer("e", "f", 0.06, 0),
        conv(rng, "f", "y", 4, 2),
    )
    moves = refit(graph, real(rng, 4, 3, 6, 6)).moves
    [ratio] = {moves[tensor].ratio for tensor in "abcdef"}
    assert any(log2(scale * ratio) == pytest.approx(round(log2(scale * ratio))) for scale in (0.03, 0.05, 0.06))
    assert moves["x"].ratio == moves["y"].ratio == 1
    assert moves["x"].why_not == ""  # it has no scale


def test_powers_of_two_stay(tmp_path, seed):
    """Nothing to do: weights, steps and formats are those of the file."""
    rng = np.random.default_rng(seed)
    nodes, constants = weighted(rng, "a", "x_q", "a", 2.0**-7, 2.0**-4, (4, 3, 3, 3), pads=[1, 1, 1, 1])
    nodes = [*pair("x", "x_q", "s", "z"), *nodes, *pair("a", "y", "t", "z")]
    more = {"s": np.float32(2.0**-4), "t": np.float32(0.5), "z": np.int8(0)}
    graph = read_onnx(saved(tmp_path, model(nodes, (3, 6, 6), constants | more)))
    images = real(rng, 4, *graph.shape)
    fitted = refit(graph, images)
    np.testing.assert_array_equal(fitted.graph.run(images), graph.run(images))
    assert [type(item) for item in fitted.graph.nodes] == [Quantize, Conv, Quantize]
    assert fitted.module_bits == fitted.output_bits == {}
    assert fitted.graph.nodes[1].step == 2.0**-7


def test_widths_stay(tmp_path, seed):
    """Weights of 4 bits are searched in 4, integers of 5 (QONNX) in 5."""
    domain = "qonnx.custom_op.general"
    rng = np.random.default_rng(seed)
    constants = {name: np.float32(value) for name, value in (("s", 0.11), ("t", 0.3), ("z", 0), ("n", 4), ("m", 5))}
    constants["w"] = (0.5 * rng.normal(size=(6, 3))).astype(np.float32)
    nodes = [
        (f"{domain}:Quant", ["w", "s", "z", "n"], "w_q", {}),
        ("MatMul", ["x", "w_q"], "a", {}),
        (f"{domain}:Quant", ["a", "t", "z", "m"], "y", {}),
    ]
    graph = read_onnx(saved(tmp_path, model(nodes, (6,), constants, domains=[domain])))
    images = real(rng, 16, 6)
    fitted = refit(graph, images)
    [layer] = quantize(fitted.graph, images, fitted.options(QuantizeOptions())).network.layers
    assert (layer.w.width, layer.output.width) == (4, 5)


def test_natural_scales(seed):
    """Integers 0 to 255 that mean -40 to 215 steps need a sign: then at most 127 of them lie above 0."""
    values = np.linspace(-40, 215, 1000, dtype=np.float32) * 0.1
    [item] = network((4,), quantizer("x", "y", 0.1, 40, 0, 255)).nodes
    assert natural_scale(item, values) == pytest.approx(0.1 * 215 / 127)
    assert plain(item, 0.5).compute(np.float32([-1000, 1000])).tolist() == [-64, 63.5]
    rare = np.concatenate([np.random.default_rng(seed).normal(size=100_000), [21.5]]).astype(np.float32)
    assert natural_scale(item, rare) < 0.1 * 215 / 127  # clamping one costs less than the steps of all
    [item] = network((4,), quantizer("x", "y", 0.1, -128)).nodes
    assert natural_scale(item, values) == 0.1


def test_results_keep_their_names_and_number(seed):
    """Two results that are one tensor in two scales, neither of which a power of two, and their source as a third."""
    rng = np.random.default_rng(seed)
    graph = network(
        (3, 6, 6),
        conv(rng, "x", "a", 3, 4),
        quantizer("a", "b", 0.3, 0),
        quantizer("a", "c", 0.7, 0),
        results=("a", "b", "c"),
    )
    images = real(rng, 8, 3, 6, 6)
    fitted = refit(graph, images)
    results = fitted.graph.outputs(images)
    assert list(results) == ["a", "b", "c"]
    for name, values in graph.outputs(images).items():
        np.testing.assert_allclose(values, results[name], atol=0.36)
    assert not any(isinstance(item, Quantize) for item in fitted.graph.nodes)
    assert quantize(fitted.graph, images, fitted.options(QuantizeOptions())).network.layers
    advised = advise(graph, images)
    assert advised.moved_db > advised.file_db  # finer scales than 0.3 and 0.7


def ranged_network(rng, low, high, bias):
    """One convolution and the range of its integers, which is a result."""
    first = replace(conv(rng, "x", "a", 3, 4), bias=np.full(4, bias, np.float32))
    return network((3, 6, 6), first, quantizer("a", "y", 0.11, low, low, high))


def test_a_range_from_0_stays_unsigned(seed):
    """Although nothing is negative on the calibration images, it is an activation."""
    rng = np.random.default_rng(seed)
    graph, images = ranged_network(rng, 0, 255, 12.0), real(rng, 8, 3, 6, 6)
    fitted = refit(graph, images)
    assert graph.values(images)["a"].min() > 0
    [layer] = quantize(fitted.graph, images, fitted.options(QuantizeOptions())).network.layers
    assert not layer.output.signed
    assert fitted.graph.run(1000 * images).min() == 0


def test_a_range_that_clamps_stays(seed):
    """As ReLU6 does where it has become the end of a range; one that nothing reaches is dropped."""
    rng = np.random.default_rng(seed)
    graph, images = ranged_network(rng, 0, 15, 0.5), real(rng, 8, 3, 6, 6)
    fitted = refit(graph, images)
    assert graph.values(images)["a"].max() > 15 * 0.11 + 1
    assert fitted.graph.run(images).max() == pytest.approx(15 * 0.11)
    wide = refit(ranged_network(np.random.default_rng(seed), -128, 127, 0.5), images)
    assert [type(item) for item in wide.graph.nodes] == [Conv, Clip]
    assert (wide.graph.nodes[1].low, wide.graph.nodes[1].high) == (0, None)


def test_the_same_integers_again_add_nothing(seed):
    """Behind a pooling that two read, a clamp at 0 could not join the module that it belongs to."""
    rng = np.random.default_rng(seed)
    graph = network(
        (3, 6, 6),
        conv(rng, "x", "a", 3, 4),
        quantizer("a", "b", 0.11, -128),
        node(MaxPool, "b", "c", window=HALVES),
        quantizer("c", "d", 0.11, -128),
        conv(rng, "d", "y", 4, 2),
        results=("d", "y"),
    )
    fitted = refit(graph, real(rng, 8, 3, 6, 6)).graph
    assert [type(item) for item in fitted.nodes] == [Conv, Clip, MaxPool, Conv]
    assert fitted.results == ("d", "y")


@pytest.mark.parametrize("rounding", ["FLOOR", "ROUND_TO_ZERO", "HALF_UP"])
def test_rounding_to_one_side_is_not_lost_without_a_word(rounding, tmp_path, seed):
    """A scale that moves is rounded to the nearest; the advice then has only the network that keeps the scales."""
    rng = np.random.default_rng(seed)
    last = replace(quantizer("a", "y", 0.1, 0, low=0, high=255), rounding=rounding)
    graph, images = network((4,), dense(rng, "x", "a", 4, 3), last), real(rng, 20, 4)
    advised = advise(graph, {"images": images})
    assert (advised.moved is None) == (rounding != "HALF_UP")
    assert advised.kept is not None
    if rounding != "HALF_UP":
        with pytest.raises(InputError, match=r"node quantize_y: expected rounding to the nearest, .* --requant keeps"):
            advise(graph, {"images": images}, networks=("moved",))
