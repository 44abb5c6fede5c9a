"""Code generation: COMPUTE, LOAD and STORE descriptors with their addresses, and the streams that they read."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roundel.compiler.area import Area, Place
from roundel.compiler.operation import Operation
from roundel.compiler.refusal import EngineError, fewer_lanes
from roundel.compiler.step_weights import Steps, Weights, repeats
from roundel.compiler.tensor import Outer, Storage
from roundel.golden.codec import CodecParams, encode
from roundel.golden.engine import (
    KEEP,
    LAST,
    SCALE,
    SELECTOR_BITS,
    STEP,
    STEP_BYTES,
    TABLE_BYTES,
    WORDS,
    EngineParams,
    Opcode,
    Region,
    column_bytes,
    field_limits,
    pack_column,
    pack_table,
    step_bytes,
)
from roundel.golden.errors import InputError
from roundel.golden.rounding import Ints

STREAM_LIMIT = field_limits(Opcode.LOAD, "run_bytes")[1]  # bytes of a transfer
ALIGN = 16  # bytes: a beat of the widest bus


@dataclass(kw_only=True)
class Streams:
    """Parameter and weight streams behind the program; identical streams are stored once.

    Parameters
    ----------
    params
        The engine's.

    Attributes
    ----------
    data
        All streams, each aligned to `ALIGN` bytes.
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
        """Encode the weight stream of some output blocks, without blocks that are those of the step before."""
        key = (id(operation), blocks)
        if key not in self._weights:
            held = np.concatenate([operation.steps[block].weights for block in blocks])
            self._weights[key] = encode_weights(held[~repeats(held)], self.params)
        return self._weights[key]

    def _weights_bytes(self, operation: Operation, blocks: range, steps: int) -> int:
        """Bytes of a weight stream; that of several blocks is not coded if it is too long even with a bit a weight."""
        if len(blocks) > 1 and steps * self.params.columns * self.params.lanes > 8 * STREAM_LIMIT:
            return STREAM_LIMIT + 1
        return len(self.weights(operation, blocks))

    def zeros(self) -> bytes:
        """Encode the weight stream of one block of zeros."""
        return encode_weights(np.zeros((self.params.columns, self.params.lanes), dtype=np.int8), self.params)

    def parts(self, operation: Operation) -> list[range]:
        """Output blocks of a phase in groups whose streams are not too long for one transfer."""
        count = operation.blocks
        todo, parts = [range(first, first + count) for first in range(0, len(operation.steps), count)][::-1], []
        while todo:
            blocks = todo.pop()
            steps = sum(len(operation.steps[block]) for block in blocks)
            lanes = operation.steps[blocks[0]].selector.shape[1]
            size = (
                column_bytes(self.params) * self.params.columns * len(blocks) + step_bytes(lanes) * steps + TABLE_BYTES
            )
            if operation.gate is None:
                size = max(size, self._weights_bytes(operation, blocks, steps))
            if size <= STREAM_LIMIT:
                parts.append(blocks)
            elif len(blocks) == 1:
                message = f"{operation.layer}: an output block's weights take {size} bytes, too many to stream"
                raise EngineError(message, fewer_lanes(self.params))
            else:
                half = len(blocks) // 2
                todo += [blocks[half:], blocks[:half]]
        return parts


