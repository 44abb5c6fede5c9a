"""One accumulator to one narrow integer: parameters, arithmetic, and real factors as run-time fields."""

from roundel.golden.requant.arithmetic import nearest_boundaries
from roundel.golden.requant.factor import OPERAND_WIDTH, SCHEMES, Factor, Operand
from roundel.golden.requant.params import Field, RequantParams, Scheme

__all__ = ["OPERAND_WIDTH", "SCHEMES", "Factor", "Field", "Operand", "RequantParams", "Scheme", "nearest_boundaries"]
