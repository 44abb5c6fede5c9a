"""Steps: how taps and channels of a kernel become weight blocks of the array."""

from math import gcd

import numpy as np

from roundel.compiler.step_weights import Piece, Steps, chunks
from roundel.compiler.tensor import Storage, Tensor
from roundel.golden.engine import Opcode, field_limits
from roundel.golden.network import Window
from roundel.golden.rounding import Ints

POINT = Window(kernel=(1, 1))


def phases_of(window: Window, storage: Storage) -> int:
    """Return the number of phases (kinds of output rows) if a row of the map begins `advance` rows behind the last."""
    return storage.advance // gcd(storage.advance, window.stride[0])


def kernel_rows(window: Window, storage: Storage) -> tuple[Ints, Ints]:
    """Row of the map, and row within it, that every kernel row of every phase meets; (phases, kernel rows)."""
    phase = np.arange(phases_of(window, storage))[:, None]
    row = np.arange(window.kernel[0]) * window.dilation[0] - window.pad[0] + phase * window.stride[0] + storage.above
    if not storage.overlap:
        return np.divmod(row, storage.interleave)
    first = row[:, :1] // storage.advance  # the only one that it meets
    return first + 0 * row, row - first * storage.advance


def row_steps(window: Window, storage: Storage) -> float:
    """Count the steps of an output block that reads a map in the `rows` layout, in the mean of all phases."""
    rows, _ = kernel_rows(window, storage)
    bytes_ = ((window.kernel[1] - 1) * window.dilation[1] + 1) * storage.pixel
    return -(-bytes_ // storage.lanes) * float(np.mean([len(np.unique(phase)) for phase in rows]))


def dense_steps(weights: list[Piece], window: Window, source: Tensor, target: Tensor) -> list[Steps]:
    """Return the steps of a dense kernel, of every output block, phase after phase.

    Parameters
    ----------
    weights
        (taps, channels, outputs) each; all are added up.
    window
        Kernel, stride, dilation and padding.
    source, target
        Tensors whose slots are the places of the channels.
    """
    rows, within = kernel_rows(window, source.storage)
    steps: list[Steps] = []
    for row, inner in zip(rows, within, strict=True):
        steps += _phase(weights, window, source, target, row, inner)
    return steps


def _phase(
    weights: list[Piece], window: Window, source: Tensor, target: Tensor, rows: Ints, within: Ints
) -> list[Steps]:
    """Return the steps of a phase, whose kernel rows meet `rows` of the map, and there the tensor's rows `within`."""
    storage, lanes = source.storage, source.storage.lanes
    kx = np.tile(np.arange(window.kernel[1]) * window.dilation[1], window.kernel[0])
    met, number = np.unique(rows, return_inverse=True)
    number, within = (np.repeat(index, window.kernel[1]) for index in (number, within))  # of every tap
    if storage.pixel:  # bytes of a kernel row, those of its gaps too, side by side in the lanes
        chunks = -(-((int(kx.max()) + 1) * storage.pixel) // lanes)
        own = source.slots + within[:, None] * (storage.pixel // storage.interleave)
        byte = kx[:, None] * storage.pixel + own
        step, lane = number[:, None] * chunks + byte // lanes, byte % lanes
        row, first = np.divmod(np.arange(len(met) * chunks), chunks)
        plane, byte = 0 * row, first * lanes - window.pad[1] * storage.pixel
    else:
        taps, planes = np.arange(window.taps), storage.planes
        step, lane = taps[:, None] * planes + source.slots // lanes, source.slots % lanes + 0 * taps[:, None]
        plane, tap = np.arange(window.taps * planes) % planes, np.repeat(taps, planes)
        row, byte = number[tap], (kx[tap] - window.pad[1]) * lanes
    row, blocks, matrices = met[row], target.storage.planes, []
    for kernel in weights:
        full = np.zeros((len(row), lanes, blocks * lanes), dtype=np.int8)
        full[step[:, :, None], lane[:, :, None], target.slots] = kernel.weights
        matrices.append(full.reshape(len(row), lanes, blocks, lanes).transpose(2, 0, 3, 1))
    scale = np.repeat([kernel.scale for kernel in weights], len(row))
    plane, row, byte = (np.tile(axis, len(matrices)) for axis in (plane, row, byte))
    held = [np.concatenate([kernel[block] for kernel in matrices]) for block in range(blocks)]
    return [Steps(plane=plane, row=row, byte=byte, weights=block, scale=scale) for block in held]


def covers(window: Window, taps: int, tile: tuple[int, int], least: int) -> list[list[int]]:
    """Which kernel columns, as offsets in the map, a depthwise operation takes in one pass over a row.

    Either as many neighbours as the array's window of `taps` holds, or each by itself: what takes fewer cycles.

    Parameters
    ----------
    window
        The kernel.
    taps
        Taps of the array's window.
    tile
        Rows and columns of a tile of outputs.
    least
        Cycles that a step takes at least.
    """
    offsets = [column * window.dilation[1] for column in range(window.kernel[1])]
    alone = [[offset] for offset in offsets]
    if window.stride[1] > field_limits(Opcode.COMPUTE, "every")[1]:
        return alone
    wide = chunks(offsets, taps)
    rows, columns = tile
    beats = (columns - 1) * window.stride[1] + 1 + lead_of(wide)
    return wide if len(wide) * max(rows * beats, least) <= len(alone) * max(rows * columns, least) else alone


def lead_of(groups: list[list[int]]) -> int:
    """Beats that fill the window before the first that computes."""
    return max(group[-1] - group[0] for group in groups)


def depthwise_steps(
    weights: list[Piece], window: Window, groups: list[list[int]], source: Tensor, plane: int, taps: int
) -> Steps:
    """Return the steps of one output block that reads one plane, lane by lane.

    Parameters
    ----------
    weights
        (kernel rows, kernel columns, lanes) each; all are added up.
    groups
        Groups of kernel columns, see `covers`.
    plane
        Plane of the source.
    taps
        Taps of the array's window.
    """
    lanes, lead = source.storage.lanes, lead_of(groups)
    row, byte, held = [], [], []
    for kernel in weights:
        for y in range(window.kernel[0]):
            for group in groups:
                block = np.zeros((lanes, lanes), dtype=np.int8)
                for offset in group:
                    block[:, group[-1] - offset] = kernel.weights[y, offset // window.dilation[1]]
                row.append(y * window.dilation[0] - window.pad[0])
                byte.append((group[-1] - lead - window.pad[1]) * lanes)
                held.append(block)
    count = len(row)
    assert lead < taps
    scale = np.repeat([kernel.scale for kernel in weights], count // len(weights))
    return Steps(
        plane=np.full(count, plane), row=np.array(row), byte=np.array(byte), weights=np.stack(held), scale=scale
    )  # fmt: skip


def run_steps(weights: list[Piece], source: Tensor, plane: int, taps: int) -> Steps:
    """Return the steps of one output block that adds up a plane, word by word as they lie: `taps` of them in a step.

    Parameters
    ----------
    weights
        (lanes,) each, of every word; all are added up.
    source
        The map.
    plane
        Plane of the source.
    taps
        Taps of a step.
    """
    storage = source.storage
    row, column = np.divmod(np.arange(0, storage.rows * storage.columns, taps), storage.columns)
    count, blocks = len(row), np.zeros((len(weights), 1, storage.lanes, storage.lanes), dtype=np.int8)
    blocks[..., :taps] = np.stack([word.weights for word in weights])[:, np.newaxis, :, np.newaxis]
    held = np.broadcast_to(blocks, (len(weights), count, *blocks.shape[2:])).reshape(-1, *blocks.shape[2:])
    row, byte = (np.tile(axis, len(weights)) for axis in (row, column * storage.lanes))
    scale = np.repeat([word.scale for word in weights], count)
    return Steps(plane=np.full(len(row), plane), row=row, byte=byte, weights=held, scale=scale)


def spans(window: Window, groups: list[list[int]]) -> dict[str, int]:
    """Fields `x_step` in pixels, `every` and `lead` of a depthwise operation."""
    if all(len(group) == 1 for group in groups):
        return {"x_step": window.stride[1], "every": 1, "lead": 0}
    return {"x_step": 1, "every": window.stride[1], "lead": lead_of(groups)}
