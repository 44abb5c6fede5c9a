"""Functions of one value behind layers: formats, tables and errors, against onnxruntime on the layers' own sums."""

import numpy as np
import pytest

import roundel
from roundel.frontend import read_onnx
from roundel.golden.activation import WORDS, Fold
from roundel.golden.errors import InputError
from roundel.golden.network import Add, Weighted, outputs, steps
from roundel.graph import Pointwise, PRelu, fold
from roundel.quantization import QuantizeOptions, quantize, real_values, tensor_sqnr_db
from roundel.quantization.function_tables import function_table
from tests.support.onnx_models import model, reference

IMAGE = (3, 10, 10)
FUNCTIONS = {
    "Sigmoid": {}, "Tanh": {}, "HardSwish": {}, "HardSigmoid": {"alpha": 1 / 6}, "Gelu": {}, "Mish": {},
    "Elu": {"alpha": 0.8}, "Celu": {"alpha": 1.3}, "Selu": {}, "Softplus": {}, "LeakyRelu": {"alpha": 0.1},
    "Erf": {},
}  # fmt: skip


def images(seed=1, count=4):
    return np.random.default_rng(seed).normal(size=(count, *IMAGE)).astype(np.float32)


def conv(rng, x, y, channels, outputs, scale=1.0):
    """A row of a convolution, and its constants."""
    weights = rng.normal(size=(outputs, channels, 3, 3)) * scale / np.sqrt(channels)
    constants = {f"{y}_w": weights.astype(np.float32), f"{y}_b": rng.normal(size=outputs).astype(np.float32)}
    return ("Conv", [x, f"{y}_w", f"{y}_b"], y, {"pads": [1, 1, 1, 1]}), constants


def quantized(rows, constants, **options):
    """The integer network of some rows, and the float one."""
    graph = read_onnx(model(rows, IMAGE, constants, opset=20))
    return quantize(graph, images(), QuantizeOptions(**options)), graph


def functional(network):
    """The layers with a function."""
    return [layer for layer in network.layers if isinstance(layer, Weighted) and layer.activation is not None]


def worst(network, row, x, slopes=None):
    """The greatest error of the one layer with a function, in steps, as onnxruntime computes the function of its sums.

    Sums beyond what the output holds are left out.
    """
    [step] = [step for step in steps(network, network.encode(x)) if step.layer in functional(network)]
    layer = step.layer
    sums = np.ldexp(step.accumulators.astype(np.float64), -layer.accumulator_fractions).astype(np.float32)
    constants = {} if slopes is None else {"s": slopes.reshape(-1)}
    operator, attributes = row
    proto = model([(operator, ["x", *constants], "y", attributes)], sums.shape[1:], constants, opset=20)
    [exact] = reference(proto, sums)
    exact = exact.astype(np.float64)
    if layer.residual is not None:
        exact += layer.residual.decode(step.inputs[1].astype(np.int64)).reshape(exact.shape)
    low, high = layer.output.limits
    units = np.clip(exact / layer.output.scale, low, high)
    return float(np.abs(step.outputs.reshape(units.shape) - units).max())


@pytest.mark.parametrize("operator", FUNCTIONS)
def test_a_function_behind_a_convolution(operator):
    row, constants = conv(np.random.default_rng(2), "x", "a", 3, 6)
    rows = [row, (operator, ["a"], "b", FUNCTIONS[operator]), ("MaxPool", ["b"], "y", {"kernel_shape": [2, 2]})]
    result, graph = quantized(rows, constants)
    [told] = result.functions
    assert told.layer == "conv_a"
    [layer] = functional(result.network)
    assert layer.output.fraction == told.n_o
    assert layer.activation.word.fraction == told.word
    assert layer.output.signed == (operator not in ("Sigmoid", "HardSigmoid", "Softplus"))
    error = worst(result.network, (operator, FUNCTIONS[operator]), images())
    assert error <= told.greatest + 0.01
    assert told.greatest <= 2.0
    assert told.mean < 0.6
    real = real_values(result.network, IMAGE, outputs(result.network, result.network.encode(images())))
    [got] = real.values()
    assert tensor_sqnr_db(graph.run(images()), got) > 28


