"""Output in the terminal: tables and progress, on stderr where stdout is for JSON."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from time import monotonic

from rich.cells import cell_len
from rich.console import Console
from rich.measure import Measurement
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from roundel.ui.progress import Done


class Terminal(Console):
    """A console whose reader may go away (`| head`): the rest is not shown, and the work and its exit code stand."""

    def on_broken_pipe(self) -> None:
        """Show nothing any more."""
        self.quiet = True
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.file.fileno())
        os.close(nowhere)


out = Terminal(highlight=False, soft_wrap=True, markup=False, emoji=False)  # names of layers may look like markup
err = Terminal(stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False)
NARROW, WIDE = 12, 10_000  # columns: of names in a narrow terminal, and more than any table has
QUIET = 10.0  # seconds between two lines of progress, where there is no terminal


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], console: Console = out) -> None:
    """Print a table, of which nothing is ever cut.

    Where there is no terminal it is as wide as its cells. In a narrow terminal heads and the first column go on in the
    next line; numbers never do.

    Parameters
    ----------
    title
        Stands above it.
    columns
        Heads. The first column is text, all others are numbers and set right.
    rows
        Cells, as long as `columns` each.
    console
        Where to print.
    """
    cells = [tuple(row) for row in rows]
    grid = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        widest = max((cell_len(row[number]) for row in cells), default=0)
        grid.add_column(
            column,
            justify="left" if number == 0 else "right",
            overflow="fold",
            min_width=min(widest, NARROW) if number == 0 else widest,
        )
    for row in cells:
        grid.add_row(*row)
    if not console.is_terminal:
        grid.width = Measurement.get(console, console.options.update(width=WIDE), grid).maximum
    console.print(grid)


def shortened(rows: Iterable[Sequence[str]], most: int = 28) -> list[list[str]]:
    """Return the rows with the end of long names in the first column: exporters give layers paths for names."""
    return [[name if len(name) <= most else f"…{name[1 - most :]}", *others] for name, *others in rows]


@contextmanager
def steps(title: str, total: int) -> Iterator[Done]:
    """Show the progress of a part on stderr while the block runs.

    A terminal shows a bar that goes away. Elsewhere a line stands for what was done, when `QUIET` seconds have passed
    without one, so that short work says nothing.
    """
    if not err.is_terminal:
        yield Lines(title, total)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    step = TextColumn("{task.fields[step]}", markup=False)
    with Progress(*columns, step, console=err, transient=True) as progress:
        task = progress.add_task(title, total=total, step="")
        yield lambda name: progress.update(task, advance=1, step=name)


class Lines:
    """Progress where there is no terminal; call it with the name of each step that is done."""

    def __init__(self, title: str, total: int, clock: Callable[[], float] = monotonic):
        self.title, self.total, self.clock = title, total, clock
        self.done, self.said = 0, clock()

    def __call__(self, name: str) -> None:
        """Count a step, and say so if nothing was said for a while."""
        self.done += 1
        if self.clock() - self.said >= QUIET:
            self.said = self.clock()
            err.print(f"{self.title}: {self.done} of {self.total}, {name}")
