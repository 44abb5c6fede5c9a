"""Networks quantized elsewhere, as integers: against onnxruntime, and against exact fractions."""

from fractions import Fraction

import numpy as np
import pytest

from roundel.data import DIGITS
from roundel.frontend import read_onnx
from roundel.golden.errors import InputError
from roundel.golden.network import Weighted, load, outputs, run, save
from roundel.golden.requant import Scheme
from roundel.golden.rounding import Rounding
from roundel.graph import Add, fold, load_images
from roundel.quantization import QuantizeOptions, quantize, unify
from roundel.quantization.scaled import greatest_step
from tests.support.made_graphs import conv, ratio_db, real, residual_network
from tests.support.onnx_models import model, reference, saved
from tests.support.places import NETWORKS
from tests.support.qdq_models import codes_of, every_tensor, pair, weighted

SCHEMES = (Scheme.FLOAT32, Scheme.FIXED32, Scheme.FIXED16)


def test_digits_equal_onnxruntime_in_all_bits_with_float32():
    """400 images of 10 scores; integer multipliers differ by at most one, `fixed32`, which rounds twice, most often."""
    path = DIGITS / "digits_qdq.onnx"
    graph = read_onnx(path)
    calibration = load_images(DIGITS / "calibration.npz", graph).images
    images = load_images(DIGITS / "heldout.npz", graph).images
    [name] = graph.results
    expected = every_tensor(path, [name], images.astype(np.float32))[name]
    for scheme, most, part in zip(SCHEMES, (0, 1, 1), (0, 0.15, 0.02), strict=True):
        integers = quantize(graph, calibration, QuantizeOptions(requant=scheme)).network
        if scheme is not Scheme.FIXED32:  # which has its own
            assert {layer.rounding for layer in integers.weighted} == {Rounding.HALF_EVEN}
        difference = np.abs(run(integers, integers.encode(images)) - codes_of(expected, integers.output))
        assert difference.max() <= most
        assert np.mean(difference > 0) <= part


