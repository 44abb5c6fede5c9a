"""Float execution against onnxruntime: each operator alone, with random attributes, in old and new versions of ONNX."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from roundel.frontend import read_onnx
from roundel.frontend.operators import OPERATORS, UNARY
from roundel.frontend.operators import OTHERS as OF_SEVERAL
from roundel.golden.errors import InputError
from roundel.graph import AveragePool, Flatten, HostOperator, Upsample
from tests.support.moving_operators import MOVES
from tests.support.onnx_models import NEWEST, OLDEST, check, model, saved

OPSETS = (OLDEST, 9, 10, 11, 13, 17, NEWEST)
IMAGE = (4, 7, 6)
TRIES = 6  # random choices of attributes for each operator and version


def real(rng, *shape):
    """Random weights."""
    return rng.normal(size=shape).astype(np.float32)


def _window(rng, pool):
    """Random attributes of a sliding window over `IMAGE`, and its kernel."""
    kernel = [int(size) for size in rng.integers(1, 4, 2)]
    attributes = {"strides": rng.integers(1, 3, 2).tolist()}
    mode = rng.choice(["NOTSET", "NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"])
    if mode == "NOTSET":
        most = kernel if pool else (4, 4)  # no window of a pool sees padding alone
        return attributes | {"pads": [int(rng.integers(size)) for size in (*most, *most)]}, kernel
    if mode != "VALID":  # onnxruntime's pools fail where windows have gaps between them
        attributes["strides"] = [min(pair) for pair in zip(attributes["strides"], kernel, strict=True)]
    return attributes | {"auto_pad": mode}, kernel


def conv(rng, opset):
    groups = int(rng.choice([1, 2, 4]))
    attributes, kernel = _window(rng, pool=False)
    attributes["group"] = groups
    if not attributes.get("auto_pad", "").startswith("SAME"):  # onnxruntime refuses these two together
        attributes["dilations"] = rng.integers(1, 3, 2).tolist()
    weights = {"w": real(rng, 4 * int(rng.integers(1, 3)), 4 // groups, *kernel)}
    if rng.random() < 0.5:
        attributes["kernel_shape"] = kernel
        weights["b"] = real(rng, len(weights["w"]))
    return [("Conv", ["x", *weights], "y", attributes)], weights


def gemm(rng, opset):
    turned = int(rng.integers(2))
    weights = {
        "w": real(rng, *((3, 5) if turned else (5, 3))),
        "b": real(rng, *[(3,), (1,), (1, 3), ()][rng.integers(4)]),
    }
    attributes = {"alpha": float(rng.normal()), "beta": float(rng.normal()), "transB": turned}
    least = 1 if opset >= 11 else 2
    return [("Gemm", ["x", *list(weights)[: rng.integers(least, 3)]], "y", attributes)], weights


def matmul(rng, opset):
    weights = {"w": real(rng, 5, 3), "b": real(rng, 3)}
    order = ["a", "b"] if rng.random() < 0.5 else ["b", "a"]
    return [("MatMul", ["x", "w"], "a", {}), ("Add", order, "y", {})], weights


def batch_normalization(rng, opset):
    weights = {"s": real(rng, 4), "o": real(rng, 4), "m": real(rng, 4), "v": np.exp(real(rng, 4))}
    return [("BatchNormalization", ["x", *weights], "y", {"epsilon": float(rng.random())})], weights


def clip(rng, opset):
    low, high = sorted(rng.normal(size=2).astype(np.float32))
    if opset < 11:
        bounds = {"min": float(low), "max": float(high)}
        return [("Clip", ["x"], "y", {name: bounds[name] for name in bounds if rng.random() < 0.6})], {}
    inputs = [["x"], ["x", "low"], ["x", "", "high"], ["x", "low", "high"]][rng.integers(4)]
    return [("Clip", inputs, "y", {})], {"low": low, "high": high}


def relu(rng, opset):
    return [("Relu", ["x"], "y", {})], {}


def leaky_relu(rng, opset):
    return [("LeakyRelu", ["x"], "y", {"alpha": 2.0 ** -int(rng.integers(1, 9))})], {}


def add(rng, opset):
    return [("Relu", ["x"], "a", {}), ("Add", ["x", "a"], "y", {})], {}


def numbers(rng, *, zeros=True):
    """A constant of one number a channel in any shape that broadcasts, or a whole map of such."""
    spelled = [(), (1,), (4, 1, 1), (1, 4, 1, 1), (1, 1, 1), (1, 1, 1, 1)][rng.integers(6)]
    values = real(rng, *spelled)
    values = values if zeros else np.sign(values) * (0.2 + np.abs(values))
    return np.ascontiguousarray(np.broadcast_to(values, (1, *IMAGE))) if rng.random() < 0.2 else values


def _constant(operator):
    """Return a case of a tensor and a constant, in either order but for quotients."""

    def build(rng, opset):
        order = [["x", "c"], ["c", "x"]][rng.integers(2) if operator != "Div" else 0]
        return [(operator, order, "y", {})], {"c": numbers(rng, zeros=operator != "Div")}

    build.__name__ = f"{operator.lower()}_constant"
    return build


def subtract(rng, opset):
    return [("Relu", ["x"], "a", {}), ("Sub", [["x", "a"], ["a", "x"], ["x", "x"]][rng.integers(3)], "y", {})], {}


def gate(rng, opset):
    """One number a channel, which the network makes, in either order."""
    nodes = [("GlobalAveragePool", ["x"], "a", {}), ("Conv", ["a", "w"], "b", {}), ("Relu", ["b"], "c", {})]
    return [*nodes, ("Mul", [["x", "c"], ["c", "x"]][rng.integers(2)], "y", {})], {"w": real(rng, 4, 4, 1, 1)}


def gate_of_features(rng, opset):
    return [("Relu", ["x"], "a", {}), ("Gemm", ["x", "w", "b"], "c", {}), ("Mul", ["a", "c"], "y", {})], {
        "w": real(rng, 5, 5),
        "b": real(rng, 5),
    }


def negate(rng, opset):
    return [("Neg", ["x"], "y", {})], {}


def total(rng, opset):
    """Of up to four tensors, and of constants among them, which opset 7 does not broadcast."""
    inputs = rng.choice(["x", "a", "b"], rng.integers(1, 5)).tolist()
    constants = {name: numbers(rng) for name in ("c", "d")[: rng.integers(3) if opset >= 8 else 0]}
    for name in constants:
        inputs.insert(int(rng.integers(len(inputs) + 1)), name)
    return [("Relu", ["x"], "a", {}), ("Neg", ["a"], "b", {}), ("Sum", inputs, "y", {})], constants


def unsqueezed(rng, opset):
    """A factor and an offset as older exporters spell a batch normalization."""
    weights = {"s": real(rng, 4), "o": real(rng, 4), "axes1": np.array([1, 2]), "one": np.array([1, 4, 1, 1])}
    spread = axes(opset, "Unsqueeze", "s", "s1", 1, 2)
    nodes = [spread, ("Reshape", ["o", "one"], "o1", {}), ("Mul", ["x", "s1"], "a", {}), ("Add", ["o1", "a"], "y", {})]
    return nodes, weights


def bounded(rng, opset):
    """Max and Min of numbers, one of which a tensor is compared with."""
    operator, shape = str(rng.choice(["Max", "Min"])), [(), (1,), (1, 1, 1, 1)][rng.integers(3)]
    if opset < 8:  # which does not broadcast
        return [("Max", ["x"], "y", {})], {}
    return [(operator, ["x", "c", "d"][: rng.integers(1, 4)], "y", {})], {"c": real(rng, *shape), "d": real(rng)}


def cast(rng, opset):
    return [("Cast", ["x"], "a", {"to": TensorProto.FLOAT}), ("Relu", ["a"], "y", {})], {}


def constants_of_constants(rng, opset):
    """Elementwise functions of constants, and constants of a shape, all added to the tensor."""
    nodes = [("Abs", ["c"], "t0", {}), ("Add", ["t0", "half"], "t1", {})]
    functions = ["Exp", "Log", "Neg", "Reciprocal", "Sqrt", "Abs", "Floor", "Ceil", "Sigmoid", "Tanh"]
    functions += ["Erf", "Sign"] if opset >= 9 else []
    for index, function in enumerate(rng.choice(functions, 3).tolist(), 1):
        nodes += [(function, [f"t{index}"], f"f{index}", {}), ("Abs", [f"f{index}"], f"a{index}", {})]
        nodes.append(("Add", [f"a{index}", "half"], f"t{index + 1}", {}))
    nodes.append(("Pow", ["t4", "half"], "last", {}))
    weights = {"c": real(rng, 4, 1, 1), "half": np.float32(0.5), "sizes": np.array([4, 1, 1])}
    if opset >= 9:
        value = numpy_helper.from_array(real(rng, 1))
        filled = [("ConstantOfShape", ["sizes"], "k", [{}, {"value": value}][rng.integers(2)])]
        return [*nodes, *filled, ("Mul", ["last", "k"], "m", {}), ("Add", ["x", "m"], "y", {})], weights
    return [*nodes, ("Add", ["x", "last"], "y", {})], weights


def concat(rng, opset):
    axis = int(rng.choice([1, -3])) if opset >= 11 else 1
    return [("Relu", ["x"], "a", {}), ("Concat", ["x", "a", "x"], "y", {"axis": axis})], {}


def max_pool(rng, opset):
    attributes, kernel = _window(rng, pool=True)
    attributes |= {"kernel_shape": kernel}
    if "auto_pad" not in attributes and opset >= 10:
        attributes |= {"ceil_mode": int(rng.integers(2)), "dilations": rng.integers(1, 3, 2).tolist()}
    return [("MaxPool", ["x"], "y", attributes)], {}


def average_pool(rng, opset):
    attributes, kernel = _window(rng, pool=True)
    attributes |= {"kernel_shape": kernel, "count_include_pad": int(rng.integers(2))}
    if "pads" in attributes and not attributes["count_include_pad"] and opset >= 10:
        attributes["ceil_mode"] = int(rng.integers(2))
    return [("AveragePool", ["x"], "y", attributes)], {}


def global_average_pool(rng, opset):
    return [("GlobalAveragePool", ["x"], "y", {})], {}


def global_max_pool(rng, opset):
    return [("GlobalMaxPool", ["x"], "y", {})], {}


def reduction(operator, version):
    """Over rows, columns, both, or channels; without an axis that goes, others make a map of the rest.

    Axes are an input from `version` on.
    """

    def build(rng, opset):
        axes = [[2, 3], [2], [3], [1]][rng.integers(3 if operator == "ReduceMax" else 4)]
        kept, given = int(rng.integers(2)), [axis - 4 * int(rng.integers(2) if opset >= 11 else 0) for axis in axes]
        attributes, weights = {"keepdims": kept}, {}
        if opset < version:
            attributes["axes"] = given
        else:
            weights["axes"] = np.array(given)
        nodes = [(operator, ["x", *weights], "y" if kept or len(axes) > 1 else "a", attributes)]
        if nodes[0][2] == "a":
            weights["to"] = np.array([0, *(1 if axis in axes else size for axis, size in enumerate(IMAGE, 1))])
            nodes.append(("Reshape", ["a", "to"], "y", {}))
        return nodes, weights

    build.__name__ = operator
    return build


def channels_last(rng, opset):
    """A reduction or features of a map that lies as TensorFlow has it."""
    nodes, weights = [("Transpose", ["x"], "t", {"perm": [0, 2, 3, 1]})], {}
    if rng.random() < 0.5:
        nodes += [("ReduceMax", ["t"], "y", {"axes": [1, 2], "keepdims": int(rng.integers(2))})]
        return (nodes, {}) if opset < 18 else ([nodes[0], ("GlobalMaxPool", ["x"], "y", {})], {})
    flat = [("Reshape", ["t", "to"], "f", {}), ("Flatten", ["t"], "f", {"axis": 1})][rng.integers(2)]
    weights |= {"to": np.array([0, -1])} if flat[0] == "Reshape" else {}
    product = [("MatMul", ["f", "w"], "y", {}), ("Gemm", ["f", "w", "b"], "y", {})][rng.integers(2)]
    weights |= {"w": real(rng, 168, 3)} | ({"b": real(rng, 3)} if product[0] == "Gemm" else {})
    return [*nodes, flat, product], weights


def flatten(rng, opset):
    return [("Flatten", ["x"], "y", {"axis": int(rng.choice([1, -3])) if opset >= 11 else 1})], {}


def reshape(rng, opset):
    return [("Reshape", ["x", "to"], "y", {})], {
        "to": np.array([[0, -1], [-1, 168], [0, 168], [0, 4, 7, -1]][rng.integers(4)])
    }


def squeeze(rng, opset):
    pool = ("GlobalAveragePool", ["x"], "a", {})
    if opset < 13:
        return [pool, ("Squeeze", ["a"], "y", {"axes": [2, 3]})], {}
    return [pool, ("Squeeze", ["a", "axes"], "y", {})], {"axes": np.array([-1, 2])}


def axes_of_one_value(rng, opset):
    """Axes that come and go."""
    places = {1: [(1,), (2, 3)], 0: [(2, 4), (5,)]}[int(rng.integers(2))]
    names = ("axes1", "axes2")
    rows = [(kind, source, output, {"axes": list(axes)} if opset < 13 else {}) for kind, source, output, axes in (
        ("Unsqueeze", ["x"], "a", places[0]), ("Unsqueeze", ["a"], "b", places[1]), ("Squeeze", ["b"], "c", places[1]),
        ("Squeeze", ["c"], "y", places[0]))]  # fmt: skip
    if opset < 13:
        return rows, {}
    taken = (names[0], names[1], names[1], names[0])
    rows = [(kind, [*source, name], output, {}) for (kind, source, output, _), name in zip(rows, taken, strict=True)]
    return rows, {name: np.array(axes) for name, axes in zip(names, places, strict=True)}


REPEATING = [
    ("align_corners", "round_prefer_floor", (2,)),
    ("asymmetric", "floor", (2, 3)),
    ("asymmetric", "round_prefer_floor", (2,)),
    ("half_pixel", "round_prefer_ceil", (2, 3)),
    ("half_pixel", "round_prefer_floor", (2, 3)),
    ("half_pixel_symmetric", "round_prefer_ceil", (2, 3)),
    ("pytorch_half_pixel", "round_prefer_floor", (2, 3)),
]  # how positions are computed, how they are rounded, by which factors values are then only repeated


def resize(rng, opset):
    """Every combination of attributes that only repeats values, in whatever way the size is given."""
    factor = int(rng.integers(2, 4))
    if opset < 11:
        scales = np.array([1, 1, factor, factor], np.float32)
        if opset < 9:
            return [("Upsample", ["x"], "y", {"scales": scales.tolist()})], {}
        return [("Upsample" if opset < 10 else "Resize", ["x", "scales"], "y", {"mode": "nearest"})], {"scales": scales}
    modes = [mode for mode in REPEATING if (mode[0] != "half_pixel_symmetric" or opset >= 19) and factor in mode[2]]
    coordinates, nearest, _ = modes[rng.integers(len(modes))]
    attributes = {"mode": "nearest", "coordinate_transformation_mode": coordinates, "nearest_mode": nearest}
    if rng.random() < 0.5:
        constants, inputs = {"scales": np.array([1, 1, factor, factor], np.float32)}, ["x", "roi", "scales"]
    else:
        constants, inputs = {"sizes": np.array([3, 4, 7 * factor, 6 * factor])}, ["x", "roi", "none", "sizes"]
    if opset >= 18 and rng.random() < 0.5:
        attributes["axes"] = [2, 3]
        constants = {name: values[2:] for name, values in constants.items()}
    return [("Resize", inputs, "y", attributes)], constants | {"roi": real(rng, 0), "none": real(rng, 0)}


def linear_resize(rng, opset):
    """By 1 to 16 in every way that takes positions at equal distances."""
    scales = np.array([1, 1, *2.0 ** rng.integers(0, 5, 2)], np.float32)
    if opset < 11:
        if opset < 9:
            return [("Upsample", ["x"], "y", {"mode": "linear", "scales": scales.tolist()})], {}
        return [("Upsample" if opset < 10 else "Resize", ["x", "s"], "y", {"mode": "linear"})], {"s": scales}
    coordinates = ["half_pixel", "pytorch_half_pixel", "asymmetric", "half_pixel_symmetric"][: 3 + (opset >= 19)]
    attributes = {"mode": "linear", "coordinate_transformation_mode": str(rng.choice(coordinates))}
    return [("Resize", ["x", "roi", "scales"], "y", attributes)], {"roi": real(rng, 0), "scales": scales}


def fewer(rng, opset):
    """Every so many values, which a scale below 1 leaves, or means of four."""
    by, mode = [(2, "linear"), (2, "nearest"), (4, "nearest")][rng.integers(3)]
    coordinates = str(rng.choice(["asymmetric", "half_pixel", "pytorch_half_pixel"]))
    attributes = {"mode": mode, "coordinate_transformation_mode": coordinates, "nearest_mode": "floor"}
    if opset < 11:
        return [("Relu", ["x"], "y", {})], {}
    nodes = [("Pad", ["x", "pads"], "p", {}), ("Resize", ["p", "none", "scales"], "y", attributes)]
    pads = np.array([0, 0, 0, 0, 0, 0, 5, 6])  # to 12 x 12
    scales = np.array([1, 1, 1 / by, 1 / by], np.float32)
    return nodes, {"pads": pads, "none": real(rng, 0), "scales": scales}


def identity_and_dropout(rng, opset):
    nodes = [
        ("Identity", ["x"], "a", {}),
        ("Relu", ["a"], "b", {}),
        ("Dropout", ["b"], "c", {}),
        ("Identity", ["c"], "y", {}),
    ]
    return nodes, {}


FLAT = {gemm, matmul, gate_of_features}
CASES = (
    conv, gemm, matmul, batch_normalization, clip, relu, leaky_relu, add, concat, max_pool, average_pool,
    global_average_pool, global_max_pool, flatten, reshape, squeeze, resize, identity_and_dropout,
    *(reduction(f"Reduce{kind}", version) for kind, version in (("Mean", 18), ("Max", 18), ("Sum", 13))),
    channels_last, axes_of_one_value, linear_resize, fewer,
    *map(_constant, ("Add", "Sub", "Mul", "Div")), subtract, negate, total, unsqueezed, bounded, cast,
    constants_of_constants, gate, gate_of_features, *MOVES,
)  # fmt: skip


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_operator_equals_onnxruntime(case, opset, tmp_path, seed):
    rng = np.random.default_rng([seed, opset])
    for _ in range(TRIES):
        nodes, weights = case(rng, opset)
        shape = (5,) if case in FLAT else IMAGE
        batch = 3 if case in (resize, linear_resize, fewer) else "batch"
        check(tmp_path, model(nodes, shape, weights, opset=opset, batch=batch), shape)


@pytest.mark.parametrize(("coordinates", "nearest", "factors"), REPEATING)
def test_every_way_to_repeat_values(coordinates, nearest, factors, tmp_path):
    for factor in factors:
        attributes = {"mode": "nearest", "coordinate_transformation_mode": coordinates, "nearest_mode": nearest}
        scales = np.array([1, 1, factor, factor], np.float32)
        proto = model([("Resize", ["x", "", "s"], "y", attributes)], IMAGE, {"s": scales}, opset=19)
        [node] = check(tmp_path, proto, IMAGE).nodes
        assert isinstance(node, Upsample)
        assert node.factor == factor


def test_padding_of_dilated_kernels_is_worked_out(tmp_path, seed):
    """7 rows in steps of 2 give 4, which take 3 * 2 + 5 - 7 = 4 rows of padding; 6 columns in steps of 1 take 4."""
    weights = {"w": real(np.random.default_rng(seed), 2, 4, 3, 3)}
    common = {"strides": [2, 1], "dilations": [2, 2]}
    explicit = model([("Conv", ["x", "w"], "y", common | {"pads": [2, 2, 2, 2]})], IMAGE, weights)
    automatic = model([("Conv", ["x", "w"], "y", common | {"auto_pad": "SAME_UPPER"})], IMAGE, weights)
    window = check(tmp_path, explicit, IMAGE).nodes[0].window
    assert read_onnx(saved(tmp_path, automatic)).nodes[0].window == window


def test_depthwise_windows_are_those_of_their_channel(tmp_path):
    weights = np.zeros((4, 1, 1, 1), np.float32) + np.arange(4).reshape(4, 1, 1, 1)
    graph = check(
        tmp_path, model([("Conv", ["x", "w"], "y", {"group": 4})], IMAGE, {"w": weights.astype(np.float32)}), IMAGE
    )
    np.testing.assert_array_equal(graph.run(np.ones((1, *IMAGE)))[0, :, 0, 0], [0, 1, 2, 3])


FEATURES = np.array([0, -1])
FORMS = {
    "value": (numpy_helper.from_array(np.array([0.5], np.float32)), [("Add", ["x", "c"], "y", {})]),
    "value_float": (0.5, [("Add", ["x", "c"], "y", {})]),
    "value_floats": ([0.5], [("Add", ["x", "c"], "y", {})]),
    "value_int": (1, [("Gather", ["table", "c"], "to", {}), ("Reshape", ["x", "to"], "y", {})]),
    "value_ints": ([0, -1], [("Reshape", ["x", "c"], "y", {})]),
}


def test_features_have_a_number_each(tmp_path, seed):
    rng = np.random.default_rng(seed)
    weights = {"w": real(rng, 5, 3), "c": real(rng, 3), "d": real(rng, 1, 3)}
    nodes = [("MatMul", ["x", "w"], "a", {}), ("Mul", ["a", "c"], "b", {}), ("Sub", ["d", "b"], "y", {})]
    check(tmp_path, model(nodes, (5,), weights), (5,))


@pytest.mark.parametrize("other", ["one a place", "one a row"])
def test_other_products_of_tensors_are_refused(other, tmp_path):
    kernel = {"one a place": [1, 1], "one a row": [1, 6]}[other]
    pool = ("MaxPool", ["x"], "a", {"kernel_shape": kernel})
    path = saved(tmp_path, model([pool, ("Mul", ["x", "a"], "y", {})], IMAGE))
    with pytest.raises(InputError, match=r"mul_y \(Mul\): expected a constant factor, or a tensor of one number a"):
        read_onnx(path)


NO_NUMBERS = {
    "one a column": ("Mul", (6,), r"a constant of \(6,\) is not one number a channel of \(4, 7, 6\)"),
    "one a row": ("Add", (7, 1), r"a constant of \(7, 1\) is not"),
    "one a place": ("Add", (4, 7, 6), r"a constant of \(4, 7, 6\) is not"),
    "more axes": ("Sub", (1, 1, 1, 1, 1), r"a constant of \(1, 1, 1, 1, 1\) is not"),
    "one an image": ("Mul", (3, 1, 1, 1), r"a constant of \(3, 1, 1, 1\) is not"),
    "a divisor of 0": ("Div", (4, 1, 1), "expected divisors that are not 0, but c holds it"),
}


@pytest.mark.parametrize("case", NO_NUMBERS)
def test_constants_that_are_no_number_a_channel_are_refused(case):
    operator, shape, message = NO_NUMBERS[case]
    values = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    with pytest.raises(InputError, match=rf"node {operator.lower()}_y \({operator}\): {message}"):
        read_onnx(model([(operator, ["x", "c"], "y", {})], IMAGE, {"c": values}, batch=3))


OTHERS = {
    "a product of tensors": (
        [("MaxPool", ["x"], "a", {"kernel_shape": [1, 1]}), ("Mul", ["x", "a"], "y", {})],
        "expected a constant factor",
    ),
    "a divisor that is computed": ([("Div", ["c", "x"], "y", {})], "expected a constant divisor"),
    "several tensors": (
        [("MaxPool", ["x"], "a", {"kernel_shape": [1, 1]}), ("Max", ["x", "a"], "y", {})],
        "not several tensors",
    ),
    "no bound": ([("Min", ["x", "nan"], "y", {})], "expected one number as a bound, not nan"),
    "another type": ([("Cast", ["x"], "y", {"to": TensorProto.FLOAT16})], "expected FLOAT, which the tensor is"),
    "too many values": ([("ConstantOfShape", ["big"], "k", {}), ("Add", ["x", "k"], "y", {})], "at most 268435456"),
    "sizes below 0": ([("ConstantOfShape", ["less"], "k", {}), ("Add", ["x", "k"], "y", {})], "sizes of at least 0"),
    "a wide range": ([("Range", ["a0", "a1", "a2"], "k", {}), ("Add", ["x", "k"], "y", {})], "at most 67108864 values"),
    "many copies": ([("Tile", ["c", "big"], "k", {}), ("Add", ["x", "k"], "y", {})], "at most 67108864 values"),
    "expanded far": ([("Expand", ["c", "big"], "k", {}), ("Add", ["x", "k"], "y", {})], "at most 67108864 values"),
    "padded far": ([("Pad", ["c", "pads"], "k", {}), ("Add", ["x", "k"], "y", {})], "at most 67108864 values"),
}


@pytest.mark.parametrize("case", OTHERS)
def test_arithmetic_that_is_refused(case):
    nodes, message = OTHERS[case]
    constants = {
        "c": np.ones((1, 1, 1), np.float32), "nan": np.float32("nan"), "big": np.array([1 << 20, 1 << 20, 1]),
        "less": np.array([-1]), "a0": np.float32(0), "a1": np.float32(1e12), "a2": np.float32(1),
        "pads": np.array([1 << 20, 1 << 20, 0, 0, 0, 0]),
    }  # fmt: skip
    constants = {name: values for name, values in constants.items() if any(name in node[1] for node in nodes)}
    proto = model([("Relu", ["x"], "y", {})], IMAGE, constants)
    del proto.graph.node[:]
    proto.graph.node.extend(
        helper.make_node(kind, inputs, [output], name=output, **given) for kind, inputs, output, given in nodes
    )
    with pytest.raises(InputError, match=message):
        read_onnx(proto)


def test_what_does_nothing_is_no_node(tmp_path):
    nodes = [("Mul", ["x", "one"], "a", {}), ("Sub", ["a", "zero"], "b", {}), ("Sum", ["b"], "c", {})]
    proto = model([*nodes, ("Relu", ["c"], "y", {})], IMAGE, {"one": np.float32(1), "zero": np.float32(0)})
    assert len(check(tmp_path, proto, IMAGE).nodes) == 1


def test_inner_tensors_do_not_hide_others():
    nodes = [("Sum", ["x", "x", "x"], "y", {}), ("Relu", ["y"], "y: sum of 2", {})]
    with pytest.raises(InputError, match=r"\(Relu\): its inner tensor y: sum of 2 has the name of another one"):
        read_onnx(model(nodes, IMAGE, outputs=("y: sum of 2",)))


@pytest.mark.parametrize("form", FORMS)
def test_constants_of_every_form(form, tmp_path):
    value, nodes = FORMS[form]
    nodes = [("Constant", [], "c", {form: value}), *nodes]
    check(tmp_path, model(nodes, IMAGE, {"table": np.array([[0, 0], FEATURES])}), IMAGE)


def test_constants_of_other_forms_are_refused(tmp_path):
    proto = model([("Constant", [], "c", {"value_string": "a"}), ("Relu", ["x"], "y", {})], IMAGE)
    with pytest.raises(InputError, match=r"node constant_c .*: the attribute value_string is not supported"):
        read_onnx(saved(tmp_path, proto))


def axes(opset, operator, source, output, *places):
    """Squeeze or Unsqueeze, whose axes became an input in opset 13."""
    if opset < 13:
        return operator, [source], output, {"axes": list(places)}
    return operator, [source, f"axes{places[0]}"], output, {}


@pytest.mark.parametrize("opset", [version for version in OPSETS if version >= 11])
def test_shapes_that_exporters_compute_are_constants(opset, tmp_path):
    """Enlarged to the size of another map and flattened, both for any batch, as torch writes them."""
    asymmetric = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    nodes = [
        ("MaxPool", ["x"], "half", {"kernel_shape": [2, 2], "strides": [2, 2]}),
        ("Shape", ["x"], "s", {}),
        ("Gather", ["s", "two"], "rows", {}),
        axes(opset, "Unsqueeze", "rows", "rows1", 0),
        ("Slice", ["s", "three", "four"], "columns", {}),
        ("Cast", ["columns"], "real", {"to": TensorProto.FLOAT}),
        ("Div", ["real", "2.0"], "halves", {}),
        ("Floor", ["halves"], "floor", {}),
        ("Cast", ["floor"], "whole", {"to": TensorProto.INT64}),
        ("Mul", ["whole", "two"], "columns1", {}),
        ("Slice", ["s", "zero", "two1"], "first", {}),
        ("Concat", ["first", "rows1", "columns1"], "size", {"axis": 0}),
        ("Resize", ["half", "none", "none", "size"], "up", asymmetric),
        ("Shape", ["up"], "t", {}),
        ("Gather", ["t", "none0"], "batch", {}),
        axes(opset, "Unsqueeze", "batch", "batch1", 0),
        ("Concat", ["batch1", "minus"], "to", {"axis": 0}),
        ("Reshape", ["up", "to"], "y", {}),
    ]  # fmt: skip
    weights = {"two": 2, "three": [3], "four": [4], "zero": [0], "two1": [2], "none0": 0, "minus": [-1], "axes0": [0]}
    constants = {name: np.array(value, np.int64) for name, value in weights.items()}
    constants |= {"2.0": np.array(2, np.float32), "none": np.empty(0, np.float32)}
    graph = check(tmp_path, model(nodes, (4, 6, 8), constants, opset=opset), (4, 6, 8))
    assert [type(node) for node in graph.nodes[1:]] == [Upsample, Flatten]


def test_the_size_of_the_batch_is_not_computed_with(tmp_path):
    nodes = [("Shape", ["x"], "s", {}), ("Mul", ["s", "s"], "t", {}), ("Reshape", ["x", "t"], "y", {})]
    with pytest.raises(InputError, match=r"node mul_t \(Mul\): it computes with the size of the batch"):
        read_onnx(saved(tmp_path, model(nodes, IMAGE)))


@pytest.mark.parametrize("target", [[5, -1], [5, 168], [0, 4, 7, 6], [5, 4, 0, 6]])
def test_a_batch_that_the_file_fixes_is_known_in_shapes(target, tmp_path):
    proto = model(
        [("Relu", ["x"], "a", {}), ("Reshape", ["a", "to"], "y", {})], IMAGE, {"to": np.array(target)}, batch=5
    )
    check(tmp_path, proto, IMAGE, batch=5)


def test_pools_whose_last_window_reaches_out(tmp_path):
    """As torch writes `AvgPool2d(ceil_mode=True)`: nothing outside of the map counts."""
    attributes = {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1, "count_include_pad": 1}
    proto = model([("AveragePool", ["x"], "y", attributes)], IMAGE, opset=NEWEST)
    [node] = check(tmp_path, proto, IMAGE).nodes
    assert isinstance(node, AveragePool)
    assert not node.count_padding
    assert node.window.pad == (0, 0, 0, 1)


def test_results_in_the_order_of_the_file(tmp_path):
    nodes = [("Relu", ["x"], "a", {}), ("Flatten", ["a"], "b", {}), ("Identity", ["a"], "c", {})]
    graph = check(tmp_path, model(nodes, IMAGE, outputs=("b", "a")), IMAGE)
    assert (graph.results, graph.result) == (("b", "a"), "b")
    assert check(tmp_path, model(nodes, IMAGE, outputs=("b", "c")), IMAGE).results == ("b", "a")


@pytest.mark.parametrize("opset", OPSETS)
def test_softmax_and_sigmoid_at_the_end_are_left_to_the_host(opset, tmp_path):
    nodes = [("Relu", ["x"], "a", {}), ("Softmax", ["a"], "p", {"axis": 3}), ("Sigmoid", ["x"], "q", {})]
    graph = read_onnx(saved(tmp_path, model(nodes, IMAGE, outputs=("q", "a", "p"), opset=opset)))
    assert graph.results == ("x", "a")
    assert graph.host == (
        HostOperator(name="sigmoid_q", operator="Sigmoid", tensor="x"),
        HostOperator(name="softmax_p", operator="Softmax", tensor="a", axis=3),
    )


@pytest.mark.parametrize("opset", OPSETS)
def test_softmax_works_along_the_last_axis(opset, tmp_path):
    """Unless told otherwise; before opset 13 along all from the second on, of which only one may be there."""
    [host] = read_onnx(saved(tmp_path, model([("Softmax", ["x"], "y", {})], (5,), opset=opset))).host
    assert host.axis == 1
    path = saved(tmp_path, model([("Softmax", ["x"], "y", {})], IMAGE, opset=opset))
    if opset >= 13:
        assert read_onnx(path).host[0].axis == 3
    else:
        with pytest.raises(InputError, match="axis must be the last one before opset 13, not 1"):
            read_onnx(path)


@pytest.mark.parametrize("opset", [OLDEST, 11, 13])
def test_softmax_of_maps_of_one_value(opset, tmp_path):
    """Along the channels in all versions: before opset 13 it works on what is flattened from there on."""
    nodes = [("GlobalAveragePool", ["x"], "a", {}), ("Softmax", ["a"], "y", {"axis": 1})]
    [host] = read_onnx(saved(tmp_path, model(nodes, IMAGE, opset=opset))).host
    assert host.axis == 1


def test_an_output_under_two_names_is_left_to_the_host_once(tmp_path):
    nodes = [("Softmax", ["x"], "p", {}), ("Identity", ["p"], "q", {})]
    graph = read_onnx(saved(tmp_path, model(nodes, IMAGE, outputs=("p", "q"))))
    assert graph.results == ("x",)
    assert len(graph.host) == 1


def test_softmax_elsewhere_is_refused(tmp_path):
    nodes = [("Softmax", ["x"], "a", {}), ("Relu", ["a"], "y", {})]
    with pytest.raises(InputError, match=r"node relu_y \(Relu\): it reads what Softmax gives, .* only at the end"):
        read_onnx(saved(tmp_path, model(nodes, IMAGE)))


def test_every_operator_has_a_test():
    """Those of dialects are in test_onnx_dialects, functions in test_onnx_functions."""
    rng, tested = np.random.default_rng(0), {"Constant", "Shape", "Sigmoid", "Softmax"}
    tested |= {*UNARY, *OF_SEVERAL}
    tested |= {row[0] for case in CASES for _ in range(TRIES) for row in case(rng, NEWEST)[0]}
    assert set(OPERATORS) - tested == {"DequantizeLinear", "IntQuant", "Quant", "QuantizeLinear"}
