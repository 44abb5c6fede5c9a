"""`roundel bench`: figures of speed, one file a subject."""

from roundel.benchmarks.show import tables

__all__ = [
    "tables",
]
