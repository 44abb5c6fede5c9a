"""The activation unit: every named configuration on RTL, and every word through every function."""

import pytest

from tests.support.rtl import Case, check, rtl_cases


@pytest.mark.parametrize("case", rtl_cases("activation"))
def test_rtl_equals_golden(case: Case, seed: int):
    check(case, seed)
