"""Set-up shared by all tests."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("default", deadline=None, derandomize=True)
settings.load_profile("default")

SEED = int(os.environ.get("ROUNDEL_SEED", "1"))
LIBERTY = Path(__file__).resolve().parents[2] / "shared" / "liberty"


def pytest_report_header() -> str:
    return f"seed of all random tests: {SEED} (ROUNDEL_SEED)"


@pytest.fixture
def seed() -> int:
    """The run's seed: `ROUNDEL_SEED`, 1 by default."""
    return SEED
