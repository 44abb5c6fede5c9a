"""Layers and channels that hardly count on the calibration images: what reads them must not suffer, by onnxruntime."""

import numpy as np
import pytest

from roundel.frontend import read_onnx
from roundel.golden.network import run
from roundel.golden.requant import SCHEMES, Scheme
from roundel.quantization import QuantizeOptions, quantize
from tests.support.onnx_models import model, reference, saved

WANTED = [3.1, -2.2, 0.7, 1.9, -0.4]


def integers_of(graph, images, **options):
    """The integer network and its result as real numbers, channels first."""
    quantized = quantize(graph, images, QuantizeOptions(**options))
    result = quantized.network.output.decode(run(quantized.network, quantized.network.encode(images)))
    return quantized, result.transpose(0, 3, 1, 2) if result.ndim == 4 else result


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(("magnitude", "blank"), [(1, False), (1e-4, False), (3e4, False), (1, True)])
def test_a_layer_that_is_zero_on_all_images(scheme, magnitude, blank, tmp_path, seed):
    """Behind it the result is the bias, whatever the magnitude of the images; of blank ones it is nearly so."""
    rng = np.random.default_rng(seed)
    constants = {
        "w": (rng.normal(size=(3, 4)) / magnitude).astype(np.float32),
        "b": np.full(4, -1000, np.float32),
        "v": rng.normal(size=(4, 5)).astype(np.float32),
        "d": np.array(WANTED, np.float32),
    }
    nodes = [("Gemm", ["x", "w", "b"], "a", {}), ("Relu", ["a"], "r", {}), ("Gemm", ["r", "v", "d"], "y", {})]
    proto = model(nodes, (3,), constants)
    images = (magnitude * (not blank) * rng.normal(size=(8, 3))).astype(np.float32)
    [expected] = reference(proto, images)
    np.testing.assert_allclose(expected, np.tile(np.float32(WANTED), (8, 1)), rtol=1e-6)
    _, got = integers_of(read_onnx(saved(tmp_path, proto)), images, requant=scheme)
    np.testing.assert_allclose(got, expected, atol=1 / 64 + (1 / 80 if blank else 1 / 500))  # half a step, and some


def dead_channel(rng, factor):
    """A convolution, the weights of whose output 1 are small, its bias near 1."""
    weights, bias = rng.normal(size=(4, 3, 3, 3)).astype(np.float32), rng.normal(size=4).astype(np.float32)
    weights[1] *= np.float32(factor)
    bias[1] = 0.97
    constants = {"w": weights, "b": bias}
    return model([("Conv", ["x", "w", "b"], "a", {}), ("Relu", ["a"], "y", {})], (3, 6, 6), constants)


@pytest.mark.parametrize("scheme", SCHEMES[1:])
@pytest.mark.parametrize("factor", [1e-6, 1e-9, 1e-30])
def test_a_nearly_dead_channel_gets_a_wider_step(scheme, factor, tmp_path, seed):
    """All others keep theirs: as exact as without it."""
    rng = np.random.default_rng(seed)
    proto, images = dead_channel(rng, factor), rng.normal(size=(4, 3, 6, 6)).astype(np.float32)
    [expected] = reference(proto, images)
    quantized, got = integers_of(read_onnx(saved(tmp_path, proto)), images, requant=scheme, per_channel=True)
    step = quantized.network.output.scale
    np.testing.assert_allclose(got[:, 1], expected[:, 1], atol=1.01 * step)
    [layer] = quantized.network.layers
    assert np.abs(layer.aligned_bias).max() < 1 << 28  # what the engine's 29 bits hold
    assert np.abs(layer.weights[:, [0, 2, 3]]).max(axis=0).tolist() == [127] * 3
    [note] = quantized.notes
    assert note.startswith("conv_a: 1 of 4 outputs have weights too small beside their bias")
    assert "output 1: " in note


def test_a_layer_of_small_results_does_not_stop_the_next_one(tmp_path, seed):
    """Its scale would make the next bias too large; given weights are rounded again, too, and it is said."""
    rng = np.random.default_rng(seed)
    constants = {"w": (1e-12 * rng.normal(size=(3, 4))).astype(np.float32), "d": np.float32(WANTED)}
    constants |= {"q": rng.integers(-127, 128, (4, 5)).astype(np.int8), "s": np.float32(0.01)}
    nodes = [
        ("Gemm", ["x", "w"], "a", {}),
        ("DequantizeLinear", ["q", "s"], "v", {}),
        ("Gemm", ["a", "v", "d"], "y", {}),
    ]
    proto, images = model(nodes, (3,), constants), rng.normal(size=(8, 3)).astype(np.float32)
    quantized, got = integers_of(read_onnx(saved(tmp_path, proto)), images, requant=Scheme.FIXED16)
    np.testing.assert_allclose(got, reference(proto, images)[0], atol=1 / 64 + 1 / 500)
    assert [note.split(":")[0] for note in quantized.notes] == ["gemm_y"]
