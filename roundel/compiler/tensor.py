"""Layouts: the byte of every channel and pixel of a tensor, on chip and in the outer memory."""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from roundel.golden.engine import Region
from roundel.golden.errors import InputError
from roundel.golden.formats import Format
from roundel.golden.rounding import Ints


@dataclass(frozen=True, kw_only=True)
class Outer:
    """The place of a map in the outer memory.

    Parameters
    ----------
    region, offset
        Region and offset of the first byte.
    row, plane
        Bytes from row to row and from plane to plane.
    """

    region: Region
    offset: int
    row: int
    plane: int


@dataclass(kw_only=True, eq=False)
class Storage:
    """A map: words with one live range, which are moved together.

    Parameters
    ----------
    name
        The tensor that it was made for.
    rows, columns
        Size of the map in memory.
    planes
        Groups of `lanes` channels; 1 in the `rows` layout.
    lanes
        Number of bytes in a word.
    pixel
        Bytes of a pixel in the `rows` layout; 0 for planes.
    interleave, missing
        How many rows of the tensor, each with all channels, a pixel of the `rows` layout holds one behind the other,
        and how many of all those in the map are no rows of the tensor, or repeat one.
    overlap, above
        How many of its rows a row of the map shares with the next one, and how many of the first lie above the tensor.
    parent
        The storage that contains this one, and the plane of it in which this one begins.
    origin
        Row and column of the parent in which this one begins.
    outer
        Its place in the outer memory, if it has one.
    odd_rows, odd_planes
        Whether the words from row to row, or from plane to plane, are an odd number on chip, so that words of
        neighbours lie in different banks. Those of the root count for its parts.
    """

    name: str
    rows: int
    columns: int
    planes: int
    lanes: int
    pixel: int = 0
    interleave: int = 1
    missing: int = 0
    overlap: int = 0
    above: int = 0
    parent: "tuple[Storage, int] | None" = None
    origin: tuple[int, int] = (0, 0)
    outer: Outer | None = None
    odd_rows: bool = False
    odd_planes: bool = False

    @property
    def root(self) -> "tuple[Storage, int]":
        """The storage that this one is a part of in the end, and the plane of it in which this one begins."""
        if self.parent is None:
            return self, 0
        above, plane = self.parent[0].root
        return above, plane + self.parent[1]

    @property
    def corner(self) -> tuple[int, int]:
        """Row and column of the root in which this one begins."""
        if self.parent is None:
            return 0, 0
        top, left = self.parent[0].corner
        return top + self.origin[0], left + self.origin[1]

    @property
    def outside(self) -> Outer | None:
        """Where its first row of the root's first plane begins in the outer memory, if its root has a place there."""
        outer, (top, left) = self.root[0].outer, self.corner
        if outer is None or (top, left) == (0, 0):
            return outer
        return replace(outer, offset=outer.offset + top * outer.row + left * self.pixel_bytes)

    @property
    def height(self) -> int:
        """Rows of the tensor."""
        return self.rows * self.interleave - self.missing

    @property
    def advance(self) -> int:
        """Rows of the tensor from one row of the map to the next."""
        return self.interleave - self.overlap

    @property
    def held(self) -> Ints:
        """Row of the tensor that each row of each row of the map is, (rows * interleave,); of some there is none."""
        rows = np.arange(self.rows)[:, None] * self.advance - self.above + np.arange(self.interleave)
        return np.asarray(rows.ravel(), dtype=np.int64)

    @property
    def pixel_bytes(self) -> int:
        """Bytes from pixel to pixel."""
        return self.pixel or self.lanes

    @property
    def words(self) -> int:
        """Words of all of it."""
        return self.planes * self.plane_words(self.rows, self.columns)

    def words_of(self, columns: int) -> int:
        """Words of so many pixels of a row."""
        return -(-columns * self.pixel_bytes // self.lanes)

    def row_words(self, columns: int) -> int:
        """Words from row to row on chip, of a part with so many pixels in a row."""
        return self.words_of(columns) | self.root[0].odd_rows

    def plane_words(self, rows: int, columns: int) -> int:
        """Words from plane to plane on chip, of a part with so many rows and columns."""
        return rows * self.row_words(columns) | self.root[0].odd_planes

    def outer_row(self, align: int) -> int:
        """Bytes from one row to the next in the outer memory, whose rows begin at multiples of `align`."""
        return -(-self.columns * self.pixel_bytes // align) * align


@dataclass(frozen=True, kw_only=True, eq=False)
class Tensor:
    """A tensor of the network in a storage.

    Parameters
    ----------
    name
        Name of the tensor.
    form
        Its format, of at most 8 bits.
    storage
        The map that holds it.
    slots
        (channels,), of all `pixels`: `plane * lanes + lane` of every channel; in the `rows` layout the byte of its row
        of the pixel.
    pixels
        Rows and columns of the tensor that a pixel of the map holds, one pixel's channels behind the other's in
        `slots`: (1, 1) but for results of which the host makes pixels.
    flat
        Whether the network sees features in one axis, in the order (row, column, channel).
    filled
        Slots of further channels that hold one integer everywhere, and the integer; None without any.
    """

    name: str
    form: Format
    storage: Storage
    slots: Ints = field(repr=False)
    pixels: tuple[int, int] = (1, 1)
    flat: bool = False
    filled: tuple[tuple[int, ...], int] | None = None

    def __post_init__(self) -> None:
        if self.form.width > 8:
            raise InputError(f"{self.name}: the engine keeps at most 8 bits of an activation, not {self.form.width}")

    @property
    def shape(self) -> tuple[int, ...]:
        """As the network sees it, without the batch."""
        down, across = self.pixels
        whole = (self.storage.height * down, self.storage.columns * across, len(self.slots) // (down * across))
        return (int(np.prod(whole)),) if self.flat else whole

    @property
    def raw(self) -> bool:
        """Whether its bytes are unsigned ones of 8 bits, which the array takes as `value - 128`."""
        return self.form.width == 8 and not self.form.signed

    @property
    def range(self) -> tuple[int, int]:
        """Least and greatest value that the array sees."""
        low, high = self.form.limits
        return (low - 128, high - 128) if self.raw else (low, high)

    @property
    def offset(self) -> int:
        """Value less what the array sees of it, which the array must be given back."""
        return 128 if self.raw else 0

    def byte(self, value: int) -> int:
        """Return the byte in memory of a value."""
        return value & 0xFF


def dense_slots(channels: int) -> Ints:
    """Channels one behind the other, from lane 0 of plane 0 on."""
    return np.arange(channels, dtype=np.int64)


def planes_of(slots: Ints, lanes: int) -> int:
    """Planes that hold all channels."""
    return int(slots.max()) // lanes + 1


def put(tensor: Tensor, values: Ints, data: bytearray) -> None:
    """Write a tensor, of its `shape`, into the bytes of its region.

    Raises
    ------
    ValueError
        Values of another shape or beyond their format.
    """
    low, high = tensor.form.limits
    if values.shape != tensor.shape or values.min() < low or values.max() > high:
        raise ValueError(f"{tensor.name}: expected {tensor.shape} integers of {low} to {high}")
    storage = tensor.storage
    pixels = values.reshape(storage.height, storage.columns, -1)
    if tensor.filled is not None:
        slots, value = tensor.filled
        pixels = np.pad(pixels, ((0, 0), (0, 0), (0, len(slots))), constant_values=value)
        tensor = replace(tensor, slots=np.append(tensor.slots, slots), filled=None)
    held = storage.held
    inside = (held >= 0) & (held < storage.height)
    pixels = np.where(inside[:, None, None], pixels[np.where(inside, held, 0)], tensor.form.zero)
    _view(tensor, np.frombuffer(data, dtype=np.uint8))[_lanes(tensor)] = (pixels & 0xFF).astype(np.uint8)


def get(tensor: Tensor, data: bytes | bytearray) -> Ints:
    """Read a tensor, of its `shape`, from the bytes of its region."""
    values = _view(tensor, np.frombuffer(data, dtype=np.uint8))[_lanes(tensor)].astype(np.int64)
    if tensor.form.signed:
        values -= (values & 0x80) << 1
    return values[: tensor.storage.height * tensor.pixels[0]].reshape(tensor.shape)


def _lanes(tensor: Tensor) -> tuple[NDArray[np.int64], ...]:
    """Plane, row, column and lane of every element, to index a `_view` with; (rows, columns, channels).

    Rows that are missing from the map's last are there too.
    """
    storage, interleave, (down, across) = tensor.storage, tensor.storage.interleave, tensor.pixels
    row, column = np.ogrid[: storage.rows * interleave * down, : storage.columns * across]
    slots = tensor.slots
    if tensor.pixels != (1, 1):
        slots = slots.reshape(down * across, -1)[row % down * across + column % across]
        row, column = row // down, column // across
    plane, lane = (0 * slots, slots) if storage.pixel else np.divmod(slots, storage.lanes)
    lane = lane + row[..., None] % interleave * (storage.pixel // interleave)
    return plane + 0 * row[..., None], row[..., None] // interleave, column[..., None], lane


def _view(tensor: Tensor, data: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """View the region's bytes as (planes, rows, columns, bytes of a pixel)."""
    storage = tensor.storage
    root, plane = storage.root
    if root.outer is None:
        raise ValueError(f"{tensor.name}: not in the outer memory")
    where, pixel = root.outer, storage.pixel_bytes
    return np.lib.stride_tricks.as_strided(
        data[where.offset + plane * where.plane :],
        (storage.planes, storage.rows, storage.columns, pixel),
        (where.plane, where.row, pixel, 1),
    )
