"""The guardian of a run: once the run has ended, however it did, no process and no work folder of it is left.

`python -I -S guardian.py` reads lines from its standard input, each a sign, a kind and a value: `+ group 4711` and
`+ folder 2f746d70` (the path's bytes in hexadecimal) when a child or a folder comes, the same with `-` when it goes.
The other end of the pipe closes when the run ends, also by SIGKILL; then what is left is ended and removed.
"""

import os
import shutil
import signal
import sys
import time
from collections.abc import Iterable
from contextlib import suppress

PATIENCE_S = 5.0  # for a folder into which a process that is being killed still writes
PAUSE_S = 0.01


def listen(lines: Iterable[bytes]) -> tuple[set[int], set[str]]:
    """Follow the lines to their end.

    Returns
    -------
    tuple
        Process groups and folders that are left.
    """
    groups: set[int] = set()
    folders: set[str] = set()
    for line in lines:
        sign, kind, value = line.split()
        if kind == b"group":
            (groups.add if sign == b"+" else groups.discard)(int(value))
        else:
            path = os.fsdecode(bytes.fromhex(value.decode()))
            (folders.add if sign == b"+" else folders.discard)(path)
    return groups, folders


def clean(groups: Iterable[int], folders: Iterable[str]) -> None:
    """End all processes of the groups, then remove the folders."""
    for group in groups:
        with suppress(OSError):
            os.killpg(group, signal.SIGKILL)
    for folder in folders:
        late = time.monotonic() + PATIENCE_S
        while os.path.lexists(folder) and time.monotonic() < late:
            shutil.rmtree(folder, ignore_errors=True)
            if os.path.lexists(folder):
                time.sleep(PAUSE_S)


def main() -> None:
    """Guard the run at the other end of the pipe. Signals do not end the guardian before its work is done."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    os.chdir("/")
    clean(*listen(sys.stdin.buffer))


if __name__ == "__main__":
    main()
