"""LOAD and STORE."""

from roundel.hw.engine.move.load import Load
from roundel.hw.engine.move.store import Store

__all__ = [
    "Load",
    "Store",
]
