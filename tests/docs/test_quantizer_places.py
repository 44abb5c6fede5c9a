"""Quantizers in every place are exact or refused by name, and docs/onnx.md says which: against outside references."""

import re

import pytest

from tests.support.quantizer_grid import QDQ, REASONS, ROUNDINGS, SCHEMES, cell, lines, outcomes, section, written
from tests.support.quantizer_places import PLACES


@pytest.mark.parametrize("place", PLACES)
def test_every_quantizer_is_exact_or_refused_and_the_page_says_so(place, tmp_path):
    """QDQ by onnxruntime, QONNX by the text of its page in ONNX's reference; NaN and such do not occur."""
    page = written()
    for rounding in ROUNDINGS:
        results = outcomes(place, rounding, tmp_path)
        assert set(results.values()) <= {"exact", *REASONS}
        assert page[place, rounding] == tuple(cell(results, scheme) for scheme in SCHEMES), rounding
        if rounding == QDQ:  # a zero point that a shift has not is kept by all others
            assert {said for (scheme, *_), said in results.items() if scheme is not SCHEMES[0]} == {"exact"}
            whole = {said for (_, name, zero), said in results.items() if name in ("int8", "uint8") and not zero}
            assert whole == {"exact"}


def test_the_page_has_the_table_and_nothing_else():
    assert section() == "\n".join(lines(written())) + "\n"
    assert set(re.findall(r"refused \[(\w)\]", section())) == set(REASONS)
