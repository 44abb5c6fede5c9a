"""A map times a vector: against onnxruntime's own product of quantized tensors, and against the second reader."""

from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

from roundel.golden.formats import Format
from roundel.golden.network import Flatten, Gate, Network, Weighted, load, outputs, save
from roundel.golden.requant import Scheme
from roundel.golden.rounding import Rounding
from tests.support import network_reference as reference

U8, S8 = (Format(width=8, signed=signed, fraction=4) for signed in (False, True))
FACTOR = Format(width=8, signed=False, fraction=8)


def gated(x, gate, output, **fields):
    return Gate(name="gated", sources=("x", "gate"), x=x, gate=gate, output=output, **fields)


def drawn(form, shape, rng):
    return rng.integers(form.limits[0], form.limits[1] + 1, shape)


@pytest.mark.parametrize("signed", [False, True])
def test_it_equals_onnxruntime(signed, seed):
    """QLinearMul broadcasts as well, and rounds as `float32` does where the factor is exact and the zero even.

    It adds the zero before it rounds.
    """
    rng, kind = np.random.default_rng(seed), np.int8 if signed else np.uint8
    x = Format(width=8, signed=signed, fraction=5, mantissa=1.25, zero=-7 if signed else 130)
    gate = Format(width=8, signed=signed, fraction=8, mantissa=1.5, zero=-3 if signed else 1)
    output = Format(width=8, signed=signed, fraction=5, zero=12)
    layer = gated(x, gate, output, requant=Scheme.FLOAT32, rounding=Rounding.HALF_EVEN)
    values, factors = drawn(x, (2, 5, 4, 9), rng), drawn(gate, (2, 1, 1, 9), rng)
    constants = [
        helper.make_tensor(f"{name}{part}", number, [], [value])
        for name, form in (("a", x), ("b", gate), ("c", output))
        for part, number, value in (
            ("s", TensorProto.FLOAT, form.scale),
            ("z", TensorProto.INT8 if signed else TensorProto.UINT8, form.zero),
        )
    ]
    number = TensorProto.INT8 if signed else TensorProto.UINT8
    node = helper.make_node(
        "QLinearMul", ["x", "as", "az", "gate", "bs", "bz", "cs", "cz"], ["y"], domain="com.microsoft"
    )
    info = [helper.make_tensor_value_info(name, number, None) for name in ("x", "gate", "y")]
    graph = helper.make_graph([node], "gate", info[:2], info[2:], constants)
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    fed = {"x": values.transpose(0, 3, 1, 2), "gate": factors.transpose(0, 3, 1, 2)}
    (expected,) = session.run(None, {name: value.astype(kind) for name, value in fed.items()})
    result = layer.compute(values, factors).outputs
    assert np.array_equal(result, expected.transpose(0, 2, 3, 1))
    assert len(np.unique(result)) > 50


@pytest.mark.parametrize(("x", "gate"), [(U8, FACTOR), (S8, FACTOR), (S8, S8), (replace(U8, width=6), S8)])
@pytest.mark.parametrize("scheme", [Scheme.SHIFT, Scheme.FIXED16, Scheme.FLOAT32])
def test_a_file_of_version_2_holds_it(x, gate, scheme, tmp_path, seed):
    """The factors are made by a layer of the network, as they are in squeeze-and-excite."""
    rng, path = np.random.default_rng(seed), tmp_path / "network.npz"
    rounding = scheme.default_rounding
    made = Weighted(
        name="factors", sources=("flat",), output=gate, weights=rng.integers(-128, 128, (12 * 7, 7)),
        bias=np.zeros(7, np.int64), x=x, w=Format(width=8, signed=True, fraction=8 - x.fraction + gate.fraction),
        b=Format(width=8, signed=True, fraction=0), window=None, requant=scheme, rounding=rounding,
    )  # fmt: skip
    flat = Flatten(name="flat", sources=("image",), output=x)
    output = replace(S8, fraction=x.fraction + gate.fraction - 8)
    layer = replace(gated(x, gate, output, requant=scheme, rounding=rounding, leak=1), sources=("image", "factors"))
    network = Network(source="image", input=x, layers=(flat, made, layer))
    save(network, path)
    header = reference.read(path)
    assert header["version"] == 2
    image = drawn(x, (2, 3, 4, 7), rng)
    expected = reference.run(header, reference.Tensor(image.shape, image.ravel().tolist()))["gated"]
    for read in (network, load(path)):
        result = outputs(read, image)["gated"]
        assert result.ravel().tolist() == expected.values
        assert len(np.unique(result)) > 9


def test_what_is_no_gate_is_refused():
    with pytest.raises(ValueError, match="gated: shift must be 0 to 31, not -1"):
        gated(S8, FACTOR, replace(S8, fraction=13))
    with pytest.raises(ValueError, match=r"gated: mantissa of gate must be 1 to be shifted, not 1\.5"):
        gated(S8, replace(FACTOR, mantissa=1.5), S8)
    with pytest.raises(ValueError, match="gated: expected a factor for each of 3 channels"):
        gated(S8, FACTOR, S8).compute(np.zeros((1, 2, 2, 3), np.int64), np.zeros((1, 1, 1, 4), np.int64))


def test_the_mantissa_of_the_map_stays():
    """As in a layer that adds: a map of any one scale may be gated by shifts."""
    odd = replace(S8, mantissa=1.5)
    result = gated(odd, FACTOR, odd).compute(np.array([[[[100]]]]), np.array([[[[128]]]])).outputs
    assert result.tolist() == [[[[50]]]]
