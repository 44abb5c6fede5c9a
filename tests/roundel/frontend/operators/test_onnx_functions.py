"""Functions of one value: each operator, each spelling and random ones against onnxruntime, and what they are."""

import numpy as np
import pytest

from roundel.frontend import examine, prepare, read_onnx
from roundel.golden.errors import InputError
from roundel.graph import Add, Affine, Conv, Pointwise, PRelu, fold
from tests.support.functions import SPELLINGS, UNARY, attributes, random_function
from tests.support.onnx_models import NEWEST, OLDEST, model, reference

IMAGE = (5, 6, 4)
OPSETS = (OLDEST, 9, 11, 13, 17, 20, 22, 24, NEWEST)


def images(seed=3, scale=3.0):
    return (scale * np.random.default_rng(seed).normal(size=(2, *IMAGE))).astype(np.float32)


def slopes(rng):
    """A slope for each channel."""
    return rng.uniform(-0.3, 0.9, (IMAGE[0], 1, 1)).astype(np.float32)


def described(graph):
    """The names of the nodes that a folded graph has, functions by their own."""
    return [node.function.name if isinstance(node, Pointwise) else type(node).__name__ for node in fold(graph).nodes]


def same(proto, graph, scale=3.0):
    """Assert that the graph, as imported and folded, computes what onnxruntime does."""
    x = images(scale=scale)
    [expected] = reference(proto, x)
    for network in (graph, fold(graph)):
        np.testing.assert_allclose(network.run(x), expected, rtol=2e-4, atol=2e-4 * max(1, np.abs(expected).max()))


def imported(proto):
    """The graph, or why there is none."""
    try:
        return read_onnx(proto), ""
    except InputError as error:
        return None, str(error)


def behind(rows):
    """Rows with an operator behind that keeps the function from the end, where some are left to the host."""
    return [*rows, ("MaxPool", ["y"], "z", {"kernel_shape": [1, 1]})]


@pytest.mark.parametrize(
    ("operator", "opset"),
    [(name, opset) for name, since in (UNARY | {"Sigmoid": 7}).items() for opset in OPSETS if since <= opset],
)
def test_every_operator(operator, opset):
    rng = np.random.default_rng([opset, *operator.encode()])
    proto = model(behind([(operator, ["x"], "y", attributes(rng, operator))]), IMAGE, outputs=("z",), opset=opset)
    graph = read_onnx(proto)
    same(proto, graph)
    assert len(graph.nodes) == 2


def test_swish():
    """Opset 24 has it, onnxruntime not yet."""
    graph = read_onnx(model([("Swish", ["x"], "y", {"alpha": 0.8})], IMAGE, opset=24))
    x = images()
    np.testing.assert_allclose(graph.run(x), x / (1 + np.exp(-np.float32(0.8) * x)), rtol=1e-5, atol=1e-5)
    assert described(graph) == ["silu (alpha 0.8)"]


@pytest.mark.parametrize("case", SPELLINGS)
def test_every_spelling(case):
    name, rows, constants, least = SPELLINGS[case]
    rng = np.random.default_rng(5)
    constants = {key: slopes(rng) if values is None else values for key, values in constants.items()}
    domains = ("com.microsoft",) if any(":" in row[0] for row in rows) else ()
    for opset in (least, 13, NEWEST):
        proto = model(behind(rows), IMAGE, constants, outputs=("z",), opset=opset, domains=domains)
        graph = read_onnx(proto)
        same(proto, graph)
        names = [name] if name != "Relu Clip" else ["Relu", "Clip"]
        assert sorted(described(graph)) == sorted([*names, "MaxPool"])


def test_slopes_of_channels():
    values = slopes(np.random.default_rng(1))
    proto = model([("PRelu", ["x", "s"], "y", {})], IMAGE, {"s": values})
    [node] = read_onnx(proto).nodes
    assert isinstance(node, PRelu)
    np.testing.assert_array_equal(node.slopes, values.ravel())


@pytest.mark.parametrize("seed", range(60))
def test_random_functions(seed):
    """What is imported is what onnxruntime computes; what is refused has a reason."""
    rng = np.random.default_rng(seed)
    opset = int(rng.choice(OPSETS))
    rows, constants = random_function(rng, opset, int(rng.integers(2, 9)))
    proto = model(behind(rows), IMAGE, constants, outputs=("z",), opset=opset)
    graph, why = imported(proto)
    if graph is None:
        assert any(word in why for word in ("finite", "jumps", "yes or no"))
        return
    x = images(scale=1.0)
    [expected] = reference(proto, x)
    if np.isfinite(expected).all() and np.abs(expected).max() < 1e6:
        same(proto, graph, scale=1.0)


