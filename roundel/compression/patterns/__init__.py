"""Patterns of input channels: which layers may have one, the order of channels that keeps most, and what it brings."""

from roundel.compression.patterns.channel_order import OrderSearch
from roundel.compression.patterns.figures import OrderedPatterns, PatternFigures, with_steps
from roundel.compression.patterns.layers import PatternLayer, pattern_layers
from roundel.compression.patterns.params import Patterns, check_engine, parse_patterns

__all__ = [
    "OrderSearch",
    "OrderedPatterns",
    "PatternFigures",
    "PatternLayer",
    "Patterns",
    "check_engine",
    "parse_patterns",
    "pattern_layers",
    "with_steps",
]
