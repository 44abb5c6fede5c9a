"""Paths and names that users give to public functions, checked for their kinds."""

import os
from pathlib import Path

from roundel.golden.errors import InputError

MAX_SEED = 2**64 - 1
"""Greatest seed that commands and functions take: what NumPy, cocotb and everything that they seed can tell apart."""


def path_of(what: str, value: object, *, expected: str = "a path") -> Path:
    """Return a path that a user gave.

    Parameters
    ----------
    what
        Name of the argument, for the message.
    value
        A text or a path.
    expected
        All that the argument may be, for the message.

    Raises
    ------
    InputError
        A value of another kind (a number would be taken for an open file), or a text that no path can hold.
    """
    if isinstance(value, str | os.PathLike):
        path = os.fspath(value)
        if isinstance(path, str) and "\0" not in path:
            return Path(path)
        raise InputError(f"{what}: expected {expected}, not {path!r}")
    raise InputError(f"{what}: expected {expected}, not {type(value).__name__}")


def check_names(what: str, value: object) -> None:
    """Raise InputError unless a user gave several names: a text alone would be taken letter by letter.

    Parameters
    ----------
    what
        Name of the argument, for the message.
    value
        A list, tuple or set of texts.
    """
    if not isinstance(value, list | tuple | set | frozenset) or not all(isinstance(name, str | Path) for name in value):
        raise InputError(f"{what}: expected a list of names, not {value!r}")
