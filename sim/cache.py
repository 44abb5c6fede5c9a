"""Results that are expensive to make, kept in folders named by the hash of all that they depend on."""

import errno
import hashlib
import json
import shutil
import stat
import threading
import warnings
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from types import ModuleType

from filelock import FileLock

from roundel.golden.errors import EnvironmentWarning, InputError, ToolError
from roundel.processes import GUARD, NO_ROOM, cache_root, sweep, work_folder

LITTLE = 1 << 20  # bytes: a tool that failed with less room than that failed for want of it
FULL = ("No space left on device", "Disk quota exceeded")  # what tools say of it
UNWRITABLE = (*NO_ROOM, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO)

_read: set[Path] = set()  # entries whose content this process has read
_reading = threading.Lock()


def root() -> Path:
    """Return the cache folder; see `roundel.processes.cache_root`."""
    return cache_root()


def digest(parts: Iterable[str | bytes]) -> str:
    """Hash `parts` so that no two different lists share a digest; 24 hexadecimal digits."""
    sha = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        sha.update(len(data).to_bytes(8, "little"))
        sha.update(data)
    return sha.hexdigest()[:24]


def code(*packages: ModuleType) -> list[bytes]:
    """Name and content of every source file below `packages`, at any depth: Python and SystemVerilog."""
    parts: list[bytes] = []
    for package in packages:
        [folder] = package.__path__
        files = (file for suffix in ("py", "sv") for file in Path(folder).rglob(f"*.{suffix}"))
        for file in sorted(files):
            parts += [f"{package.__name__}/{file.relative_to(folder)}".encode(), file.read_bytes()]
    return parts


def cached(kind: str, parts: Iterable[str | bytes], make: Callable[[Path], None]) -> Path:
    """Return the folder that `make` fills, calling it only when no earlier call with equal `parts` succeeded.

    Parameters
    ----------
    kind
        Name of the sort of result, a folder of its own.
    parts
        Everything the result depends on: sources, arguments, tool versions.
    make
        Fills the (empty) folder it is given. If it raises, the folder is kept for its logs at
        `<root>/<kind>/<digest>.failed` and nothing is published.

    Raises
    ------
    InputError
        The cache cannot be written, or is full.

    Notes
    -----
    Processes that ask for the same result at the same time wait for the first one. The result appears by rename, so
    an interrupted run never leaves half of one. Beside it lies a file with the size, the mode and the hash of each of
    its files: a result that does not agree is made again, with a warning.
    """
    base = root() / kind
    name = digest(parts)
    folder = base / name
    if _whole(folder):
        return folder
    try:
        base.mkdir(parents=True, exist_ok=True)
        sweep(base)
        with FileLock(base / f"{name}.lock"):
            if not _whole(folder):
                _clear(folder)
                with work_folder(base) as work:
                    made = work / name
                    made.mkdir()
                    _make(made, make, base / f"{name}.failed")
                    _publish(made, folder)
                shutil.rmtree(base / f"{name}.failed", ignore_errors=True)
    except OSError as error:
        if error.errno in UNWRITABLE:
            raise _no_room(error.strerror) from error
        raise
    return folder


def failed_folder(kind: str, parts: Iterable[str | bytes]) -> Path:
    """Where `cached` keeps the remains of a failed attempt (see there)."""
    return root() / kind / f"{digest(parts)}.failed"


def _make(made: Path, make: Callable[[Path], None], failed: Path) -> None:
    """Fill a folder; where that fails, keep it for its logs."""
    try:
        make(made)
    except Exception as error:
        full = isinstance(error, OSError) and error.errno in NO_ROOM
        if isinstance(error, ToolError):
            full = shutil.disk_usage(made).free < LITTLE or any(words in str(error) for words in FULL)
        if full:
            raise _no_room(FULL[0]) from error
        if any(made.iterdir()):
            shutil.rmtree(failed, ignore_errors=True)
            with suppress(OSError):
                made.rename(failed)
        raise


def _publish(made: Path, folder: Path) -> None:
    """Let a finished folder appear, and beside it what it must hold."""
    text = json.dumps({name: [*_kind(path), _content(path)] for name, path in _files(made)})
    listed = made.with_name("sum")
    listed.write_text(text, encoding="utf-8")
    with GUARD.undivided():
        listed.rename(_sum(folder))
        made.rename(folder)


def _clear(folder: Path) -> None:
    """Remove a result that is not whole. One without a list of its files is of an earlier version: no warning."""
    if not folder.exists():
        return
    if _sum(folder).exists() or not any(folder.iterdir()):
        warnings.warn(f"{folder}: damaged in the cache, made again", EnvironmentWarning, stacklevel=3)
    shutil.rmtree(folder)


def _whole(folder: Path) -> bool:
    """Whether a result holds what it held when it was made; its content is read once for each process."""
    try:
        listed = json.loads(_sum(folder).read_text(encoding="utf-8"))
        present = dict(_files(folder))
        if present.keys() != listed.keys() or any([*_kind(present[name])] != listed[name][:2] for name in listed):
            return False
        with _reading:
            known = folder in _read
        if not known and any(_content(present[name]) != listed[name][2] for name in listed):
            return False
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return False
    with _reading:
        _read.add(folder)
    return True


def _sum(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.sum")


def _files(folder: Path) -> list[tuple[str, Path]]:
    return [(str(path.relative_to(folder)), path) for path in sorted(folder.rglob("*")) if not path.is_dir()]


def _kind(path: Path) -> tuple[int, bool]:
    """Size of a file, and whether it is a program."""
    status = path.stat()
    return status.st_size, bool(status.st_mode & stat.S_IXUSR)


def _content(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()


def _no_room(problem: str | None) -> InputError:
    return InputError(f"{root()}: the cache cannot be written ({problem}); set ROUNDEL_CACHE to a folder with room")
