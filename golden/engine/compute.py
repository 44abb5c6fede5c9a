"""COMPUTE in NumPy: tiles, steps and their weights, gathered beats, sums and results. docs/engine.md has the loops."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from roundel.golden.activation import WORDS, ActivationTable
from roundel.golden.codec import CodecError
from roundel.golden.engine.fields import field_limits
from roundel.golden.engine.params import RESULT_WIDTH, EngineParams
from roundel.golden.engine.program import (
    CHOICE,
    Descriptor,
    WeightStep,
    column_bytes,
    lower_bits,
    step_bytes,
    unpack_columns,
)
from roundel.golden.engine.tables import TABLE_BYTES, table_bytes, unpack_table
from roundel.golden.requant import Scheme
from roundel.golden.rounding import Ints, Rounding, limits, round_shift

Bytes = NDArray[np.uint8]
BORDER_BITS = 18
"""Of rows of a map and bytes of a row, where they are compared with the map's borders."""
SURE = 63
"""No sum is left of any accumulator that is shifted by so many bits, or by more."""
FLIP = 0x80
"""The bit of a byte that tells unsigned from signed activations."""
SUM_BITS = 14
"""Of a sum of results: of 64 signed bytes."""
DIGIT_BITS = 6
"""Of these, those of the lower digit."""


@dataclass(frozen=True, kw_only=True)
class Tile:
    """Where a tile is: its number, its size, and what its steps count from."""

    ty: int
    x: int  # output positions to the left
    w: int
    h: int
    origin: int  # byte address
    row: int  # of the map
    byte: int  # of the row

    @classmethod
    def of(cls, descriptor: Descriptor, ty: int, tx: int) -> "Tile":
        """Tile (ty, tx) of a COMPUTE descriptor."""
        return cls(
            ty=ty,
            x=tx * descriptor.tile_w,
            w=descriptor.last_w if tx == count(descriptor, "tiles_x") - 1 else descriptor.tile_w,
            h=descriptor.last_h if ty == count(descriptor, "tiles_y") - 1 else descriptor.tile_h,
            origin=descriptor.source + ty * descriptor.tile_y_step + tx * descriptor.tile_x_step,
            row=ty * descriptor.tile_y_rows,
            byte=tx * descriptor.tile_x_step,
        )

    @property
    def positions(self) -> int:
        """Output positions."""
        return self.w * self.h


def count(descriptor: Descriptor, name: str) -> int:
    """Return a count of a descriptor: 0 stands for two to the power of the field's bits."""
    return getattr(descriptor, name) or field_limits(descriptor.opcode, name)[1] + 1


@lru_cache(maxsize=256)
def stream_weights(params: EngineParams, weights: bytes) -> Ints:
    """Return the weights of a weight stream, whole beats of them; CodecError if it is damaged."""
    held = params.decoder.decode(weights).astype(np.int64)
    return np.pad(held, (0, -len(held) % params.lanes))  # the decoder fills its last beat with zeros


def activation_table(params: EngineParams, descriptor: Descriptor, parameters: bytes) -> ActivationTable | None:
    """Return the table at the head of a parameter stream; None where there is none, or no unit that takes it.

    Raises
    ------
    EOFError
        The stream ends within the table.
    ValueError
        No such table, where hardware would compute something.
    """
    if not table_bytes(params, descriptor):
        return None
    if len(parameters) < TABLE_BYTES:
        raise EOFError
    return unpack_table(parameters[:TABLE_BYTES])


def output_blocks(
    params: EngineParams, descriptor: Descriptor, parameters: bytes, weights: bytes
) -> Iterator[tuple[dict[str, Ints], list[tuple[WeightStep, Ints]]]]:
    """Each output block's column parameters and steps, as `held_blocks` gives them, of the streams of a COMPUTE."""
    return held_blocks(params, descriptor, parameters, stream_weights(params, weights), bits=8 * len(weights))


def held_blocks(
    params: EngineParams, descriptor: Descriptor, parameters: bytes, held: Ints, *, bits: int
) -> Iterator[tuple[dict[str, Ints], list[tuple[WeightStep, Ints]]]]:
    """Each output block's column parameters, and its steps with their weights, (columns, lanes).

    Parameters
    ----------
    params
        The engine.
    descriptor
        A COMPUTE.
    parameters
        Its parameter stream, whole.
    held
        All weights of a tile, as `stream_weights` or `factors` gives them.
    bits
        Length of the weight stream, where a fault is that is found at its end.

    Raises
    ------
    EOFError
        The parameter stream ends too early or goes on behind the last step.
    CodecError
        The weight stream is damaged, or brings fewer or more weight blocks than steps take.
    """
    size, at, used = params.columns * params.lanes, table_bytes(params, descriptor), 0
    selected = params.lanes if params.select and descriptor.wide_steps else 0
    each = step_bytes(selected)
    for _ in range(count(descriptor, "blocks")):
        end = at + params.columns * column_bytes(params)
        if end > len(parameters):
            raise EOFError
        columns, at = unpack_columns(params, parameters[at:end]), end
        steps: list[tuple[WeightStep, Ints]] = []
        while not steps or not steps[-1][0].last:
            if at + each > len(parameters):
                raise EOFError
            step, at = WeightStep.unpack(parameters[at : at + each], selected), at + each
            used += not (step.keep and used)  # the tile's first step has nothing to keep
            if used * size > len(held):
                raise CodecError(bits, f"{len(held)} weights", f"at least {used * size}")
            steps.append((step, held[(used - 1) * size : used * size].reshape(params.columns, params.lanes)))
        yield columns, steps
    if at != len(parameters):
        raise EOFError
    if used * size != len(held):
        raise CodecError(bits, f"{len(held)} weights", f"{used * size}")


