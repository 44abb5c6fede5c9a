"""Arrays and whole numbers that users give to public functions, checked for their kinds."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from roundel.golden.errors import InputError


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
