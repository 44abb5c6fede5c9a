"""From matrices to the beats of the MAC array, and back from its outputs to a matrix.

The product `activations (m, k) @ weights (k, n)` is cut into tiles of at most `depth` positions, channel blocks of
`columns`, and weight blocks of `lanes` products, in this order from the outside in. A weight block serves all positions
of a tile before the next one takes its place; partial sums wait in the accumulator memory. Edges are padded with zeros.
Every tile takes all weights once, in one order (`weight_beats`), so that one weight stream serves a layer: it comes
again for every tile.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from roundel.golden.mac.params import MacParams
from roundel.golden.rounding import Ints

Bools = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """The beats of the array's three input streams, and what its output stream must bring.

    Attributes
    ----------
    weights
        (weight blocks * columns, lanes): column 0 of a block first.
    bias
        (parameter sets * columns,)
    runtime
        The requantizer's parameters that travel with each bias, by name: (parameter sets * columns,), tables
        (..., count).
    activations
        (beats, lanes)
    position, first, last, swap, swap_params
        (beats,): address in the accumulator memory; start and end of its sum; whether the beat is the first to use the
        next weight block, the next parameter set.
    outputs, output_position
        (output beats, columns), padded columns included; (output beats,).
    """

    weights: Ints
    bias: Ints
    runtime: dict[str, Ints]
    activations: Ints
    position: Ints
    first: Bools
    last: Bools
    swap: Bools
    swap_params: Bools
    outputs: Ints
    output_position: Ints

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All arrays by name, a run-time parameter's behind `runtime.`."""
        arrays = {item.name: getattr(self, item.name) for item in fields(self) if item.name != "runtime"}
        return arrays | {f"runtime.{name}": values for name, values in self.runtime.items()}

    def save(self, path: Path) -> None:
        """Write an npz file."""
        np.savez_compressed(path, allow_pickle=False, **self.arrays())

    @classmethod
    def load(cls, path: Path) -> "Schedule":
        """Read what `save` wrote."""
        with np.load(path) as archive:
            arrays = {name: archive[name] for name in archive.files}
        runtime = {name.removeprefix("runtime."): arrays.pop(name) for name in list(arrays) if "." in name}
        return cls(**arrays, runtime=runtime)


