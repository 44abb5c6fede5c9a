"""Proof that a program's tokens keep it in order, from its descriptors alone: nothing here knows the compiler."""

import numpy as np

from roundel.golden.engine import Opcode, Program
from roundel.golden.engine.compute import Tile, held_blocks, output_blocks

UNIT = {Opcode.LOAD: 0, Opcode.COMPUTE: 1, Opcode.BOXES: 1, Opcode.STORE: 2}
MOST_TOKENS = 255


def check_order(image, params):
    """Assert that all descriptors come to run, and that no two which may run at once disagree about a byte.

    Every unit takes its descriptors in order; the k-th wait for a neighbour takes the k-th token that it gives. A
    descriptor's clock tells how many of each unit are through before it begins, however long anything takes.
    """
    descriptors = Program.unpack(image, params).descriptors
    assert descriptors[-1].opcode is Opcode.END
    queues = [[one for one in descriptors[:-1] if UNIT[one.opcode] == unit] for unit in range(3)]
    clocks = unit_clocks(queues)
    touched = [[_touched(one, image, params) for one in queue] for queue in queues]
    for a, b in ((0, 1), (1, 2), (0, 2)):
        for i, mine in enumerate(touched[a]):
            for j, its in enumerate(touched[b]):
                if clocks[b][j][a] <= i and clocks[a][i][b] <= j:
                    assert not _clash(mine, its), f"{queues[a][i]} and {queues[b][j]} may run at the same time"


def unit_clocks(queues):
    """By unit, the clock of every descriptor."""
    given = {(a, b): [] for a, b in ((0, 1), (1, 0), (1, 2), (2, 1))}
    taken = dict.fromkeys(given, 0)
    clocks, moved = [[], [], []], True
    while moved:
        moved = False
        for unit, queue in enumerate(queues):
            while len(clocks[unit]) < len(queue):
                at, one = len(clocks[unit]), queue[len(clocks[unit])]
                waits = [(unit - 1, unit)] * one.wait_previous + [(unit + 1, unit)] * one.wait_next
                if any(len(given[way]) <= taken[way] for way in waits):
                    break
                clock = list(clocks[unit][-1]) if at else [0, 0, 0]
                clock[unit] = at
                for way in waits:
                    clock = [max(pair) for pair in zip(clock, given[way][taken[way]], strict=True)]
                    taken[way] += 1
                through = [at + 1 if other == unit else count for other, count in enumerate(clock)]
                for way in [(unit, unit - 1)] * one.signal_previous + [(unit, unit + 1)] * one.signal_next:
                    given[way].append(through)
                    _check_count(given[way], way, queues)
                clocks[unit].append(clock)
                moved = True
    assert [len(queue) for queue in queues] == [len(found) for found in clocks], "units wait for each other"
    return clocks


def _check_count(tokens, way, queues):
    """Assert that a count never exceeds its register: the neighbour may be no further than this unit's clock says."""
    giver, taker = way
    name = "wait_previous" if taker > giver else "wait_next"
    surely = sum(getattr(one, name) for one in queues[taker][: tokens[-1][taker]])
    assert len(tokens) - surely <= MOST_TOKENS


def _clash(a, b):
    """Whether one writes what the other reads or writes; both are (memory, read bytes, written bytes)."""
    for memory in set(a) & set(b):
        (reads, writes), (others, written) = a[memory], b[memory]
        if np.intersect1d(writes, np.union1d(others, written)).size or np.intersect1d(reads, written).size:
            return True
    return False


def _touched(one, image, params):
    """Addresses read and written, in words on chip and bytes of the outer regions, by memory."""
    nothing = np.zeros(0, np.int64)
    if one.opcode is Opcode.COMPUTE:
        return {"chip": (_read_words(one, image, params), _written_words(one, params))}
    if one.opcode is Opcode.BOXES:
        places = np.arange(one.width * one.height)
        cls = one.cls + np.arange(-(-one.classes // params.lanes))[:, None] * one.cls_plane + places
        records = one.offset + np.arange(16 * (params.nms.capacity + 1) * one.last)
        return {"chip": (np.union1d(cls, one.box + places), nothing), one.region: (nothing, records)}
    plane, run = (axis.reshape(-1, 1) for axis in np.mgrid[: one.planes, : one.runs])
    chip = one.chip + plane * one.chip_plane + run * one.chip_run + np.arange(-(-one.run_bytes // params.lanes))
    outer = one.offset + plane * one.outer_plane + run * one.outer_run + np.arange(one.run_bytes)
    assert chip.max() < params.words
    pair = (np.unique(chip), np.unique(outer))
    if one.opcode is Opcode.LOAD:
        return {"chip": (nothing, pair[0]), one.region: (pair[1], nothing)}
    return {"chip": (pair[0], nothing), one.region: (nothing, pair[1])}


def _tiles(one):
    return [Tile.of(one, ty, tx) for ty in range(one.tiles_y) for tx in range(one.tiles_x)]


def _read_words(one, image, params):
    """Words under the bytes within the map that any beat takes, and residuals."""
    parameters, weights = (
        image[getattr(one, f"{name}_offset") :][: getattr(one, f"{name}_bytes")] for name in ("parameters", "weights")
    )
    found = []
    if one.has_gate:  # whatever the factors are, the steps are the same
        held = np.zeros(one.blocks * params.columns * params.lanes, np.int64)
        blocks = list(held_blocks(params, one, parameters, held, bits=0))
        found.append(one.weights_offset + np.arange(one.blocks) * one.weights_bytes)
    else:
        blocks = list(output_blocks(params, one, parameters, weights))
    for tile in _tiles(one):
        beats = one.lead + (tile.w - 1) * one.every + 1
        y, beat = (axis.ravel() >> one.upsample for axis in np.mgrid[: tile.h, :beats])
        for block, (_, steps) in enumerate(blocks):
            for step, _ in steps:
                row = tile.row + step.dy + y * one.y_rows
                byte = (tile.byte + step.dx + beat * one.x_step)[:, None] + np.arange(params.lanes)
                at = (tile.origin + step.offset + y * one.y_step + beat * one.x_step)[:, None] + np.arange(params.lanes)
                inside = ((row >= 0) & (row < one.rows))[:, None] & (byte >= 0) & (byte < one.row_bytes)
                found.append(np.unique(at[inside] % params.memory // params.lanes))
            if one.has_residual:
                found.append(_words(one, "residual", block, tile))
    return np.unique(np.concatenate(found))


def _written_words(one, params):
    found = np.concatenate([_words(one, "target", block, tile) for tile in _tiles(one) for block in range(one.blocks)])
    assert found.max() < params.words
    assert len(np.unique(found)) == len(found), "a word is written twice"
    return found


def _words(one, name, block, tile):
    plane, row, step = (getattr(one, f"{name}_{what}") for what in ("plane", "row", "tile"))
    y, x = (axis.ravel() for axis in np.mgrid[: tile.h, : tile.w])
    return getattr(one, name) + block * plane + tile.ty * step + y * row + (tile.x + x) * (one.skip + 1)
