"""Work folders: temporary, locked by their owner, removed with it, and swept by the next run if that failed.

The one place that makes temporary folders. Their names, `.roundel-work-PID-...`, tell their owner; whether that still
lives, the lock on the folder tells, which the kernel takes away as the owner dies.
"""

import errno
import fcntl
import os
import secrets
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from roundel.golden.errors import InputError, MismatchError, ToolError
from roundel.processes.guard import GUARD

PREFIX = ".roundel-work-"
KEPT = ".kept"  # a file that keeps its folder from being swept
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

_swept: set[Path] = set()
_open: set[Path] = set()
_kept: set[Path] = set()
_sweeping = threading.Lock()


class FolderError(InputError):
    """No work folder can be made: `reason` says why, the message also where."""

    def __init__(self, place: Path, reason: str | None):
        super().__init__(f"{place}: no temporary folder can be made there ({reason})")
        self.reason = reason


@contextmanager
def work_folder(parent: Path | None = None, *, mode: int = 0o700) -> Iterator[Path]:
    """Open an empty folder, which is gone when the block ends; also when the process dies in it.

    Parameters
    ----------
    parent
        Where to make it; a folder that is there. By default the system's place for temporary files.
    mode
        Permissions, before the umask.

    Raises
    ------
    FolderError
        It cannot be made.
    InputError
        Within the block of one in the system's place: there is no room in it.
    """
    place = parent or _temporary()
    try:
        sweep(place)
        work, lock = _made(place, mode)
    except OSError as error:
        raise FolderError(place, error.strerror) from None
    _open.add(work)
    try:
        yield work
    except OSError as error:
        if parent is None and error.errno in NO_ROOM:
            raise InputError(f"{place}: no room for temporary files ({error.strerror}); see TMPDIR") from None
        raise
    finally:
        if work not in _kept:
            shutil.rmtree(work, ignore_errors=True)
        _open.discard(work)
        GUARD.drop(work)
        if lock is not None:
            os.close(lock)


@contextmanager
def run_folder(folder: Path | None = None) -> Iterator[Path]:
    """Open a folder for a run of a tool, which stays, for its logs, where the block ends in an error of it.

    Parameters
    ----------
    folder
        The user's own, made if it is not there; None: a work folder.
    """
    with nullcontext(folder) if folder else work_folder() as place:
        place.mkdir(parents=True, exist_ok=True)
        try:
            yield place
        except (MismatchError, ToolError):
            keep(place)
            raise


def keep(folder: Path) -> None:
    """Let a work folder stay where it is, for its logs; any other folder stays anyway."""
    if folder not in _open:
        return
    _kept.add(folder)
    with suppress(OSError):
        (folder / KEPT).touch()
    GUARD.drop(folder)


def sweep(place: Path) -> None:
    """Remove the work folders in `place` whose owners have died, once for each process.

    A folder on a file system without locks stays, as nobody knows of its owner.
    """
    with _sweeping:
        if place in _swept:
            return
        _swept.add(place)
    with suppress(OSError):
        for item in list(os.scandir(place)):
            if item.name.startswith(PREFIX) and item.is_dir(follow_symlinks=False):
                with suppress(OSError):
                    _remove_if_dead(Path(item.path))


def _remove_if_dead(folder: Path) -> None:
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not (folder / KEPT).exists():
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)


def _temporary() -> Path:
    try:
        return Path(tempfile.gettempdir())
    except OSError:
        raise InputError("no folder for temporary files can be written: set TMPDIR to one") from None


def _made(place: Path, mode: int) -> tuple[Path, int | None]:
    """Make a folder and lock it; another run that sweeps may have removed it in between."""
    while True:
        work = place / f"{PREFIX}{os.getpid()}-{secrets.token_hex(4)}"
        GUARD.add(work)
        try:
            work.mkdir(mode)
        except OSError:
            GUARD.drop(work)
            raise
        try:
            lock = os.open(work, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError:
            os.close(lock)
            return work, None
        if work.exists():
            return work, lock
        os.close(lock)
