"""Functions, sums and gates between transposes, as exports of networks that lay channels last have them."""

import numpy as np
import pytest

import roundel
from roundel.frontend import examine, prepare, read_onnx
from roundel.golden.errors import InputError
from roundel.graph import Affine, Pointwise, PRelu, fold
from tests.support.onnx_models import NEWEST, OLDEST, model, reference

IMAGE = (4, 5, 6)
LAST, FIRST = {"perm": [0, 2, 3, 1]}, {"perm": [0, 3, 1, 2]}
SLOPES = np.linspace(-0.5, 0.9, 4, dtype=np.float32)
CONSTANTS = {
    "three": np.float32(3), "sixth": np.float32([1 / 6]), "half": np.float32(0.5), "one": np.float32(1),
    "zero": np.float32(0),
    "root": np.float32([[[2**0.5]]]), "six": np.float32(6), "channels": SLOPES, "channels4": SLOPES.reshape(1, 1, 1, 4),
}  # fmt: skip
FUNCTIONS = {  # from "t" to "u", channels last
    "silu": ([("Sigmoid", ["t"], "s", {}), ("Mul", ["t", "s"], "u", {})], Pointwise),
    "hard_swish": ([("Add", ["t", "three"], "a", {}), ("Clip", ["a", "zero", "six"], "c", {}),
                    ("Mul", ["c", "sixth"], "b", {}), ("Mul", ["t", "b"], "u", {})], Pointwise),
    "gelu": ([("Div", ["t", "root"], "a", {}), ("Erf", ["a"], "b", {}), ("Add", ["one", "b"], "c", {}),
              ("Mul", ["t", "c"], "d", {}), ("Mul", ["d", "half"], "u", {})], Pointwise),
    "mish": ([("Exp", ["t"], "a", {}), ("Add", ["a", "one"], "b", {}), ("Log", ["b"], "c", {}),
              ("Tanh", ["c"], "d", {}), ("Mul", ["d", "t"], "u", {})], Pointwise),
    "slopes": ([("PRelu", ["t", "channels"], "u", {})], PRelu),
    "a number a channel": ([("Mul", ["channels", "t"], "a", {}), ("Sub", ["a", "channels4"], "u", {})], Affine),
    "nothing": ([("Mul", ["t", "one"], "a", {}), ("Relu", ["a"], "u", {})], None),
    "a sum": ([("Relu", ["t"], "a", {}), ("Add", ["a", "t"], "u", {})], None),
}  # fmt: skip


def network(rows, opset, shape=IMAGE, outputs=("y",), **others):
    """Rows from "t" to "u" between transposes."""
    rows = [("Transpose", ["x"], "t", LAST), *rows, ("Transpose", ["u"], "y", FIRST)]
    needed = {name for row in rows for name in row[1]}
    constants = {name: value for name, value in (CONSTANTS | others).items() if name in needed}
    return model(rows, shape, constants, opset=opset, outputs=outputs)


@pytest.mark.parametrize("case", FUNCTIONS)
@pytest.mark.parametrize("opset", [*range(OLDEST, NEWEST + 1, 4), NEWEST])
def test_functions_between_transposes(case, opset):
    rows, kind = FUNCTIONS[case]
    if opset < 11:
        rows = [("Clip", ["a"], "c", {"min": 0.0, "max": 6.0}) if row[0] == "Clip" else row for row in rows]
    if opset < 9 and any(row[0] == "Erf" for row in rows):
        pytest.skip("Erf is of opset 9")
    proto = network(rows, opset)
    graph = read_onnx(proto)
    images = np.random.default_rng(opset).normal(0, 2, (3, *IMAGE)).astype(np.float32)
    np.testing.assert_allclose(graph.run(images), reference(proto, images)[0], rtol=1e-4, atol=1e-4)
    nodes = fold(graph).nodes
    if kind in (Pointwise, PRelu):
        assert [type(node) for node in nodes] == [kind]
    assert not examine(prepare(proto)).refused


def test_random_rows_between_transposes():
    """Up to six operators on what the ones before gave, with constants of every shape that channels last have."""
    rng = np.random.default_rng(11)
    shapes = [(), (1,), (4,), (1, 4), (1, 1, 4), (1, 1, 1, 4), (1, 1, 1, 1)]
    read = 0
    for number in range(120):
        names, rows, others = ["t"], [], {}
        for index in range(int(rng.integers(2, 7))):
            kind, given, result = str(rng.choice(KINDS)), str(rng.choice(names)), f"r{index}"
            if kind in ("Add", "Mul", "Sub") and rng.random() < 0.5:
                others[f"k{index}"] = rng.normal(size=shapes[rng.integers(len(shapes))]).astype(np.float32)
                inputs = [given, f"k{index}"][:: 1 if rng.random() < 0.5 else -1]
            else:
                inputs = [given, str(rng.choice(names))] if kind in ("Add", "Mul", "Sub") else [given]
            rows.append((kind, inputs, result, {}))
            names.append(result)
        rows.append(("Identity", [names[-1]], "u", {}))
        shape = (4, 4, 4) if number % 3 == 0 else IMAGE  # where an axis could be taken for another
        proto = network(rows, 17, shape, **others)
        images = rng.normal(size=(2, *shape)).astype(np.float32)
        [wanted] = reference(proto, images)
        examination = examine(prepare(proto))
        try:
            got = read_onnx(proto).run(images)
        except InputError:
            assert examination.refused
            continue
        read += 1
        np.testing.assert_allclose(got, wanted, rtol=1e-3, atol=1e-3 * max(1, np.abs(wanted).max()))
    assert read > 60


KINDS = ("Add", "Add", "Mul", "Mul", "Sub", "Relu", "Sigmoid", "Tanh", "Softplus", "Abs", "Neg")


def test_what_the_network_gives_within_a_chain_runs_on_the_host():
    """A result with channels last, and one behind another transpose: the host turns the axes, and nothing is lost."""
    rng = np.random.default_rng(1)
    w = rng.normal(0, 0.3, (4, 4, 3, 3)).astype(np.float32)
    rows = [("Conv", ["x", "w"], "c", {"pads": [1] * 4}), ("Transpose", ["c"], "t", LAST),
            ("Sigmoid", ["t"], "s", {}), ("Mul", ["s", "t"], "u", {}), ("Transpose", ["u"], "y", FIRST)]  # fmt: skip
    images = rng.normal(size=(4, *IMAGE)).astype(np.float32)
    for outputs in (("y",), ("u",), ("y", "t")):
        proto = model(rows, IMAGE, {"w": w}, outputs=outputs)
        compressed = roundel.compress(proto, images)
        assert (compressed.chain is None) == (outputs == ("y",))
        run = roundel.run(compressed, images)
        for name, wanted in zip(outputs, reference(proto, images), strict=True):
            assert run.real[name].shape == wanted.shape
            assert np.abs(run.real[name] - wanted).max() < 0.1
