"""The base of parameter objects: what they take beside values of a field's own type, and how they become plain values.

A parameter object is a frozen dataclass that is checked when it is made. It accepts what JSON and the command line can
say: the value of an enumeration in place of its member, keyword arguments in place of a parameter object, a list in
place of a tuple. `check_integer`, `check_bool` and `choice` check the kind of a value first (TypeError), then its range
(ValueError).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, dataclass, fields
from enum import Enum
from functools import cache, partial
from types import NoneType, UnionType
from typing import Any, ClassVar, Self, TypeVar, get_args, get_origin, get_type_hints

E = TypeVar("E", bound=Enum)


@dataclass(frozen=True, kw_only=True)
class Params:
    """Parameters that are fixed when something is made.

    A subclass is a frozen dataclass; its `__post_init__` calls this one's first, and then checks ranges.

    Raises
    ------
    TypeError
        A field that is a parameter object got something else than one or its keyword arguments.
    ValueError
        A field that is an enumeration got something else than a member or its value.
    """

    _OMIT_NONE: ClassVar[bool] = False
    """Whether `as_dict` leaves out fields that are None: those that the object does not have."""

    def __post_init__(self) -> None:
        owner: type = type(self)
        self._set(**{name: convert(getattr(self, name)) for name, convert in _conversions(owner).items()})

    def _set(self, **values: Any) -> None:
        """Fill in fields while the object is being made."""
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def as_dict(self) -> dict[str, Any]:
        """Return the parameters by name as JSON has them.

        Returns
        -------
        dict
            Plain values: enumerations by their value, tuples as lists, inner objects as dictionaries. `from_dict` makes
            the same object of them again.
        """
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return {name: plain(value) for name, value in values.items() if value is not None or not self._OMIT_NONE}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Make an object of what `as_dict` returned, or of keyword arguments.

        Parameters
        ----------
        values
            Parameters by name.

        Returns
        -------
        Self
            An object of the class that it is called on.

        Raises
        ------
        TypeError, ValueError
            An unknown parameter, or one that the class refuses.
        """
        return cls(**values)

    def derived(self) -> dict[str, Any]:
        """Return what follows from the parameters, for the manifest of a unit.

        Returns
        -------
        dict
            Plain values by name, such as widths of ports; empty where nothing follows.
        """
        return {}


def plain(value: Any) -> Any:
    """Return a parameter as JSON has it: enumerations by their value, tuples as lists, objects as dictionaries."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Params):
        return value.as_dict()
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value


@cache
def _conversions(owner: type) -> dict[str, Callable[[Any], Any]]:
    """How the fields of a class are converted, by name; those that take their values as they are are left out."""
    hints = get_type_hints(owner)
    conversions = {}
    for item in fields(owner):
        hint = hints[item.name]
        kinds = get_args(hint) if isinstance(hint, UnionType) else (hint,)
        optional = NoneType in kinds or (item.default is None and item.default is not MISSING)
        (kind, *others) = (kind for kind in kinds if kind is not NoneType)
        convert = None if others else _conversion(item.name, kind, optional)
        if convert is not None:
            conversions[item.name] = convert
    return conversions


def _conversion(name: str, kind: Any, optional: bool) -> Callable[[Any], Any] | None:
    """How values of a field of one type are converted; None for numbers, texts and the like."""
    if isinstance(kind, type) and issubclass(kind, Enum):
        return partial(_member, name, kind, optional)
    if isinstance(kind, type) and issubclass(kind, Params):
        return partial(_object, name, kind, optional)
    if get_origin(kind) is tuple and isinstance(get_args(kind)[0], type):
        return partial(_several, get_args(kind)[0])
    return None


def _member(name: str, kind: type[Enum], optional: bool, value: Any) -> Any:
    """Return a member of an enumeration, given it or its value."""
    return None if value is None and optional else choice(kind, name, value)


def _object(name: str, kind: type[Params], optional: bool, value: Any) -> Any:
    """Return a parameter object, given it or its keyword arguments."""
    if isinstance(value, Mapping):
        return kind(**value)
    if isinstance(value, kind) or (value is None and optional):
        return value
    raise TypeError(f"{name} must be a {kind.__name__}{' or None' if optional else ''}, not {value!r}")


def _several(kind: type, value: Any) -> Any:
    """Return a tuple, given any iterable but a text; what is none is left to the class, which may know better."""
    if isinstance(value, str | Mapping) or not isinstance(value, Iterable):
        return value
    objects = issubclass(kind, Params)
    return tuple(kind(**item) if objects and isinstance(item, Mapping) else item for item in value)


def check_integer(name: str, value: object, low: int, high: int) -> None:
    """Raise unless `value` is an integer, not a bool, from `low` to `high`; the message echoes it."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} must be an integer, not {value!r}")
    if not low <= value <= high:
        raise ValueError(f"{name} must be {low} to {high}, not {value}")


def check_power(name: str, value: int) -> None:
    """Raise ValueError unless a positive integer is a power of two; the message names the next lower one."""
    if value & (value - 1):
        raise ValueError(f"{name} must be a power of two, not {value}; {1 << value.bit_length() - 1} is one")


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
