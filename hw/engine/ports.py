"""What goes between the blocks of the engine. docs/engine.md says what the fields of a descriptor mean."""

from typing import Any

from amaranth.hdl import Module, Shape, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from roundel.golden.activation import CONTROL
from roundel.golden.engine import (
    RESULT_WIDTH,
    SELECTOR_BITS,
    STEP_BYTES,
    TABLE_BYTES,
    EngineParams,
    Opcode,
    known_fields,
)
from roundel.hw.requant import runtime_layout

OUTER_ADDRESS = 32


def descriptor_layout(opcode: Opcode, **units: bool) -> data.StructLayout:
    """Return a descriptor of that operation, from bit 0 of its 128 bytes, with the fields of `units_of` an engine."""
    items = known_fields(opcode, **{"activation": False} | units)
    return data.StructLayout({item.name: Shape(item.bits, item.signed) for item in items})


def units_of(params: EngineParams) -> dict[str, bool]:
    """Return which fields of COMPUTE an engine knows beside those that all do, as `descriptor_layout` takes them."""
    units = {"activation": params.activation is not None, "gates": params.gates, "sums": params.sums}
    return units | words_of(params)


def words_of(params: EngineParams) -> dict[str, bool]:
    """Return the part of `units_of` that the feeder needs: whether beats may have several words."""
    return {"words": True} if params.beat_words > 1 else {}


def scale_layout(params: EngineParams) -> dict[str, int]:
    """Return `scale`, of a step and its beats, with its bits; nothing for an engine without."""
    return {"scale": 2} if params.scales else {}


def beat_layout(params: EngineParams) -> data.StructLayout:
    """From the feeder to the array: bytes of a word, signed, borders and flips done.

    A beat without `compute` only fills the window of a depthwise layer; its flags are 0. `first` and `last`: of the
    steps of an output block; `swap` (`swap_params`): the first computing beat of a step that does not keep its weights
    (of an output block); `final`: all computing beats of the very last step of a tile; `scale`: of the step; `others`:
    the words behind the first, where beats may have several.
    """
    flags = dict.fromkeys(("compute", "first", "last", "swap", "swap_params", "final"), 1) | scale_layout(params)
    position, lanes = Shape.cast(range(params.depth)), data.ArrayLayout(signed(8), params.lanes)
    others = {"others": data.ArrayLayout(lanes, params.beat_words - 1)} if params.beat_words > 1 else {}
    return data.StructLayout({"data": lanes, "position": position} | flags | others)


def layer_layout(params: EngineParams) -> data.StructLayout:
    """Return what the array is told of a layer; it stands still while beats of the layer are on their way.

    With `activation` its results are words, floors; `has_residual` and `leak` are 0 then.
    """
    flags = dict.fromkeys(("depthwise", "maximum", "has_residual", "flip_target"), 1)
    flags |= {"activation": 1} if params.activation else {}
    flags |= {"split": 2} if params.beat_words > 1 else {}
    bound = signed(RESULT_WIDTH)
    return data.StructLayout(flags | {"leak": 6, "low": bound, "high": bound})


def column_layout(params: EngineParams) -> data.StructLayout:
    """One column's parameters, of an output block; `residual_shift` is the slope in layers with `activation`."""
    runtime = runtime_layout(params.mac.requant)
    shift = 5 if params.activation is None else params.activation.slope_width
    return data.StructLayout({"bias": signed(params.bias_width), "residual_shift": shift, "runtime": runtime})


def result_width(params: EngineParams) -> int:
    """Bits of a column's result: a byte, or what holds a word of the activation unit, too."""
    return 8 if params.activation is None else params.activation.in_width


def result_layout(params: EngineParams) -> data.StructLayout:
    """Return results of all columns, and whether they are the first of their output block; with an activation unit.

    They are no array, see `roundel.hw.activation.lane.lane_ports`.
    """
    return data.StructLayout({"words": result_width(params) * params.columns, "fresh": 1})


TABLE_ROWS = TABLE_BYTES // STEP_BYTES


