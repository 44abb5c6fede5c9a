"""What the benches of the activation unit drive it with."""

from typing import Any

import numpy as np

from roundel.golden.activation import ActivationParams, ActivationTable, random_table
from roundel.golden.rounding import limits
from roundel.sim.stimuli.payload import Member


def activation_members(params: ActivationParams) -> list[Member]:
    """Return the members of a beat's packed payload, without its frame."""
    members = [Member("words", params.in_width, True, params.columns)]
    if params.residual:
        members.append(Member("residuals", params.RESIDUAL_WIDTH, True, params.columns))
    if params.slopes:
        members.append(Member("slopes", params.slope_width, False, params.columns))
    return members


def corner_words(rng: np.random.Generator, width: int, shape: tuple[int, ...]) -> np.ndarray:
    """Return signed integers of `width` bits: uniform, of every magnitude, beside powers of two, and the extremes."""
    low, high = limits(width, True)
    uniform = rng.integers(low, high, shape, endpoint=True)
    magnitudes = uniform >> rng.integers(0, width, shape)
    near = (np.int64(1) << rng.integers(0, width, shape)) * rng.choice([-1, 1], shape) + rng.integers(-2, 3, shape)
    extremes = rng.choice([low, high, 0, 1, -1], shape)
    picked = np.choose(rng.integers(0, 4, shape), [uniform, magnitudes, near, extremes])
    return np.asarray(np.clip(picked, low, high))


def random_layer(
    rng: np.random.Generator, params: ActivationParams, beats: int
) -> tuple[ActivationTable, dict[str, np.ndarray]]:
    """Draw a table, and the words, residuals and slopes of its beats, (beats, columns) each."""
    shape = (beats, params.columns)
    table = random_table(
        rng,
        segments=params.segments,
        knot_width=params.knot_width,
        core=params.greatest_core,
        slopes=params.slopes,
    )
    columns = {"words": corner_words(rng, params.in_width, shape)}
    if params.residual:
        columns["residuals"] = corner_words(rng, params.RESIDUAL_WIDTH, shape)
    if params.slopes:
        columns["slopes"] = rng.integers(*limits(params.slope_width, False), shape, endpoint=True)
    return table, columns


def expected_bytes(params: ActivationParams, table: ActivationTable, columns: dict[str, Any]) -> np.ndarray:
    """Return what golden makes of the columns of a layer, as bytes."""
    added, slopes = columns.get("residuals", 0), columns.get("slopes", 0)
    return np.asarray(params.compute(columns["words"], table, residual=added, slopes=slopes)) & 0xFF