def tiles(positions: int, depth: int) -> list[slice]:
    """Cut `positions` into as few runs of at most `depth` as possible, all but equal in length.

    Equal, because a weight block takes `columns` beats to load: a short last tile would wait for it.
    """
    count = -(-positions // depth)
    edges = [positions * tile // count for tile in range(count + 1)]
    return [slice(start, stop) for start, stop in pairwise(edges)]


def weight_beats(weights: ArrayLike, *, lanes: int, columns: int) -> Ints:
    """Weights in the order in which the array wants them: what its weight port, and a weight stream, brings.

    Parameters
    ----------
    weights
        (products, channels)
    lanes, columns
        Of the array.

    Returns
    -------
    (weight blocks * columns, lanes): for every block of `columns` channels, every block of `lanes` products; column 0
    of a block first. Edges are padded with zeros. Integers have the type that they came in.
    """
    given = np.asarray(weights)
    products, channels = given.shape
    held = np.zeros((products + -products % lanes, channels + -channels % columns), given.dtype)
    held[:products, :channels] = given
    steps, blocks = held.shape[0] // lanes, held.shape[1] // columns
    return np.asarray(held.reshape(steps, lanes, blocks, columns).transpose(2, 0, 3, 1).reshape(-1, lanes))


def schedule(
    params: MacParams,
    activations: ArrayLike,
    weights: ArrayLike,
    bias: ArrayLike = 0,
    runtime: Mapping[str, ArrayLike] | None = None,
) -> Schedule:
    """Return the beats that make the array compute `params.compute(activations, weights, bias, runtime)`.

    Parameters
    ----------
    params
        The array.
    activations
        (positions, products), integers of `act_width` bits.
    weights
        (products, channels), integers of `weight_width` bits.
    bias
        (channels,) or a scalar, aligned to the products.
    runtime
        The requantizer's run-time parameters, see `MacParams.compute`.

    Raises
    ------
    ValueError
        What `MacParams.compute` refuses; an empty matrix; run-time parameters that differ between channels of an array
        without `per_channel`.
    """
    acts, held = np.asarray(activations), np.asarray(weights)
    if not acts.size or not held.size:
        raise ValueError(f"activations {acts.shape} and weights {held.shape} must not be empty")
    channels = held.shape[-1]
    offset = _pad(np.broadcast_to(bias, channels), 0, params.columns)
    spread = {name: _spread(params, name, values, channels) for name, values in (runtime or {}).items()}
    result = params.compute(acts, _pad(held, 1, params.columns), offset, spread)
    acts = _pad(acts, 1, params.lanes)

    steps = [slice(start, start + params.lanes) for start in range(0, acts.shape[1], params.lanes)]
    blocks = [slice(start, start + params.columns) for start in range(0, len(offset), params.columns)]
    cut = tiles(len(acts), params.depth)
    orders = [(tile, step) for tile in cut for _ in blocks for step in steps]
    sizes = [tile.stop - tile.start for tile, _ in orders]
    position = np.concatenate([np.arange(size) for size in sizes])
    first = np.repeat([step is steps[0] for _, step in orders], sizes)
    last = np.repeat([step is steps[-1] for _, step in orders], sizes)
    return Schedule(
        weights=np.tile(weight_beats(held.astype(np.int64), lanes=params.lanes, columns=params.columns), (len(cut), 1)),
        bias=np.tile(offset, len(cut)),
        runtime={name: np.concatenate([values] * len(cut)) for name, values in spread.items()},
        activations=np.concatenate([acts[tile, step] for tile, step in orders]),
        position=position,
        first=first,
        last=last,
        swap=position == 0,
        swap_params=first & (position == 0),
        outputs=np.concatenate([result[tile, block] for tile in cut for block in blocks]),
        output_position=position[last],
    )


def interpret(
    params: MacParams,
    *,
    weights: Ints,
    bias: Ints,
    runtime: Mapping[str, Ints],
    activations: Ints,
    position: Ints,
    first: Bools,
    last: Bools,
    swap: Bools,
    swap_params: Bools,
) -> Schedule:
    """Any beats with what the array makes of them, beat by beat: the meaning of the streams.

    Parameters are the attributes of `Schedule`. Every position must start with `first`, the first beat must swap both.
    """
    blocks = weights.reshape(-1, params.columns, params.lanes)
    block, parameter_set = np.cumsum(swap) - 1, np.cumsum(swap_params) - 1
    sums: dict[int, Ints] = {}
    outputs = []
    for beat, address in enumerate(position.tolist()):
        held = slice(parameter_set[beat] * params.columns, (parameter_set[beat] + 1) * params.columns)
        start = bias[held] if first[beat] else sums[address]
        sums[address] = start + blocks[block[beat]] @ activations[beat]
        if last[beat]:
            own = slice(held.start, held.stop if params.per_channel else held.start + 1)
            outputs.append(params.requant.compute(sums[address], {name: runtime[name][own] for name in runtime}))
    return Schedule(
        weights=weights,
        bias=bias,
        runtime=dict(runtime),
        activations=activations,
        position=position,
        first=first,
        last=last,
        swap=swap,
        swap_params=swap_params,
        outputs=np.array(outputs, dtype=np.int64).reshape(-1, params.columns),
        output_position=position[last],
    )


def assemble(params: MacParams, outputs: Ints, positions: int, channels: int) -> Ints:
    """Return the matrix (positions, channels) that output beats of a schedule stand for.

    Parameters
    ----------
    params
        The array.
    outputs
        (beats, columns), in the order in which they leave it.
    positions, channels
        Size of the matrix, without what was padded.
    """
    blocks, start, rows = -(-channels // params.columns), 0, []
    for tile in tiles(positions, params.depth):
        size = tile.stop - tile.start
        beats = outputs[start : start + blocks * size].reshape(blocks, size, -1)
        rows.append(beats.transpose(1, 0, 2).reshape(size, -1)[:, :channels])
        start += blocks * size
    return np.concatenate(rows)


def concatenate(schedules: Sequence[Schedule]) -> Schedule:
    """Several schedules of one array, back to back."""
    joined = {
        item.name: np.concatenate([getattr(schedule, item.name) for schedule in schedules])
        for item in fields(Schedule)
        if item.name != "runtime"
    }
    runtime = {
        name: np.concatenate([schedule.runtime[name] for schedule in schedules]) for name in schedules[0].runtime
    }
    return Schedule(**joined, runtime=runtime)


def _pad(values: NDArray[np.int64], axis: int, multiple: int) -> Ints:
    """Zeros at the end of `axis` up to the next `multiple`."""
    widths = [(0, 0)] * values.ndim
    widths[axis] = (0, -values.shape[axis] % multiple)
    return np.pad(values.astype(np.int64), widths)


def _spread(params: MacParams, name: str, values: ArrayLike, channels: int) -> Ints:
    """One run-time parameter for every column of every block."""
    array = np.asarray(values, dtype=np.int64)
    table = any(field.name == name and field.count for field in params.requant.runtime_fields)
    by_channel = np.broadcast_to(array, (channels, *array.shape[-1:]) if table else (channels,))
    if params.per_channel:
        return _pad(by_channel, 0, params.columns)
    if np.any(by_channel != by_channel[0]):
        raise ValueError(f"{name} must be the same for all channels of an array without per_channel")
    return np.repeat(by_channel[:1], channels + -channels % params.columns, axis=0)
