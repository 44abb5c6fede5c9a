"""What the operating system holds for this process: its children and work folders, all of which go when it ends.

The one place that starts child processes. Each is the leader of a session of its own, so that it ends with all that it
started, and a Ctrl-C in the terminal reaches this process alone. `guardian.py`, a process of its own, is told of them.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any

WAIT_S = 1.0  # for a step that must not be divided, and for the guardian
PAUSE_US = 2000
LIBC = ctypes.PyDLL(None)
_GUARDIAN = Path(__file__).with_name("guardian.py")


class Stopped(BaseException):
    """The work that a child was to be started for has been given up."""


class Crew:
    """Work that is given up as a whole: the children that it started end, and it can start no more."""

    def __init__(self) -> None:
        self.ended = False


CREWS: ContextVar[tuple[Crew, ...]] = ContextVar("CREWS", default=())
"""The crews that the running code works for, the outermost first."""


class Guard:
    """The children and folders of this process, and the guardian that knows them."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._guardian: tuple[int, int] | None = None  # its number, and the pipe to it
        self._children: dict[int, tuple[Crew, ...]] = {}
        self._folders: set[str] = set()

    def start(self, command: Sequence[str | Path], **options: Any) -> subprocess.Popen[bytes]:
        """Start a child; the options are those of `subprocess.Popen`.

        Raises
        ------
        Stopped
            The crew that asks has ended.
        OSError
            The command cannot be started.
        """
        crews = CREWS.get()
        with self._lock:
            if any(crew.ended for crew in crews):
                raise Stopped
            child = subprocess.Popen(command, start_new_session=True, **options)
            self._children[child.pid] = crews
            self._tell("+", "group", str(child.pid))
        return child

    def end(self, child: subprocess.Popen[bytes]) -> None:
        """End a child if it still runs, and all that it started."""
        if child.poll() is None or child.returncode != 0:  # what a child leaves behind that crashed goes as well
            self._kill(child.pid)
            child.wait()
        with self._lock:
            self._children.pop(child.pid, None)
            self._tell("-", "group", str(child.pid))

    def end_crew(self, crew: Crew) -> None:
        """End the children of a crew; those who wait for one get `Stopped`."""
        with self._lock:
            crew.ended = True
            for pid in [pid for pid, crews in self._children.items() if crew in crews]:
                self._kill(pid)

    def add(self, folder: Path) -> None:
        """Have a folder, which need not be there yet, removed when this process ends."""
        with self._lock:
            self._folders.add(str(folder))
            self._tell("+", "folder", os.fsencode(folder).hex())

    def drop(self, folder: Path) -> None:
        """Leave a folder alone from now on."""
        with self._lock:
            self._folders.discard(str(folder))
            self._tell("-", "folder", os.fsencode(folder).hex())

    @contextmanager
    def undivided(self) -> Iterator[None]:
        """Have signals that end this process wait for the block, which must be short."""
        with self._lock:
            yield

    def hold(self) -> None:
        """Keep other threads, for good, from starting children and making folders; what is undivided ends first."""
        self._lock.acquire(timeout=WAIT_S)

    def finish(self) -> None:
        """End all children and remove all folders, by the guardian; no other thread of this process goes on meanwhile.

        The functions of the C library are called with the interpreter's lock held.
        """
        if self._guardian is None:
            return
        pid, pipe = self._guardian
        LIBC.close(pipe)
        late = time.monotonic() + WAIT_S
        while not LIBC.waitpid(pid, None, os.WNOHANG) and time.monotonic() < late:
            LIBC.usleep(PAUSE_US)

    @staticmethod
    def _kill(group: int) -> None:
        with suppress(OSError):
            os.killpg(group, signal.SIGKILL)

    def _tell(self, sign: str, kind: str, value: str) -> None:
        """Tell the guardian, which starts with the first child or folder, and again if something ended it."""
        line = f"{sign} {kind} {value}\n".encode()
        if self._guardian is not None:
            pid, pipe = self._guardian
            try:
                os.write(pipe, line)
            except BrokenPipeError:
                os.close(pipe)
                os.waitpid(pid, 0)
                self._guardian = None
            else:
                return
        with suppress(OSError):  # without a guardian, the next run sweeps the folders
            self._guardian = _start_guardian()
            held = [f"+ group {pid}\n" for pid in self._children]
            held += [f"+ folder {os.fsencode(folder).hex()}\n" for folder in self._folders]
            os.write(self._guardian[1], "".join(held).encode())


def _start_guardian() -> tuple[int, int]:
    read, write = os.pipe()
    actions = [
        (os.POSIX_SPAWN_DUP2, read, 0),
        *((os.POSIX_SPAWN_OPEN, output, os.devnull, os.O_WRONLY, 0) for output in (1, 2)),
    ]
    command = [sys.executable, "-I", "-S", str(_GUARDIAN)]
    try:
        pid = os.posix_spawn(sys.executable, command, os.environ, file_actions=actions, setsid=True)
    except BaseException:
        os.close(write)
        raise
    finally:
        os.close(read)
    return pid, write


GUARD = Guard()
"""The guard of this process."""
