"""Functions of one value as piecewise linear segments: parameters, arithmetic, functions, and the fit of a table."""

from roundel.golden.activation.baselines import ByteTable, Polynomial, SlopeOffset
from roundel.golden.activation.fit import Fitted, Goal, fit_table
from roundel.golden.activation.functions import FUNCTIONS, Function, named, sampled
from roundel.golden.activation.params import WORDS, ActivationParams, slope_table
from roundel.golden.activation.search import best_table
from roundel.golden.activation.table import CONTROL, ActivationTable, Fold, random_table

__all__ = [
    "CONTROL",
    "FUNCTIONS",
    "WORDS",
    "ActivationParams",
    "ActivationTable",
    "ByteTable",
    "Fitted",
    "Fold",
    "Function",
    "Goal",
    "Polynomial",
    "SlopeOffset",
    "best_table",
    "fit_table",
    "named",
    "random_table",
    "sampled",
    "slope_table",
]
