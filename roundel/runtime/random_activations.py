"""Activations of drawn layers: every function, fitted, slopes of outputs, and tables of random knots."""

from dataclasses import replace
from functools import cache

import numpy as np

from roundel.golden.activation import FUNCTIONS, WORDS, Fold, best_table, named, random_table, slope_table
from roundel.golden.formats import Format
from roundel.golden.network import Activated

NAMES = tuple(name for name in FUNCTIONS if name not in ("identity", "relu"))
PORTION = Format(width=8, signed=False, fraction=8)  # what is between 0 and 1
USUAL = Format(width=8, signed=True, fraction=4)
OUTPUTS = {"sigmoid": PORTION, "hard_sigmoid": PORTION, "tanh": replace(USUAL, fraction=7)}
"""Formats of what functions give, where it is not `USUAL`."""


@cache
def fitted(name: str) -> tuple[Format, Activated]:
    """Return the format of a function's results, and its table for inputs from -8 to 7.5."""
    output = OUTPUTS.get(name, USUAL)
    found = best_table(WORDS, named(name), low=-8, high=7.5, output=output)
    return output, Activated(table=found.table, word=found.word)


def slopes(values: np.ndarray) -> tuple[Format, Activated]:
    """Return the same for a slope of each output, of magnitudes below 1."""
    table, columns = slope_table(WORDS, values)
    word = Format(width=WORDS.in_width, signed=True, fraction=USUAL.fraction + WORDS.fraction)
    return USUAL, Activated(table=table, word=word, slopes=tuple(columns.tolist()))


def knots(rng: np.random.Generator, outputs: int) -> tuple[Format, Activated]:
    """Return the same for random knots and a random control word."""
    table = random_table(rng, segments=WORDS.segments, knot_width=WORDS.knot_width, core=WORDS.greatest_core)
    columns = rng.integers(0, 1 << WORDS.slope_width, outputs).tolist() if table.fold is Fold.SLOPE else None
    word = Format(width=WORDS.in_width, signed=True, fraction=USUAL.fraction + int(rng.integers(0, 4)))
    output = replace(USUAL, signed=not table.unsigned)
    table = replace(table, residual_shift=0)
    return output, Activated(table=table, word=word, slopes=columns and tuple(columns))


def draw_activation(
    rng: np.random.Generator, fraction: int, outputs: int, residual: Format | None
) -> tuple[Format, Activated]:
    """Draw an activation and the format of its results.

    Parameters
    ----------
    rng
        Draws them.
    fraction
        Fraction of the results, where no residual decides it.
    outputs
        Of the layer.
    residual
        Format of what is added behind the activation; None for nothing.
    """
    kind = rng.integers(4)
    if kind == 0:
        output, activation = slopes(rng.uniform(-0.9, 0.9, outputs))
    elif kind == 1:
        output, activation = knots(rng, outputs)
    else:
        output, activation = fitted(NAMES[rng.integers(len(NAMES))])
    table = activation.table
    if residual is not None:
        table = replace(table, residual_shift=int(rng.integers(0, 4)))
        fraction = residual.fraction - WORDS.fraction + table.residual_shift
    moved = fraction - output.fraction  # the same function of another unit
    word = replace(activation.word, fraction=activation.word.fraction + moved)
    return replace(output, fraction=fraction), replace(activation, table=table, word=word)
