"""Activations of layers: a second reader, the float functions of onnxruntime on unrounded sums, and what is refused."""

import json
import zipfile
from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

from roundel.golden.activation import WORDS, ActivationTable, Fold, best_table, named, slope_table
from roundel.golden.errors import InputError
from roundel.golden.formats import Format
from roundel.golden.network import Activated, Network, Weighted, load, outputs, save
from roundel.golden.requant import Scheme
from roundel.golden.rounding import Rounding
from tests.support import network_reference as reference
from tests.support.random_network import random_network

FLAT = ActivationTable(knots=(0,) * 17)
WORD = Format(width=11, signed=True, fraction=6)
OPERATORS = {
    "sigmoid": ("Sigmoid", {}),
    "tanh": ("Tanh", {}),
    "silu": ("Sigmoid", {}),
    "hard_swish": ("HardSwish", {}),
    "hard_sigmoid": ("HardSigmoid", {}),
    "gelu": ("Gelu", {}),
    "mish": ("Mish", {}),
    "elu": ("Elu", {}),
    "softplus": ("Softplus", {}),
    "leaky_relu": ("LeakyRelu", {"alpha": 0.15}),
}


def onnx(operator, *inputs, **attributes):
    """What onnxruntime makes of binary32."""
    names = [f"x{index}" for index in range(len(inputs))]
    info = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in (*names, "y")]
    node = helper.make_node(operator, names, ["y"], **attributes)
    graph = helper.make_graph([node], "g", info[:-1], info[-1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    values = [value.astype(np.float32) for value in inputs]
    return session.run(None, dict(zip(names, values, strict=True)))[0].astype(np.float64)


def dense(rng, **changes):
    """A matrix product whose sums reach from about -8 to 8."""
    values = {
        "name": "dense", "sources": ("x",), "output": Format(width=8, signed=True, fraction=4),
        "x": Format(width=8, signed=True, fraction=4), "w": Format(width=8, signed=True, fraction=8),
        "b": Format(width=16, signed=True, fraction=12),
        "weights": rng.integers(-128, 128, (12, 40)), "bias": rng.integers(-4000, 4000, 40),
    }  # fmt: skip
    return Weighted(**values | changes)


@pytest.mark.parametrize("case", range(6))
def test_a_reader_made_from_the_page_agrees(case, seed, tmp_path):
    """All folds, residuals and slopes; saved, loaded and read by plain Python."""
    network, images = random_network(10 * seed + case, activations=True)
    network = replace(network, results=tuple(layer.name for layer in network.layers))
    save(network, tmp_path / "network.npz")
    header = reference.read(tmp_path / "network.npz")
    assert header["version"] == 2
    expected = reference.run(header, reference.Tensor(images.shape, images.ravel().tolist()))
    for read in (network, load(tmp_path / "network.npz")):
        for name, values in outputs(read, images).items():
            assert values.ravel().tolist() == expected[name].values


@pytest.mark.parametrize("name", OPERATORS)
def test_layers_are_as_near_to_the_float_function_as_their_table_says(name, seed):
    """Of the sums before anything is rounded; a residual adds no rounding."""
    rng = np.random.default_rng(seed)
    x = rng.integers(-128, 128, (200, 12))
    layer, (operator, attributes) = dense(rng), OPERATORS[name]
    sums = layer.accumulators(x) * 2.0**-12
    wanted = onnx(operator, sums, **attributes) * (sums if name == "silu" else 1)
    fraction = 7 if name in ("sigmoid", "tanh", "hard_sigmoid") else 2
    output = Format(width=8, signed=True, fraction=fraction)
    fitted = best_table(WORDS, named(name, **attributes), low=sums.min(), high=sums.max(), output=output)
    layer = replace(
        layer, output=output, rounding=Rounding.HALF_EVEN, activation=Activated(table=fitted.table, word=fitted.word)
    )
    alone = layer.compute(x)
    residual = Format(width=8, signed=False, fraction=fraction + 2)
    table = replace(fitted.table, residual_shift=1)
    second = replace(layer, sources=("x", "r"), residual=residual, activation=Activated(table=table, word=fitted.word))
    added = rng.integers(0, 256, wanted.shape)
    both = second.compute(x, added)
    # The table's figure is of rounded results; beside a residual results are rounded at other places.
    for step, exact, more in ((alone, wanted, 0.01), (both, wanted + residual.decode(added), 0.5)):
        error = step.outputs - np.clip(exact / output.scale, -128, 127)
        assert np.abs(error).max() <= fitted.max_error + more
        assert np.unique(step.outputs).size > 40
        assert np.array_equal(step.accumulators * 2.0**-12, sums.reshape(-1, 40))


def test_a_prelu_has_a_slope_for_each_output(seed):
    rng = np.random.default_rng(seed)
    layer, slopes, x = dense(rng), rng.uniform(-0.4, 0.4, 40), rng.integers(-128, 128, (99, 12))
    table, columns = slope_table(WORDS, slopes)
    output = Format(width=8, signed=True, fraction=2)
    activation = Activated(table=table, word=replace(WORD, fraction=5), slopes=tuple(columns.tolist()))
    sums = layer.accumulators(x).reshape(99, 40) * 2.0**-12
    result = replace(layer, output=output, activation=activation).compute(x).outputs
    error = result - np.clip(onnx("PRelu", sums, slopes) / output.scale, -128, 127)
    # Half a step; the slope's own step on the greatest word; what the place leaves out of it.
    assert np.abs(error).max() <= 0.5 + 128 / 256 + 0.5


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"requant": Scheme.FIXED16}, "an activation needs requant shift, not fixed16"),
        ({"bounds": (0, 9)}, "no bounds and no leak stand beside an activation"),
        ({"leak": 2}, "no bounds and no leak stand beside an activation"),
        ({"output": Format(width=7, signed=True, fraction=4)}, "activation: an activation gives 8 signed bits"),
        ({"output": Format(width=8, signed=False, fraction=4)}, "activation: an activation gives 8 signed bits"),
        ({"b": Format(width=16, signed=True, fraction=0), "requant": Scheme.FLOAT32, "rounding": "half_even"}, "shift"),
    ],
)  # fmt: skip
def test_layers_that_no_unit_activates(changes, why):
    rng = np.random.default_rng(0)
    changes = {"b": Format(width=16, signed=True, fraction=0), **changes} if "requant" in changes else changes
    changes = changes | {"rounding": Rounding(changes["rounding"])} if "rounding" in changes else changes
    with pytest.raises(ValueError, match=f"^dense: .*{why}"):
        dense(rng, activation=Activated(table=FLAT, word=WORD), **changes)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"word": replace(WORD, width=10)}, "words must have 11 signed bits and no zero point"),
        ({"word": replace(WORD, signed=False)}, "words must have 11 signed bits"),
        ({"word": replace(WORD, zero=3)}, "no zero point"),
        ({"slopes": (1, 2)}, "slopes stand beside a table of fold slope"),
        ({"table": replace(FLAT, fold=Fold.SLOPE, core=7)}, "slopes stand beside a table of fold slope"),
        ({"table": replace(FLAT, fold=Fold.SLOPE, core=7), "slopes": (128,)}, "slopes must be 0 to 127, not 128"),
        ({"table": replace(FLAT, knots=(0,) * 9)}, "knots must be 17 integers, not 9"),
    ],
)
def test_activations_that_there_are_not(fields, why):
    with pytest.raises(ValueError, match=why):
        Activated(**{"table": FLAT, "word": WORD} | fields)


