"""Parts of maps, where they are on chip, and how the engine cuts them into tiles."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import NamedTuple

import numpy as np

from roundel.compiler.tensor import Storage
from roundel.golden.rounding import Ints


class Area(NamedTuple):
    """Rows `first` to below `last` and columns `left` to below `right` of a map."""

    first: int
    last: int
    left: int
    right: int

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.last - self.first

    @property
    def columns(self) -> int:
        """Number of columns."""
        return self.right - self.left


def whole(storage: Storage) -> Area:
    """Return the area of a whole map."""
    return Area(0, storage.rows, 0, storage.columns)


def cut(storage: Storage, heights: Sequence[int], columns: int) -> list[Area]:
    """Cut a map into bands, and these into strips.

    Parameters
    ----------
    storage
        The map.
    heights
        Rows of each band, from the top; together all rows.
    columns
        Columns of each strip; the last strip may have fewer.

    Returns
    -------
    list of Area
        Band by band, from left to right.
    """
    ends = list(accumulate(heights, initial=0))
    return [
        Area(first, last, left, min(left + columns, storage.columns))
        for first, last in pairwise(ends)
        for left in range(0, storage.columns, columns)
    ]


@dataclass(frozen=True, kw_only=True)
class Place:
    """A part of a map on chip.

    Parameters
    ----------
    word
        First word of its first row of plane 0.
    row, plane
        Words from row to row and from plane to plane.
    area
        Which part it is.
    """

    word: int
    row: int
    plane: int
    area: Area

    @classmethod
    def of(cls, storage: Storage, word: int, area: Area) -> "Place":
        """Place a part of a storage from `word` on, without gaps but for those that its odd rows and planes need."""
        plane = storage.plane_words(area.rows, area.columns)
        return cls(word=word, row=storage.row_words(area.columns), plane=plane, area=area)

    def byte(self, storage: Storage, row: int, column: int, plane: int = 0) -> int:
        """Return the address of a pixel of the map in the activation memory.

        Parameters
        ----------
        storage
            How the map is stored.
        row, column
            Place of the pixel in the map; it lies in `area`.
        plane
            Plane of channels.

        Returns
        -------
        int
            Bytes from the start of the memory.
        """
        word = self.word + plane * self.plane + (row - self.area.first) * self.row
        return word * storage.lanes + (column - self.area.left) * storage.pixel_bytes

    def at(self, storage: Storage, area: Area, plane: int = 0) -> int:
        """Return the word of the first pixel of a part in a plane; that pixel begins a word."""
        return self.byte(storage, area.first, area.left, plane) // storage.lanes

    def spans(self, planes: range, area: Area) -> Ints:
        """Words from ... to below ... that hold the rows of a part, (spans, 2): one for each plane, or for all."""
        first = self.word + (area.first - self.area.first) * self.row
        start = first + np.asarray(planes, dtype=np.int64) * self.plane
        spans = np.stack([start, start + area.rows * self.row], axis=1)
        return np.array([[spans[0, 0], spans[-1, 1]]]) if self.plane == area.rows * self.row else spans


@dataclass(frozen=True, kw_only=True)
class Tiling:
    """How a map of results is cut so that no tile has more positions than the accumulator memory.

    Attributes
    ----------
    tile_w, tile_h
        Columns and rows of a tile.
    tiles_x, tiles_y
        Number of tiles side by side, and of rows of tiles.
    last_w, last_h
        Columns of the last tile of a row of tiles, and rows of the last row of tiles.
    """

    tile_w: int
    tile_h: int
    tiles_x: int
    tiles_y: int
    last_w: int
    last_h: int

    @classmethod
    def of(cls, rows: int, columns: int, depth: int, *, widest: int | None = None, even: bool = False) -> "Tiling":
        """Cut a map into whole rows where they fit, into tiles of about the same size.

        Parameters
        ----------
        rows, columns
            Size of the map.
        depth
            Number of positions of the accumulator memory; at least 4 with `even`.
        widest
            Columns of a tile at most; None: whatever `depth` allows.
        even
            Whether a tile begins at even rows and columns, as upsampling needs.
        """
        unit = 2 if even else 1
        most = max(unit, min(columns, widest or columns, depth // unit) // unit * unit)
        tile_w = balanced(columns, most, unit)
        tile_h = balanced(rows, max(unit, depth // tile_w // unit * unit), unit)
        tiles_x, tiles_y = -(-columns // tile_w), -(-rows // tile_h)
        return cls(
            tile_w=tile_w, tile_h=tile_h, tiles_x=tiles_x, tiles_y=tiles_y,
            last_w=columns - (tiles_x - 1) * tile_w, last_h=rows - (tiles_y - 1) * tile_h,
        )  # fmt: skip


def tile_size(storage: Storage, depth: int) -> tuple[int, int]:
    """Return the rows and columns of a tile, if a map is computed as a whole."""
    tiling = Tiling.of(storage.rows, storage.columns, depth)
    return tiling.tile_h, tiling.tile_w


def balanced(size: int, most: int, unit: int) -> int:
    """Return the size of pieces, multiples of `unit`, at most `most`: as few as possible, about the same size."""
    pieces = -(-size // min(size, most))
    return -(-size // (pieces * unit)) * unit
