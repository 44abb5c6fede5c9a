"""How long a program takes, without RTL."""

from roundel.golden.cycles.model import predict

__all__ = [
    "predict",
]
