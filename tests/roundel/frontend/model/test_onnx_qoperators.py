"""Operators on integers (onnxruntime's form QOperator), read as QDQ: against onnxruntime's own kernels of them."""

import numpy as np
import onnx
import pytest

from roundel.frontend import read_onnx
from roundel.frontend.model.qoperators import RULES
from roundel.golden.errors import InputError
from tests.support.onnx_models import model, reference, saved
from tests.support.ort_quantized import residual_files

CONTRIB = "com.microsoft:"
MAP = (6, 9, 8)
WINDOW = {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 1, 1]}


class Draw:
    """Nodes around one operator on integers: the image quantized before it, real numbers behind it."""

    def __init__(self, seed, kind):
        self.rng, self.kind, self.constants = np.random.default_rng(seed), np.dtype(kind), {}
        self.nodes = [("QuantizeLinear", ["x", *self.scale("x", 0.03)], "xq", {})]

    def scale(self, name, least):
        """A scale and a zero point of an activation."""
        low, high = (np.iinfo(self.kind).min + 90, np.iinfo(self.kind).max - 90)
        zero = np.array(self.rng.integers(low, high), self.kind)
        values = {f"{name}_s": np.float32(self.rng.uniform(1, 2) * least), f"{name}_z": zero}
        self.constants |= values
        return list(values)

    def weights(self, name, shape, axis, *, several):
        """Weights of int8, their scales, of which there are several or one, and zero points."""
        count = shape[axis] if several else ()
        scales = self.rng.uniform(0.004, 0.009, count).astype(np.float32)
        codes = self.rng.integers(-127, 128, shape).astype(np.int8)
        values = {name: codes, f"{name}_s": scales, f"{name}_z": np.zeros(count, np.int8)}
        self.constants |= values
        return list(values)

    def bias(self, size):
        self.constants["b"] = self.rng.integers(-3000, 3000, size).astype(np.int32)
        return "b"

    def proto(self, kind, inputs, shape=MAP, **attributes):
        """The whole model, whose operator reads `inputs` and has the result's scale in them as `y_s` and `y_z`."""
        self.nodes.append((kind, inputs, "yq", attributes))
        self.nodes.append(("DequantizeLinear", ["yq", "y_s", "y_z"], "y", {}))
        return model(self.nodes, shape, self.constants, domains=["com.microsoft"], opset=15)


