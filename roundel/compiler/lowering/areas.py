"""Layers of which results near the map's borders have other weights than those inside: an operation for each area.

All areas are parts of one map of results. Of a kernel that reaches one pixel beyond the map there are up to nine: the
inside, four sides and four corners.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from math import gcd, lcm

import numpy as np

from roundel.compiler.area import Area
from roundel.compiler.lowering.lowering import Lowering
from roundel.compiler.operation import Operation
from roundel.compiler.tensor import Storage, Tensor
from roundel.golden.errors import InputError
from roundel.golden.rounding import Ints

MOST_AREAS = 200  # of a layer


def areas_of(rows: Ints, columns: Ints, unit: tuple[int, int] = (1, 1)) -> Iterator[Area]:
    """Cut a map of results where the rows or columns of a layer's kernel change.

    Parameters
    ----------
    rows, columns
        (results, ...) for each axis: equal entries have equal kernels. Where results become pixels, (results before).
    unit
        Rows and columns of the map that an entry stands for.
    """
    for first, last in _runs(rows):
        for left, right in _runs(columns):
            yield Area(first * unit[0], last * unit[0], left * unit[1], right * unit[1])


def _runs(entries: Ints) -> list[tuple[int, int]]:
    """Return the first and the end of each run of equal entries."""
    flat = entries.reshape(len(entries), -1)
    ends = [*(np.flatnonzero((flat[1:] != flat[:-1]).any(axis=1)) + 1).tolist(), len(entries)]
    return list(zip([0, *ends[:-1]], ends, strict=True))


def by_area(
    lowering: Lowering, layer: str, target: Tensor, areas: Sequence[Area], make: Callable[[Area, Tensor], Operation],
    *, across: int = 1,
) -> None:  # fmt: skip
    """Append an operation for each area of a map of results.

    Where a word is less than a beat of the bus, an area begins up to some columns further left, so that its rows can be
    stored: those columns get their own results from the areas to the left, which come later.

    Parameters
    ----------
    lowering
        Gets the operations.
    layer
        The layer's name.
    target
        The map; it exists already.
    areas
        Together all of it, each with a first row and column at which phases begin.
    make
        Returns the operation of an area on its own part of the map, as if it were the map's first.
    across
        Columns that the phases of a row take together.

    Raises
    ------
    InputError
        Too many areas.
    """
    if len(areas) == 1:
        lowering.operations.append(make(areas[0], target))
        return
    if len(areas) > MOST_AREAS:
        raise InputError(f"{layer}: {len(areas)} areas of results with own weights, more than {MOST_AREAS}")
    lanes, bus = lowering.params.lanes, lowering.params.bus_bytes
    grain = lcm(bus // gcd(lanes, bus), across)
    for area in sorted(areas, key=lambda area: (area.first, -area.left)):
        left = area.left - area.left % grain
        held = Storage(
            name=target.name, rows=area.rows, columns=area.right - left, planes=target.storage.planes, lanes=lanes,
            parent=(target.storage, 0), origin=(area.first, left),
        )  # fmt: skip
        made = make(area, replace(target, storage=held))
        lowering.operations.append(made.behind(area.first, left))