def test_a_residual_is_added_behind_the_function():
    """Once rounded: the integers are those of the exact sum, off by no more than the table and half a step."""
    rng = np.random.default_rng(3)
    first, constants = conv(rng, "x", "a", 3, 6)
    second, more = conv(rng, "r", "b", 6, 6)
    rows = [first, ("Relu", ["a"], "r", {}), second, ("HardSwish", ["b"], "f", {}), ("Add", ["r", "f"], "y", {})]
    result, _ = quantized(rows, constants | more)
    assert [layer.name for layer in result.network.layers] == ["conv_a", "conv_b"]
    [layer] = functional(result.network)
    assert layer.residual == result.network.layers[0].output
    assert 0 <= layer.residual.fraction - layer.output.fraction <= 3
    assert worst(result.network, ("HardSwish", {}), images()) <= result.functions[0].greatest + 0.51


@pytest.mark.parametrize(("scale", "layers"), [(1.0, 2), (64.0, 3)])
def test_a_residual_that_is_much_finer_is_a_sum_of_its_own(scale, layers):
    rng = np.random.default_rng(3)
    first, constants = conv(rng, "x", "a", 3, 6)
    second, more = conv(rng, "a", "b", 6, 6, scale)
    rows = [first, second, ("Elu", ["b"], "f", {}), ("Add", ["f", "a"], "s", {}), ("Relu", ["s"], "y", {})]
    result, graph = quantized(rows, constants | more)
    assert len(result.network.layers) >= layers
    assert any(isinstance(layer, Add) for layer in result.network.layers) == (layers == 3)
    assert all(choice.sqnr_db > 20 for choice in result.choices)
    assert set(result.results) == {graph.result}


def test_a_relu_behind_the_sum_is_an_unsigned_output():
    rng = np.random.default_rng(3)
    first, constants = conv(rng, "x", "a", 3, 6)
    second, more = conv(rng, "a", "b", 6, 6)
    rows = [first, second, ("Mish", ["b"], "f", {}), ("Add", ["f", "a"], "s", {}), ("Relu", ["s"], "y", {})]
    result, _ = quantized(rows, constants | more)
    [layer] = functional(result.network)
    assert not layer.output.signed
    assert worst(result.network, ("Mish", {}), images()) <= result.functions[0].greatest + 0.51


ALONE = {
    "the input": [("HardSwish", ["x"], "y", {})],
    "a sum": [("Relu", ["x"], "r", {}), ("MaxPool", ["x"], "m", {"kernel_shape": [1, 1]}), ("Add", ["r", "m"], "s", {}),
              ("HardSwish", ["s"], "y", {})],
    "a concatenation": [("Relu", ["x"], "r", {}), ("Concat", ["r", "x"], "s", {"axis": 1}),
                        ("HardSwish", ["s"], "y", {})],
    "features": [("GlobalAveragePool", ["x"], "p", {}), ("Flatten", ["p"], "s", {}), ("HardSwish", ["s"], "y", {})],
    "what others read too": [("Relu", ["x"], "s", {}), ("HardSwish", ["s"], "h", {}),
                              ("Concat", ["s", "h"], "y", {"axis": 1})],
}  # fmt: skip


@pytest.mark.parametrize("case", ALONE)
def test_a_function_behind_no_weights_is_a_product_by_1(case):
    result, _ = quantized(ALONE[case], {})
    [layer] = functional(result.network)
    assert layer.groups == layer.weights.shape[1]
    assert len(np.unique(layer.weights)) == 1
    assert worst(result.network, ("HardSwish", {}), images()) <= result.functions[0].greatest + 0.01


