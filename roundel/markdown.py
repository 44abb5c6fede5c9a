"""Markdown that is written by programs."""

from collections.abc import Iterable, Sequence


def markdown_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table; the first column is text, all others are numbers and set right."""
    rule = ["---", *("---:" for _ in columns[1:])]
    return ["| " + " | ".join(cells) + " |" for cells in (columns, rule, *rows)]
