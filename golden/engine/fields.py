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
    """A field of a descriptor or a record.

    Parameters
    ----------
    name
        What it is called in `Descriptor.values`.
    bits
        Its width.
    meaning
        What it says, in a line of Markdown.
    signed
        Whether it is a two's complement number.
    """

    name: str
    bits: int
    meaning: str = ""
    signed: bool = False


COMMON = (
    Item("opcode", 4, "0 END, 1 LOAD, 2 COMPUTE, 3 BOXES, 4 STORE"),
    Item("wait_previous", 1, "begin with a token from the unit before"),
    Item("wait_next", 1, "begin with a token from the unit behind"),
    Item("signal_previous", 1, "give the unit before a token at the end"),
    Item("signal_next", 1, "give the unit behind a token at the end"),
    Item("layer", 24, "number of the network's layer: for traces only"),
)

TOKEN_FLAGS = ("wait_previous", "wait_next", "signal_previous", "signal_next")
"""Fields of `COMMON` about tokens, from the lowest bit up."""

_MOVE = (
    Item("offset", 30, "outer address of the first run, within its region"),
    Item("region", 2, "region of the outer addresses"),
    Item("chip", 24, "first word on chip"),
    Item("spare", 8),
    Item("runs", 16, "runs of a plane"),
    Item("planes", 16, "number of planes"),
    Item("run_bytes", 24, "bytes of a run"),
    Item("spare_1", 8),
    Item("outer_run", 32, "bytes from one run to the next"),
    Item("outer_plane", 32, "bytes from one plane to the next"),
    Item("chip_run", 32, "words from one run to the next"),
    Item("chip_plane", 32, "words from one plane to the next"),
)

_COMPUTE = (
    Item("source", 24, "byte address of the first tile's origin: output position (0, 0), step offset 0"),
    Item("every", 4, "of the beats of a row behind `lead`, one in so many computes"),
    Item("lead", 4, "beats at the start of a row that only fill the window"),
    Item("row_bytes", 16, "bytes of a row of the map: where its right border is"),
    Item("rows", 16, "rows of the map on chip: where its lower border is"),
    Item("x_step", 16, "bytes from beat to beat"),
    Item("blocks", 16, "output blocks"),
    Item("y_step", 32, "bytes from one output row to the next"),
    Item("tile_w", 16, "columns of a tile"),
    Item("tile_h", 16, "rows of a tile"),
    Item("last_w", 16, "columns of the rightmost tile"),
    Item("last_h", 16, "rows of the lowest tile"),
    Item("tiles_x", 16, "tiles side by side"),
    Item("tiles_y", 16, "tiles one below the other"),
    Item("tile_x_step", 32, "bytes from tile to tile in a row"),
    Item("tile_y_step", 32, "bytes from one row of tiles to the next"),
    Item("tile_y_rows", 16, "rows of the map from one row of tiles to the next"),
    Item("pad", 8, "the byte that stands outside the map"),
    Item("y_rows", 8, "rows of the map from one output row to the next"),
    Item("target", 24, "word of the first output"),
    Item("leak", 6, "added to the shift of a negative sum"),
    Item("skip", 2, "words left out between results of a row, and between residuals"),
    Item("target_plane", 32, "words from block to block"),
    Item("target_row", 32, "words from output row to output row"),
    Item("target_tile", 32, "words from one row of tiles to the next"),
    Item("residual", 24, "word of the first residual"),
    Item("depthwise", 1, "every column has a channel of its own"),
    Item("maximum", 1, "the largest product instead of their sum"),
    Item("has_residual", 1, "a residual is added before the requantizer; with `activation` behind it, in the unit"),
    Item("upsample", 1, "every row and every column of the map counts twice"),
    Item("flip_source", 1, "bytes of the map are unsigned"),
    Item("flip_residual", 1, "bytes of the residual are unsigned"),
    Item("flip_target", 1, "bytes of the output are unsigned"),
    Item("wide_steps", 1, "steps have selectors; ignored by an engine without `select`"),
    Item("residual_plane", 32, "words from block to block"),
    Item("residual_row", 32, "words from output row to output row"),
    Item("residual_tile", 32, "words from one row of tiles to the next"),
    Item("low", 16, "least result", signed=True),
    Item("high", 16, "greatest result", signed=True),
    Item("parameters_offset", 30, "outer address of the parameter stream, within its region"),
    Item("parameters_region", 2, "region of the parameter stream"),
    Item("parameters_bytes", 32, "bytes of the parameter stream"),
    Item("weights_offset", 30, "outer address of the weight stream, within its region; with `has_gate` a word on chip"),
    Item("weights_region", 2, "region of the weight stream"),
    Item("weights_bytes", 32, "bytes of the weight stream; with `has_gate` words from block to block"),
    Item("activation", 1, "results go through the activation unit; ignored by an engine without one"),
    Item("has_gate", 1, "weights are factors in the activation memory; ignored by an engine without `gates`"),
    Item("flip_gate", 1, "bytes of the factors are unsigned; ignored by an engine without `gates`"),
    Item(
        "has_sums", 1, "sums of results are written too; this and what follows is ignored by an engine without `sums`"
    ),
    Item("flip_sums", 1, "bytes of the results that are added up are unsigned"),
    Item("spare_1", 3),
    Item("sums", 24, "word of the first sum's lower digit"),
    Item("sums_plane", 24, "words from lower to upper digits; from block to block twice as many"),
    Item("spare_2", 8),
    Item("sums_tile", 24, "words from tile to tile in a row"),
    Item("split", 2, "base-2 logarithm of a beat's words, at most; ignored, as what follows, where `beat_words` is 1"),
    Item("spare_3", 6),
    Item("word_step", 24, "words from word to word of a beat"),
    Item("word_rows", 8, "rows of the map from word to word of a beat"),
)

