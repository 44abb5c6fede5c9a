"""Matrix products of maps with channels last: convolutions, beside onnxruntime or ONNX's reference."""

import numpy as np
import onnx
import pytest

import roundel
from roundel.frontend import examine, prepare, read_onnx
from roundel.golden.errors import InputError
from roundel.graph import Conv, fold
from tests.support.onnx_models import NEWEST, OLDEST, model, reference

IMAGE = (4, 5, 7)
LAST, FIRST = {"perm": [0, 2, 3, 1]}, {"perm": [0, 3, 1, 2]}


def block(rng, *, wide=12, norm=False):
    """Rows of a block as ConvNeXt has it, from "x" to "y", and its constants."""
    inner = "n" if norm else "t"
    rows = [
        ("Transpose", ["x"], "t", LAST),
        *([("LayerNormalization", ["t", "scale", "offset"], "n", {})] if norm else []),
        ("MatMul", [inner, "w1"], "a", {}), ("Add", ["a", "b1"], "b", {}), ("Relu", ["b"], "c", {}),
        ("MatMul", ["c", "w2"], "d", {}), ("Add", ["b2", "d"], "e", {}),
        ("Transpose", ["e"], "f", FIRST), ("Add", ["f", "x"], "y", {}),
    ]  # fmt: skip
    shapes = {"w1": (4, wide), "b1": (wide,), "w2": (wide, 4), "b2": (1, 1, 4), "scale": (4,), "offset": (4,)}
    constants = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    return rows, {name: value for name, value in constants.items() if norm or name not in ("scale", "offset")}


@pytest.mark.parametrize("opset", [OLDEST, 13, NEWEST])
def test_products_are_convolutions(opset, seed):
    rng = np.random.default_rng([seed, opset])
    rows, constants = block(rng)
    proto = model(rows, IMAGE, constants, opset=opset)
    images = rng.normal(size=(3, *IMAGE)).astype(np.float32)
    graph = read_onnx(proto)
    np.testing.assert_allclose(graph.run(images), reference(proto, images)[0], rtol=1e-4, atol=1e-4)
    assert sum(isinstance(node, Conv) for node in fold(graph).nodes) == 2
    examination = examine(prepare(proto))
    assert not examination.refused
    assert examination.macs == 5 * 7 * (4 * 12 + 12 * 4)


def test_a_norm_before_them_is_left_to_the_host(seed):
    rng = np.random.default_rng(seed)
    rows, constants = block(rng, norm=True)
    proto = model(rows, IMAGE, constants, opset=17)
    images = rng.normal(size=(6, *IMAGE)).astype(np.float32)
    compressed = roundel.compress(proto, images, host="any")
    assert compressed.chain.share == 1
    got, wanted = roundel.run(compressed, images).real["y"], reference(proto, images)[0]
    assert got.shape == wanted.shape
    assert np.square(wanted - got).mean() < 10**-2.5 * np.square(wanted).mean()


def test_products_of_other_tensors_stay():
    """Of three axes, of what is computed, and of a constant."""
    matrix = np.float32([[1, 2], [3, 4]])
    rows = [
        ("Reshape", ["x", "shape"], "t", {}),
        ("MatMul", ["t", "w"], "y", {}),
        ("MatMul", ["w", "w"], "ww", {}),
    ]
    proto = model(rows, (2, 3, 2), {"shape": np.array([0, 6, 2]), "w": matrix}, outputs=("y", "ww"))
    kinds = [node.op_type for node in prepare(proto).proto.graph.node]
    assert kinds == ["Reshape", "MatMul", "MatMul"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensor: setattr(tensor, "raw_data", tensor.raw_data[:-4]), "not a valid ONNX model: .*w1"),
        (lambda tensor: tensor.dims.__setitem__(slice(None), [3, 16]), "weights for 3 input channels, but there are 4"),
    ],
)
def test_damaged_matrices_are_one_line(change, message, seed):
    rows, constants = block(np.random.default_rng(seed))
    proto = model(rows, IMAGE, constants)
    change(next(item for item in proto.graph.initializer if item.name == "w1"))
    with pytest.raises(InputError, match=message) as caught:
        read_onnx(proto)
    assert "\n" not in str(caught.value)


def test_the_model_that_is_given_is_left_alone(seed):
    rows, constants = block(np.random.default_rng(seed))
    proto = model(rows, IMAGE, constants)
    before = proto.SerializeToString(deterministic=True)
    prepare(proto)
    assert proto.SerializeToString(deterministic=True) == before
    assert onnx.load_from_string(before).graph.node[1].op_type == "MatMul"
