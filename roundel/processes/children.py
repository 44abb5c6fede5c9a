"""Child processes: run to their end, in an environment that the user's own does not reach."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

from roundel.processes.guard import CREWS, GUARD, Stopped

KEPT = ("HOME", "LD_LIBRARY_PATH", "LD_PRELOAD", "LOGNAME", "PATH", "USER")


@dataclass(frozen=True)
class Ended:
    """How a child ended.

    Attributes
    ----------
    code
        Its exit code, negative for the number of a signal; None if its time was over.
    output, errors
        What it wrote to stdout and stderr; nothing if that went to a log.
    """

    code: int | None
    output: str = ""
    errors: str = ""

    def __str__(self) -> str:
        if self.code is None:
            return "its time was over"
        return f"exit code {self.code}" if self.code >= 0 else f"signal {-self.code}"


def environment(folder: Path | None = None, **own: str) -> dict[str, str]:
    """Return the environment of a child: a few variables of the user's, and what a run sets itself.

    Compilers, make, Verilator, Yosys, cocotb and Python all read variables that change what they do, make any variable
    at all; so a child gets none but those named here.

    Parameters
    ----------
    folder
        Where the child makes its temporary files; None for one that makes none.
    own
        Variables of this child alone.
    """
    kept = {name: value for name, value in os.environ.items() if name in KEPT}
    python = {
        "PYTHONPATH": os.pathsep.join(os.path.abspath(path) for path in sys.path),
        "PYTHONHASHSEED": "0",
        "PYTHONNOUSERSITE": "1",
        "PYTHONSAFEPATH": "1",  # a file of the user's folder is no module
        "PYTHONUTF8": "1",
    }
    return kept | python | {"LC_ALL": "C"} | ({"TMPDIR": str(folder.absolute())} if folder else {}) | own


def run_child(
    command: Sequence[str | Path],
    *,
    folder: Path | None = None,
    variables: Mapping[str, str] | None = None,
    text: str = "",
    log: Path | None = None,
    timeout_s: float | None = None,
) -> Ended:
    """Run a child process to its end.

    Parameters
    ----------
    command
        Program and arguments.
    folder
        Where it runs and makes its temporary files; None for one that needs neither.
    variables
        What it finds in its environment besides that of `environment`.
    text
        Its standard input.
    log
        File for what it writes to stdout and stderr.
    timeout_s
        Seconds after which it is ended.

    Returns
    -------
    Ended
        How it ended, and what it wrote.

    Raises
    ------
    Stopped
        The work that it belongs to was given up.
    OSError
        It cannot be started.
    """
    with log.open("wb") if log else nullcontext(subprocess.PIPE) as said:
        child = GUARD.start(
            command,
            cwd=folder or os.sep,
            env=environment(folder, **(variables or {})),
            stdin=subprocess.PIPE if text else subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT if log else subprocess.PIPE,
        )
        output = errors = b""
        try:
            output, errors = child.communicate(text.encode() if text else None, timeout_s)
            code: int | None = child.returncode
        except subprocess.TimeoutExpired:
            code = None
        finally:
            GUARD.end(child)
            for stream in (child.stdin, child.stdout, child.stderr):  # open still, where its time was over
                if stream is not None:
                    with suppress(OSError):  # the rest of a text that nobody reads any more
                        stream.close()
    if any(crew.ended for crew in CREWS.get()):
        raise Stopped
    return Ended(code, (output or b"").decode(errors="replace"), (errors or b"").decode(errors="replace"))
