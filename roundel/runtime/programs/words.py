"""Beats of several words in drawn COMPUTE descriptors: rows of depthwise kernels, and lanes that select."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from roundel.golden.engine import CHOICE, EngineParams, WeightStep
from roundel.runtime.programs.draw import Draw

ALIGNED = ("source", "x_step", "y_step", "tile_x_step", "tile_y_step", "row_bytes")
"""Fields that are multiples of a word in a layer whose beats have several."""


def split_beats(draw: Draw, params: EngineParams, values: dict[str, int]) -> dict[str, int]:
    """Draw how many words the beats of a layer have at most, and where they are; what of the layer that changes."""
    if params.beat_words == 1:
        return {}
    most = params.beat_words.bit_length() - 1
    split = {"split": draw.whole(0, most), "word_step": draw.field(24, 1), "word_rows": draw.field(8, 0, 1, 1, 2)}
    wide = params.select and not values["depthwise"] and draw.chance(0.7)
    if wide:
        split |= {"wide_steps": 1, "split": draw.whole(1, most), "word_rows": 0}
    if split["split"] == 0 or not (wide or values["depthwise"]):
        return split
    split["word_step"] |= 1
    return split | {name: values[name] - values[name] % params.lanes for name in ALIGNED}


def with_words(
    draw: Draw, params: EngineParams, values: dict[str, int], steps: Sequence[WeightStep]
) -> list[WeightStep]:
    """Draw the words and selectors of steps."""
    split = values.get("split", 0)
    if not (values.get("wide_steps") or values["depthwise"]) or not split:
        return list(steps)
    made = []
    for step in steps:
        words = draw.of([1 << split, draw.whole(1, 1 << split)])
        dx, offset = (value - value % params.lanes for value in (step.dx, step.offset))
        selector = _selector(draw, params.lanes, CHOICE >> split) if values.get("wide_steps") else ()
        made.append(replace(step, words=words, dx=dx, offset=offset, selector=selector))
    return made


def _selector(draw: Draw, lanes: int, side: int) -> tuple[int, ...]:
    """Draw what lanes take: of eight bytes their own of any word, or one of another lane of a word behind the first."""
    allowed = [[choice for choice in range(CHOICE) if choice % side == lane or choice >= side] for lane in range(side)]
    return tuple(draw.of(allowed[lane % side]) for lane in range(lanes))


def met_weights(
    params: EngineParams, values: dict[str, int], blocks: Sequence[Sequence[WeightStep]]
) -> NDArray[np.bool_]:
    """Return which weights of every block of a tile may be other than 0, (blocks, lanes).

    Of a block that steps keep, those that none of the steps forbids.
    """
    found: list[NDArray[np.bool_]] = []
    for step in (step for steps in blocks for step in steps):
        met = _met(params, values, step)
        if found and step.keep:
            found[-1] &= met
        else:
            found.append(met)
    return np.array(found)


def _met(params: EngineParams, values: dict[str, int], step: WeightStep) -> NDArray[np.bool_]:
    """Return which weights of a step meet a byte that its beats bring, (lanes,)."""
    lanes, split = np.arange(params.lanes), values.get("split", 0)
    if not values["depthwise"]:
        return np.array([choice // (CHOICE >> split) < step.words for choice in step.selector] or lanes >= 0)
    chain = params.taps >> split
    word, age = np.divmod(lanes, chain)
    return np.asarray((lanes < params.taps) & (word < step.words) & (age <= values["lead"]))
