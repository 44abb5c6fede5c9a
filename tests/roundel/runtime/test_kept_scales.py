"""Networks as onnxruntime's quantizer writes them, scales kept: every layer beside onnxruntime, and the engine."""

import numpy as np
import pytest

import roundel
from roundel.data import DETECTOR, DIGITS
from roundel.frontend import read_onnx
from roundel.golden.engine import Engine
from roundel.golden.network import Add, AveragePool, Concat, Gate, Weighted, outputs
from roundel.golden.requant import Scheme
from roundel.quantization import QuantizeOptions, quantize
from tests.roundel.quantization.test_quantize_gates import SHAPE, excited
from tests.support.onnx_models import model, saved
from tests.support.ort_quantized import quantized, residual_files
from tests.support.qdq_models import codes_of, every_tensor

SCHEMES = [Scheme.FIXED16, Scheme.FLOAT32, Scheme.FIXED32, Scheme.FIXED8]


def beside_onnxruntime(path, images, scheme):
    """The integer network, and of each of its layers how far it is from onnxruntime on onnxruntime's own integers."""
    graph = read_onnx(path)
    made = quantize(graph, images[:2], QuantizeOptions(requant=scheme))
    network, original = made.network, {node.name: node.output for node in graph.nodes}
    unmoved = [module for module in made.modules if all(original[node.name] == node.output for node in module.nodes)]
    tensors = {module.name: module.tensor for module in unmoved}  # those that the file has, too
    reference = every_tensor(path, tensors.values(), images)
    values, apart = {network.source: network.encode(images)}, {}
    for layer in network.layers:
        values[layer.name] = layer.compute(*(values[source] for source in layer.sources)).outputs
        if tensors.get(layer.name) in reference:
            theirs = codes_of(reference[tensors[layer.name]], layer.output)
            if theirs.shape == values[layer.name].shape:
                apart[layer] = np.abs(values[layer.name] - theirs)
                values[layer.name] = theirs
    return network, apart


def check_layers(path, images, scheme, kinds):
    """No layer is more than a unit away, and few values are that; returns the network."""
    network, apart = beside_onnxruntime(path, images, scheme)
    coarse = scheme in (Scheme.FIXED8, Scheme.FIXED32)  # of 8 bits, and of two roundings
    for layer, units in apart.items():
        assert units.max() <= 1, layer.name
        if not isinstance(layer, AveragePool):  # means of few values have many ties, which float sums break
            assert np.mean(units > 0) < (0.2 if coarse else 0.005), layer.name
    assert {type(layer) for layer in apart} >= kinds
    return network


def check_engine(network, images, name):
    """The engine gives what the network gives; scheme and rounding are the network's."""
    program = roundel.compile(network, name, shape=network.encode(images[:1]).shape[1:])
    codes = network.encode(images[:1])
    regions = program.compiled.regions(codes[0])
    Engine(params=program.params, regions=regions).run()
    for tensor, values in outputs(network, codes).items():
        np.testing.assert_array_equal(program.compiled.read(tensor, regions), values[0])


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("per_channel", [False, True])
def test_residual_networks(per_channel, signed, tmp_path):
    """Sums, a concatenation whose parts have scales of their own, and means."""
    [path], images = residual_files(tmp_path, per_channel=per_channel, signed=signed)
    for scheme in SCHEMES:
        network = check_layers(path, images, scheme, {Weighted, Add, Concat, AveragePool})
        check_engine(network, images, "tiny" if scheme is Scheme.FIXED16 else "medium")


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_squeeze_and_excite(scheme, signed, tmp_path):
    """Factors lose a bit, or their zero point: the greatest stays exact, and products are off by two units."""
    rows, weights = excited(np.random.default_rng(2))
    images = np.random.default_rng(3).normal(size=(8, *SHAPE)).astype(np.float32)
    path = quantized(saved(tmp_path, model(rows, SHAPE, weights)), tmp_path / "q.onnx", images, signed=signed)
    network, apart = beside_onnxruntime(path, images, scheme)
    [gate] = (layer for layer in network.layers if isinstance(layer, Gate))
    assert (gate.gate.width, gate.gate.signed, gate.gate.zero) == (7, False, 0)
    assert apart[gate].max() <= 2
    assert all(units.max() <= 1 for layer, units in apart.items() if layer is not gate)
    check_engine(network, images, "medium")
    small = roundel.compress(path, images, requant=scheme.value)
    assert small.report["drift"]["units"] <= 2
    assert any(note.startswith("mul_n: multipliers leave its factors 7 bits of 8") for note in small.report["notes"])


def test_the_detector_of_the_examples(tmp_path):
    with np.load(DETECTOR / "calibration.npz") as file:
        images = file["images"][:2].astype(np.float32)
    path = quantized(DETECTOR / "detector.onnx", tmp_path / "detector.onnx", images, per_channel=True)
    network = check_layers(path, images, Scheme.FIXED16, {Weighted, Add, Concat})
    check_engine(network, images, "small")
    small = roundel.compress(path, images[:2], requant="fixed16")
    assert small.report["drift"]["units"] <= 8
    assert 0 < small.report["drift"]["apart"] < 0.2


def test_refitted_networks_have_shifts_alone(tmp_path):
    [path], images = residual_files(tmp_path)
    moved = roundel.compress(path, images, refit=True)
    assert {layer.requant for layer in moved.network.layers if hasattr(layer, "requant")} == {Scheme.SHIFT}
    assert moved.report["drift"]["units"] < 8
    assert roundel.compile(moved, "tiny").params.scheme is Scheme.SHIFT


def test_the_drift_is_told():
    """The digits in binary32 are onnxruntime's to the last bit; a file that quantizes nothing has none."""
    with np.load(DIGITS / "calibration.npz") as file:
        images = file["images"][:8]
    small = roundel.compress(DIGITS / "digits_qdq.onnx", images, requant="float32")
    assert small.report["drift"] == {"images": 8, "units": 0.0, "tensor": "scores", "apart": 0.0}
    assert any(line.startswith("- Results differ from onnxruntime's by at most 0 units") for line in small.lines())
    assert roundel.compress(DIGITS / "digits.onnx", images).report["drift"] is None
