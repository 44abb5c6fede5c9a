"""The compiler: translates an integer network into a program of the engine, pass by pass (docs/compiler.md)."""

from roundel.compiler.boxes import Head, heads_of, with_maxima
from roundel.compiler.cycles import LayerCycles, layers_of, predicted_cycles, predicted_layers, total
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
    "LayerCycles",
    "Regions",
    "Task",
    "activation_unit",
    "compile_network",
    "heads_of",
    "layer_rows",
    "layers_of",
    "listing",
    "memory_map",
    "predicted_cycles",
    "predicted_layers",
    "total",
    "with_maxima",
]
