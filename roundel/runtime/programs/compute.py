"""COMPUTE, drawn at random: every field of its descriptor, its steps, its parameters and its weights."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from roundel.golden.engine import MOST_SCALE, RESULT_WIDTH, EngineParams, Opcode, WeightStep
from roundel.golden.rounding import Ints, limits
from roundel.runtime.programs.draw import Draw
from roundel.runtime.programs.parts import Mask, Outside, Step, spread, words_of
from roundel.runtime.programs.streams import parameter_stream, table_of_activation, weight_stream
from roundel.runtime.programs.words import met_weights, split_beats, with_words

BEATS = 1500  # of a descriptor, at most
TRIES = 25
BORDER = 1 << 18  # rows, and bytes of a row, that are told apart
WIDEST = (1 << 16) - 1
FLAGS = ("maximum", "has_residual", "upsample", "flip_source", "flip_residual", "flip_target")


def compute(draw: Draw, outside: Outside) -> Step:
    """Draw a COMPUTE, and put its streams into the outer memory."""
    while True:
        values = _sizes(draw, outside) | _places(draw, outside)
        values |= {name: draw.whole(0, 1) for name in FLAGS}
        values["depthwise"] = int(draw.chance(0.35))
        values |= split_beats(draw, outside.params, values)
        blocks = [_steps(draw, outside.params) for _ in range(values["blocks"])]
        blocks = [with_words(draw, outside.params, values, steps) for steps in blocks]
        if _beats(values) * sum(map(len, blocks)) > BEATS:
            continue
        sources = _sources(outside, values, [step for steps in blocks for step in steps])
        gated = outside.params.gates and draw.chance(0.5 if values["depthwise"] else 0.1)
        if gated and not values.get("wide_steps"):
            blocks, values = _gated_steps(draw, blocks), values | _gate(draw, outside.params)
            sources |= _factor_words(outside.params, values)
        if _targets(draw, outside, values, sources) and _summed(draw, outside, values, sources):
            break
    values |= _requantizer(draw)
    activation = outside.params.act_lanes > 0 and draw.chance(0.5)
    values |= {"activation": int(activation)} if outside.params.act_lanes else {}
    added = bool(values["has_residual"]) and not activation
    parameters = parameter_stream(draw, outside.params, blocks, has_residual=added)
    if activation:
        parameters = table_of_activation(draw) + parameters
    values |= outside.stream("parameters", parameters)
    if not values.get("has_gate"):
        weights = weight_stream(draw, outside.params, met_weights(outside.params, values, blocks), values)
        values |= outside.stream("weights", weights)
    reads = sources | words_of(outside.params, _results(values, "residual")) if values["has_residual"] else sources
    writes = words_of(outside.params, _results(values, "target"))
    return Step(
        opcode=Opcode.COMPUTE,
        values=values,
        reads=reads,
        writes=writes | _sum_words(outside.params, values) if values.get("has_sums") else writes,
        outer_reads=outside.nothing(),
        outer_writes=outside.nothing(),
    )


def _every(values: dict[str, int]) -> int:
    """Beats from one that computes to the next."""
    return values["every"] or 16


def _sizes(draw: Draw, outside: Outside) -> dict[str, int]:
    """Tiles, their sizes, beats of a row and output blocks."""
    values = {"tiles_x": draw.of([1, 1, 1, 2, 3]), "tiles_y": draw.of([1, 1, 1, 2, 3])}
    depth = outside.params.depth
    widest = draw.of([1, 2, draw.whole(1, min(depth, 40)), depth if draw.chance(0.1) else 3])
    highest = draw.of([1, depth // widest, draw.whole(1, depth // widest)])
    for name, most in (("w", widest), ("h", highest)):
        several = values[f"tiles_{'x' if name == 'w' else 'y'}"] > 1
        values[f"last_{name}"] = draw.of([most, draw.whole(1, most)])
        values[f"tile_{name}"] = draw.of([most, draw.whole(1, most)]) if several else draw.field(16, most)
    values |= {"every": draw.field(4, 1, 1, 2, 3, part=0.1), "lead": draw.field(4, 0, 0, 1, 2, 3, part=0.1)}
    return values | {"blocks": draw.of([1, 1, 2, 3]), "skip": draw.of([0, 0, 0, 1, 2, 3])}


def _tiles(values: dict[str, int], side: str) -> Iterator[tuple[int, int]]:
    """Size and number of every tile in a direction: `w` or `h`."""
    count = values[f"tiles_{'x' if side == 'w' else 'y'}"]
    return ((values[f"last_{side}" if tile == count - 1 else f"tile_{side}"], tile) for tile in range(count))


def _beats(values: dict[str, int]) -> int:
    """Beats of a step of all tiles."""
    rows = sum(h for h, _ in _tiles(values, "h"))
    return rows * sum(values["lead"] + (w - 1) * _every(values) + 1 for w, _ in _tiles(values, "w"))


def _places(draw: Draw, outside: Outside) -> dict[str, int]:
    """Where beats are, and the borders of the map."""
    lanes, memory = outside.params.lanes, outside.params.memory
    pitch = draw.whole(1, 24) * draw.of([1, lanes])
    values = {"source": draw.field(24, draw.whole(0, memory - 1), draw.whole(0, 8) * lanes)}
    values |= {"x_step": draw.field(16, lanes, lanes, 1, 3, 2 * lanes, 0, part=0.1)}
    values |= {"y_step": draw.field(32, pitch, pitch, 2 * pitch, 0, -pitch)}
    values |= {"tile_x_step": draw.field(32, lanes * 4, 0, -lanes, 5), "tile_y_step": draw.field(32, 2 * pitch, 0, -3)}
    rows, row_bytes = [0, 1, 3, draw.whole(1, 20)], [0, 1, pitch, draw.whole(1, 99)]
    if draw.chance(0.55):  # a map without borders, nearly
        rows = row_bytes = [WIDEST]
    values |= {"rows": draw.field(16, *rows, part=0.1), "row_bytes": draw.field(16, *row_bytes, part=0.1)}
    values |= {
        "y_rows": draw.field(8, 1, 1, 2, 0),
        "tile_y_rows": draw.field(16, 1, 2, 3, 0),
        "pad": draw.field(8, 0, 128),
    }
    return values


def _steps(draw: Draw, params: EngineParams) -> list[WeightStep]:
    """Draw the steps of an output block, whose products take at most half of the accumulator."""
    count, lanes, mac = draw.of([1, 1, 2, 3, 5]), params.lanes, params.mac
    keeps, most = draw.of([0, 0, 1, 2]) / 2, draw.of([0, 0, MOST_SCALE])
    while most and count * lanes << 2 * most + params.weight_width + 6 > 1 << mac.acc_width - 2:
        most -= 1
    signed = {
        "offset": (32, 0, 4, lanes, -lanes, 7, 64),
        "dy": (8, 0, 0, 1, -1, 2),
        "dx": (16, 0, 0, lanes, -lanes, -1, 3),
    }
    steps = []
    for number in range(count):
        drawn: dict[str, Any] = {name: draw.field(bits, *usual) for name, (bits, *usual) in signed.items()}
        for name, (bits, *_) in signed.items():
            drawn[name] -= (drawn[name] >> bits - 1) << bits
        step = WeightStep(**drawn, last=number == count - 1, keep=draw.chance(keeps), scale=draw.whole(0, most))
        steps.append(step)
    return steps


def _gated_steps(draw: Draw, blocks: Sequence[Sequence[WeightStep]]) -> list[list[WeightStep]]:
    """Return the steps of output blocks, as many of which take weights as there are blocks; the others keep theirs."""
    count = sum(map(len, blocks))
    own = {0, *draw.rng.choice(np.arange(1, count), len(blocks) - 1, replace=False).tolist()}
    numbers = iter(range(count))
    return [[replace(step, keep=next(numbers) not in own) for step in steps] for steps in blocks]


def _gate(draw: Draw, params: EngineParams) -> dict[str, int]:
    """Draw the place of the factors, anywhere in the activation memory."""
    offset, region = draw.field(30, draw.whole(0, params.words - 1)), draw.whole(0, 3)
    values = {"weights_offset": offset, "weights_region": region, "weights_bytes": draw.field(32, 1, 1, 0, 2, -1)}
    return values | {"has_gate": 1, "flip_gate": draw.whole(0, 1)}


def _factor_words(params: EngineParams, values: dict[str, int]) -> Mask:
    """Return the words of the factors."""
    return words_of(params, values["weights_offset"] + spread((values["blocks"], values["weights_bytes"])))


def _sources(outside: Outside, values: dict[str, int], steps: list[WeightStep]) -> Mask:
    """Words of which beats take bytes within the map."""
    lanes = np.arange(outside.params.lanes)
    mask = np.zeros(outside.params.words, bool)
    for (h, ty), (w, tx) in ((y, x) for y in _tiles(values, "h") for x in _tiles(values, "w")):
        y = np.arange(h)[:, None] >> values["upsample"]
        beat = np.arange(values["lead"] + (w - 1) * _every(values) + 1)[None, :] >> values["upsample"]
        for step in steps:
            byte = _signed(tx * values["tile_x_step"] + step.dx + beat * values["x_step"])[..., None] + lanes
            for word in range(step.words):
                row = ty * values["tile_y_rows"] + step.dy + y * values["y_rows"]
                row = _signed(row + word * values.get("word_rows", 0))
                at = values["source"] + ty * values["tile_y_step"] + tx * values["tile_x_step"] + step.offset
                at += word * values.get("word_step", 0) * len(lanes)
                address = (at + y * values["y_step"] + beat * values["x_step"])[..., None] + lanes
                inside = ((row >= 0) & (row < values["rows"]))[..., None] & (byte >= 0) & (byte < values["row_bytes"])
                mask[address[inside] % outside.params.memory // len(lanes)] = True
    return mask


def _signed(value: Ints) -> Ints:
    return np.asarray((value + BORDER // 2) % BORDER - BORDER // 2)


def _targets(draw: Draw, outside: Outside, values: dict[str, int], sources: Mask) -> bool:
    """Choose where results and residuals are, such that nothing is written that is read; whether that succeeded."""
    for _ in range(TRIES):
        for name in ("residual", "target"):
            w, h = values["last_w"] * (values["skip"] + 1), values["last_h"]
            values |= {name: draw.field(24, draw.whole(0, outside.params.words - 1))}
            values |= {
                f"{name}_row": draw.field(32, w, w + 1, 1, 0, -w),
                f"{name}_plane": draw.field(32, w * h, 0, h * w + 5),
            }
            values |= {f"{name}_tile": draw.field(32, w * h, h, 0, -1)}
        if values["has_residual"] and draw.chance(0.25):  # a result takes the place of its residual
            values |= {
                name.replace("residual", "target"): values[name] for name in values if name.startswith("residual")
            }
        residuals, results = _results(values, "residual"), _results(values, "target")
        written = words_of(outside.params, results)
        if (written & sources).any():
            continue
        distinct = np.unique(results % outside.params.words).size == results.size
        in_place = distinct and np.array_equal(residuals, results)
        if in_place or not values["has_residual"] or not (written & words_of(outside.params, residuals)).any():
            return True
    return False


def _summed(draw: Draw, outside: Outside, values: dict[str, int], sources: Mask) -> bool:
    """Choose whether sums are written, and where, such that nothing is written that is read; whether that succeeded."""
    params = outside.params
    if not params.sums:
        return True
    reads = sources | words_of(params, _results(values, "residual")) if values["has_residual"] else sources
    for _ in range(TRIES):
        rows = values["last_h"] * values["tiles_y"]
        values |= {"has_sums": draw.whole(0, 1), "flip_sums": draw.whole(0, 1)}
        values |= {"sums": draw.field(24, draw.whole(0, params.words - 1))}
        values |= {"sums_plane": draw.field(24, rows, rows + 1, 1, 0), "sums_tile": draw.field(24, rows, 2, 0)}
        if not values["has_sums"] or not (_sum_words(params, values) & reads).any():
            return True
    return False


def _sum_words(params: EngineParams, values: dict[str, int]) -> Mask:
    """Return the words of the sums' digits."""
    words = [
        values["sums"] + ty * values["tile_h"] + tx * values["sums_tile"]
        + spread((2 * values["blocks"], values["sums_plane"]), (h, 1))
        for h, ty in _tiles(values, "h") for tx in range(values["tiles_x"])
    ]  # fmt: skip
    return words_of(params, np.concatenate(words))


def _results(values: dict[str, int], name: str) -> Ints:
    """Words of all positions, in the order of results."""
    words = [
        values[name] + ty * values[f"{name}_tile"] + tx * values["tile_w"] * (values["skip"] + 1)
        + spread((values["blocks"], values[f"{name}_plane"]), (h, values[f"{name}_row"]), (w, values["skip"] + 1))
        for h, ty in _tiles(values, "h") for w, tx in _tiles(values, "w")
    ]  # fmt: skip
    return np.concatenate(words)


def _requantizer(draw: Draw) -> dict[str, int]:
    """Clamp and leak of the layer."""
    least, most = limits(RESULT_WIDTH, True)
    low, high = sorted(draw.whole(least, most) for _ in range(2))
    low, high = ((-128, 127), (0, 255), (least, most), (low, high), (high, low))[draw.of([0, 1, 2, 3, 3, 4])]
    bounds = (draw.spare(bound, RESULT_WIDTH, 16) for bound in (low, high))
    low, high = (bound - (bound >> 15 << 16) if bound >= 0 else bound for bound in bounds)
    return {"low": low, "high": high, "leak": draw.of([0, 0, 1, 3, draw.whole(0, 63)])}
