"""What a person sees in the terminal: tables and progress, on stderr where stdout is for JSON."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

out = Console(highlight=False, soft_wrap=True, markup=False)  # names of layers may look like markup
err = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], console: Console = out) -> None:
    """Print a table; the first column is text, all others are numbers and set right."""
    grid = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        grid.add_column(column, justify="left" if number == 0 else "right", no_wrap=number == 0)
    for row in rows:
        grid.add_row(*row)
    console.print(grid)


def shortened(rows: Iterable[Sequence[str]], most: int = 28) -> list[list[str]]:
    """The rows with no more than the end of long names in the first column: exporters give layers paths for names."""
    return [[name if len(name) <= most else f"…{name[1 - most :]}", *others] for name, *others in rows]


class Steps:
    """Progress over a known number of steps; call it with the name of each step that is done."""

    def __init__(self, progress: Progress, total: int, title: str):
        self.progress, self.task = progress, progress.add_task(title, total=total, step="")

    def __call__(self, name: str = "") -> None:
        self.progress.update(self.task, advance=1, step=name)


@contextmanager
def steps(title: str, total: int) -> Iterator[Steps]:
    """Show a progress bar on stderr while the block runs; nothing where that is no terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    step = TextColumn("{task.fields[step]}", markup=False)
    with Progress(*columns, step, console=err, transient=True, disable=not err.is_terminal) as progress:
        yield Steps(progress, total, title)
