"""The streams of drawn COMPUTE descriptors: columns' parameters and steps, and weights in every way that is decoded."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roundel.golden.activation import CONTROL, WORDS, random_table
from roundel.golden.codec import encode
from roundel.golden.engine import TABLE_ENTRIES, EngineParams, WeightStep, pack_column, pack_table
from roundel.golden.requant import Scheme
from roundel.golden.rounding import limits
from roundel.runtime.programs.draw import Draw
from roundel.sim.stimuli import codec_params, sound

ZEROS = (0.0, 0.1, 0.5, 0.9, 1.0)


def parameter_stream(
    draw: Draw, params: EngineParams, blocks: Sequence[Sequence[WeightStep]], *, has_residual: bool
) -> bytes:
    """Draw the columns' parameters of every output block, and pack them with its steps."""
    parts = []
    for steps in blocks:
        products = sum(params.lanes << 2 * step.scale for step in steps)
        parts += [_column(draw, params, products, has_residual) for _ in range(params.columns)]
        parts += [_packed(draw, params, step) for step in steps]
    return b"".join(parts)


def table_of_activation(draw: Draw) -> bytes:
    """Draw the table of an activation, with anything in bits that do not count."""
    table = random_table(draw.rng, segments=WORDS.segments, knot_width=WORDS.knot_width, core=WORDS.greatest_core)
    entries = np.frombuffer(pack_table(table), "<u2").copy()
    used = np.full(len(entries), (1 << WORDS.knot_width) - 1, np.uint16)
    used[0] = (1 << sum(CONTROL.values())) - 1
    used[TABLE_ENTRIES:] = 0
    if draw.chance(0.5):
        entries = entries & used | draw.rng.integers(0, 1 << 16, len(entries), np.uint16) & ~used
    return entries.tobytes()


def _packed(draw: Draw, params: EngineParams, step: WeightStep) -> bytes:
    """Pack a step, with any spare flags."""
    data = bytearray(step.pack())
    spare = draw.of([0, 0, 0, draw.whole(0, 15) << 4])
    data[5] |= spare if params.beat_words == 1 else spare & 0x80
    return bytes(data)


def _column(draw: Draw, params: EngineParams, products: int, has_residual: bool) -> bytes:
    """Draw the parameters of a column, such that its sums of so many products fit the accumulator."""
    least, most = limits(params.bias_width, True)
    room = (1 << params.mac.acc_width - 1) - 1 - (products << 7 + params.weight_width - 1)
    bias = max(-room, min(room, draw.of([0, draw.whole(-999, 999), draw.whole(-99_999, 99_999), least, most])))
    bias = max(least, min(most, bias))
    room -= abs(bias)
    residual = draw.whole(0, min(31, max(0, room.bit_length() - 8))) if has_residual else draw.whole(0, 31)
    if has_residual and room < 128:
        bias, residual = 0, 0
    raw = draw.spare(bias, params.bias_width, 32)
    given: dict[str, Any] = {
        "bias": raw - (raw >> 31 << 32) if raw != bias else bias,
        "shift": draw.of(
            [draw.whole(7, 13), draw.whole(7, 13), draw.whole(0, 12), draw.whole(0, 31), draw.whole(0, 255)]
        ),
        "residual_shift": draw.spare(residual, 5, 8),
        "zero_point": draw.of([0, draw.whole(-255, 255), draw.whole(-32768, 32767)]),
    }
    if params.scheme is not Scheme.SHIFT:
        given["residual_shift"] = draw.whole(0, 255)
        given["multiplier"] = draw.of([1 << 15, draw.whole(0, (1 << 32) - 1), draw.whole(0, (1 << 16) - 1)])
        given["shift"] = draw.of([given["shift"], draw.whole(12, 31)])
    if params.scheme is Scheme.FLOAT32:
        exponent = draw.of([draw.whole(100, 130), draw.whole(0, 254)])
        given["multiplier"] = draw.whole(0, 1) << 31 | exponent << 23 | draw.whole(0, (1 << 23) - 1)
    return pack_column(params, given)


def weight_stream(draw: Draw, params: EngineParams, met: NDArray[np.bool_], values: dict[str, int]) -> bytes:
    """Draw the weights of blocks, 0 where nothing is `met`, (blocks, lanes), and encode them."""
    blocks = len(met)
    count = blocks * params.columns * params.lanes
    if not values["depthwise"] and met.all() and draw.chance(0.4):
        return sound(draw.rng, params.decoder, count)
    low, high = limits(params.weight_width, True)
    weights = draw.rng.integers(low, high, (blocks, params.columns, params.lanes), endpoint=True)
    weights[draw.rng.random(weights.shape) < ZEROS[draw.whole(0, len(ZEROS) - 1)]] = 0
    weights *= met[:, None]
    return encode(weights.ravel(), codec_params(draw.rng, params.decoder, 64 if draw.chance(0.5) else None))
