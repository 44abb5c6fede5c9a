"""Markdown that is written by programs."""

from collections.abc import Iterable, Sequence


def markdown_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a table; the first column is text, all others are numbers and set right."""
    rule = ["---", *("---:" for _ in columns[1:])]
    return ["| " + " | ".join(map(_cell, cells)) + " |" for cells in (columns, rule, *rows)]


def _cell(text: str) -> str:
    """Text that stays in its cell: layers may have any name."""
    return " ".join(text.splitlines()).replace("|", r"\|")