@pytest.mark.parametrize("factor", [2.0**-6, 2.0**-12, 2.0**-16, 2.0**-20])
@pytest.mark.parametrize(("operator", "most"), [("Sigmoid", 300.0), ("Tanh", 300.0), ("Sigmoid", 30000.0)])
def test_a_function_whose_inputs_are_coarser_than_its_results(operator, factor, most):
    """Behind no weights, of a tensor in steps of 256; a smaller one is added behind it: off by a step, or by 1/16."""
    rows = [("Relu", ["x"], "s", {}), ("Conv", ["s", "w"], "r", {}), (operator, ["s"], "f", {}),
            ("Add", ["f", "r"], "y", {})]  # fmt: skip
    graph = read_onnx(model(rows, IMAGE, {"w": (factor * np.eye(3)[:, :, None, None]).astype(np.float32)}, opset=20))
    x = np.rint(images() * most / 1024).clip(-most / 256, most / 256).astype(np.float32) * 256
    made = quantize(graph, x)
    [real] = real_values(made.network, IMAGE, outputs(made.network, made.network.encode(x))).values()
    assert np.abs(graph.run(x) - real).max() <= max(made.network.layers[-1].output.scale / 2, 1 / 16)


def test_a_function_that_is_negative_between_far_ends_alone():
    """HardSwish from -3 to 0, of inputs from -1300 on: calibration shows what a few numbers of the range do not."""
    weights = np.float32([[-1300, 0], [0, 1]]).reshape(2, 2, 1, 1)
    rows = [("Conv", ["x", "w"], "a", {}), ("HardSwish", ["a"], "y", {})]
    graph = read_onnx(model(rows, (2, 10, 10), {"w": weights}, opset=20))
    x = np.random.default_rng(1).uniform((0, -3), (1, 0.5), (4, 10, 10, 2)).astype(np.float32).transpose(0, 3, 1, 2)
    made = quantize(graph, x, QuantizeOptions(per_channel=True, activation_error=100.0))
    assert made.network.layers[-1].output.signed
    assert made.choices[-1].sqnr_db > 5


@pytest.mark.parametrize("alone", [False, True])
def test_slopes_by_channel(alone):
    rng = np.random.default_rng(4)
    channels = 3 if alone else 6
    slopes = rng.uniform(-0.2, 0.9, (channels, 1, 1)).astype(np.float32)
    row, constants = conv(rng, "x", "a", 3, 6)
    rows = [("PRelu", ["x", "s"], "y", {})] if alone else [row, ("PRelu", ["a", "s"], "y", {})]
    result, _ = quantized(rows, {"s": slopes} | ({} if alone else constants))
    [layer] = functional(result.network)
    assert layer.activation.table.fold is Fold.SLOPE
    [told] = result.functions
    assert told.function == "PRelu"
    assert worst(result.network, ("PRelu", {}), images(), slopes) <= told.greatest + 0.01 < 2


def test_steep_slopes_by_channel():
    """As those of MTCNN's P-Net: below -1 channels turn around, up to 63/32 there is a table."""
    row, constants = conv(np.random.default_rng(7), "x", "a", 3, 6)
    slopes = np.float32([-0.63, 1.012, -1.278, 1.9, -1.9, 0.25]).reshape(6, 1, 1)
    proto = model([row, ("PRelu", ["a", "s"], "y", {})], IMAGE, constants | {"s": slopes}, opset=20)
    graph = read_onnx(proto)
    made = quantize(graph, images(), QuantizeOptions(per_channel=True))
    [layer] = functional(made.network)
    assert layer.activation.table.core == WORDS.greatest_core - 2
    [turned] = [node.slopes for node in fold(graph).nodes if isinstance(node, PRelu)]
    [told] = made.functions
    assert worst(made.network, ("PRelu", {}), images(), turned) <= told.greatest + 0.01 < 2.01
    x = images(3)
    [given] = real_values(made.network, IMAGE, outputs(made.network, made.network.encode(x))).values()
    [exact] = reference(proto, x)
    assert tensor_sqnr_db(exact, given) > 28


