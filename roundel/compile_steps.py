"""Weight blocks: how taps and channels of a kernel become steps of the array."""

import numpy as np

from golden.conv import Window
from roundel.compile_operation import Steps, Weights
from roundel.compile_tensor import Tensor

POINT = Window(kernel=(1, 1))


def dense_steps(weights: list[Weights], window: Window, source: Tensor, target: Tensor) -> list[Steps]:
    """Steps of a kernel in which every output may read every channel, of every output block.

    Parameters
    ----------
    weights
        (taps, channels, outputs) each; all are added up.
    window
        How the kernel slides.
    source, target
        Where the channels are.
    """
    storage, lanes = source.storage, source.storage.lanes
    ky, kx = (axis.ravel() for axis in np.mgrid[: window.kernel[0], : window.kernel[1]])
    kx = kx * window.dilation[1]
    if storage.pixel:  # bytes of a kernel row, those of its gaps too, side by side in the lanes
        chunks = -(-((int(kx.max()) + 1) * storage.pixel) // lanes)
        byte = kx[:, None] * storage.pixel + source.slots
        step, lane = ky[:, None] * chunks + byte // lanes, byte % lanes
        row, first = np.divmod(np.arange(window.kernel[0] * chunks), chunks)
        plane, byte = 0 * row, first * lanes - window.pad[1] * storage.pixel
    else:
        taps, planes = np.arange(window.taps), storage.planes
        step, lane = taps[:, None] * planes + source.slots // lanes, source.slots % lanes + 0 * taps[:, None]
        plane, tap = np.arange(window.taps * planes) % planes, np.repeat(taps, planes)
        row, byte = ky[tap], (kx[tap] - window.pad[1]) * lanes
    row = row * window.dilation[0] - window.pad[0]
    blocks = target.storage.planes
    found = []
    for one in weights:
        full = np.zeros((len(row), lanes, blocks * lanes), dtype=np.int8)
        full[step[:, :, None], lane[:, :, None], target.slots] = one
        found.append(full.reshape(len(row), lanes, blocks, lanes).transpose(2, 0, 3, 1))
    count = len(found)
    plane, row, byte = (np.tile(axis, count) for axis in (plane, row, byte))
    return [
        Steps(plane=plane, row=row, byte=byte, weights=np.concatenate([one[block] for one in found]))
        for block in range(blocks)
    ]


def covers(window: Window, taps: int, columns: int) -> list[list[int]]:
    """Which kernel columns, as offsets in the map, a depthwise operation takes in one pass over a row.

    Either as many neighbours as the array's window of `taps` holds, or each by itself: what takes fewer beats for rows
    of `columns` outputs.
    """
    offsets = [column * window.dilation[1] for column in range(window.kernel[1])]
    alone = [[offset] for offset in offsets]
    if window.stride[1] > 15:
        return alone
    wide: list[list[int]] = []
    for offset in offsets:
        if wide and offset - wide[-1][0] < taps:
            wide[-1].append(offset)
        else:
            wide.append([offset])
    beats = (columns - 1) * window.stride[1] + 1 + lead_of(wide)
    return wide if len(wide) * beats <= len(alone) * columns else alone


def lead_of(groups: list[list[int]]) -> int:
    """Beats that fill the window before the first that computes."""
    return max(group[-1] - group[0] for group in groups)


def depthwise_steps(
    weights: list[Weights], window: Window, groups: list[list[int]], source: Tensor, plane: int, taps: int
) -> Steps:
    """Steps of one output block that reads one plane, lane by lane.

    Parameters
    ----------
    weights
        (kernel rows, kernel columns, lanes) each; all are added up.
    groups
        Of kernel columns, see `covers`.
    plane
        Of the source.
    taps
        Of the array's window.
    """
    lanes, lead = source.storage.lanes, lead_of(groups)
    row, byte, held = [], [], []
    for one in weights:
        for y in range(window.kernel[0]):
            for group in groups:
                block = np.zeros((lanes, lanes), dtype=np.int8)
                for offset in group:
                    block[:, group[-1] - offset] = one[y, offset // window.dilation[1]]
                row.append(y * window.dilation[0] - window.pad[0])
                byte.append((group[-1] - lead - window.pad[1]) * lanes)
                held.append(block)
    count = len(row)
    assert lead < taps
    return Steps(plane=np.full(count, plane), row=np.array(row), byte=np.array(byte), weights=np.stack(held))


def spans(window: Window, groups: list[list[int]]) -> dict[str, int]:
    """Fields `x_step` in pixels, `every` and `lead` of a depthwise operation."""
    if all(len(group) == 1 for group in groups):
        return {"x_step": window.stride[1], "every": 1, "lead": 0}
    return {"x_step": 1, "every": window.stride[1], "lead": lead_of(groups)}
