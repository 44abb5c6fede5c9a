"""How long a program takes, without RTL."""

from roundel.golden.cycles.compute import UNWRITTEN
from roundel.golden.cycles.model import predict

__all__ = [
    "UNWRITTEN",
    "predict",
]
