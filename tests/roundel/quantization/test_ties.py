"""Tensors that meet in a concatenation have one format: it only joins, and costs no pass on the engine."""

from dataclasses import replace

import numpy as np
import pytest

import roundel.quantization.pipeline
from roundel.compiler import compile_network
from roundel.golden.engine import EngineParams
from roundel.golden.network import Concat as ConcatLayer
from roundel.golden.network import outputs, steps
from roundel.graph import Add, Clip, Concat, MaxPool, Quantize, Relu, Select, Upsample
from roundel.quantization import QuantizeOptions, quantize
from tests.support.made_graphs import HALVES, SINGLE, conv, network, node

SHAPE = (4, 8, 8)


def louder(made, factor):
    """A convolution whose results are so many times as large."""
    return replace(made, weights=made.weights * np.float32(factor), bias=made.bias * np.float32(factor))


def joined(rng):
    """Two branches, one of them twice as large, and a third pooled and doubled again."""
    return network(
        SHAPE,
        conv(rng, "x", "a", 4, 8),
        node(Relu, "a", "b"),
        louder(conv(rng, "b", "c", 8, 8), 2),
        node(Relu, "c", "d"),
        node(MaxPool, "b", "e", window=HALVES),
        node(Upsample, "e", "f", factor=2),
        node(Concat, ("b", "d", "f"), "g"),
        conv(rng, "g", "h", 24, 8),
    )


def chained(rng):
    """Concatenations of concatenations, of both signs."""
    return network(
        SHAPE,
        conv(rng, "x", "a", 4, 8),
        louder(conv(rng, "a", "b", 8, 8), 3),
        node(Relu, "b", "c"),
        node(Concat, ("a", "c"), "d"),
        conv(rng, "d", "e", 16, 8),
        node(Concat, ("d", "e"), "f"),
        louder(conv(rng, "f", "y", 24, 8, SINGLE), 0.5),
    )


def split(rng):
    """The halves of a map, one of them with a residual block behind it (C2f)."""
    return network(
        SHAPE,
        conv(rng, "x", "a", 4, 8),
        node(Select, "a", "left", channels=tuple(range(4))),
        node(Select, "a", "right", channels=tuple(range(4, 8))),
        conv(rng, "right", "b", 4, 4),
        node(Relu, "b", "c"),
        louder(conv(rng, "c", "d", 4, 4), 4),
        node(Add, ("right", "d"), "e"),
        node(Concat, ("left", "right", "e"), "f"),
        conv(rng, "f", "y", 12, 8, SINGLE),
    )


def quantized(graph, *, count=8, **options):
    images = np.random.default_rng(1).normal(size=(count, *graph.shape)).astype(np.float32)
    return quantize(graph, images, QuantizeOptions(**options)), images


def concats(network):
    return [layer for layer in network.layers if isinstance(layer, ConcatLayer)]


@pytest.mark.parametrize("options", [{}, {"per_channel": True}, {"activation_bits": 6}, {"requant": "fixed16"}])
@pytest.mark.parametrize("make", [joined, chained, split])
def test_concatenations_only_join(make, options, seed):
    """Their results are their sources, and the program has no computation of theirs."""
    options = options | ({"requant": roundel.golden.requant.Scheme.FIXED16} if "requant" in options else {})
    made, images = quantized(make(np.random.default_rng(seed)), **options)
    integers = made.network
    assert concats(integers)
    for step in steps(integers, integers.encode(images[:2])):
        if isinstance(step.layer, ConcatLayer):
            assert set(step.layer.inputs) == {step.layer.output}
            np.testing.assert_array_equal(step.results, np.concatenate(step.inputs, axis=-1))
    assert made.notes == ()
    layer = integers.weighted[0]
    params = EngineParams.named("small").as_dict() | {"scheme": layer.requant, "rounding": layer.rounding}
    compiled = compile_network(integers, (8, 8, 4), EngineParams(**params))
    names = {layer.name for layer in concats(integers)}
    copied = [task.layer for task in compiled.tasks if task.layer in names and "tile_w" in task.values]
    assert copied == []


