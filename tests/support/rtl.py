"""RTL against golden, for the tests of all blocks."""

import pytest

from roundel.hw.units import UNITS
from roundel.runtime import PROVERS
from roundel.sim.verify import Case, cases, prove


def rtl_cases(unit: str) -> list[object]:
    """The cases of a unit as pytest parameters."""
    return [pytest.param(case, id=case.name) for case in cases(UNITS[unit])]


def check(case: Case, seed: int) -> None:
    """Fail with the bench's message where RTL and golden differ."""
    result = PROVERS.get(case.unit, prove)(case, seed=seed)
    assert result.passed, f"{result.failures[0]} (seed {seed}, log in {result.folder})"
