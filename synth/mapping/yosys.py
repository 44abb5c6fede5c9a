"""Runs Yosys in a process of its own, so that a crash or a hang of it becomes an error with its last lines."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path

from roundel.golden.errors import ToolError
from roundel.sim.cache import cached, failed_folder

SCRIPT, LOG = "flow.ys", "yosys.log"
_CHILD = f"from pyosys import libyosys as y; y.run_pass('script {SCRIPT}', y.Design())"
_LAST_LINES = 12


@cache
def yosys_version() -> str:
    """Name and version of the Yosys in use, for cache keys and manifests."""
    return f"pyosys {version('pyosys')}"


def run_yosys(folder: Path, commands: Iterable[str], *, timeout_s: float = 1800.0) -> None:
    """Run Yosys commands in `folder`; what it prints is kept there as `yosys.log`.

    Parameters
    ----------
    folder
        Where Yosys runs: file names in `commands` are relative to it.
    commands
        One command each, without line breaks.
    timeout_s
        Seconds after which Yosys and its children are killed.

    Raises
    ------
    ToolError
        Yosys stopped with an error, crashed, or took longer than `timeout_s`.
    """
    (folder / SCRIPT).write_text("\n".join(commands) + "\n")
    run_tool("Yosys", [sys.executable, "-c", _CHILD], folder, LOG, timeout_s=timeout_s)


def run_tool(name: str, command: Sequence[str], folder: Path, log: str, *, timeout_s: float) -> str:
    """Run `command` in `folder` with its output in the file `log`, and return that output (errors: see `run_yosys`)."""
    path = folder / log
    with path.open("wb") as out:
        child = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            code = child.wait(timeout=timeout_s)
            ending = f"exit code {code}" if code >= 0 else f"signal {-code}"
        except subprocess.TimeoutExpired:
            code, ending = -1, f"no end after {timeout_s:g} s"
        finally:
            if child.poll() is None:  # also on Ctrl-C: ABC runs as a child of Yosys, so the whole group goes
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
    text = path.read_text(errors="replace")
    if code != 0:
        last = "\n".join(text.strip().splitlines()[-_LAST_LINES:])
        raise ToolError(f"{name} failed ({ending}):\n{last}")
    return text


def cached_run(kind: str, parts: Sequence[str | bytes], make: Callable[[Path], None]) -> Path:
    """Call `cached` for a `make` that runs tools: an error of theirs names the folder that keeps their logs."""
    try:
        return cached(kind, parts, make)
    except ToolError as error:
        raise ToolError(f"{error}\nlogs: {failed_folder(kind, parts)}") from error
