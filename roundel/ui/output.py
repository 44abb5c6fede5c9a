"""Files that a command leaves behind: all of them or none."""

import errno
import json
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from roundel.golden.errors import InputError
from roundel.processes import GUARD, NO_ROOM, FolderError, keep, work_folder

READABLE = 0o777  # less the umask: the folder may become the output


@contextmanager
def output_folder(path: Path, optional: Iterable[str] = ()) -> Iterator[Path]:
    """Open a folder to write into, whose files appear in `path` when the block ends well, and nowhere otherwise.

    Files of the same name in `path` are replaced; others stay, but for those of `optional` that the block does not
    write: what an earlier result left there would be taken for a part of this one. The work folder lies in `path`
    where that is there, and beside it otherwise: on one file system with what it becomes.

    Parameters
    ----------
    path
        The folder.
    optional
        Names of files that some results have and others have not.

    Raises
    ------
    InputError
        Before the block: `path` cannot be a folder, or cannot be written. After it: there is no room for what the
        block writes, or something is in the way of a file; then what was made is kept, and the message says where.
    """
    made = _make_parents(path)
    try:
        with _opened(path) as work:
            try:
                yield work
            except OSError as error:
                if error.errno in NO_ROOM or str(work) in str(error.filename):
                    raise InputError(f"{path}: cannot be written ({error.strerror})") from None
                raise
            try:
                with GUARD.undivided():
                    _move(work, path, [name for name in optional if not (work / name).exists()])
            except (InputError, OSError) as error:
                said = error if isinstance(error, InputError) else f"{path}: cannot be written ({error.strerror})"
                raise InputError(f"{said}; what was made lies in {_kept(work)}") from None
    except BaseException:
        for parent in made:
            with suppress(OSError):
                parent.rmdir()
        raise


def _make_parents(path: Path) -> list[Path]:
    """Make the folders above `path`, and return those that were not there, the innermost first."""
    missing = []
    try:
        if path.exists() and not path.is_dir():
            raise InputError(f"{path}: is a file, expected a folder to write into")
        if path.is_symlink() and not path.exists():
            raise InputError(f"{path}: is a link to nothing, expected a folder to write into")
        for parent in path.parents:
            if parent.exists():
                break
            missing.append(parent)
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from None
    return missing


@contextmanager
def _opened(path: Path) -> Iterator[Path]:
    """Open a work folder in `path`, or beside it if it is not there."""
    with ExitStack() as stack:
        try:
            work = stack.enter_context(work_folder(path if path.is_dir() else path.parent, mode=READABLE))
        except FolderError as error:
            raise InputError(f"{path}: cannot be written ({error.reason})") from None
        yield work


def _move(work: Path, path: Path, stale: Iterable[str]) -> None:
    """Move all files of `work` to the same places in `path`, if each can go there, and remove those that are stale."""
    if not path.exists():
        path.mkdir()
    items = [item.relative_to(work) for item in sorted(work.rglob("*"))]
    for item in items:
        if (path / item).exists() and (path / item).is_dir() != (work / item).is_dir():
            raise InputError(f"{path / item}: is in the way, expected nothing or a {_kind(work / item)}")
    for item in items:
        if (work / item).is_dir():
            (path / item).mkdir(exist_ok=True)
        else:
            _replace(work / item, path / item)
    for name in stale:
        if (path / name).is_file():
            (path / name).unlink()


def _replace(source: Path, target: Path) -> None:
    """Put a file in the place of another, also where a folder in between is a link to another file system."""
    try:
        os.replace(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        beside = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
        try:
            shutil.copyfile(source, beside)
            os.replace(beside, target)
        finally:
            beside.unlink(missing_ok=True)


def _kept(work: Path) -> Path:
    """Keep what was made, under a name that can be seen."""
    kept = work.with_name(f"unfinished-{secrets.token_hex(4)}")
    try:
        work.rename(kept)
    except OSError:
        keep(work)
        return work
    return kept


def _kind(path: Path) -> str:
    return "folder" if path.is_dir() else "file"


def write_json(path: Path, value: Any) -> None:
    """Write `value` as JSON a person can read, ending in a newline."""
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
