"""The engine from its pins inwards: registers, control, bus, memory, dispatch."""

from roundel.hw.engine.core import flags
from roundel.hw.engine.dispatch import NUMBER
from roundel.hw.engine.fetch import UNITS
from roundel.hw.engine.top import ADDRESS, Engine

__all__ = ["ADDRESS", "NUMBER", "UNITS", "Engine", "flags"]
