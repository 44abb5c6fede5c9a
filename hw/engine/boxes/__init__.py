"""BOXES."""

from roundel.hw.engine.boxes.unit import Boxes

__all__ = [
    "Boxes",
]