@pytest.mark.parametrize("name", ["separable", "two_scales"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_layer_is_within_one_of_onnxruntime(name, scheme):
    """From onnxruntime's own inputs to each layer. It computes in float, so that its ties fall either way.

    Ties are rare among products, not in a mean of four values of one scale, or in a sum of two of nearly one.
    """
    path = NETWORKS / f"{name}_qdq.onnx"
    graph = read_onnx(path)
    images = np.random.default_rng(3).normal(size=(16, *graph.shape)).astype(np.float32)
    quantized = quantize(graph, images[:4], QuantizeOptions(requant=scheme))
    integers, made = quantized.network, {node.name: node.output for node in graph.nodes}
    unmoved = [m for m in quantized.modules if all(made[node.name] == node.output for node in m.nodes)]
    tensors = {module.name: module.tensor for module in unmoved}  # those of the file, under its names
    reference = every_tensor(path, tensors.values(), images)
    values, compared = {integers.source: integers.encode(images)}, 0
    for layer in integers.layers:
        values[layer.name] = layer.compute(*(values[source] for source in layer.sources)).outputs
        if tensors.get(layer.name) in reference:
            expected = codes_of(reference[tensors[layer.name]], layer.output)
            difference = np.abs(values[layer.name] - expected)
            assert difference.max() <= 1, layer.name
            assert np.mean(difference > 0) < (0.005 if isinstance(layer, Weighted) else 0.15), layer.name
            values[layer.name] = expected
            compared += isinstance(layer, Weighted)
    assert compared >= 6


@pytest.mark.parametrize(("name", "least_db"), [("separable", 38), ("two_scales", 45)])
def test_whole_networks_stay_close_to_onnxruntime(name, least_db, tmp_path):
    """Layer upon layer, and from the file that the network is saved in."""
    path = NETWORKS / f"{name}_qdq.onnx"
    graph = read_onnx(path)
    images = np.random.default_rng(4).normal(size=(16, *graph.shape)).astype(np.float32)
    integers = quantize(graph, images[:4], QuantizeOptions(requant=Scheme.FIXED16)).network
    save(integers, tmp_path / "network.npz", {})
    integers = load(tmp_path / "network.npz")
    expected = every_tensor(path, graph.results, images)
    results = outputs(integers, integers.encode(images))
    formats = {layer.name: layer.output for layer in integers.layers}
    for tensor, (layer, codes) in zip(graph.results, results.items(), strict=True):
        got = formats[layer].decode(codes)
        got = got.transpose(0, 3, 1, 2) if got.ndim == 4 else got
        assert ratio_db(expected[tensor].astype(np.float64), got) > least_db


def powers_model(rng):
    """Two convolutions with steps that are powers of two, by channel in the first, a pooling, a matrix product."""
    first, first_constants = weighted(
        rng, "a", "x_q", "a", 2.0 ** -rng.integers(7, 10, 6), 2**-4, (6, 3, 3, 3), pads=[1, 1, 1, 1]
    )
    second, second_constants = weighted(rng, "b", "p", "b", 2.0**-8, 2**-3, (5, 6, 2, 2), strides=[2, 2])
    third, three = weighted(rng, "c", "f", "c", 2.0**-7, 2**-2, (4, 45), transB=1)
    nodes = [
        *pair("x", "x_q", "s_x", "z_s"),
        *first,
        ("Relu", ["a"], "r", {}),
        *pair("r", "r_q", "s_r", "z_u"),
        ("MaxPool", ["r_q"], "p", {"kernel_shape": [2, 2], "strides": [2, 2]}),
        *second,
        *pair("b", "b_q", "s_b", "z_s"),
        ("Flatten", ["b_q"], "f", {}),
        *third,
        *pair("c", "y", "s_y", "z_s"),
    ]
    scales = {"s_x": 2**-4, "s_r": 2**-3, "s_b": 2**-2, "s_y": 2**0}
    constants = {name: np.float32(scale) for name, scale in scales.items()}
    constants |= {"z_s": np.int8(0), "z_u": np.uint8(0)} | first_constants | second_constants | three
    return model(nodes, (3, 12, 12), constants), {name[0]: value for name, value in constants.items() if "_w" in name}


def test_powers_of_two_are_shifts_and_equal_onnxruntime_in_all_bits(tmp_path, seed):
    """All sums here are whole numbers of a power of two that binary32 holds, so onnxruntime's results are exact."""
    rng = np.random.default_rng(seed)
    proto, weights = powers_model(rng)
    graph = read_onnx(saved(tmp_path, proto))
    calibration, images = (rng.normal(scale=3, size=(count, *graph.shape)).astype(np.float32) for count in (4, 32))
    integers = quantize(graph, calibration, QuantizeOptions(rounding=Rounding.HALF_EVEN)).network
    assert all(layer.requant is Scheme.SHIFT for layer in integers.weighted)
    for layer, codes in zip(integers.weighted, weights.values(), strict=True):
        assert sorted(layer.weights.ravel()) == sorted(codes.ravel().tolist())
    [expected] = reference(proto, images)
    result = run(integers, integers.encode(images))
    assert integers.output.scale == 1
    np.testing.assert_array_equal(result, expected)
    assert len(np.unique(result)) > 30


@pytest.mark.parametrize("count", [2, 3])
def test_means_of_one_scale(count, tmp_path, seed):
    """Half to even as exact fractions have it; of 9 taps, 1 / 9 is as fine as no mean of 8 bits can tell."""
    constants = {"s": np.float32(0.1), "z": np.int8(7)}
    window = {"kernel_shape": [count, count], "strides": [count, count]}
    nodes = [*pair("x", "x_q", "s", "z"), ("AveragePool", ["x_q"], "a", window), *pair("a", "y", "s", "z")]
    graph = read_onnx(saved(tmp_path, model(nodes, (2, 12, 12), constants)))
    images = np.random.default_rng(seed).normal(scale=9, size=(4, *graph.shape)).astype(np.float32)
    for scheme in SCHEMES[1:]:
        integers = quantize(graph, images, QuantizeOptions(requant=scheme)).network
        codes = integers.encode(images)
        assert integers.layers[-1].w.width == {2: 10, 3: 17}[count]
        got = run(integers, codes)
        blocks = codes.reshape(4, 12 // count, count, 12 // count, count, 2).swapaxes(2, 3)
        sums = (blocks - 7).sum(axis=(3, 4))
        means = [Fraction(int(total), count**2) for total in sums.ravel()]
        if scheme is Scheme.FIXED16:
            assert got.ravel().tolist() == [round(mean) + 7 for mean in means]
        assert max(abs(mean + 7 - value) for mean, value in zip(means, got.ravel().tolist(), strict=True)) <= 0.5


def test_biases_are_those_of_the_file(tmp_path, seed):
    """Whole numbers of `s_x * s_w`, also where that is no power of two; weights keep their codes."""
    rng = np.random.default_rng(seed)
    steps = rng.uniform(0.001, 0.01, 4).astype(np.float32)
    nodes, constants = weighted(rng, "a", "x_q", "a", steps, 0.0123, (4, 3, 3, 3))
    nodes = [*pair("x", "x_q", "s", "z"), *nodes, *pair("a", "y", "t", "z")]
    more = {"s": np.float32(0.0123), "t": np.float32(0.37), "z": np.int8(-3)}
    graph = read_onnx(saved(tmp_path, model(nodes, (3, 6, 6), constants | more)))
    images = rng.normal(size=(2, *graph.shape)).astype(np.float32)
    [layer] = quantize(graph, images, QuantizeOptions(requant=Scheme.FIXED16)).network.layers
    np.testing.assert_array_equal(layer.bias, constants["a_b"])
    np.testing.assert_array_equal(layer.weights, constants["a_w"].transpose(2, 3, 1, 0).reshape(-1, 4))
    for step, fraction, mantissa in zip(steps.tolist(), layer.w_fractions, layer.w_mantissas, strict=True):
        assert Fraction(mantissa) / 2**fraction == Fraction(step)
    assert Fraction(layer.x.mantissa) / 2**layer.x.fraction == Fraction(float(np.float32(0.0123)))
    assert (layer.x.zero, layer.output.zero) == (-3, -3)


def test_networks_without_scales_get_some_by_their_greatest_weights(seed):
    """A float network, requantizers that multiply: what most tools do, next to which shifts are to be seen."""
    rng = np.random.default_rng(seed)
    graph = residual_network(rng)
    images = real(rng, 16, *graph.shape)
    integers = quantize(graph, images, QuantizeOptions(requant=Scheme.FIXED16, per_channel=True)).network
    got = integers.output.decode(run(integers, integers.encode(images)))
    assert ratio_db(graph.run(images).astype(np.float64), got) > 30
    for layer in integers.weighted:
        np.testing.assert_array_equal(np.abs(layer.weights).max(axis=0), 127)
    signs = {layer.name: layer.output.signed for layer in integers.layers}
    assert not signs["conv_a"]  # ReLU behind it
    assert signs["conv_main"]


def test_one_step_for_all_channels_is_that_of_the_greatest(seed):
    node = conv(np.random.default_rng(seed), "x", "y", 3, 4)
    node.weights[2] = 0
    [step] = set(greatest_step(node, 4, per_channel=False).tolist())
    assert step == pytest.approx(float(np.abs(node.weights).max()) / 7)
    own = greatest_step(node, 4, per_channel=True)
    np.testing.assert_allclose(own[[0, 1, 3]], np.abs(node.weights).max(axis=(1, 2, 3))[[0, 1, 3]] / 7, rtol=1e-6)
    assert own[2] > 0


def quantizer_model(tmp_path, scale, zero):
    constants = {"s": np.float32(scale), "z": zero, "w": np.ones((2, 2), np.float32)}
    nodes = [*pair("x", "x_q", "s", "z"), ("Gemm", ["x_q", "w"], "y", {})]
    return read_onnx(saved(tmp_path, model(nodes, (2,), constants)))


def test_weights_that_no_step_reaches_become_zero(seed):
    node = conv(np.random.default_rng(seed), "x", "y", 2, 3)
    node.weights[1] *= np.float32(1e-42)
    steps = greatest_step(node, 8, per_channel=True)
    assert steps.dtype == np.float32
    assert steps[1] == np.float32(1 / 127)
    assert (steps > 0).all()


def test_what_cannot_be_kept_is_refused_in_one_line(tmp_path):
    options, images = QuantizeOptions(requant=Scheme.FIXED16), np.ones((1, 2), np.float32)
    graph = quantizer_model(tmp_path, 0.1, np.uint16(7))
    with pytest.raises(InputError, match=r"node quantizelinear_x_q_codes: expected .* at most 8 bits, not 0 to"):
        quantize(graph, images, options)
    with pytest.raises(ValueError, match="requant must be one of"):
        QuantizeOptions(requant=Scheme.THRESHOLD)


def rounded_model(tmp_path, scale, mode):
    """A plain copy, then QONNX's integers of 8 bits."""
    domain = "qonnx.custom_op.general"
    constants = {"s": np.float32(scale), "z": np.float32(0), "n": np.float32(8), "w": np.eye(2, dtype=np.float32)}
    nodes = [("Gemm", ["x", "w"], "a", {}), (f"{domain}:Quant", ["a", "s", "z", "n"], "y", {"rounding_mode": mode})]
    return read_onnx(saved(tmp_path, model(nodes, (2,), constants, domains=[domain])))


@pytest.mark.parametrize(("scale", "requant"), [(0.1, Scheme.FIXED16), (0.125, Scheme.SHIFT)])
def test_floor_is_kept(scale, requant, tmp_path, seed):
    """On average half a step is lost; to the nearest none would be."""
    graph = rounded_model(tmp_path, scale, "FLOOR")
    images = np.random.default_rng(seed).integers(-64, 64, (64, 2)).astype(np.float32) / 64
    integers = quantize(graph, images, QuantizeOptions(requant=requant)).network
    assert integers.layers[-1].rounding is Rounding.FLOOR
    got = integers.output.decode(run(integers, integers.encode(images)))
    assert np.abs(got - graph.run(images)).max() < scale * 1.01  # weights of 1 are rounded, which may cross a step
    assert np.mean(got - images) == pytest.approx(-scale / 2, abs=0.02)


def test_other_roundings_are_refused(tmp_path):
    images = np.ones((1, 2), np.float32)
    with pytest.raises(InputError, match="node gemm_a: float32 has a rounding of its own, it cannot do FLOOR"):
        quantize(rounded_model(tmp_path, 0.1, "FLOOR"), images, QuantizeOptions(requant=Scheme.FLOAT32))
    for requant in (Scheme.SHIFT, Scheme.FIXED16):
        with pytest.raises(
            InputError, match="node quant_y: no requantizer rounds values of both signs by ROUND_TO_ZERO"
        ):
            quantize(rounded_model(tmp_path, 0.125, "ROUND_TO_ZERO"), images, QuantizeOptions(requant=requant))
    with pytest.raises(InputError, match="node gemm_a: a factor that is no power of two does not round by CEIL"):
        quantize(rounded_model(tmp_path, 0.1, "CEIL"), images, QuantizeOptions(requant=Scheme.FIXED16))


def test_sums_are_layers_of_their_own(seed):
    """An accumulator cannot take in a tensor of another scale."""
    graph = fold(residual_network(np.random.default_rng(seed)))
    joined, apart = unify(graph), unify(graph, residuals=False)
    assert [module.name for module in apart if isinstance(module.node, Add)] == ["add_d", "add_h"]
    assert len(apart) == len(joined) + 2
    assert max(len(module.sources) for module in apart if module.is_weighted) == 1
