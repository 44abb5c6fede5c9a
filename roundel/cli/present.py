"""How a command shows its result."""

import json
from pathlib import Path

import click

from roundel.ui import Result, out, table


def present(result: Result, as_json: bool, written: Path | None = None) -> None:
    """Print a result: as JSON and nothing else, or as tables and lines, then where its files are.

    Parameters
    ----------
    result
        Result of a public function of `roundel`.
    as_json
        Whether the user asked for JSON.
    written
        The file or folder to look at; None if nothing was written.
    """
    if as_json:
        try:
            click.echo(json.dumps(result.as_dict()))
        except BrokenPipeError:  # the reader has seen enough; the exit code stands
            out.on_broken_pipe()
        return
    for grid in result.tables():
        table(grid.title, grid.columns, grid.rows)
    for line in result.lines():
        out.print(line)
    if written is not None:
        out.print(f"written: {written}")