def table_layout(params: EngineParams) -> data.StructLayout:
    """Return a row of an activation's table, 8 bytes: four entries of 16 bits, of each what counts."""
    assert params.activation is not None
    widths = [sum(CONTROL.values()), *[params.activation.knot_width] * 3]
    return data.StructLayout({f"entry_{place}": width for place, width in enumerate(widths)})


def step_layout(params: EngineParams) -> data.StructLayout:
    """Return a weight block's step, as `roundel.golden.engine.program.WeightStep` has it, without its selector."""
    flags = {"last": 1, "keep": 1, "scale": 2} | ({"spare": 4} if params.beat_words == 1 else {"words": 3, "spare": 1})
    return data.StructLayout({"offset": signed(32), "dy": signed(8), **flags, "dx": signed(16)})


def word(params: EngineParams) -> Shape:
    """Return a word of the activation memory, byte of lane 0 lowest."""
    return unsigned(8 * params.lanes)


def word_address(params: EngineParams) -> Shape:
    """Of a word of the activation memory."""
    return Shape.cast(range(params.words))


def feed_layout(params: EngineParams) -> data.StructLayout:
    """Return the byte that a beat begins with; `near`: less than two words behind that of the request before.

    What that request read counts as read then, whatever was written since. Where beats may have several words:
    `others`, of which those behind the first there are; `apart`, words from one to the next; `select`, whether
    lanes select, `swap`, whether `selector` counts from this beat on, and `split` of the layer.
    """
    words: dict[str, Any] = {}
    if params.beat_words > 1:
        words = {"others": params.beat_words - 1, "apart": word_address(params)}
    if params.select:
        words |= {"select": 1, "swap": 1, "split": 2}
    return data.StructLayout({"address": range(params.memory), "near": 1} | words)


def feed_port(params: EngineParams) -> wiring.Signature:
    """Read `lanes` bytes from any byte on: data come `ActivationMemory.FEED_LATENCY` cycles after the transfer.

    With several words, `data` is the first or, where lanes select, what they select; the others come beside it.
    """
    request = stream.Signature(feed_layout(params))
    ports = {"request": Out(request), "data": In(word(params)), "valid": In(1)}
    if params.beat_words > 1:
        ports["others"] = In(word(params)).array(params.beat_words - 1)
    if params.select:
        ports["selector"] = Out(SELECTOR_BITS * params.lanes)
        ports["selector_taken"] = In(1)
    return wiring.Signature(ports)


def read_port(params: EngineParams) -> wiring.Signature:
    """Read a word: data come `ActivationMemory.READ_LATENCY` cycles after the transfer, and cannot wait."""
    request = stream.Signature(word_address(params))
    return wiring.Signature({"request": Out(request), "data": In(word(params)), "valid": In(1)})


def write_layout(params: EngineParams) -> data.StructLayout:
    """Return a word of the activation memory, and its address."""
    return data.StructLayout({"address": word_address(params), "data": word(params)})


def write_port(params: EngineParams) -> wiring.Signature:
    """Write a word: it can be read from the cycle after the transfer on."""
    return wiring.Signature({"request": Out(stream.Signature(write_layout(params)))})


def unit_port(opcode: Opcode, **units: bool) -> wiring.Signature:
    """How the sequencer drives a unit: `start` for a cycle while not `busy`; the descriptor stands until `done`.

    `busy` from the cycle after `start` to the cycle of `done`, which is one cycle long: all its effects are there.
    """
    return wiring.Signature(
        {
            "start": Out(1),
            "descriptor": Out(descriptor_layout(opcode, **units)),
            "busy": In(1),
            "done": In(1),
        }
    )


def keep_busy(m: Module, unit: wiring.PureInterface) -> None:
    """Set `busy` of a unit's own side of its port: from `start` to `done`."""
    with m.If(unit.start):
        m.d.sync += unit.busy.eq(1)
    with m.Elif(unit.done):
        m.d.sync += unit.busy.eq(0)
