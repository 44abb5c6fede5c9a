"""Set-up shared by all tests."""

import os

import pytest
from hypothesis import settings

from roundel.sim import runner
from tests.support.outside import need, required

settings.register_profile("default", deadline=None, derandomize=True)
settings.load_profile("default")

SEED = int(os.environ.get("ROUNDEL_SEED", "1"))


def pytest_configure() -> None:
    required()  # a name that nobody knows is told before the tests run
    runner.OPTIMIZE = 0  # a build at 1 takes 50 % more of a test's time than its simulation saves


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("needs"):
        need(*marker.args)


def pytest_report_header() -> str:
    return f"seed of all random tests: {SEED} (ROUNDEL_SEED)"


@pytest.fixture
def seed() -> int:
    """The run's seed: `ROUNDEL_SEED`, 1 by default."""
    return SEED
