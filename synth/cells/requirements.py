"""What mapping, timing and power need of a library, told before any of them runs."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from roundel.golden.errors import InputError
from roundel.synth.cells.cell import Cell, Kind
from roundel.synth.cells.library import Library
from roundel.synth.cells.reader import read_library

LEAST_FUNCTIONS = 3
"""ABC takes no library whose combinational cells have fewer different functions."""


def mappable_library(path: Path | str) -> Library:
    """Read the Liberty file at `path`, and check that it has what mapping needs: gates, areas, delays.

    Raises
    ------
    InputError
        The file is not usable, or lacks something: one line that says what.
    """
    library = read_library(path)
    lack = next(_missing(library), None)
    if lack is not None:
        raise InputError(f"{path}: library {library.name!r} {lack}")
    return library


def _missing(library: Library) -> Iterator[str]:
    gates = [cell for cell in library.usable(Kind.COMB) if cell.inputs and len(cell.outputs) == 1]
    if library.find("a", y="!a") is None:
        yield "has no usable inverter"
    if not any(library.find("a b", y=function) for function in ("a & b", "!(a & b)", "a | b", "!(a | b)")):
        yield "has no usable gate of two inputs (AND, NAND, OR or NOR)"
    functions = len({_function(cell) for cell in gates})
    if functions < LEAST_FUNCTIONS:
        yield f"has gates of {functions} different functions, and mapping needs {LEAST_FUNCTIONS}"
    for cell in (*gates, *library.usable(Kind.FLIP_FLOP)):
        if not cell.area > 0:
            yield f"has no area for the cell {cell.name!r}"
    if not _timed(gates):
        yield "has no tables of delay (cell_rise, cell_fall) for any gate"
    if not _timed(library.usable(Kind.FLIP_FLOP)):
        yield "has no tables of delay (cell_rise, cell_fall) for any flip-flop"


def _function(cell: Cell) -> bytes:
    """Truth table of a gate over its inputs in the file's order."""
    function = cell.outputs[0].function
    return b"" if function is None else bytes(function.over(tuple(pin.name for pin in cell.inputs)).ravel())


def _timed(cells: Iterable[Cell]) -> bool:
    """Tell whether a cell has an arc with tables for both edges."""
    return any(None not in arc.delay for cell in cells for pin in cell.outputs for arc in pin.arcs)
