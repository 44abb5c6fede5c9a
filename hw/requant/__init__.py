"""One core a scheme behind one set of ports."""

from roundel.hw.requant.ports import core_ports, runtime_layout
from roundel.hw.requant.shift import ShiftCore
from roundel.hw.requant.unit import Requantizer, requant_core

__all__ = [
    "Requantizer",
    "ShiftCore",
    "core_ports",
    "requant_core",
    "runtime_layout",
]
