"""What parameter objects check of their values: the kind first (TypeError), then the range (ValueError)."""

from enum import Enum
from typing import TypeVar

E = TypeVar("E", bound=Enum)


def check_integer(name: str, value: object, low: int, high: int) -> None:
    """Raise unless `value` is an integer, not a bool, from `low` to `high`; the message echoes it."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} must be an integer, not {value!r}")
    if not low <= value <= high:
        raise ValueError(f"{name} must be {low} to {high}, not {value}")


def check_bool(name: str, value: object) -> None:
    """Raise unless `value` is a bool."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be a bool, not {value!r}")


def choice(kind: type[E], name: str, value: object) -> E:
    """Return a member of an enumeration, given it or its value; ValueError that lists all of them otherwise."""
    try:
        return kind(value)
    except ValueError:
        known = ", ".join(str(member.value) for member in kind)
        raise ValueError(f"{name} must be one of {known}, not {value!r}") from None