@pytest.mark.parametrize(
    ("activation", "residual", "why"),
    [
        ({"word": replace(WORD, mantissa=1.5)}, None, "words must have the output's mantissa 1.0, not 1.5"),
        ({"table": replace(FLAT, fold=Fold.SLOPE, core=7), "slopes": (1, 2)}, None, "slopes must be 40, one for each"),
        ({}, Format(width=9, signed=True, fraction=7), "a residual has at most 8 bits"),
        ({}, Format(width=8, signed=True, fraction=7, zero=1), "no zero point"),
        ({}, Format(width=8, signed=True, fraction=8), "residual_shift must be -1, that of the residual's format"),
        ({"word": replace(WORD, fraction=13)}, None, "dense: shift must be 0 to 31, not -1"),
    ],
)
def test_activations_that_do_not_fit_their_layer(activation, residual, why):
    with pytest.raises(ValueError, match=f"dense: .*{why}" if not why.startswith("dense") else why):
        dense(
            np.random.default_rng(0), residual=residual,
            activation=Activated(**{"table": FLAT, "word": WORD} | activation),
        )  # fmt: skip


def test_files_hold_an_activation_or_no_word_of_one(tmp_path):
    rng, path = np.random.default_rng(0), tmp_path / "network.npz"

    def written(activation):
        layer = dense(rng, activation=activation)
        save(Network(source="x", input=layer.x, layers=(layer,)), path)
        with zipfile.ZipFile(path) as archive:
            return {name: archive.read(name) for name in archive.namelist()}

    def changed(contents, **header):
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in (contents | {"header.json": json.dumps(header)}).items():
                archive.writestr(name, data)
        with pytest.raises(InputError) as caught:
            load(path)
        return str(caught.value).removeprefix(f"{path}: ")

    header = json.loads(written(None)["header.json"])
    assert header["version"] == 1
    assert "activation" not in header["layers"][0]
    contents = written(Activated(table=FLAT, word=WORD))
    header = json.loads(contents["header.json"])
    layer = header["layers"][0]
    assert layer["activation"].keys() == {"table", "word", "slopes"}
    assert changed(contents, **header | {"layers": [layer | {"activation": None}]}) == (
        "layers[0]: activation must be left out where there is none"
    )
    table = layer["activation"] | {"table": layer["activation"]["table"] | {"fold": "up"}}
    assert changed(contents, **header | {"layers": [layer | {"activation": table}]}).startswith(
        "layers[0]: activation: table: fold: value must be one of none, even, odd, negative, slope, not 'up'"
    )
    del header["encoding"]
    assert changed(contents, **header | {"version": 1}) == "layers[0]: an activation needs version 2 of the file"
