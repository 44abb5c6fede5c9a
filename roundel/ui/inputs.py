"""What users give to public functions, checked for its kind: paths, arrays, whole numbers."""

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roundel.golden.errors import InputError


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
    raise InputError(f"{what}: expected {expected}, not {kind_of(value)}")


def array_of(what: str, value: object) -> NDArray[Any]:
    """Return an array of numbers that a user gave, also as nested lists.

    Parameters
    ----------
    what
        Name of the argument, for the message.
    value
        An array, or lists in lists of one length.

    Raises
    ------
    InputError
        Lists of several lengths, or a masked array, whose masked values would count.
    """
    if isinstance(value, np.ma.MaskedArray):
        raise InputError(f"{what}: expected an array without a mask: fill it first")
    try:
        return np.asarray(value)
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"{what}: expected an array of numbers, or lists of one length") from None


def integer_of(what: str, value: object, low: int, high: int | None = None) -> int:
    """Return a whole number that a user gave, `low` to `high` or more; NumPy's integers count.

    Parameters
    ----------
    what
        Name of the argument, for the message.
    value
        An integer.
    low, high
        Its range; None: no upper end.

    Raises
    ------
    InputError
        A value of another kind, a bool, or one out of range.
    """
    if (
        isinstance(value, int | np.integer)
        and not isinstance(value, bool)
        and low <= value
        and (high is None or value <= high)
    ):
        return int(value)
    most = "or more" if high is None else f"to {high}"
    raise InputError(f"{what}: expected an integer, {low} {most}, not {value!r}")


def kind_of(value: object) -> str:
    """Return the name of a value's class, or None."""
    return "None" if value is None else type(value).__name__
