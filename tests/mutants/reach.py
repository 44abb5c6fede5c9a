"""A pytest plugin that writes which lines each test runs, and how long it takes.

`ROUNDEL_REACH` names the file to write: JSON of {test: [seconds, {path: lines}]}, the lines as a number in hexadecimal
whose bit k stands for line k, and only tests that pass.
"""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import coverage
import pytest

FOLDERS = ("golden", "hw", "sim", "synth", "roundel")


class Reach:
    """Measures lines from the start of the session on; what an import runs belongs to no test."""

    def __init__(self, root: Path, target: Path):
        self.root, self.target = root, target
        self.cover = coverage.Coverage(data_file=None, config_file=False, source=[str(root / name) for name in FOLDERS])
        self.seconds: dict[str, float] = {}
        self.failed: set[str] = set()
        self.cover.start()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self.cover.switch_context(item.nodeid)
        start = time.monotonic()
        result = yield
        self.seconds[item.nodeid] = round(time.monotonic() - start, 3)
        self.cover.switch_context("")
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if not report.passed:
            self.failed.add(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        self.cover.stop()
        data = self.cover.get_data()
        lines: dict[str, dict[str, int]] = {test: {} for test in self.seconds if test not in self.failed}
        for file in data.measured_files():
            path = str(Path(file).resolve().relative_to(self.root))
            for line, tests in data.contexts_by_lineno(file).items():
                for test in tests:
                    if test in lines:
                        lines[test][path] = lines[test].get(path, 0) | 1 << line
        text = {
            test: [self.seconds[test], {path: f"{bits:x}" for path, bits in reached.items()}]
            for test, reached in lines.items()
        }
        self.target.write_text(json.dumps(text))


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Reach(config.rootpath.resolve(), Path(os.environ["ROUNDEL_REACH"])))