def test_what_others_read_stays():
    """A function in a row is one function only where nobody reads what is between."""
    rows = [("Sigmoid", ["x"], "s", {}), ("Mul", ["x", "s"], "y", {}), ("Tanh", ["y"], "t", {})]
    graph = read_onnx(model(rows, IMAGE, outputs=("t",)))
    assert len(fold(graph).nodes) == 1
    graph = read_onnx(model(rows, IMAGE, outputs=("y", "t")))
    assert [node.inputs for node in fold(graph).nodes] == [("x",), ("y",)]


def test_sums_of_branches_stay_sums():
    """A residual is no function of one value, unless what it is added to is one."""
    weights = {"w": np.random.default_rng(0).normal(size=(5, 5, 1, 1)).astype(np.float32)}
    rows = [("Conv", ["x", "w"], "c", {}), ("Sigmoid", ["c"], "s", {}), ("Mul", ["c", "s"], "f", {}),
            ("Add", ["x", "f"], "y", {})]  # fmt: skip
    graph = fold(read_onnx(model(rows, IMAGE, weights)))
    assert [type(node) for node in graph.nodes] == [Conv, Pointwise, Add]
    rows = [("Relu", ["x"], "r", {}), ("Add", ["x", "r"], "y", {})]
    assert [type(node).__name__ for node in read_onnx(model(rows, IMAGE)).nodes] == ["Relu", "Add"]


def test_factors_by_channel_stay_factors():
    rows = [("Mul", ["x", "k"], "m", {}), ("Sigmoid", ["m"], "s", {}), ("Mul", ["m", "s"], "y", {})]
    factors = {"k": np.arange(1, 6, dtype=np.float32).reshape(5, 1, 1)}
    graph = read_onnx(model(rows, IMAGE, factors))
    assert [type(node) for node in graph.nodes] == [Affine, Pointwise]


REFUSED = {
    "a pole": ([("Reciprocal", ["x"], "y", {})], "it is not finite at 0"),
    "no number": ([("Sqrt", ["x"], "y", {})], "it is not finite at -16"),
    "a jump": ([("Sign", ["x"], "y", {})], "it jumps by"),
    "yes or no": ([("Greater", ["x", "c"], "b", {}), ("Not", ["b"], "y", {})], "yes or no"),
    "steep slopes": ([("PRelu", ["x", "k"], "y", {})], "slopes of negative values must be at most"),
    "channels that differ": (
        [("Mul", ["x", "k"], "m", {}), ("Sigmoid", ["m"], "s", {}), ("Mul", ["x", "s"], "y", {})],
        "a function that differs between channels",
    ),
    "two tensors": ([("Conv", ["x", "w"], "a", {}), ("Pow", ["a", "x"], "y", {})], "not of several"),
    "places that differ": ([("PRelu", ["x", "p"], "y", {})], "constants of one number or one a channel"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case):
    rows, message = REFUSED[case]
    constants = {
        "c": np.float32(1), "k": np.linspace(1.2, 2, 5, dtype=np.float32).reshape(5, 1, 1),
        "w": np.ones((5, 5, 1, 1), np.float32), "p": np.random.default_rng(0).random(IMAGE, np.float32),
    }  # fmt: skip
    constants = {name: values for name, values in constants.items() if any(name in row[1] for row in rows)}
    proto = model([("Relu", ["x"], "z", {})], IMAGE, constants, outputs=("z",))
    del proto.graph.node[:]
    made = model([*rows, ("Tanh", ["x"], "z", {})], IMAGE, constants, outputs=("z",))
    proto.graph.node.extend(made.graph.node)
    proto.graph.node.extend(model([("MaxPool", ["y"], "q", {"kernel_shape": [1, 1]})], IMAGE, outputs=()).graph.node)
    with pytest.raises(InputError, match=message):
        read_onnx(proto)


def test_a_long_row_that_no_table_holds():
    """Each operator gets its reason, however many wait for one that makes a function of them."""
    rows = [("Sqrt", ["x" if index == 0 else f"t{index}"], f"t{index + 1}", {}) for index in range(1200)]
    examination = examine(prepare(model([*rows, ("MaxPool", ["t1200"], "y", {"kernel_shape": [1, 1]})], IMAGE)))
    assert len(examination.refused) == 1200
