"""Runs the tests of a mutant until one fails.

The parent of all runs imports the large packages once; each run is a fork of it in a session of its own.
"""

import contextlib
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import NamedTuple

from tests.mutants.tests_of import Measured
from tests.mutants.tree import Tree

ALLOWANCE = 60  # seconds beyond what a test takes without a fault, for collection and a busy machine
FACTOR = 10  # how much longer a test may take than it does without a fault, first in its file
WATCH = "ROUNDEL_MUTANT_WATCH"
LARGE = ("numpy", "amaranth", "amaranth.lib.wiring", "amaranth.lib.memory", "pytest", "onnx")
BROKEN = 99  # what a run ends with that did not come as far as pytest
RAISED = 3  # that pytest itself raised: warnings are errors, and what a failed test left behind is one at the end
NOT_THERE = (4, 5)  # what pytest ends with if a test is not there
NOT_IMPORTED = "ERROR: found no collectors"  # what it says then of a file of tests that cannot be imported any more
IMPORT = 1  # code of a run that ended so: it saw the fault


class Outcome(NamedTuple):
    """How the tests ended: `killed`, `timeout` (a test took `FACTOR` times as long: killed too) or `survived`."""

    verdict: str
    test: str
    seconds: float
    message: str


def preload() -> None:
    """Import what every run would import, before the first fork."""
    for name in LARGE:
        __import__(name)


def run(tree: Tree, tests: list[Measured]) -> Outcome:
    """Run tests in their order until one fails."""
    outcome, code = _run(tree, [test.name for test in tests], {test.name: test.longest for test in tests})
    if code in NOT_THERE:  # cases may be named by what the fault changes
        functions = list(dict.fromkeys(test.name.partition("[")[0] for test in tests))
        outcome, code = _run(tree, functions, {})
        if code in NOT_THERE:
            return outcome._replace(verdict="survived", message="its tests are not there")
    return outcome


def _run(tree: Tree, names: list[str], seconds: dict[str, float]) -> tuple[Outcome, int]:
    start = time.monotonic()
    watch, log = tree.work / "watch", tree.work / "log"
    watch.write_text("")
    child = os.fork()
    if not child:
        _child(tree, names, watch, log)
    try:
        code, name = _wait(child, watch, seconds)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)  # simulators that are left, or everything if this process is told to end
    if code is None:
        os.waitpid(child, 0)
        return Outcome("timeout", name, round(time.monotonic() - start, 1), ""), 1
    if code == BROKEN:
        raise RuntimeError(f"a run did not begin, see {log}")
    verdict = "survived" if code == 0 else "killed"
    lines = [
        line for line in log.read_text(errors="replace").splitlines() if line.startswith(("E ", "/", "FAILED", "ERROR"))
    ]
    if code in NOT_THERE and any(line.startswith(NOT_IMPORTED) for line in lines):
        code = IMPORT
    message = "; ".join(lines[:2])[:300] if code else ""
    return Outcome(verdict, name if code else "", round(time.monotonic() - start, 1), message), code


def _wait(child: int, watch: Path, seconds: dict[str, float]) -> tuple[int | None, str]:
    """Exit code of a run, None if a test takes too long, and the last test that began.

    Time in which this process is stopped does not count.
    """
    name, taken, last = "", 0.0, time.monotonic()
    while taken <= FACTOR * seconds.get(name, 0) + ALLOWANCE:
        time.sleep(0.1)
        now, before = time.monotonic(), name
        ended, status = os.waitpid(child, os.WNOHANG)
        name = watch.read_text()
        if ended:
            return os.waitstatus_to_exitcode(status), name
        taken = taken + min(now - last, 1) if name == before else 0.0
        last = now
    return None, name


def _child(tree: Tree, names: list[str], watch: Path, log: Path) -> None:
    """Become a run of pytest in the copy; does not return."""
    code = BROKEN
    try:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.chdir(tree.root)
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(output, 1)
        os.dup2(output, 2)
        for name in [name for name in sys.modules if name.partition(".")[0] in ("tests", "roundel")]:
            del sys.modules[name]
        sys.path[:] = [
            str(tree.root),
            *(entry for entry in sys.path if entry and not (Path(entry) / "roundel").is_dir()),
        ]
        sys.dont_write_bytecode = True
        os.environ.update(tree.environment | {WATCH: str(watch)})
        import pytest

        code = RAISED
        code = int(
            pytest.main(
                ["-x", "--tb=line", "--assert=plain", "-p", "no:cacheprovider", "-p", "tests.mutants.watch", *names]
            )
        )
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