def factors(params: EngineParams, descriptor: Descriptor, memory: Bytes) -> Ints:
    """Return the weights of a COMPUTE with `has_gate`: weight 0 of column c is byte c of the block's word.

    Parameters
    ----------
    params
        The engine.
    descriptor
        A COMPUTE: `weights_offset` is the word of its first block, `weights_bytes` the words from block to block.
    memory
        The activation memory, (bytes,).

    Returns
    -------
    (blocks * columns * lanes,) integers of `weight_width` bits.
    """
    blocks, lanes = count(descriptor, "blocks"), params.lanes
    words = descriptor.weights_offset + np.arange(blocks, dtype=np.int64) * descriptor.weights_bytes
    raw = memory[(words[:, None] * lanes + np.arange(lanes)) % len(memory)] ^ np.uint8(FLIP * descriptor.flip_gate)
    held = np.zeros((blocks, params.columns, lanes), np.int64)
    held[:, :, 0] = lower_bits(raw.astype(np.int64), params.weight_width, True)
    return held.ravel()


def gathered(descriptor: Descriptor, tile: Tile, step: WeightStep, memory: Bytes, params: EngineParams) -> list[Ints]:
    """Read what a step's beats bring: each of their words, (rows * beats, lanes) signed bytes; one word if selected.

    Parameters
    ----------
    descriptor
        A COMPUTE.
    tile, step
        Which of its tiles and of its weight blocks.
    memory
        The activation memory, (bytes,).
    params
        The engine.

    Raises
    ------
    ValueError
        More words than the layer or the engine has, or two that share a bank or a slot, or a selector of another
        lane's first word, where hardware would read others.
    """
    if params.beat_words == 1:
        return [gather(descriptor, tile, step, memory, params.lanes)]
    shared = step.words > 1 and not descriptor.word_step & 1
    if not step.words <= 1 << descriptor.split <= params.beat_words or shared:
        what = f"beats of {step.words} words, {descriptor.word_step} apart, with split {descriptor.split}"
        raise ValueError(f"layer {descriptor.layer}: {what}")
    _check_selector(descriptor, step)
    words = [gather(descriptor, tile, step, memory, params.lanes, word) for word in range(step.words)]
    return [selected(descriptor, step.selector, words)] if step.selector else words


def _check_selector(descriptor: Descriptor, step: WeightStep) -> None:
    """Raise ValueError unless lanes take their own bytes of any word, or those of others of words behind the first."""
    side = CHOICE >> descriptor.split
    for lane, choice in enumerate(step.selector):
        if choice % side != lane % side and choice < side:
            raise ValueError(f"layer {descriptor.layer}: lane {lane} selects byte {choice} of sides of {side}")


