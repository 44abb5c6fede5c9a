"""A map times one number a channel on the golden engine: weights that the network makes, and what they cost."""

from dataclasses import replace

import numpy as np
import pytest

from roundel.compiler import compile_network
from roundel.golden.engine import EngineParams, Opcode
from roundel.golden.errors import InputError
from roundel.golden.formats import Format
from roundel.golden.network import AveragePool, Gate, MaxPool, Network, Window
from roundel.golden.requant import Scheme
from roundel.golden.rounding import Rounding
from roundel.runtime.random_networks import engine_network
from tests.roundel.compiler.test_compile import check, engine

FIELDS = [
    ("tiny", {}),
    ("tiny", {"memory": 2048}),
    ("small", {"memory": 2048}),
    ("small", {"scales": False, "depth": 8}),
]


@pytest.mark.parametrize(("name", "fields"), FIELDS)
def test_random_networks(name, fields, seed):
    gated = streamed = 0
    for offset in range(8):
        network, image = engine_network(1000 * seed + offset, channels=12, gates=True)
        compiled = check(network, image, engine(name, gates=True, **fields), trace=offset % 2 == 0)
        gated += sum(isinstance(layer, Gate) for layer in network.layers)
        streamed += len(compiled.plan.streamed)
    assert gated > 3
    assert (streamed > 0) == ("memory" in fields)


def excited(x, gate, *, shape=(6, 5, 9), output=None, requant=Scheme.SHIFT):
    """A network that multiplies its image by the greatest values of each channel, in the format of factors."""
    rounding = requant.default_rounding
    whole = Window(kernel=shape[:2])
    layers = (
        MaxPool(name="most", sources=("image",), output=x, window=whole),
        AveragePool(
            name="factors", sources=("most",), output=gate, x=x, w=Format(width=12, signed=True, fraction=10),
            window=Window(kernel=(1, 1)), requant=requant, rounding=rounding,
        ),
        Gate(
            name="gated", sources=("image", "factors"), x=x, gate=gate, requant=requant, rounding=rounding,
            output=output or Format(width=8, signed=True, fraction=x.fraction + gate.fraction - 8),
        ),
    )  # fmt: skip
    return Network(source="image", input=x, layers=layers)


def images(network, shape=(6, 5, 9), seed=1):
    return np.random.default_rng(seed).integers(*network.input.limits, shape, endpoint=True)


FORMS = {
    "signed map": (Format(width=8, signed=True, fraction=4), 1),
    "unsigned map": (Format(width=8, signed=False, fraction=4), 2),
    "unsigned map of 7 bits": (Format(width=7, signed=False, fraction=4), 1),
    "signed map with a zero": (Format(width=8, signed=True, fraction=4, zero=-5), 2),
    "unsigned map with a zero": (Format(width=8, signed=False, fraction=4, zero=3), 2),
    "unsigned map with the middle as zero": (Format(width=8, signed=False, fraction=4, zero=128), 1),
}


@pytest.mark.parametrize("gate", [(8, False), (7, False), (8, True)], ids=["u8", "u7", "s8"])
@pytest.mark.parametrize("form", FORMS)
def test_steps_that_a_product_takes(form, gate):
    """One, whatever the factors are, unless the map's zero has to be made up for."""
    x, steps = FORMS[form]
    network = excited(x, Format(width=gate[0], signed=gate[1], fraction=x.fraction + 1))
    compiled = check(network, images(network), engine("tiny", gates=True))
    tasks = [task for task in compiled.tasks if task.layer == "gated" and task.opcode is Opcode.COMPUTE]
    assert {task.steps for task in tasks} == {(3 * steps, 3 * steps)}
    assert {task.values.get("has_residual", 0) for task in tasks} == {int(gate == (8, False))}


def test_rows_that_no_step_reaches_beyond():
    """Of 35,200 bytes: those of a signed map have one step, which needs none beyond."""
    gate, wide = Format(width=8, signed=False, fraction=8), (1, 1100, 3)
    params, window = engine("large", gates=True), Window(kernel=wide[:2])
    for signed in (True, False):
        network = excited(x := Format(width=8, signed=signed, fraction=4), gate, shape=wide)
        w = Format(width=8, signed=True, fraction=15)
        mean = AveragePool(name="most", sources=("image",), output=x, x=x, w=w, window=window)
        network = replace(network, layers=(mean, *network.layers[1:]))
        if signed:
            check(network, images(network, wide), params)
            continue
        with pytest.raises(InputError, match=r"^gated: rows of 35200 bytes, but a step reaches 32767 bytes"):
            compile_network(network, wide, params)


def test_an_engine_without_gates_is_told_so():
    network = excited(*(Format(width=8, signed=True, fraction=4),) * 2)
    with pytest.raises(InputError, match=r"gated: .* the engine has no gates; an engine with gates=True runs it"):
        compile_network(network, (6, 5, 9), engine("tiny"))


@pytest.mark.parametrize("scheme", [Scheme.FIXED16, Scheme.FLOAT32])
def test_other_requantizers_take_all_factors_but_unsigned_ones_of_8_bits(scheme):
    params = engine("tiny", gates=True, scheme=scheme, rounding=scheme.default_rounding)
    x = Format(width=8, signed=True, fraction=4)
    for width, signed in ((7, False), (8, True)):
        network = excited(x, Format(width=width, signed=signed, fraction=4), requant=scheme)
        check(network, images(network), params)
    network = excited(x, Format(width=8, signed=False, fraction=4), requant=scheme)
    with pytest.raises(InputError, match=r"gated: a product with unsigned factors of 8 bits needs an engine that shif"):
        compile_network(network, (6, 5, 9), params)


def test_a_narrow_array_takes_narrow_factors():
    params = engine("tiny", gates=True, weight_width=4)
    x = Format(width=8, signed=True, fraction=4)
    network = excited(x, Format(width=3, signed=False, fraction=0), output=x)
    check(network, images(network), params)
    network = excited(x, Format(width=4, signed=False, fraction=1), output=x)
    with pytest.raises(InputError, match=r"factors of 5 bits, but the array's weights have 4; an engine with weight_w"):
        compile_network(network, (6, 5, 9), params)


def test_the_fingerprint_tells_such_engines():
    assert engine("tiny").contract().keys() ^ engine("tiny", gates=True).contract().keys() == {"gates"}
    assert EngineParams(gates=True, rounding=Rounding.FLOOR).contract()["gates"] is True