def convolution(draw, *, several, groups=1):
    weights = draw.weights("w", (4, 6 // groups, 3, 3), 0, several=several)
    inputs = ["xq", "x_s", "x_z", *weights, *draw.scale("y", 0.08), draw.bias(4)]
    return draw.proto("QLinearConv", inputs, group=groups, pads=[1, 0, 1, 2], strides=[2, 1], dilations=[1, 2])


def product(draw, *, several):
    weights = draw.weights("w", (20, 7), 1, several=several)
    return draw.proto("QLinearMatMul", ["xq", "x_s", "x_z", *weights, *draw.scale("y", 0.1)], shape=(20,))


def gemm(draw, *, several, turned=True):
    weights = draw.weights("w", (7, 20) if turned else (20, 7), 0 if turned else 1, several=several)
    inputs = ["xq", "x_s", "x_z", *weights, draw.bias(7), *draw.scale("y", 0.1)]
    return draw.proto(f"{CONTRIB}QGemm", inputs, shape=(20,), transB=int(turned), alpha=0.5)


def total(draw):
    """Of the image and of a mean of it."""
    pool = ["xq", "x_s", "x_z", *draw.scale("p", 0.02)]
    draw.nodes.append((f"{CONTRIB}QLinearAveragePool", pool, "pq", {"kernel_shape": [3, 3], "pads": [1] * 4}))
    inputs = ["xq", "x_s", "x_z", "pq", "p_s", "p_z", *draw.scale("y", 0.02)]
    return draw.proto(f"{CONTRIB}QLinearAdd", inputs)


def constant_factor(draw):
    draw.constants["f"] = draw.rng.integers(100, 250, (1, 6, 1, 1)).astype(draw.kind)
    inputs = ["xq", "x_s", "x_z", "f", *draw.scale("f", 0.01), *draw.scale("y", 0.05)]
    return draw.proto(f"{CONTRIB}QLinearMul", inputs)


def joined(draw):
    pool = ["xq", "x_s", "x_z", *draw.scale("p", 0.02)]
    draw.nodes.append((f"{CONTRIB}QLinearAveragePool", pool, "pq", {"kernel_shape": [1, 1]}))
    scale = draw.scale("y", 0.03)
    return draw.proto(f"{CONTRIB}QLinearConcat", [*scale, "xq", "x_s", "x_z", "pq", "p_s", "p_z"], axis=1)


def single(kind, **attributes):
    return lambda draw: draw.proto(f"{CONTRIB}{kind}", ["xq", "x_s", "x_z", *draw.scale("y", 0.02)], **attributes)


def moved(kind, *more, fills=False, **attributes):
    """An operator of ONNX on the integers themselves, between a mean and the end; `fills` in what stands for 0."""

    def made(draw):
        pool = ["xq", "x_s", "x_z", *draw.scale("y", 0.03)]
        draw.nodes.append((f"{CONTRIB}QLinearAveragePool", pool, "pq", {"kernel_shape": [2, 2]}))
        draw.constants |= {f"c{number}": values for number, values in enumerate(more)}
        inputs = ["pq", *(f"c{number}" for number in range(len(more))), *["y_z"] * fills]
        return draw.proto(kind, inputs, **attributes)

    return made


PAD = np.array([0, 0, 1, 2, 0, 0, 0, 1], np.int64)
CASES = {
    "QLinearConv": lambda draw: convolution(draw, several=False),
    "QLinearConv of channels": lambda draw: convolution(draw, several=True),
    "QLinearConv of groups": lambda draw: convolution(draw, several=True, groups=2),
    "QLinearMatMul": lambda draw: product(draw, several=False),
    "QLinearMatMul of columns": lambda draw: product(draw, several=True),
    "QGemm": lambda draw: gemm(draw, several=False),
    "QGemm of rows": lambda draw: gemm(draw, several=True),
    "QGemm of columns": lambda draw: gemm(draw, several=True, turned=False),
    "QLinearAdd": total,
    "QLinearMul": constant_factor,
    "QLinearConcat": joined,
    "QLinearGlobalAveragePool": single("QLinearGlobalAveragePool"),
    "QLinearAveragePool": single("QLinearAveragePool", count_include_pad=1, **WINDOW),
    "QLinearAveragePool without padding": single("QLinearAveragePool", **WINDOW),
    "QLinearLeakyRelu": single("QLinearLeakyRelu", alpha=0.125),
    "MaxPool": moved("MaxPool", **WINDOW),
    "Pad": moved("Pad", PAD, fills=True),
    "Pad of the integer 0": moved("Pad", PAD),
    "Transpose and back": moved("Transpose", perm=[0, 1, 2, 3]),
    "Slice": moved("Slice", *(np.array([value]) for value in (1, 5, 1))),
    "Reshape": moved("Reshape", np.array([0, -1])),
}


@pytest.mark.parametrize("kind", ["uint8", "int8"])
@pytest.mark.parametrize("name", CASES)
def test_operators_give_what_onnxruntime_gives(name, kind, tmp_path, seed):
    """To the integer but where a sum lies next to a half, and then to a unit."""
    for offset in range(2):
        draw = Draw(2 * seed + offset, kind)
        proto = CASES[name](draw)
        graph = read_onnx(saved(tmp_path, proto))
        assert graph.notes[0].startswith("operators on integers (QLinear") or "QGemm" in graph.notes[0]
        images = draw.rng.normal(size=(3, *graph.shape)).astype(np.float32)
        [expected] = reference(proto, images)
        [got] = graph.outputs(images).values()
        units = np.abs(got - expected) / draw.constants["y_s"]
        assert units.max() < 1.01
        assert np.mean(units > 0.01) < 0.01
        assert len(np.unique(expected)) > 3


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("per_channel", [True, False])
def test_both_forms_of_one_network_are_one(per_channel, signed, tmp_path):
    """What onnxruntime's quantizer writes: the same integers, weights and scales; its kernels give the same results."""
    files, images = residual_files(tmp_path, ("QDQ", "QOperator"), per_channel=per_channel, signed=signed)
    first, second = map(read_onnx, files)
    assert second.notes == ("operators on integers (QLinearConv, QLinearAdd, QLinearAveragePool, QLinearConcat, "
                            "QLinearGlobalAveragePool, QGemm) are read as QDQ",)  # fmt: skip
    [expected] = reference(onnx.load(files[1]), images)
    for graph in (first, second):  # the mean of 9 values has many ties, which onnxruntime's kernels break their own way
        [got], step = graph.outputs(images).values(), graph.nodes[-1].scale
        assert np.abs(got - expected).max() < 1.01 * step
        assert np.mean(np.abs(got - expected) > 0.01 * step) < 0.25
    weights = [[node.weights for node in graph.nodes if hasattr(node, "weights")] for graph in (first, second)]
    for ours, others in zip(*weights, strict=True):
        np.testing.assert_array_equal(ours, others)


@pytest.mark.parametrize(
    ("kind", "inputs", "attributes", "message"),
    [
        ("QLinearConv", ["xq", "x_s", "x_z", "w", "xr", "x_z", "y_s", "y_z", "b"], {}, "expected a constant xr"),
        ("com.microsoft:QLinearAveragePool", ["xq", "x_s", "x_z", "y_s", "y_z"],
         {"channels_last": 1, "kernel_shape": [2, 2]}, r"\(QLinearAveragePool\): channels_last must be 0"),
        ("com.microsoft:QLinearConcat", ["y_s"], {}, r"\(Concat\)"),
        ("com.microsoft:QLinearSigmoid", [], {}, r"\(QLinearSigmoid\): "),
        ("com.microsoft:QGemm", ["xq", "x_s", "x_z", "w", "x_s", "x_z"], {"transB": "a"}, "node .*Gemm"),
        ("com.microsoft:QLinearWhere", ["xq"], {}, r"\(QLinearWhere\): "),
    ],
)  # fmt: skip
def test_what_is_refused(kind, inputs, attributes, message, tmp_path):
    draw = Draw(1, "uint8")
    draw.scale("y", 0.1)
    draw.weights("w", (4, 6, 3, 3), 0, several=False)
    draw.bias(4)
    draw.nodes.append(("DequantizeLinear", ["xq", "x_s", "x_z"], "xr", {}))
    with pytest.raises(InputError, match=message) as caught:
        read_onnx(saved(tmp_path, draw.proto(kind, inputs, **attributes)))
    assert "\n" not in str(caught.value)


def test_other_operators_beside_them_may_lack_anything(tmp_path):
    """As those of other domains may, which the checker does not know."""
    for kind in ("com.microsoft:QuantizeLinear", "com.microsoft:Clip"):
        draw = Draw(1, "uint8")
        draw.nodes.append((kind, [], "z", {}))
        proto = single("QLinearLeakyRelu", alpha=0.125)(draw)
        with pytest.raises(InputError, match="node ") as caught:
            read_onnx(saved(tmp_path, proto))
        assert "\n" not in str(caught.value)


def test_every_rule_is_tried():
    left = {"QLinearReduceMean", "QLinearSigmoid", "QLinearSoftmax"}  # which onnxruntime lacks, or the host does
    tried = {name.split()[0] for name in CASES}
    assert tried >= RULES.keys() - left