def test_slopes_of_mostly_negative_inputs_keep_them_all():
    """The output is small, and words of its scale would saturate where inputs are not."""
    row, constants = conv(np.random.default_rng(5), "x", "a", 3, 6)
    constants["a_b"] -= 12
    slopes = np.linspace(0.02, 0.05, 6, dtype=np.float32).reshape(6, 1, 1)
    result, graph = quantized([row, ("PRelu", ["a", "s"], "y", {})], constants | {"s": slopes})
    [choice] = result.choices
    assert choice.sqnr_db > 25
    assert set(result.results) == {graph.result}


def test_layers_share_tables():
    rng, rows, constants = np.random.default_rng(6), [], {}
    for index in range(6):
        row, made = conv(rng, "x", f"c{index}", 3, 3)
        constants |= made
        rows += [row, ("Sigmoid", [f"c{index}"], f"s{index}", {}), ("Mul", [f"c{index}", f"s{index}"], f"m{index}", {})]
    before = function_table.cache_info()
    rows.append(("Concat", [f"m{index}" for index in range(6)], "y", {"axis": 1}))
    result, _ = quantized(rows, constants)
    after = function_table.cache_info()
    assert [row.function for row in result.functions] == 6 * ["silu"]
    assert after.misses - before.misses <= 3


def test_a_neighbouring_format_where_the_best_one_has_no_table():
    """A HardSigmoid that is not symmetric bends where no knot is; at twice the step that is within 2 ULP."""
    row, constants = conv(np.random.default_rng(2), "x", "a", 3, 6)
    rows = [
        row,
        ("HardSigmoid", ["a"], "b", {"alpha": 0.29, "beta": 0.82}),
        ("MaxPool", ["b"], "y", {"kernel_shape": [1, 1]}),
    ]
    result, graph = quantized(rows, constants)
    [told] = result.functions
    assert told.greatest <= 2
    real = real_values(result.network, IMAGE, outputs(result.network, result.network.encode(images())))
    assert tensor_sqnr_db(graph.run(images()), next(iter(real.values()))) > 25


