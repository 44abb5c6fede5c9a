"""The normal form of a float network, which quantization reads: a file for each kind of rule."""

from roundel.graph.folding.folding import ELEMENTWISE, MOVERS, fold, is_private, needed
from roundel.graph.folding.ones import filled

__all__ = ["ELEMENTWISE", "MOVERS", "filled", "fold", "is_private", "needed"]
