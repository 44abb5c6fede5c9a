"""A normalized image before convolutions that pad: its further channel, exact at borders, and where there is none."""

import numpy as np
import pytest

from roundel.frontend import read_onnx
from roundel.golden.engine import Opcode
from roundel.golden.errors import InputError
from roundel.golden.network import Fill, Network, outputs
from roundel.graph import Conv, filled, fold
from roundel.graph import Fill as Filled
from roundel.quantization import QuantizeOptions, quantize
from roundel.quantization.sqnr import sqnr_db
from tests.roundel.compiler.test_compile import check, engine
from tests.roundel.compiler.test_compile_layers import U8, image_of, weighted
from tests.support.onnx_models import model, reference

SAME = {"pads": [1, 1, 1, 1]}
CONV = ("Conv", ["n", "w"], "c", SAME)


def normalized(*rows, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), outputs=("y",), **weights):
    """A network of 3 channels whose operators read the normalized image `n`."""
    constants = {"mean": mean, "std": std}
    constants = {name: np.array(values, np.float32).reshape(1, 3, 1, 1) for name, values in constants.items()}
    nodes = [("Sub", ["x", "mean"], "a", {}), ("Div", ["a", "std"], "n", {}), *rows]
    return model(nodes, (3, 9, 8), constants | weights, outputs=outputs, batch=2)


def real(*shape):
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)


def test_convolutions_read_the_image_as_it_is(seed):
    """Two of several windows, equal to onnxruntime's results; the normalization is no layer any more."""
    uneven = ("Conv", ["n", "v"], "d", {"pads": [2, 0, 1, 1], "strides": [2, 1], "dilations": [1, 2]})
    proto = normalized(CONV, uneven, w=real(4, 3, 3, 3), v=real(2, 3, 3, 3), outputs=("c", "d"))
    images = np.random.default_rng(seed).random((2, 3, 9, 8), np.float32)
    graph = filled(fold(read_onnx(proto.SerializeToString())), 1.0)
    assert [type(node) for node in graph.nodes] == [Filled, Conv, Conv]
    got = graph.outputs(images)
    for name, expected in zip("cd", reference(proto, images), strict=True):
        np.testing.assert_allclose(got[name], expected, rtol=1e-4, atol=1e-4)


OTHERS = {
    "a result": ([CONV], ("n", "c")),
    "another reader": ([CONV, ("Relu", ["x"], "y", {})], ("c", "y")),
    "a maximum": ([CONV, ("MaxPool", ["n"], "y", {"kernel_shape": [2, 2]})], ("c", "y")),
    "groups": ([("Conv", ["n", "deep"], "y", SAME | {"group": 3})], ("y",)),
}


@pytest.mark.parametrize("case", OTHERS)
def test_elsewhere_the_normalization_stays_a_layer(case):
    rows, results = OTHERS[case]
    weights = {"w": real(4, 3, 3, 3), "deep": real(3, 1, 3, 3)}
    weights = {name: values for name, values in weights.items() if any(name in row[1] for row in rows)}
    graph = fold(read_onnx(normalized(*rows, outputs=results, **weights).SerializeToString()))
    assert filled(graph, 1.0) is graph


@pytest.mark.parametrize("name", ["tiny", "small", "medium"])
def test_integers_are_onnxruntime_s_at_the_borders_too(name):
    """Whole numbers of all images, means and weights: exact in 8 bits, on the engine as in golden."""
    rng = np.random.default_rng(3)
    weights = rng.integers(-1, 2, (6, 3, 3, 3)).astype(np.float32)
    proto = normalized(("Conv", ["n", "w"], "y", SAME), mean=(3, 5, 1), std=(1, 1, 1), w=weights)
    images = rng.integers(0, 9, (2, 3, 9, 8)).astype(np.float32)
    (expected,) = reference(proto, images)
    network = quantize(read_onnx(proto.SerializeToString()), images, QuantizeOptions(bias_bits=16)).network
    assert isinstance(network.layers[0], Fill)
    codes = network.encode(images)
    assert codes.shape[-1] == 3
    (got,) = outputs(network, codes).values()
    step = network.output.scale
    assert np.abs(network.output.decode(got) - expected.transpose(0, 2, 3, 1)).max() <= step / 2
    for trace in (False, True):
        compiled = check(network, codes[0], engine(name), trace=trace)
        assert {task.layer for task in compiled.tasks if task.opcode is Opcode.COMPUTE} == {network.layers[1].name}


def test_it_loses_less_than_a_layer_that_normalizes(monkeypatch):
    rng = np.random.default_rng(4)
    proto = normalized(("Conv", ["n", "w"], "y", SAME), w=real(8, 3, 3, 3))
    images = rng.random((8, 3, 9, 8), np.float32)
    expected = np.concatenate([reference(proto, images[first : first + 2])[0] for first in range(0, 8, 2)])
    found = []
    for with_ones in (True, False):
        if not with_ones:
            monkeypatch.setattr("roundel.quantization.pipeline.filled", lambda graph, _: graph)
        network = quantize(read_onnx(proto.SerializeToString()), images).network
        (got,) = outputs(network, network.encode(images)).values()
        error = network.output.decode(got).transpose(0, 3, 1, 2) - expected
        edge = np.delete(error, np.s_[1:-1], axis=2)
        found.append([sqnr_db((part**2).sum(), (lost**2).sum()) for part, lost in (
            (expected, error), (np.delete(expected, np.s_[1:-1], axis=2), edge))])  # fmt: skip
    assert found[0][0] > found[1][0]
    assert found[0][1] > found[1][1] - 1


@pytest.mark.parametrize(("channels", "count"), [(1, 1), (3, 3), (9, 2), (16, 1)])
@pytest.mark.parametrize("name", ["tiny", "small", "medium"])
def test_layouts_of_the_input(channels, count, name):
    """Side by side in the lanes, rows interleaved or not, and in planes; zero outside of the map, whatever 0 is."""
    form = U8 if channels != 3 else type(U8)(width=8, signed=False, fraction=3, zero=77)
    layers = (
        Fill(name="ones", sources=("image",), output=form, value=200, count=count),
        weighted("conv", "ones", channels + count, 5, x=form),
    )
    made = Network(source="image", input=form, layers=layers)
    for memory in (1 << 17, 2048):
        check(made, image_of(7, 6, channels, form=form), engine(name, memory=memory), trace=False)


def test_only_the_input_has_such_a_channel():
    layers = (
        weighted("conv", "image", 3, 4),
        Fill(name="ones", sources=("conv",), output=U8, value=9),
        weighted("next", "ones", 5, 4),
    )
    with pytest.raises(InputError, match=r"^ones: a channel of one value is the host's, of an input that nothing"):
        check(Network(source="image", input=U8, layers=layers), image_of(5, 4, 3), engine("tiny"))


def test_values_within_the_format():
    with pytest.raises(ValueError, match=r"ones: value must be"):
        Fill(name="ones", sources=("image",), output=U8, value=256)
