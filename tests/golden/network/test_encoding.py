"""Images become integers as an encoding says: against exact fractions, and binary32 divided by onnxruntime."""

from dataclasses import replace
from decimal import (
    ROUND_CEILING,
    ROUND_DOWN,
    ROUND_FLOOR,
    ROUND_HALF_DOWN,
    ROUND_HALF_EVEN,
    ROUND_HALF_UP,
    ROUND_UP,
    Decimal,
)

import numpy as np
import pytest
from onnx import TensorProto

from roundel.golden.formats import Format
from roundel.golden.network import Encoding, Flatten, InputRounding, Network, load, save
from tests.support.onnx_models import model, reference

FORM = Format(width=8, signed=True, fraction=1)
DECIMALS = {
    InputRounding.HALF_EVEN: ROUND_HALF_EVEN,
    InputRounding.HALF_AWAY: ROUND_HALF_UP,
    InputRounding.HALF_TO_ZERO: ROUND_HALF_DOWN,
    InputRounding.FLOOR: ROUND_FLOOR,
    InputRounding.CEIL: ROUND_CEILING,
    InputRounding.AWAY: ROUND_UP,
    InputRounding.TO_ZERO: ROUND_DOWN,
}
VALUES = np.concatenate([np.arange(-40, 41) / 16, [1e30, -1e30, np.inf, -np.inf, 0.25 - 2**-26]]).astype(np.float32)


def by_hand(value, rounding):
    """A number in halves, rounded in exact decimal arithmetic, within -128 to 127."""
    if not np.isfinite(value):
        return 127 if value > 0 else -128
    units = 2 * Decimal(float(value))
    whole = units.to_integral_value(ROUND_FLOOR)
    if rounding in DECIMALS:
        whole = units.to_integral_value(DECIMALS[rounding])
    elif rounding is InputRounding.HALF_ODD:
        whole = (units + 1).to_integral_value(ROUND_HALF_EVEN) - 1
    elif rounding is InputRounding.HALF_UP:
        whole = (units + Decimal("0.5")).to_integral_value(ROUND_FLOOR)
    else:
        whole = (units - Decimal("0.5")).to_integral_value(ROUND_CEILING)
    return int(min(max(whole, -128), 127))


@pytest.mark.parametrize("rounding", InputRounding)
def test_every_rounding_is_what_it_says(rounding):
    got = Encoding(rounding=rounding).compute(VALUES, FORM)
    assert got.tolist() == [by_hand(value, rounding) for value in VALUES]


def test_bounds_are_a_further_clamp():
    got = Encoding(bounds=(-3, 200)).compute(VALUES, FORM)
    assert (got.min(), got.max()) == (-3, 127)
    with pytest.raises(ValueError, match="leave nothing"):
        Encoding(bounds=(2, 1))
    with pytest.raises(ValueError, match=r"x: bounds \(128, 130\) leave nothing of \(-128, 127\)"):
        Network(source="x", input=FORM, layers=(), encoding=Encoding(bounds=(128, 130)))


@pytest.mark.parametrize("scale", [0.1, 0.0227, 0.7])
def test_the_quotient_is_binary32_as_in_onnxruntime(scale, seed):
    """Multiples of half a step, as near as binary32 comes: a quotient of more bits would be beside the half."""
    scale = np.float32(scale)
    values = (np.arange(-300, 300) * np.float64(scale) / 2).astype(np.float32).reshape(1, -1)
    nodes = [("QuantizeLinear", ["x", "s", "z"], "q", {}), ("Cast", ["q"], "y", {"to": TensorProto.FLOAT})]
    [expected] = reference(model(nodes, (values.size,), {"s": scale, "z": np.int8(3)}), values)
    form = Format.of_scale(width=8, signed=True, scale=float(scale), zero=3)
    np.testing.assert_array_equal(Encoding().compute(values, form), expected)


def test_a_file_holds_it_and_is_of_version_one_without(tmp_path):
    layer = Flatten(name="f", sources=("x",), output=FORM)
    usual = Network(source="x", input=FORM, layers=(layer,))
    other = replace(usual, encoding=Encoding(rounding=InputRounding.CEIL, bounds=(-3, 3)))
    for network, version in ((usual, b'"version": 1,'), (other, b'"version": 2,')):
        save(network, tmp_path / "network.npz")
        assert version in (tmp_path / "network.npz").read_bytes()
        assert load(tmp_path / "network.npz").encoding == network.encoding
        images = np.asarray(VALUES[np.isfinite(VALUES)], np.float32).reshape(1, -1)
        np.testing.assert_array_equal(load(tmp_path / "network.npz").encode(images), network.encode(images))


@pytest.mark.parametrize("bounds", [(-(1 << 31), (1 << 31) - 1), (0, 0), (5, 7)])
def test_bounds_at_their_limits(bounds):
    assert Encoding(bounds=bounds).bounds == bounds


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ((-(1 << 31) - 1, 0), "bounds must be -2147483648 to 2147483647, not -2147483649"),
        ((0, 1 << 31), "bounds must be -2147483648 to 2147483647, not 2147483648"),
        ((1, 0), r"bounds \(1, 0\) leave nothing"),
    ],
)
def test_bounds_beyond_their_limits(bounds, message):
    with pytest.raises(ValueError, match=message):
        Encoding(bounds=bounds)
