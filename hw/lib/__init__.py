"""Parts that know no unit: a newcomer could use each alone."""

from roundel.hw.lib.arith import bit_count, cut, first_set, gated, multiple, named, select, unreset, without_first
from roundel.hw.lib.double_buffer import BlockLoader, DoubleBuffer
from roundel.hw.lib.fifo import BlockFifo, SmallFifo
from roundel.hw.lib.gearbox import Gearbox
from roundel.hw.lib.memory import TwoPortMemory
from roundel.hw.lib.ports import Component, In, Out, Port, members_section
from roundel.hw.lib.shift_window import increment, window, window_const
from roundel.hw.lib.streams import StreamRegister, delay
from roundel.hw.lib.walker import Walker

__all__ = [
    "BlockFifo",
    "BlockLoader",
    "Component",
    "DoubleBuffer",
    "Gearbox",
    "In",
    "Out",
    "Port",
    "SmallFifo",
    "StreamRegister",
    "TwoPortMemory",
    "Walker",
    "bit_count",
    "cut",
    "delay",
    "first_set",
    "gated",
    "increment",
    "members_section",
    "multiple",
    "named",
    "select",
    "unreset",
    "window",
    "window_const",
    "without_first",
]
