"""Gates to nanoseconds and picojoules."""

from roundel.synth.analysis.activity import read_saif
from roundel.synth.analysis.memories import Memory, MemoryUse, memory_use
from roundel.synth.analysis.power import Energy, Power, estimate
from roundel.synth.analysis.proof import proven
from roundel.synth.analysis.timing import Timing, analyse

__all__ = [
    "Energy",
    "Memory",
    "MemoryUse",
    "Power",
    "Timing",
    "analyse",
    "estimate",
    "memory_use",
    "proven",
    "read_saif",
]