def selected(descriptor: Descriptor, selector: tuple[int, ...], words: list[Ints]) -> Ints:
    """Return what lanes take, each one byte of eight: of the words of a beat, from the lanes that it lies among.

    A byte of a word that is not read counts as 0.
    """
    side, count = CHOICE >> descriptor.split, len(selector)
    near = np.concatenate(words, axis=1)
    near = np.pad(near, ((0, 0), (0, CHOICE * count - near.shape[1])))
    lanes = np.arange(count)
    choice = np.array(selector)
    return near[:, choice // side * count + lanes // side * side + choice % side]


def gather(descriptor: Descriptor, tile: Tile, step: WeightStep, memory: Bytes, lanes: int, word: int = 0) -> Ints:
    """Read a word of what a step's beats bring, (rows * beats, lanes) signed bytes.

    Parameters
    ----------
    descriptor
        A COMPUTE.
    tile, step
        Which of its tiles and of its weight blocks.
    memory
        The activation memory, (bytes,).
    lanes
        Bytes of a word.
    word
        Which of the words of each beat.
    """
    beats = descriptor.lead + (tile.w - 1) * count(descriptor, "every") + 1
    y, beat = np.divmod(np.arange(tile.h * beats), beats)
    if descriptor.upsample:
        y, beat = y >> 1, beat >> 1
    lane = np.arange(lanes)
    row = lower_bits(tile.row + step.dy + word * descriptor.word_rows + y * descriptor.y_rows, BORDER_BITS, True)
    byte = lower_bits(tile.byte + step.dx + beat * descriptor.x_step, BORDER_BITS, True)[:, None] + lane
    address = (tile.origin + step.offset + y * descriptor.y_step + beat * descriptor.x_step)[:, None] + lane
    address = address + word * descriptor.word_step * lanes
    inside = ((row >= 0) & (row < descriptor.rows))[:, None] & (byte >= 0) & (byte < descriptor.row_bytes)
    raw = np.where(inside, memory[address % len(memory)], np.uint8(descriptor.pad))
    return signed(raw ^ np.uint8(FLIP if descriptor.flip_source else 0))


def requantize(descriptor: Descriptor, acc: Ints, columns: dict[str, Ints], params: EngineParams) -> Ints:
    """Results of a block's sums, within the layer's clamp.

    Parameters
    ----------
    descriptor
        A COMPUTE.
    acc
        Sums, with the residual if there is one, (positions, columns).
    columns
        Parameters of the block's columns by name, (columns,).
    params
        The engine.

    Returns
    -------
    (positions, columns), integers from `low` to `high`.

    Raises
    ------
    OverflowError
        Sums that the hardware's accumulator does not hold.
    """
    _check_sums(descriptor, acc, params)
    if params.scheme is Scheme.SHIFT:
        amount = columns["shift"] + np.where(acc < 0, descriptor.leak, 0)
        return clamp(round_shift(acc, np.minimum(amount, SURE), params.rounding), descriptor)
    requant = params.mac.requant
    runtime = {item.name: columns[item.name] for item in requant.runtime_fields}
    return clamp(requant.compute(acc, runtime), descriptor)


def _check_sums(descriptor: Descriptor, acc: Ints, params: EngineParams) -> None:
    width = params.mac.acc_width
    low, high = limits(width, True)
    if acc.size and not low <= acc.min() <= acc.max() <= high:
        raise OverflowError(f"layer {descriptor.layer}: sums do not fit into {width} bits")


def activate(
    descriptor: Descriptor,
    acc: Ints,
    columns: dict[str, Ints],
    table: ActivationTable,
    residual: Ints,
    params: EngineParams,
) -> Ints:
    """Results of a block's sums behind the activation unit.

    Parameters
    ----------
    descriptor, acc, columns, params
        As for `requantize`; `acc` without the residual.
    table
        The layer's.
    residual
        What the unit adds, (positions, columns), or 0.

    Returns
    -------
    (positions, columns), integers of 8 bits.

    Raises
    ------
    OverflowError
        Sums that the hardware's accumulator does not hold.
    """
    _check_sums(descriptor, acc, params)
    low, high = limits(WORDS.in_width, True)
    words = np.clip(round_shift(acc, np.minimum(columns["shift"], SURE), Rounding.FLOOR), low, high)
    slopes = lower_bits(columns["zero_point"], WORDS.slope_width, False)
    return WORDS.compute(words, table, residual=residual, slopes=slopes)


def sum_digits(descriptor: Descriptor, written: Bytes) -> tuple[Bytes, Bytes]:
    """Return lower and upper digits of the sums of words, (words, lanes) as they are in the memory: (lanes,) each.

    The bytes count as signed ones, with `flip_sums` as unsigned ones less 128. A sum that has more than `SUM_BITS` bits
    loses the upper ones.
    """
    total = signed(written ^ np.uint8(FLIP if descriptor.flip_sums else 0)).sum(axis=0)
    total = lower_bits(total, SUM_BITS, True)
    return (total & (1 << DIGIT_BITS) - 1).astype(np.uint8), (total >> DIGIT_BITS & 0xFF).astype(np.uint8)


def clamp(value: Ints, descriptor: Descriptor) -> Ints:
    """Hold integers within `low` and `high` of a COMPUTE; where these cross, what is above `high` becomes `high`."""
    low, high = (int(lower_bits(np.array(bound), RESULT_WIDTH, True)) for bound in (descriptor.low, descriptor.high))
    return np.asarray(np.where(value > high, high, np.maximum(value, low)))


def products(descriptor: Descriptor, tile: Tile, data: Ints, held: Ints, params: EngineParams, word: int = 0) -> Ints:
    """Return the sums of a step's products, (positions, columns): of the beats that compute.

    In a depthwise step weight t meets the data of t beats before; what a row's first beats find of the row before meets
    weights of zero.

    Parameters
    ----------
    descriptor
        A COMPUTE.
    tile
        One of its tiles.
    data
        Of all beats, (rows * beats, lanes).
    held
        The step's weights, (columns, lanes).
    params
        The engine.
    word
        Which of the beats' words the data are; only in a depthwise layer there are several.
    """
    rows = data.reshape(tile.h, -1, params.lanes)
    first = np.arange(tile.w) * count(descriptor, "every") + descriptor.lead
    if not descriptor.depthwise:
        return np.asarray(rows[:, first].reshape(tile.positions, -1) @ held.T)
    dot = np.zeros((tile.h, tile.w, params.columns), np.int64)
    chain = params.taps >> descriptor.split if params.beat_words > 1 else params.taps
    for tap in range(min(chain, descriptor.lead + 1)):
        dot += rows[:, first - tap] * held[:, tap + word * chain]
    return np.asarray(dot.reshape(tile.positions, -1))


def signed(raw: Bytes) -> Ints:
    """Take bytes as two's complement numbers."""
    return raw.view(np.int8).astype(np.int64)