_BOXES = (
    Item("offset", 30, "outer address of the records, within its region; of the scale with `last` only"),
    Item("region", 2, "region of the records; of the scale with `last` only"),
    Item("cls", 24, "first word of the logits"),
    Item("cls_signed", 1, "logits are signed bytes"),
    Item("box_signed", 1, "distances are signed bytes"),
    Item("last", 1, "the last of the image's scales"),
    Item("spare", 5),
    Item("box", 24, "first word of the distances"),
    Item("spare_1", 8),
    Item("cls_plane", 32, "words from plane to plane of the logits"),
    Item("width", 12, "columns of the grid"),
    Item("height", 12, "rows of the grid"),
    Item("stride", 8, "base-2 logarithm of the pixels from location to location"),
    Item("classes", 16, "logits of a location"),
    Item("threshold", 16, "least logit of a box", signed=True),
    Item("shift", 8, "left shift of a distance to a corner's unit", signed=True),
    Item("score_shift", 8, "left shift of a logit to a score"),
    Item("priors", 4, "boxes of a location, less one; ignored, as all that follow, by an engine without `heads`"),
    Item("score_form", 2, "0 logits, 1 products of two sigmoids, 2 softmax"),
    Item("box_form", 3, "0 distances, 1 distributions, 2 powers of two, 3 centres and sizes, 4 corners"),
    Item(
        "every_class",
        1,
        "every class above the thresholds makes a box, of products if the best does; else that alone",
    ),
    Item("peaks", 1, "only a logit that equals that of `maxima` makes a box"),
    Item("spare_2", 5),
    Item("objectness", 24, "first word of the objectness, for products"),
    Item("spare_3", 8),
    Item("maxima", 24, "first word of the greatest logits around each, for `peaks`"),
    Item("cost_fraction", 4, "fraction bits of the cost of a softmax"),
    Item("background", 1, "the background is the last logit, not the first"),
    Item("spare_4", 3),
    Item("bins", 6, "bins of a distribution"),
    Item("most", 12, "greatest cost of a box, of products and softmaxes"),
    Item("spare_5", 14),
    Item("step", 32, "from location to location, in 1/64 of a coordinate's unit; in place of `stride`, with `heads`"),
    Item("origin", 32, "place of the first location, and half a coordinate's unit, in the same", signed=True),
    Item("box_plane", 32, "words from plane to plane of the boxes' numbers; for more than one plane"),
    Item("objectness_plane", 32, "words from plane to plane of the objectness; for more than one plane"),
    Item("maxima_plane", 32, "words from plane to plane of `maxima`"),
    Item("parameters_offset", 30, "outer address of the tables, within their region"),
    Item("parameters_region", 2, "region of the tables"),
    Item("parameters_bytes", 32, "bytes of the tables; 0: none are read"),
)
HEAD_FIELDS = tuple(item.name for item in _BOXES[[item.name for item in _BOXES].index("priors") :])
"""Fields of BOXES that only engines with `heads` know, the last ones; all are 0 in the plain head."""

FIELDS: dict[Opcode, tuple[Item, ...]] = {
    Opcode.END: COMMON,
    Opcode.LOAD: COMMON + _MOVE,
    Opcode.COMPUTE: COMMON + _COMPUTE,
    Opcode.BOXES: COMMON + _BOXES,
    Opcode.STORE: COMMON + _MOVE,
}
"""The fields of every operation from bit 0 up."""


_UNITS = (1, 2, 7, 4)
"""Fields of COMPUTE that only engines with an activation unit, `gates`, `sums` and beats of words know: the last."""


def known_fields(
    opcode: Opcode, *, activation: bool, gates: bool = False, sums: bool = False, words: bool = False,
    heads: bool = False,
) -> tuple[Item, ...]:  # fmt: skip
    """Return the fields that an engine has room for, from bit 0 up.

    Of COMPUTE those of the engine's units, and all before them; of BOXES, without `heads`, all but `HEAD_FIELDS`, the
    last.
    """
    fields = FIELDS[opcode]
    if opcode is Opcode.COMPUTE:
        used = max((number for number, unit in enumerate((activation, gates, sums, words), 1) if unit), default=0)
        return fields[: len(fields) - sum(_UNITS[used:])]
    left_out = set(HEAD_FIELDS) if opcode is Opcode.BOXES and not heads else set()
    return tuple(item for item in fields if item.name not in left_out)


def field_limits(opcode: Opcode, name: str) -> tuple[int, int]:
    """Least and greatest value of a field of an operation."""
    item = next(item for item in FIELDS[opcode] if item.name == name)
    return (-(1 << item.bits - 1), (1 << item.bits - 1) - 1) if item.signed else (0, (1 << item.bits) - 1)


def positions(items: tuple[Item, ...]) -> dict[str, range]:
    """Bits that each field takes, by name, when they are packed one behind the other from bit 0 up."""
    places, start = {}, 0
    for item in items:
        places[item.name] = range(start, start + item.bits)
        start += item.bits
    return places