def compute(
    operation: Operation, blocks: range, streams: Streams, *,
    area: Area, source: Place, target: Place, residual: Place | None = None, addend: Place | None = None,
    gate: Place | None = None, sums: Place | None = None,
) -> dict[str, int]:  # fmt: skip
    """Return the fields of a COMPUTE descriptor for a part of some output planes.

    Parameters
    ----------
    operation
        What it computes.
    blocks
        Output blocks, all of one phase, of which the part has at least one row.
    streams
        Extended by the parameters and weights that the descriptor reads.
    area
        The part of the results.
    source, target, residual, addend, gate, sums
        Places on chip of its operands and its results.
    """
    assert area.first % operation.grain == 0
    assert area.left % operation.across == 0
    params, lanes, storage = streams.params, streams.params.lanes, operation.target.storage
    reads, pixel = operation.reads(area, params.bus_bytes), operation.source.storage.pixel_bytes
    row, column, block = operation.phase(blocks[0])
    positions = operation.positions(area.rows, area.columns, row, column)
    tiling = operation.tiling(*positions, params)
    half = 2 if operation.upsample else 1
    below = area.first // operation.phases * operation.stride // half - reads.first
    behind = area.left // operation.across * operation.x_step * operation.every // half - reads.left * pixel
    reach = _Reach(source, addend, reads, below, behind)
    places = [_step_places(operation, operation.steps[number], reach) for number in blocks]
    parameters = streams.put(parameter_stream(operation, blocks, params, places))
    values = vars(tiling) | {
        "source": source.byte(operation.source.storage, reads.first, reads.left), "rows": reads.rows,
        "row_bytes": reads.columns * pixel, "x_step": operation.x_step, "every": operation.every,
        "lead": operation.lead, "y_step": operation.stride * source.row * lanes, "y_rows": operation.stride,
        "tile_x_step": tiling.tile_w * operation.every * operation.x_step // half,
        "tile_y_step": tiling.tile_h * operation.stride * source.row * lanes // half,
        "tile_y_rows": tiling.tile_h * operation.stride // half,
        "blocks": len(blocks), "skip": operation.across - 1, "pad": operation.pad, "leak": operation.leak,
        "low": operation.low, "high": operation.high, "activation": int(operation.activation is not None),
        "target": target.at(storage, area, block) + row * target.row + column, "target_plane": target.plane,
        "target_row": operation.phases * target.row, "target_tile": tiling.tile_h * operation.phases * target.row,
        "depthwise": int(operation.depthwise), "maximum": int(operation.maximum), "upsample": int(operation.upsample),
        "flip_source": int(operation.source.raw), "flip_target": int(operation.flip_target),
        "parameters_region": Region.PROGRAM,
    } | _words(operation, source) | {f"parameters_{name}": value for name, value in parameters.items()}  # fmt: skip
    if operation.gate is not None and gate is not None:
        values |= {"has_gate": 1, "flip_gate": int(operation.gate.raw)}
        values |= {"weights_offset": gate.at(operation.gate.storage, gate.area, block), "weights_bytes": gate.plane}
        residual = source
    else:
        weights = streams.put(streams.weights(operation, blocks))
        values |= {"weights_region": Region.PROGRAM} | {f"weights_{name}": value for name, value in weights.items()}
    if operation.sums is not None and sums is not None:
        first = sums.at(operation.sums.storage, sums.area, 2 * block) + area.first
        flip = int(operation.target.raw)
        values |= {"has_sums": 1, "flip_sums": flip, "sums": first, "sums_plane": sums.plane, "sums_tile": storage.rows}
    if operation.runs:
        step = operation.runs * source.plane * lanes
        values |= {"rows": 1, "row_bytes": operation.row_bytes, "y_step": step, "y_rows": 0, "tile_y_rows": 0}
        values |= {"tile_y_step": tiling.tile_h * step, "target_row": target.plane}
        values |= {"target_tile": tiling.tile_h * target.plane}
    if operation.residual is not None and residual is not None:
        values |= {
            "has_residual": 1, "flip_residual": int(operation.residual.raw),
            "residual": residual.at(operation.residual.storage, area, block) + row * residual.row + column,
            "residual_plane": residual.plane, "residual_row": operation.phases * residual.row,
            "residual_tile": tiling.tile_h * operation.phases * residual.row,
        }  # fmt: skip
    return values


def _words(operation: Operation, source: Place) -> dict[str, int]:
    """Return the fields of beats of several words."""
    if not operation.split:
        return {}
    step = operation.word_rows * source.row if operation.word_rows else source.plane
    wide = int(operation.steps[0].selector.size > 0)
    return {"split": operation.split, "word_step": step, "word_rows": operation.word_rows, "wide_steps": wide}


@dataclass(frozen=True)
class _Reach:
    """From where the steps of a part reach: places of its sources, and the part of these that is there."""

    source: Place
    addend: Place | None
    reads: Area
    below: int  # rows and bytes by which the part begins behind its source
    behind: int

    def planes(self, storage: Storage, plane: Ints) -> Ints:
        """Return the bytes from the part's first pixel to that of each plane, of the second source behind the first."""
        offset = plane * self.source.plane * storage.lanes
        if self.addend is None:
            return offset
        assert self.addend.row == self.source.row
        first, second = (place.byte(storage, self.reads.first, self.reads.left) for place in (self.source, self.addend))
        beyond = second - first + (plane - storage.planes) * self.addend.plane * storage.lanes
        return np.where(plane < storage.planes, offset, beyond)


def _step_places(operation: Operation, steps: Steps, reach: _Reach) -> tuple[Ints, Ints, Ints]:
    """Return offset, dy and dx of a block's steps."""
    storage = operation.source.storage
    dy, dx = steps.row + reach.below, steps.byte + reach.behind
    offset = reach.planes(storage, steps.plane) + dy * reach.source.row * storage.lanes + dx
    if operation.gate is not None and len(dx) > 1:
        dx[1:] = _beyond(operation, reach.reads)
    if operation.runs:
        assert reach.source.row == storage.columns
        dy, dx = 0 * dy, operation.beyond(steps)
    return offset, dy, dx


def _beyond(operation: Operation, reads: Area) -> int:
    """Return bytes to the right from which no beat lies within the rows of a part."""
    size, most = reads.columns * operation.source.storage.pixel_bytes, np.iinfo(STEP["dx"]).max
    if size > most:
        raise InputError(f"{operation.layer}: rows of {size} bytes, but a step reaches {most} bytes beyond a border")
    return int(most)


