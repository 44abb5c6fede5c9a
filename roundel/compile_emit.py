"""Operations at addresses: tiles, COMPUTE descriptors, the moves of rows, and the streams that they read."""

from dataclasses import dataclass, field, replace

import numpy as np

from golden.engine_params import EngineParams
from golden.errors import InputError
from golden.program import Region
from golden.rounding import Ints
from roundel.compile_operation import Operation, encode_weights, parameter_stream
from roundel.compile_tensor import Outer, Storage

STREAM_LIMIT = (1 << 24) - 1  # bytes of a transfer
ALIGN = 16  # bytes: a beat of the widest bus


@dataclass(frozen=True, kw_only=True)
class Place:
    """Rows of a map on chip.

    Parameters
    ----------
    word
        Of the first row of plane 0.
    row, plane
        Words from row to row and from plane to plane.
    first, rows
        Which rows of the map are there.
    """

    word: int
    row: int
    plane: int
    first: int
    rows: int

    @classmethod
    def of(cls, storage: Storage, word: int, first: int, rows: int) -> "Place":
        """Rows of a storage without gaps from `word` on."""
        return cls(word=word, row=storage.row_words, plane=rows * storage.row_words, first=first, rows=rows)

    def part(self, plane: int, first: int, last: int) -> "Place":
        """From another plane on, and from row `first` to below `last` only."""
        word = self.word + plane * self.plane + (first - self.first) * self.row
        return replace(self, word=word, first=first, rows=last - first)

    def spans(self, planes: int) -> Ints:
        """Words from ... to below ..., of every plane that does not follow the one before, (spans, 2)."""
        if self.plane == self.rows * self.row:
            return np.array([[self.word, self.word + planes * self.plane]])
        start = self.word + np.arange(planes, dtype=np.int64) * self.plane
        return np.stack([start, start + self.rows * self.row], axis=1)


