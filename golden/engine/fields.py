"""The fields of the engine's descriptors, bit by bit: what compiler, golden interpreter and hardware all read."""

from dataclasses import dataclass
from enum import IntEnum


class Opcode(IntEnum):
    """What a descriptor does, and on which unit: 1 loads, 2 and 3 compute, 4 stores, 0 ends."""

    END = 0
    LOAD = 1
    COMPUTE = 2
    BOXES = 3
    STORE = 4


UNITS = {
    "load": (Opcode.LOAD,),
    "compute": (Opcode.COMPUTE, Opcode.BOXES),
    "store": (Opcode.STORE,),
}
"""What each unit of the engine does, in the order of tokens."""
UNIT_OF = {opcode: number for number, opcodes in enumerate(UNITS.values()) for opcode in opcodes}
"""Which unit of these does an operation."""


@dataclass(frozen=True)
class Item:
    """One field of a descriptor: `bits` wide, two's complement if `signed`."""

    name: str
    bits: int
    signed: bool = False


COMMON = (
    Item("opcode", 4),
    Item("wait_previous", 1),
    Item("wait_next", 1),
    Item("signal_previous", 1),
    Item("signal_next", 1),
    Item("layer", 24),  # number of the network's layer: for traces only
)

_OUTER = (Item("offset", 30), Item("region", 2))

_MOVE = (
    *_OUTER,
    Item("chip", 24),  # first word on chip
    Item("spare", 8),
    Item("runs", 16),  # of a plane
    Item("planes", 16),
    Item("run_bytes", 24),
    Item("spare_1", 8),
    Item("outer_run", 32),  # bytes from one run to the next
    Item("outer_plane", 32),
    Item("chip_run", 32),  # words
    Item("chip_plane", 32),
)

_COMPUTE = (
    Item("source", 24),  # bytes: address of the first tile's origin, output position (0, 0), step offset 0
    Item("every", 4),  # of the beats of a row behind `lead`, one in so many computes
    Item("lead", 4),  # beats at the start of a row that only fill the window
    Item("row_bytes", 16),  # of the map: where its right border is
    Item("rows", 16),  # of the map on chip: where its lower border is
    Item("x_step", 16),  # bytes from beat to beat
    Item("blocks", 16),  # output blocks
    Item("y_step", 32),  # bytes from one output row to the next
    Item("tile_w", 16),
    Item("tile_h", 16),
    Item("last_w", 16),  # of the rightmost tile
    Item("last_h", 16),  # of the lowest tile
    Item("tiles_x", 16),
    Item("tiles_y", 16),
    Item("tile_x_step", 32),  # bytes
    Item("tile_y_step", 32),  # bytes
    Item("tile_y_rows", 16),  # rows of the map from tile to tile
    Item("pad", 8),  # the byte that stands outside the map
    Item("y_rows", 8),  # rows of the map from one output row to the next
    Item("target", 24),  # word of the first output
    Item("leak", 6),
    Item("spare", 2),
    Item("target_plane", 32),  # words from block to block
    Item("target_row", 32),  # words from output row to output row
    Item("target_tile", 32),  # words from one row of tiles to the next
    Item("residual", 24),  # word of the first residual
    Item("depthwise", 1),
    Item("maximum", 1),
    Item("has_residual", 1),
    Item("upsample", 1),
    Item("flip_source", 1),  # bytes of the map are unsigned
    Item("flip_residual", 1),
    Item("flip_target", 1),
    Item("spare_1", 1),
    Item("residual_plane", 32),
    Item("residual_row", 32),
    Item("residual_tile", 32),
    Item("low", 16, signed=True),  # clamp of the result
    Item("high", 16, signed=True),
    Item("parameters_offset", 30),
    Item("parameters_region", 2),
    Item("parameters_bytes", 32),
    Item("weights_offset", 30),
    Item("weights_region", 2),
    Item("weights_bytes", 32),
)

_BOXES = (
    *_OUTER,  # where the kept boxes go; of the scale with `last` only
    Item("cls", 24),  # word
    Item("cls_signed", 1),
    Item("box_signed", 1),
    Item("last", 1),  # of the image's scales
    Item("spare", 5),
    Item("box", 24),  # word
    Item("spare_1", 8),
    Item("cls_plane", 32),  # words from plane to plane
    Item("width", 12),  # of the grid
    Item("height", 12),
    Item("stride", 8),  # log2, pixels
    Item("classes", 16),
    Item("threshold", 16, signed=True),
    Item("shift", 8, signed=True),  # of a distance to a corner's unit, left
    Item("score_shift", 8),  # left
)

FIELDS: dict[Opcode, tuple[Item, ...]] = {
    Opcode.END: COMMON,
    Opcode.LOAD: COMMON + _MOVE,
    Opcode.COMPUTE: COMMON + _COMPUTE,
    Opcode.BOXES: COMMON + _BOXES,
    Opcode.STORE: COMMON + _MOVE,
}
"""The fields of every operation from bit 0 up."""
