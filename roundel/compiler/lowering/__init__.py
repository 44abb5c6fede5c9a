"""Layers become operations on tensors, each with a layout in memory; a file for each kind of layer."""

from roundel.compiler.lowering.inputs import Shape
from roundel.compiler.lowering.lowering import Lowering
from roundel.compiler.lowering.rules import lower_network

__all__ = ["Lowering", "Shape", "lower_network"]
