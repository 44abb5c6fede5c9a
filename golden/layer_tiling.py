"""A weighted layer as beats of the MAC array, and its outputs back: every group of channels is a product of its own."""

import numpy as np

from golden.layers import Weighted
from golden.mac import MacParams
from golden.rounding import Ints
from golden.tiling import Schedule, assemble, concatenate, schedule, tiles


def layer_schedule(params: MacParams, layer: Weighted, columns: Ints) -> Schedule:
    """The beats of one layer: for every tile, every group of channels as a product of its own.

    Parameters
    ----------
    params
        Of the array.
    layer
        What runs.
    columns
        (positions, taps * channels), as `golden.layers.Step` has them.
    """
    split = columns.reshape(len(columns), layer.taps, layer.groups, -1)
    weights, bias = (np.split(values, layer.groups, axis=-1) for values in (layer.weights, layer.aligned_bias))
    channels = layer.weights.shape[1] // layer.groups
    runtime = {name: np.broadcast_to(values, len(layer.bias)) for name, values in layer.runtime().items()}
    parts = []
    for tile in tiles(len(columns), params.depth):
        for group in range(layer.groups):
            own = slice(group * channels, (group + 1) * channels)
            acts = split[tile, :, group].reshape(tile.stop - tile.start, -1)
            settings = {name: values[own] for name, values in runtime.items()}
            parts.append(schedule(params, acts, weights[group], bias[group], settings))
    return concatenate(parts)


def layer_outputs(params: MacParams, layer: Weighted, outputs: Ints, positions: int) -> Ints:
    """What the array gave for `layer_schedule`, output beats (beats, columns), as (positions, channels)."""
    channels, start, rows = layer.weights.shape[1] // layer.groups, 0, []
    for tile in tiles(positions, params.depth):
        size = tile.stop - tile.start
        beats, parts = size * -(-channels // params.columns), []
        for _ in range(layer.groups):
            parts.append(assemble(params, outputs[start : start + beats], size, channels))
            start += beats
        rows.append(np.concatenate(parts, axis=1))
    values = np.concatenate(rows)
    return values if layer.bounds is None else np.clip(values, *layer.bounds)
