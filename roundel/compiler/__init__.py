"""The compiler: translates an integer network into a program of the engine, pass by pass (docs/compiler.md)."""

from roundel.compiler.boxes import Head, heads_of, with_maxima
from roundel.compiler.passes import PASSES, Compilation
from roundel.compiler.pipeline import Compiled, Regions, compile_network
from roundel.compiler.program_text import layer_rows, listing, memory_map
from roundel.compiler.refusal import activation_unit
from roundel.compiler.tokens import Task

__all__ = [
    "PASSES",
    "Compilation",
    "Compiled",
    "Head",
    "Regions",
    "Task",
    "activation_unit",
    "compile_network",
    "heads_of",
    "layer_rows",
    "listing",
    "memory_map",
    "with_maxima",
]
