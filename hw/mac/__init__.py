"""The array as a unit of its own."""

from roundel.hw.mac.array import MacArray
from roundel.hw.mac.column import DOTS
from roundel.hw.mac.dot_product import ProductDot, weight_layout
from roundel.hw.mac.sparse import SparseMac

__all__ = [
    "DOTS",
    "MacArray",
    "ProductDot",
    "SparseMac",
    "weight_layout",
]
