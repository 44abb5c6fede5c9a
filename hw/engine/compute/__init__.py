"""COMPUTE, in the order in which a beat travels: streams, feeder, array, results."""

from roundel.hw.engine.compute.unit import Compute, activity_layout

__all__ = [
    "Compute",
    "activity_layout",
]