REFUSED = {
    "no table within the error": ({"activation_error": 0.5}, r"node tanh_b: tanh .* (is off by|has no table)"),
    "another width": ({"activation_bits": 6}, "node tanh_y: an activation gives 8 bits, not 6"),
    "another requantizer": ({"requant": "fixed16"}, "node tanh_y: tanh needs an activation unit, .* --requant shift"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_names_the_node(case):
    options, message = REFUSED[case]
    row, constants = conv(np.random.default_rng(2), "x", "a", 3, 6, 4.0)
    rows = [row, ("Tanh", ["a"], "y", {})]
    if "activation_error" in options:  # of one format alone
        constants |= {"scale": np.float32(2**-7), "zero": np.int8(0)}
        rows[1:] = [("Tanh", ["a"], "b", {}), ("QuantizeLinear", ["b", "scale", "zero"], "q", {}),
                    ("DequantizeLinear", ["q", "scale", "zero"], "y", {})]  # fmt: skip
    proto = model(rows, IMAGE, constants)
    with pytest.raises(InputError, match=message):
        roundel.compress(proto, images(), host="refuse", **options)


@pytest.mark.parametrize("error", [0.4, float("nan"), 200, "2"])
def test_an_error_out_of_range_is_refused(error):
    with pytest.raises((InputError, TypeError), match="activation_error"):
        roundel.compress(model([("Tanh", ["x"], "y", {})], IMAGE), images(), activation_error=error)


def test_the_report_lists_activations(tmp_path):
    row, constants = conv(np.random.default_rng(2), "x", "a", 3, 6)
    compressed = roundel.compress(model([row, ("Tanh", ["a"], "y", {})], IMAGE, constants), images())
    [entry] = compressed.report["functions"]
    assert entry["function"] == "tanh"
    compressed.save(tmp_path / "out")
    page = (tmp_path / "out" / "report.md").read_text()
    assert "## Activations" in page
    assert f"| conv_a | tanh | odd | {entry['word']} | {entry['n_o']} | {entry['greatest']:.2f} |" in page
    again = roundel.CompressedNetwork.load(tmp_path / "out")
    codes = again.network.encode(images())
    for name, values in outputs(again.network, codes).items():
        np.testing.assert_array_equal(values, outputs(compressed.network, codes)[name])


def pairs(scales):
    """A SiLU between quantizers, as onnxruntime's quantizer writes it: rows and constants."""
    rng = np.random.default_rng(7)
    rows, constants = [], {"zero": np.int8(0)}
    names = iter(scales)

    def quantizer(x):
        name = next(names)
        constants[f"{name}_scale"] = np.float32(scales[name])
        rows.extend(
            [
                ("QuantizeLinear", [x, f"{name}_scale", "zero"], f"{name}_codes", {}),
                ("DequantizeLinear", [f"{name}_codes", f"{name}_scale", "zero"], name, {}),
            ]
        )
        return name

    for index, x in enumerate(("x", "mq")):
        row, made = conv(rng, quantizer("x") if index == 0 else x, f"c{index}", 3, 3)
        constants |= made
        rows.append(row)
        if index == 0:
            before = quantizer("c0")
            rows.append(("Sigmoid", [before], "s", {}))
            rows.append(("Mul", [before, quantizer("s")], "m", {}))
            quantizer("m")
    rows.append(("Relu", ["c1"], "y", {}))
    return rows, constants


SCALES = {"xq": 1 / 32, "aq": 0.11, "sq": 1 / 255, "mq": 0.05}


def test_quantizers_within_a_function_are_imported_as_they_are():
    """The float graph has them, as onnxruntime does; its normal form, of which integers are made, has not."""
    rows, constants = pairs(SCALES)
    proto = model(rows, IMAGE, constants)
    graph = read_onnx(proto)
    x = images()
    np.testing.assert_allclose(graph.run(x), reference(proto, x)[0], rtol=1e-4, atol=1e-4)
    assert "silu" in [node.function.name for node in fold(graph).nodes if isinstance(node, Pointwise)]


def test_refit_fuses_a_function_between_quantizers():
    rows, constants = pairs(SCALES)
    compressed = roundel.compress(model(rows, IMAGE, constants), images(), refit=True)
    [entry] = compressed.report["functions"]
    assert (entry["layer"], entry["function"]) == ("conv_c0", "silu")
    assert entry["greatest"] <= 1
    with pytest.raises(InputError, match="--refit moves them, as the network has activations"):
        roundel.compress(model(rows, IMAGE, constants), images())


def test_powers_of_two_between_quantizers_are_kept():
    rows, constants = pairs({"xq": 1 / 32, "aq": 1 / 16, "sq": 1 / 128, "mq": 1 / 32})
    compressed = roundel.compress(model(rows, IMAGE, constants), images())
    [layer] = functional(compressed.network)
    assert layer.output.fraction == 5
    assert layer.x.fraction == 4


@pytest.mark.parametrize("factor", [0.37, -1.6, 2.5])
def test_a_factor_behind_a_function_moves_into_the_weights(factor):
    """The table then has the part of slope 1 that the unit adds: its error is that of the function alone."""
    row, constants = conv(np.random.default_rng(8), "x", "a", 3, 6, 3.0)
    constants |= {"k": np.float32(factor), "o": np.float32(-0.3)}
    rows = [row, ("HardSwish", ["a"], "b", {}), ("Mul", ["b", "k"], "c", {}), ("Add", ["c", "o"], "d", {}),
            ("MaxPool", ["d"], "y", {"kernel_shape": [1, 1]})]  # fmt: skip
    result, graph = quantized(rows, constants)
    [told] = result.functions
    assert told.greatest <= (1 if factor > 0 else 1.5)
    real = real_values(result.network, IMAGE, outputs(result.network, result.network.encode(images())))
    [got] = real.values()
    assert tensor_sqnr_db(graph.run(images()), got) > 28
