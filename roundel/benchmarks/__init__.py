"""Figures of speed, one file a subject."""

from roundel.benchmarks.outcome import Bench, bench

__all__ = ["Bench", "bench"]
