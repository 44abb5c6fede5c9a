"""The result of a public function: it shows itself, and goes to a folder whole or not at all."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from roundel.ui.inputs import path_of
from roundel.ui.markdown import markdown_table
from roundel.ui.output import output_folder


@dataclass(frozen=True)
class Grid:
    """A table, wherever it is shown.

    Attributes
    ----------
    title
        Title of the table.
    columns
        Heads. The first column is text, the others are numbers.
    rows
        Cells, as long as `columns` each.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    @property
    def markdown(self) -> list[str]:
        """The lines of the table in Markdown, and a blank one."""
        return [*markdown_table(self.columns, self.rows), ""]

    def without(self, *columns: str) -> "Grid":
        """Leave out columns, for a terminal."""
        kept = [place for place, name in enumerate(self.columns) if name not in columns]
        rows = [[row[place] for place in kept] for row in self.rows]
        return Grid(self.title, [self.columns[place] for place in kept], rows)


class Result(ABC):
    """The result of a public function of `roundel`."""

    OPTIONAL: ClassVar[tuple[str, ...]] = ()
    """Files that `write` leaves out for some results: `save` removes those of an earlier result."""

    @abstractmethod
    def as_dict(self) -> Any:
        """Give the result as plain values.

        Returns
        -------
        dict or list
            What `--json` prints.
        """

    @abstractmethod
    def write(self, folder: Path) -> None:
        """Write the files of the result into a folder; `save` makes it, and leaves all of them there or none.

        Parameters
        ----------
        folder
            Exists and is empty.
        """

    def tables(self) -> Iterable[Grid]:
        """Give the tables that a terminal shows.

        Returns
        -------
        iterable of Grid
            In the order in which they are shown; none by default.
        """
        return ()

    def lines(self) -> Iterable[str]:
        """Give the figures that matter most.

        Returns
        -------
        iterable of str
            A line each; none by default.
        """
        return ()

    def save(self, folder: str | Path) -> None:
        """Write the files of the result into a folder, all of them or none.

        Parameters
        ----------
        folder
            Is made where there is none. Files of the same names are replaced, and those of an earlier result of its
            kind that this one has not are removed; others stay.

        Raises
        ------
        InputError
            The folder cannot be written, or there is no room.
        """
        with output_folder(path_of("folder", folder), self.OPTIONAL) as work:
            self.write(work)