def error(made, graph, images):
    """The squared error of the result, relative to its square."""
    integers = made.network
    [(name, codes)] = outputs(integers, integers.encode(images)).items()
    [expected] = graph.outputs(images).values()
    form = next(layer.output for layer in integers.layers if layer.name == name)
    return float(np.square(form.decode(codes).transpose(0, 3, 1, 2) - expected).sum() / np.square(expected).sum())


def test_ties_lose_little(monkeypatch):
    """Beside formats of their own, with copies: no bit in the mean, half a bit at most, and often nothing."""
    ratios, notes = [], 0
    for number in range(2):
        for make in (joined, chained, split):
            graph = make(np.random.default_rng(number))
            made, images = quantized(graph, count=4)
            with monkeypatch.context() as patch:
                patch.setattr(roundel.quantization.pipeline, "tied_formats", lambda *_: {})
                apart, _ = quantized(graph, count=4)
            assert any(set(layer.inputs) != {layer.output} for layer in concats(apart.network)) == bool(apart.notes)
            ratios.append(error(made, graph, images) / error(apart, graph, images))
            notes += len(apart.notes) - len(made.notes)
    assert np.mean(ratios) < 1.2
    assert max(ratios) < 2
    assert min(ratios) < 1
    assert notes > 4


def test_a_part_that_others_want_finer_keeps_its_format(seed):
    """It is 60 times smaller than what it meets; a copy joins it, and a sentence says so."""
    rng = np.random.default_rng(seed)
    graph = network(
        SHAPE,
        conv(rng, "x", "a", 4, 8),
        louder(conv(rng, "a", "b", 8, 8), 60),
        node(Concat, ("a", "b"), "c"),
        conv(rng, "c", "y", 16, 8, SINGLE),
    )
    made, _ = quantized(graph)
    assert made.notes == ("concat_c: conv_a has another format, so that a copy rounds it once more",)
    first, second = concats(made.network)[0].inputs
    assert first.fraction > second.fraction == concats(made.network)[0].output.fraction


def test_the_image_and_quantizers_keep_their_formats():
    rng = np.random.default_rng(1)
    steps_of = {"scale": 2.0**-3, "zero_point": 0, "low": -128, "high": 127}
    graph = network(
        SHAPE,
        louder(conv(rng, "x", "a", 4, 8), 9),
        node(Concat, ("x", "a"), "c"),
        conv(rng, "c", "y", 12, 8, SINGLE),
    )
    made, _ = quantized(graph)
    assert [note.split(" has")[0] for note in made.notes] == ["concat_c: x"]
    graph = network(
        SHAPE,
        conv(rng, "x", "a", 4, 8),
        node(Quantize, "a", "b", **steps_of),
        louder(conv(rng, "b", "d", 8, 8), 9),
        node(Concat, ("b", "d"), "c"),
        conv(rng, "c", "y", 16, 8, SINGLE),
    )
    made, _ = quantized(graph)
    assert concats(made.network)[0].inputs[0].scale == 2.0**-3


def test_clamps_hold_in_a_tied_format():
    """ReLU6 beside results of both signs: 0 and 6 in integers of the one format."""
    rng = np.random.default_rng(1)
    graph = network(
        SHAPE,
        louder(conv(rng, "x", "a", 4, 8), 9),
        node(Clip, "a", "b", low=0.0, high=6.0),
        conv(rng, "x", "d", 4, 8),
        node(Concat, ("b", "d"), "c"),
        conv(rng, "c", "y", 16, 8, SINGLE),
    )
    made, _ = quantized(graph)
    layer = next(layer for layer in made.network.layers if layer.name == "conv_a")
    assert layer.output == concats(made.network)[0].output
    assert layer.output.signed
    assert layer.bounds == (0, round(6 / layer.output.scale))
