"""Runs Yosys in a process of its own, so that a crash or a hang of it becomes an error with its last lines."""

import sys
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path

from roundel.golden.errors import ToolError
from roundel.processes import run_child, tool_caches
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
    (folder / SCRIPT).write_text("\n".join(commands) + "\n", encoding="utf-8")
    run_tool("Yosys", [sys.executable, "-c", _CHILD], folder, LOG, timeout_s=timeout_s)


def run_tool(name: str, command: Sequence[str], folder: Path, log: str, *, timeout_s: float) -> str:
    """Run `command` in `folder` with its output in the file `log`, and return that output (errors: see `run_yosys`)."""
    ended = run_child(command, folder=folder, variables=tool_caches(), log=folder / log, timeout_s=timeout_s)
    text = (folder / log).read_text(encoding="utf-8", errors="replace")
    if ended.code != 0:
        ending = f"no end after {timeout_s:g} s" if ended.code is None else str(ended)
        last = "\n".join(text.strip().splitlines()[-_LAST_LINES:])
        raise ToolError(f"{name} failed ({ending}):\n{last}")
    return text


def cached_run(kind: str, parts: Sequence[str | bytes], make: Callable[[Path], None]) -> Path:
    """Call `cached` for a `make` that runs tools: an error of theirs names the folder that keeps their logs."""
    try:
        return cached(kind, parts, make)
    except ToolError as error:
        raise ToolError(f"{error}\nlogs: {failed_folder(kind, parts)}") from error
