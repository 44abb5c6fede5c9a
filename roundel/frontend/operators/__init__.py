"""One function for each operator: how it becomes a node of the graph, a constant, or a refusal."""

from roundel.frontend.operators.constants import FOLDED, fold
from roundel.frontend.operators.functions import OTHERS, PASSING, UNARY, ends
from roundel.frontend.operators.operator import Operator
from roundel.frontend.operators.scope import BATCH, Refusal, Scope
from roundel.frontend.operators.table import DOMAINS, OPERATORS

__all__ = [
    "BATCH",
    "DOMAINS",
    "FOLDED",
    "OPERATORS",
    "OTHERS",
    "PASSING",
    "UNARY",
    "Operator",
    "Refusal",
    "Scope",
    "ends",
    "fold",
]
