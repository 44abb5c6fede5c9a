"""One accumulator to one narrow integer: parameters, arithmetic, and real factors as run-time fields."""

from roundel.golden.requant.arithmetic import nearest_boundaries
from roundel.golden.requant.factor import SCHEMES, Factor
from roundel.golden.requant.params import Field, RequantParams, Scheme

__all__ = ["SCHEMES", "Factor", "Field", "RequantParams", "Scheme", "nearest_boundaries"]