@dataclass(frozen=True, kw_only=True)
class Tiling:
    """How a map of results is cut so that no tile has more positions than the accumulator memory."""

    tile_w: int
    tile_h: int
    tiles_x: int
    tiles_y: int
    last_w: int
    last_h: int

    @classmethod
    def of(cls, rows: int, columns: int, depth: int, *, even: bool = False) -> "Tiling":
        """Whole rows where they fit, tiles of about the same size; of even size with `even` (depth of at least 4)."""
        unit = 2 if even else 1
        most = max(unit, min(columns, depth // unit) // unit * unit)
        tile_w = balanced(columns, most, unit)
        tile_h = balanced(rows, max(unit, depth // tile_w // unit * unit), unit)
        tiles_x, tiles_y = -(-columns // tile_w), -(-rows // tile_h)
        return cls(
            tile_w=tile_w, tile_h=tile_h, tiles_x=tiles_x, tiles_y=tiles_y,
            last_w=columns - (tiles_x - 1) * tile_w, last_h=rows - (tiles_y - 1) * tile_h,
        )  # fmt: skip


def balanced(size: int, most: int, unit: int) -> int:
    """The size of pieces, multiples of `unit` and at most `most`, when as few as possible are about the same size."""
    pieces = -(-size // min(size, most))
    return -(-size // (pieces * unit)) * unit


@dataclass(kw_only=True)
class Streams:
    """Parameter and weight streams behind the program; equal ones stand there once.

    Parameters
    ----------
    params
        The engine's.

    Attributes
    ----------
    data
        All of them, each from a multiple of `ALIGN` on.
    """

    params: EngineParams
    data: bytearray = field(default_factory=bytearray)
    _known: dict[bytes, int] = field(default_factory=dict)
    _weights: dict[tuple[int, range], bytes] = field(default_factory=dict)

    def put(self, stream: bytes) -> dict[str, int]:
        """Offset, from the first stream on, and size of a stream."""
        if stream not in self._known:
            self.data.extend(bytes(-len(self.data) % ALIGN))
            self._known[stream] = len(self.data)
            self.data.extend(stream)
        return {"offset": self._known[stream], "bytes": len(stream)}

    def weights(self, operation: Operation, blocks: range) -> bytes:
        """The weight stream of some output blocks."""
        key = (id(operation), blocks)
        if key not in self._weights:
            held = np.concatenate([operation.steps[block].weights for block in blocks])
            self._weights[key] = encode_weights(held, self.params)
        return self._weights[key]

    def zeros(self) -> bytes:
        """The weight stream of one block of zeros."""
        return encode_weights(np.zeros((self.params.columns, self.params.lanes), dtype=np.int8), self.params)

    def parts(self, operation: Operation) -> list[range]:
        """Output blocks in groups whose streams are not too long for one transfer."""
        todo, found = [range(len(operation.steps))], []
        while todo:
            blocks = todo.pop()
            steps = sum(len(operation.steps[block]) for block in blocks)
            size = max(16 * self.params.columns * len(blocks) + 8 * steps, len(self.weights(operation, blocks)))
            if size <= STREAM_LIMIT:
                found.append(blocks)
            elif len(blocks) == 1:
                raise InputError(f"{operation.layer}: an output block's weights take {size} bytes, too many to stream")
            else:
                half = len(blocks) // 2
                todo += [blocks[half:], blocks[:half]]
        return found


def compute(
    operation: Operation, blocks: range, streams: Streams, *,
    source: Place, residual: Place | None, target: Place,
) -> dict[str, int]:  # fmt: skip
    """The fields of a COMPUTE descriptor for the rows of `target`, from what these rows read.

    `source` holds just the rows that `Operation.rows_of` tells.
    """
    params, lanes, storage = streams.params, streams.params.lanes, operation.target.storage
    tiling = Tiling.of(target.rows, storage.columns, params.depth, even=operation.upsample)
    behind = 0 if operation.upsample else target.first * operation.stride - source.first
    places = []
    for block in blocks:
        steps = operation.steps[block]
        dy = steps.row + behind
        places.append(((steps.plane * source.plane + dy * source.row) * lanes + steps.byte, dy, steps.byte))
    parameters = streams.put(parameter_stream(operation, blocks, params, places))
    weights = streams.put(streams.weights(operation, blocks))
    half = 2 if operation.upsample else 1
    values = vars(tiling) | {
        "source": source.word * lanes, "rows": source.rows, "row_bytes": operation.source.storage.row_bytes,
        "x_step": operation.x_step, "every": operation.every, "lead": operation.lead,
        "y_step": operation.stride * source.row * lanes, "y_rows": operation.stride,
        "tile_x_step": tiling.tile_w * operation.every * operation.x_step // half,
        "tile_y_step": tiling.tile_h * operation.stride * source.row * lanes // half,
        "tile_y_rows": tiling.tile_h * operation.stride // half,
        "blocks": len(blocks), "pad": operation.pad, "leak": operation.leak,
        "low": operation.low, "high": operation.high,
        "target": target.word + blocks[0] * target.plane, "target_plane": target.plane, "target_row": target.row,
        "target_tile": tiling.tile_h * target.row,
        "depthwise": int(operation.depthwise), "maximum": int(operation.maximum), "upsample": int(operation.upsample),
        "flip_source": int(operation.source.raw), "flip_target": int(operation.flip_target),
        "parameters_region": Region.PROGRAM, "weights_region": Region.PROGRAM,
    } | {f"parameters_{name}": value for name, value in parameters.items()} | {
        f"weights_{name}": value for name, value in weights.items()
    }  # fmt: skip
    if operation.residual is not None and residual is not None:
        values |= {
            "has_residual": 1, "flip_residual": int(operation.residual.raw),
            "residual": residual.word + blocks[0] * residual.plane, "residual_plane": residual.plane,
            "residual_row": residual.row, "residual_tile": tiling.tile_h * residual.row,
        }  # fmt: skip
    return values


def move(storage: Storage, outer: Outer, place: Place, plane: int) -> dict[str, int]:
    """The fields of a LOAD or STORE of the rows at `place`, from plane `plane` of the outer map on.

    Rows that lie without gaps on both sides are one run, and so are planes of such rows.
    """
    runs, planes, size = place.rows, storage.planes, storage.row_bytes
    lanes, row_outer, row_chip = storage.lanes, outer.row, place.row
    if size == row_outer == row_chip * lanes and size * runs <= STREAM_LIMIT:
        size, runs = size * runs, 1
        row_outer, row_chip = size, size // lanes
        if size == outer.plane == place.plane * lanes and size * planes <= STREAM_LIMIT:
            size, planes = size * planes, 1
    if runs == 1:
        row_outer = row_chip = 0
    return {
        "region": outer.region, "offset": outer.offset + plane * outer.plane + place.first * outer.row,
        "chip": place.word, "runs": runs, "planes": planes, "run_bytes": size,
        "outer_run": row_outer, "chip_run": row_chip,
        "outer_plane": outer.plane if planes > 1 else 0, "chip_plane": place.plane if planes > 1 else 0,
    }  # fmt: skip


def outer_spans(storage: Storage, outer: Outer, place: Place, plane: int) -> Ints:
    """Bytes from ... to below ... that `move` touches in the outer memory, of every plane, (planes, 2)."""
    planes = np.arange(plane, plane + storage.planes, dtype=np.int64)
    start = outer.offset + planes * outer.plane + place.first * outer.row
    return np.stack([start, start + place.rows * outer.row], axis=1)
