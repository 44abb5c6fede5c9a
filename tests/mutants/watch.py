"""A pytest plugin that writes the name of each test that begins into the file `ROUNDEL_MUTANT_WATCH`."""

import os
from pathlib import Path


def pytest_runtest_logstart(nodeid: str) -> None:
    Path(os.environ["ROUNDEL_MUTANT_WATCH"]).write_text(nodeid)
