"""Formats whose scale is no power of two; those with shifts alone are in `tests/golden/network/test_network.py`."""

import numpy as np
import pytest

from roundel.golden.formats import Format


def test_formats_of_any_scale():
    form = Format.of_scale(width=8, signed=False, scale=0.3, zero=7)
    assert form.scale == 0.3
    assert (form.mantissa, form.fraction) == (1.2, 2)
    values = np.array([-9.0, -0.3, 0.0, 0.44, 0.46, 99])
    assert form.encode(values).tolist() == [0, 6, 7, 8, 9, 255]
    assert np.allclose(form.decode(np.array([6, 7, 9])), [-0.3, 0, 0.6])
    assert not form.is_plain


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"mantissa": 2.0}, ValueError, "mantissa must be a float of at least 1 and below 2, not 2.0"),
        ({"mantissa": 1}, ValueError, "mantissa must be a float of at least 1 and below 2, not 1"),
        ({"zero": 128}, ValueError, "zero must be -128 to 127, not 128"),
        ({"fraction": 2001}, ValueError, "fraction must be -2000 to 2000, not 2001"),
        ({"fraction": 0.5}, TypeError, "fraction must be an integer, not 0.5"),
    ],
)
def test_formats_validate_themselves(changes, error, message):
    with pytest.raises(error, match=message):
        Format(**{"width": 8, "signed": True, "fraction": 0} | changes)


@pytest.mark.parametrize("scale", [0.0, -1.0, float("inf"), float("nan")])
def test_scales_must_be_positive_and_finite(scale):
    with pytest.raises(ValueError, match="scale must be finite and above 0"):
        Format.of_scale(width=8, signed=True, scale=scale)
