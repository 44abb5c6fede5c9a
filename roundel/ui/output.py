"""Files that a command leaves behind: all of them or none."""

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from roundel.golden.errors import InputError

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def output_folder(path: Path, optional: Iterable[str] = ()) -> Iterator[Path]:
    """Open a folder to write into, whose files appear in `path` when the block ends well, and nowhere otherwise.

    Files of the same name in `path` are replaced; others stay, but for those of `optional` that the block does not
    write: what an earlier result left there would be taken for a part of this one.

    Parameters
    ----------
    path
        The folder.
    optional
        Names of files that some results have and others have not.

    Raises
    ------
    InputError
        `path` cannot be a folder, or cannot be written, or there is no room for what the block writes.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not path.is_dir():
            raise InputError(f"{path}: is a file, expected a folder to write into")
        work = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from None
    try:
        yield work
        _move(work, path, [name for name in optional if not (work / name).exists()])
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        raise InputError(f"{path}: cannot be written ({error.strerror})") from None
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _move(work: Path, path: Path, stale: Iterable[str]) -> None:
    """Move all files of `work` to the same places in `path`, if each can go there, and remove those that are stale."""
    items = [item.relative_to(work) for item in sorted(work.rglob("*"))]
    for item in items:
        if (path / item).exists() and (path / item).is_dir() != (work / item).is_dir():
            raise InputError(f"{path / item}: is in the way, expected nothing or a {_kind(work / item)}")
    try:
        path.mkdir(exist_ok=True)
        for item in items:
            if (work / item).is_dir():
                (path / item).mkdir(exist_ok=True)
            else:
                os.replace(work / item, path / item)
        for name in stale:
            if (path / name).is_file():
                (path / name).unlink()
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from None


def _kind(path: Path) -> str:
    return "folder" if path.is_dir() else "file"


def write_json(path: Path, value: Any) -> None:
    """Write `value` as JSON a person can read, ending in a newline."""
    path.write_text(json.dumps(value, indent=2) + "\n")
