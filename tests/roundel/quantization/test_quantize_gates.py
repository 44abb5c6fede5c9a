"""Squeeze-and-excite from ONNX to integers: the product with one number a channel is a module of its own."""

import numpy as np
import pytest

from roundel.frontend import read_onnx
from roundel.golden.errors import InputError
from roundel.golden.network import Gate, outputs
from roundel.golden.requant import Scheme
from roundel.quantization import QuantizeOptions, quantize
from tests.support.onnx_models import model, reference, saved

SHAPE = (8, 6, 5)


def excited(rng, *, behind="Relu", activation="Clip"):
    """Convolution, squeeze-and-excite as MobileNetV3 has it, projection; rows and weights of an ONNX model."""

    def real(*shape):
        return (rng.normal(size=shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)

    rows = [
        ("Conv", ["x", "w0"], "c", {"pads": [1, 1, 1, 1]}), (behind, ["c"], "m", {}),
        ("GlobalAveragePool", ["m"], "p", {}), ("Conv", ["p", "w1"], "s", {}), ("Relu", ["s"], "t", {}),
        ("Conv", ["t", "w2", "b2"], "e", {}),
        *([("Clip", ["e", "zero", "one"], "g", {})] if activation == "Clip" else [(activation, ["e"], "g", {})]),
        ("Mul", ["m", "g"], "n", {}), ("Conv", ["n", "w3"], "y", {}),
    ]  # fmt: skip
    weights = {"w0": real(16, 8, 3, 3), "w1": real(4, 16, 1, 1), "w2": 3 * real(16, 4, 1, 1), "w3": real(6, 16, 1, 1)}
    return rows, weights | {"b2": np.full(16, 0.5, np.float32), "zero": np.float32(0), "one": np.float32(1)}


@pytest.mark.parametrize("behind", ["Relu", "Identity"])
@pytest.mark.parametrize("scheme", [Scheme.SHIFT, Scheme.FIXED16])
def test_the_integers_are_near_onnxruntime(behind, scheme, tmp_path, seed):
    rng = np.random.default_rng(seed)
    rows, weights = excited(rng, behind=behind)
    proto = model(rows, SHAPE, weights)
    images = rng.normal(size=(6, *SHAPE)).astype(np.float32)
    quantized = quantize(read_onnx(saved(tmp_path, proto)), images, QuantizeOptions(requant=scheme))
    (gate,) = (layer for layer in quantized.network.layers if isinstance(layer, Gate))
    width = 8 if scheme is Scheme.SHIFT else 7
    assert (gate.gate.width, gate.gate.signed, gate.gate.scale <= 2.0**-width * 2.04) == (width, False, True)
    assert gate.x.signed is (behind == "Identity")
    (choice,) = (choice for choice in quantized.choices if choice.name == gate.name)
    assert choice.sqnr_db > 30
    (expected,) = reference(proto, images)
    results = outputs(quantized.network, quantized.network.encode(images))
    (layer,) = (layer for layer in quantized.network.layers if layer.name == quantized.network.output_names[0])
    result = layer.output.decode(results[layer.name]).transpose(0, 3, 1, 2)
    noise = np.square(result - expected).mean() / np.square(expected).mean()
    assert noise < (1e-3 if scheme is Scheme.SHIFT else 2e-3)  # factors that are rounded again, to 7 bits


def test_an_activation_belongs_to_the_product(tmp_path, seed):
    rng = np.random.default_rng(seed)
    rows, weights = excited(rng, behind="Identity")
    rows[-1:] = [("Relu", ["n"], "r", {}), ("Conv", ["r", "w3"], "y", {})]
    images = rng.normal(size=(4, *SHAPE)).astype(np.float32)
    quantized = quantize(read_onnx(saved(tmp_path, model(rows, SHAPE, weights))), images)
    assert [layer.output.signed for layer in quantized.network.layers if isinstance(layer, Gate)] == [False]


def test_orders_of_features_must_agree(tmp_path, seed):
    """A flattened map lies in another order in the integer network than features of a matrix product."""
    rng = np.random.default_rng(seed)
    weights = {"w": rng.normal(size=(24, 24)).astype(np.float32)}
    rows = [("Flatten", ["x"], "f", {}), ("MatMul", ["f", "w"], "d", {}), ("Mul", ["f", "d"], "y", {})]
    graph = read_onnx(saved(tmp_path, model(rows, (2, 3, 4), weights)))
    with pytest.raises(InputError, match="node mul_y: a flattened map cannot be multiplied by features that are none"):
        quantize(graph, rng.normal(size=(3, 2, 3, 4)).astype(np.float32))
