"""Operators that only move values or name them, and shapes as constants."""

import numpy as np

from roundel.frontend.operators.operator import Operator
from roundel.frontend.operators.scope import BATCH


def shape(op: Operator) -> None:
    """Return the shape of a tensor, `BATCH` for its first size."""
    sizes = np.array(op.constant(0).shape if op.is_constant(0) else (BATCH, *op.shape(0)), np.int64)
    op.scope.constants[op.output] = sizes[op.get("start", 0) : op.get("end", None)]
    if (op.scope.constants[op.output] == BATCH).any():
        op.scope.batched.add(op.output)


def identity(op: Operator) -> None:
    """Make the output another name of the input."""
    op.scope.aliases[op.output] = op.inputs[0]


def dropout(op: Operator) -> None:
    """Do nothing; refuse an operator that is told to train."""
    if op.scalar(2):
        op.fail("training_mode must be false")
    identity(op)
