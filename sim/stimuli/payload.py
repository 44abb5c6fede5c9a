"""Payloads of streams as packed integers: columns of integers become one integer a beat, and back."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Member:
    """A member of a packed payload: `count` integers of `width` bits, least significant first."""

    name: str
    width: int
    signed: bool = False
    count: int = 1


FRAME = (Member("first", 1), Member("last", 1))
"""What ends a beat's payload."""


def pack(members: Sequence[Member], columns: dict[str, Any], beats: int) -> list[int]:
    """Pack one integer per beat.

    Parameters
    ----------
    members
        In the order of the layout, least significant first.
    columns
        For each member an array of shape (beats,) or (beats, count), or a scalar that holds for all.
    """
    packed = np.zeros(beats, dtype=object)
    offset = 0
    for member in members:
        values = np.asarray(columns[member.name], dtype=object)
        shape = (beats, member.count) if member.count > 1 or values.ndim > 1 else (beats, 1)
        values = np.broadcast_to(values.reshape(-1, 1) if values.ndim == 1 and member.count == 1 else values, shape)
        for index in range(member.count):
            packed = packed | ((values[:, index] & ((1 << member.width) - 1)) << offset)
            offset += member.width
    return [int(word) for word in packed]


def unpack(members: Sequence[Member], words: Sequence[int]) -> dict[str, np.ndarray]:
    """Take the words of `pack` apart.

    Returns
    -------
    dict
        An int64 array for each member by name, of shape (beats,), or (beats, count) where its count is not 1.
    """
    result = {}
    offset = 0
    column = np.array(words, dtype=object)
    for member in members:
        parts = []
        for _ in range(member.count):
            part = ((column >> offset) & ((1 << member.width) - 1)).astype(np.int64)
            if member.signed:
                part -= (part >> (member.width - 1)) << member.width
            parts.append(part)
            offset += member.width
        result[member.name] = parts[0] if member.count == 1 else np.stack(parts, axis=-1)
    return result
