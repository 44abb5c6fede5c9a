"""The table of an activation at the head of a parameter stream: a control word and knots, 16 bits each."""

import numpy as np

from roundel.golden.activation import WORDS, ActivationTable
from roundel.golden.engine.params import EngineParams
from roundel.golden.engine.program import Descriptor, lower_bits

TABLE_ENTRIES = WORDS.entries
TABLE_BYTES = -(-2 * TABLE_ENTRIES // 8) * 8
"""Bytes that a table takes in a parameter stream, a multiple of 8: the control word, the knots, zeros."""


def table_bytes(params: EngineParams, descriptor: Descriptor) -> int:
    """Return the bytes of the table at the head of a COMPUTE's parameter stream; 0 where there is none."""
    return TABLE_BYTES if params.act_lanes and descriptor.activation else 0


def pack_table(table: ActivationTable) -> bytes:
    """Return `TABLE_BYTES` bytes: `table.entries` from the control word on, 16 bits each, little-endian."""
    entries = np.array(table.entries, dtype=np.int64) & 0xFFFF
    return entries.astype("<u2").tobytes().ljust(TABLE_BYTES, b"\0")


def unpack_table(data: bytes) -> ActivationTable:
    """Return the table in the first `TABLE_BYTES` bytes; of each entry the bits that count.

    Raises
    ------
    ValueError
        Flags that no fold has, or a table that the unit does not hold.
    """
    control, *entries = (int(entry) for entry in np.frombuffer(data, "<u2", TABLE_ENTRIES))
    knots = lower_bits(np.array(entries, dtype=np.int64), WORDS.knot_width, True)
    table = ActivationTable.from_control(control, tuple(int(knot) for knot in knots))
    WORDS.check_table(table)
    return table
