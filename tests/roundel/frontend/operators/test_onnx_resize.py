"""Resize in all its modes: what onnxruntime repeats or interpolates regularly is read, and gives the same values."""

from itertools import product

import numpy as np
import pytest

import roundel
from roundel.frontend import read_onnx
from roundel.golden.errors import InputError
from tests.support.onnx_models import model, reference

COORDINATES = ("align_corners", "asymmetric", "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel")
ROUNDINGS = ("ceil", "floor", "round_prefer_ceil", "round_prefer_floor")
IMAGE = (3, 3, 5)
X = np.random.default_rng(7).permutation(2 * 45).reshape(2, *IMAGE).astype(np.float32)


def resized(mode, factors, opset=19, coordinates="half_pixel", behind_a_copy=False, **attributes):
    """A Resize, by itself or behind a convolution that copies: so that the engine has something to do."""
    constants = {
        "s": np.array([1, 1, *factors], np.float32),
        "roi": np.empty(0, np.float32),
        "w": np.eye(3, dtype=np.float32).reshape(3, 3, 1, 1),
    }
    attributes |= {"mode": mode, "coordinate_transformation_mode": coordinates}
    rows = [("Conv", ["x", "w"], "a", {})] if behind_a_copy else []
    rows.append(("Resize", ["a" if rows else "x", "roi", "s"], "y", attributes))
    return model(rows, IMAGE, constants, opset=opset, batch=2)


@pytest.mark.parametrize("coordinates", COORDINATES)
@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_whatever_repeats_all_values_equally_often_is_read(coordinates, rounding):
    """By onnxruntime, not by a list: what it repeats is read, and what is read is as it computes it."""
    for down, across in product((1, 2, 3, 4, 8), repeat=2):
        proto = resized("nearest", (down, across), coordinates=coordinates, nearest_mode=rounding)
        [wanted] = reference(proto, X)
        try:
            np.testing.assert_array_equal(read_onnx(proto).run(X), wanted)
            read = True
        except InputError:
            read = False
        repeated = np.array_equal(wanted, X.repeat(down, axis=2).repeat(across, axis=3))
        exact = 3 not in (down, across)  # of thirds positions may lie next to a tie, which nobody defines
        if repeated and exact and (down == across or max(down, across) <= 4):
            assert read, (down, across)
        assert not read or repeated


@pytest.mark.parametrize("rounding", ["floor"])
@pytest.mark.parametrize("opset", [11, 12])
def test_the_mode_of_tensorflow_s_older_exports(opset, rounding):
    proto = resized("nearest", (2, 2), opset, coordinates="tf_half_pixel_for_nn", nearest_mode=rounding)
    [wanted] = reference(proto, X)
    np.testing.assert_array_equal(read_onnx(proto).run(X), wanted)


@pytest.mark.parametrize("coordinates", COORDINATES)
def test_linear_by_powers_of_two(coordinates):
    """Positions of `align_corners` are at no equal distances: they are left to the host."""
    for down, across in product((1, 2, 4, 8, 16), repeat=2):
        proto = resized("linear", (down, across), coordinates=coordinates)
        [wanted] = reference(proto, X)
        if coordinates == "align_corners" and (down, across) != (1, 1):
            with pytest.raises(InputError, match="align_corners does not take positions at equal distances"):
                read_onnx(proto)
        else:
            np.testing.assert_allclose(read_onnx(proto).run(X), wanted, rtol=0, atol=1e-4 * np.abs(X).max())


@pytest.mark.parametrize("coordinates", ["half_pixel", "align_corners"])
@pytest.mark.parametrize("factor", [2, 8])
def test_integers_are_near_wherever_it_runs(coordinates, factor):
    """What the engine interpolates is within a step of onnxruntime's, and so is what the host does."""
    proto, images = resized("linear", (factor, factor), coordinates=coordinates, behind_a_copy=True), X / 64
    compressed = roundel.compress(proto, images)
    assert (compressed.chain is None) == (coordinates == "half_pixel")
    [wanted] = reference(proto, images)
    assert np.abs(roundel.run(compressed, images).real["y"] - wanted).max() <= 2.0**-6


def test_rows_and_columns_that_repeat_otherwise_keep_their_integers():
    proto, images = resized("nearest", (1, 3), coordinates="asymmetric", nearest_mode="floor"), X / 64
    compressed = roundel.compress(proto, images, host="refuse")
    assert np.abs(roundel.run(compressed, images).real["y"] - reference(proto, images)[0]).max() <= 2.0**-7
