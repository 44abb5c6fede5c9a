"""Values as TOML, which the standard library only reads."""

from collections.abc import Iterator, Mapping
from typing import Any

from roundel.golden.parameters import plain


def toml_value(value: Any) -> str:
    """Return a value as TOML writes it; None within a table is left out."""
    value = plain(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        escaped = "".join(char if char.isprintable() and char not in '"\\' else f"\\U{ord(char):08x}" for char in value)
        return f'"{escaped}"'
    if isinstance(value, Mapping):
        pairs = (f"{name} = {toml_value(item)}" for name, item in value.items() if item is not None)
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(toml_value, value)) + "]"
    return repr(value)


def toml_lines(values: Mapping[str, Any], table: str = "") -> Iterator[str]:
    """Give the lines of a table, and of the tables in it behind them; what is None is left out.

    Parameters
    ----------
    values
        Plain values by name.
    table
        Name of the table; empty for the one that a file begins with.

    Yields
    ------
    str
        A line, without its end.
    """
    if table:
        yield from ("", f"[{table}]")
    inner = {name: value for name, value in values.items() if isinstance(value, Mapping)}
    for name, value in values.items():
        if name not in inner and value is not None:
            yield f"{name} = {toml_value(value)}"
    for name, value in inner.items():
        yield from toml_lines(value, f"{table}.{name}" if table else name)
