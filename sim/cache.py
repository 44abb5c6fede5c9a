"""Results that are expensive to make, kept in folders named by the hash of all that they depend on."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType

import platformdirs
from filelock import FileLock


def root() -> Path:
    """Return the cache folder: `$ROUNDEL_CACHE`, else the user's cache folder."""
    return Path(os.environ.get("ROUNDEL_CACHE") or platformdirs.user_cache_dir("roundel"))


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

    Notes
    -----
    Processes that ask for the same result at the same time wait for the first one. The result appears by rename, so
    an interrupted run never leaves half of one.
    """
    base = root() / kind
    base.mkdir(parents=True, exist_ok=True)
    name = digest(parts)
    folder = base / name
    if folder.is_dir():
        return folder
    with FileLock(base / f"{name}.lock"):
        if folder.is_dir():
            return folder
        work = Path(tempfile.mkdtemp(prefix=f"{name}.", dir=base))
        try:
            make(work)
        except BaseException:
            failed = base / f"{name}.failed"
            shutil.rmtree(failed, ignore_errors=True)
            work.rename(failed)
            raise
        work.rename(folder)
    return folder


def failed_folder(kind: str, parts: Iterable[str | bytes]) -> Path:
    """Where `cached` keeps the remains of a failed attempt (see there)."""
    return root() / kind / f"{digest(parts)}.failed"