def move(storage: Storage, outer: Outer, place: Place, plane: int, area: Area) -> dict[str, int]:
    """Return the fields of a LOAD or STORE of a part of a map.

    Rows that lie without gaps on both sides are one run, and so are planes of such rows.

    Parameters
    ----------
    storage
        The map, whose planes are all moved.
    outer
        Its place in the outer memory, or that of the map which it is a part of.
    place
        Where it is on chip.
    plane
        The first plane in the outer map.
    area
        The part.
    """
    runs, planes, size = area.rows, storage.planes, area.columns * storage.pixel_bytes
    lanes, row_outer, row_chip = storage.lanes, outer.row, place.row
    if size == row_outer == row_chip * lanes and size * runs <= STREAM_LIMIT:
        size, runs = size * runs, 1
        row_outer, row_chip = size, size // lanes
        if size == outer.plane == place.plane * lanes and size * planes <= STREAM_LIMIT:
            size, planes = size * planes, 1
    if runs == 1:
        row_outer = row_chip = 0
    offset = outer.offset + plane * outer.plane + area.first * outer.row + area.left * storage.pixel_bytes
    return {
        "region": outer.region, "offset": offset, "chip": place.at(storage, area), "runs": runs, "planes": planes,
        "run_bytes": size, "outer_run": row_outer, "chip_run": row_chip,
        "outer_plane": outer.plane if planes > 1 else 0, "chip_plane": place.plane if planes > 1 else 0,
    }  # fmt: skip


def outer_spans(storage: Storage, outer: Outer, plane: int, area: Area) -> Ints:
    """Return the bytes of the outer memory that `move` touches, whole rows of them.

    Parameters
    ----------
    storage, outer
        How the map is stored on chip, and in the outer memory.
    plane
        First plane there.
    area
        Rows and columns of the map.

    Returns
    -------
    ndarray
        First byte, and the one behind the last, of each plane: (planes, 2).
    """
    planes = np.arange(plane, plane + storage.planes, dtype=np.int64)
    start = outer.offset + planes * outer.plane + area.first * outer.row
    return np.stack([start, start + area.rows * outer.row], axis=1)


def parameter_stream(
    operation: Operation, blocks: range, params: EngineParams, places: Iterable[tuple[Ints, Ints, Ints]]
) -> bytes:
    """Pack the table of an activation, then columns' parameters and steps of some output blocks, block by block.

    Parameters
    ----------
    operation, blocks
        The operation, and the numbers of the output blocks.
    params
        The engine's.
    places
        Offset, dy and dx of each block's steps, (steps,) each.

    Raises
    ------
    InputError
        A kernel that reaches further than dy and dx hold.
    """
    stream = [] if operation.activation is None else [pack_table(operation.activation)]
    before = None
    for number, (offset, dy, dx) in zip(blocks, places, strict=True):
        for name, values in (("dy", dy), ("dx", dx)):
            reach = np.iinfo(STEP[name])
            if values.min() < reach.min or values.max() > reach.max:
                raise InputError(f"{operation.layer}: a kernel reaches {name} {values.min()} to {values.max()}")
        fields = [{name: int(values[number % len(values), column]) for name, values in operation.columns.items()}
                for column in range(params.columns)]  # fmt: skip
        stream += [pack_column(params, values) for values in fields]
        held = operation.steps[number].weights
        steps = np.zeros(len(offset), dtype=STEP)
        steps["offset"], steps["dy"], steps["dx"] = offset, dy, dx
        selector = operation.steps[number].selector
        flags = KEEP * repeats(held, before) | SCALE * operation.steps[number].scale
        steps["flags"] = flags | WORDS * (operation.steps[number].words - 1)
        steps["flags"][-1] |= LAST
        stream.append(_with_selectors(steps, selector) if selector.size else steps.tobytes())
        before = held[-1]
    return b"".join(stream)


def _with_selectors(steps: NDArray[Any], selector: Ints) -> bytes:
    """Pack steps with their selectors, (steps, lanes)."""
    bits = (selector[:, :, None] >> np.arange(SELECTOR_BITS) & 1).reshape(len(steps), -1)
    chosen = np.packbits(bits, axis=1, bitorder="little")
    wide = np.zeros((len(steps), step_bytes(selector.shape[1])), dtype=np.uint8)
    wide[:, :STEP_BYTES] = steps.view(np.uint8).reshape(len(steps), -1)
    wide[:, STEP_BYTES : STEP_BYTES + chosen.shape[1]] = chosen
    return wide.tobytes()


def encode_weights(weights: Weights, params: EngineParams) -> bytes:
    """Weight blocks in order, (..., columns, lanes), as a stream for the engine's decoder."""
    coder = CodecParams(
        packing=params.packing, width=params.weight_width, lanes=params.lanes, slices=params.decoder.slices
    )
    return encode(weights, coder)
