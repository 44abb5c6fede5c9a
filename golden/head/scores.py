"""Scores that are no logits: products of two probabilities, and softmaxes. Both are costs, logarithms of base 2.

The cost of a class is `-log2(p)`, with as many fraction bits as let the threshold's fit into a score, at most 8. The
score is the greatest score less the cost, so that the certain box has the greatest.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor, log, log2

import numpy as np

from roundel.golden.formats import Format
from roundel.golden.head.forms import log_sigmoid
from roundel.golden.head.powers import EXPONENT, LEAST_EXPONENT, exponents, logarithm, terms
from roundel.golden.parameters import Params, check_integer
from roundel.golden.rounding import Ints, Rounding, round_shift

BYTES = 256
COST_WIDTH = 12
"""Bits of a cost in a table; greater ones count as the greatest."""
MOST_FRACTION = 8
"""Most fraction bits of a cost."""


def cost_fraction(threshold: float, score_width: int, *, root: bool = False) -> int:
    """Return the fraction bits of the costs of a detector.

    Parameters
    ----------
    threshold
        Least probability of a box, above 0 and below 1.
    score_width
        Bits of a score.
    root
        Whether the probability is the square root of the product that is reckoned.

    Raises
    ------
    ValueError
        A threshold out of range, or so low that its cost does not fit at any fraction.
    """
    if not 0 < threshold < 1:
        raise ValueError(f"threshold must be a probability above 0 and below 1, not {threshold}")
    cost = -log2(threshold) * (2 if root else 1)
    for fraction in range(MOST_FRACTION, -1, -1):
        if floor(cost * (1 << fraction)) < 1 << score_width:
            return fraction
    raise ValueError(f"threshold must be at least 2**-{(1 << score_width) - 1} for scores of {score_width} bits")


def most_cost(threshold: float, score_width: int, *, root: bool = False) -> int:
    """Return the greatest cost of a box: that of the threshold, rounded down; as `cost_fraction`."""
    fraction = cost_fraction(threshold, score_width, root=root)
    return floor(-log2(threshold) * (2 if root else 1) * (1 << fraction))


def bytes_of(form: Format) -> Ints:
    """Return the integers that the 256 bytes stand for, (256,): byte by byte, from 0 on."""
    raw = np.arange(BYTES)
    return np.asarray(np.where((raw >= BYTES // 2) & form.signed, raw - BYTES, raw))


def check_table(name: str, values: tuple[int, ...], low: int, high: int) -> None:
    """Raise TypeError or ValueError unless a table has 256 integers within a range."""
    if len(values) != BYTES:
        raise ValueError(f"{name} must have {BYTES} entries, not {len(values)}")
    for place, value in enumerate(values):
        check_integer(f"{name}[{place}]", value, low, high)


def check_exponents(values: tuple[int, ...]) -> None:
    """Raise TypeError or ValueError unless a table has 256 exponents of at most 0, of which the first is 0."""
    check_table("exponents", values, LEAST_EXPONENT, 0)
    if values[0]:
        raise ValueError(f"exponents must begin with 0, that of the greatest logit, not with {values[0]}")


@dataclass(frozen=True, kw_only=True)
class ProductParams(Params):
    """Costs of a product of two sigmoids: the sum of two table reads.

    Parameters
    ----------
    cls, objectness
        The cost of each byte, 0 to 4095, 256 of each; bytes of negative numbers are those from 128 on.
    most
        Greatest cost of a box, 0 to 4095.

    Raises
    ------
    TypeError, ValueError
        An entry or `most` out of range, or another number of entries.
    """

    cls: tuple[int, ...]
    objectness: tuple[int, ...]
    most: int

    def __post_init__(self) -> None:
        self._set(cls=tuple(self.cls), objectness=tuple(self.objectness))
        super().__post_init__()
        for name in ("cls", "objectness"):
            check_table(name, getattr(self, name), 0, (1 << COST_WIDTH) - 1)
        check_integer("most", self.most, 0, (1 << COST_WIDTH) - 1)

    @classmethod
    def of(
        cls, logits: Format, objectness: Format, threshold: float, *, score_width: int, root: bool = False
    ) -> "ProductParams":
        """Make the tables of the sigmoids of two formats.

        Parameters
        ----------
        logits, objectness
            Formats of the class logits and of the objectness.
        threshold
            Least probability of a box.
        score_width
            Bits of a score.
        root
            Whether the probability is the square root of the product: the order is the same, the threshold is squared.

        Raises
        ------
        ValueError
            As for `cost_fraction`.
        """
        fraction = cost_fraction(threshold, score_width, root=root)

        def table(form: Format) -> tuple[int, ...]:
            costs = np.rint(-log_sigmoid(form.decode(bytes_of(form))) * (1 << fraction))
            return tuple(np.minimum(costs, (1 << COST_WIDTH) - 1).astype(int).tolist())

        most = most_cost(threshold, score_width, root=root)
        return cls(cls=table(logits), objectness=table(objectness), most=most)

    def costs(self, logits: Ints, objectness: Ints) -> Ints:
        """Return the cost of every class, (..., classes), of logits (..., classes) and objectness (...)."""
        own = np.take(self.objectness, objectness & BYTES - 1)
        return np.asarray(np.take(self.cls, logits & BYTES - 1) + own[..., None])


@dataclass(frozen=True, kw_only=True)
class SoftmaxParams(Params):
    """Costs of a softmax: a logit's distance from the greatest, plus the logarithm of the sum of powers.

    Parameters
    ----------
    background
        The logit that stands for no object: 0, or `classes` for the last one.
    exponents
        The base-2 exponent of a logit that lies 0 to 255 steps below the greatest, in units of 2**-10, 256 words from
        -2**15 to 0, the first of which is 0.
    bits
        Fraction bits of a cost, 0 to 8.
    most
        Greatest cost of a box, 0 to 4095, and at most that of `2**-31`.

    Raises
    ------
    TypeError, ValueError
        A parameter of the wrong kind or out of range; the message echoes it.
    """

    background: int
    exponents: tuple[int, ...]
    bits: int
    most: int

    def __post_init__(self) -> None:
        self._set(exponents=tuple(self.exponents))
        super().__post_init__()
        check_exponents(self.exponents)
        ranges = {"background": 256, "bits": MOST_FRACTION, "most": (1 << COST_WIDTH) - 1}
        for name, high in ranges.items():
            check_integer(name, getattr(self, name), 0, high)
        check_integer("most", self.most, 0, 31 << self.bits)

    @classmethod
    def of(cls, logits: Format, threshold: float, *, background: int, score_width: int) -> "SoftmaxParams":
        """Make the parameters for logits of a format; the rest as for `ProductParams.of`."""
        bits = cost_fraction(threshold, score_width)
        most = most_cost(threshold, score_width)
        return cls(background=background, exponents=exponents(logits.fraction), bits=bits, most=most)

    @staticmethod
    def least(logits: Format, threshold: float) -> int:
        """Return by how much a logit must be above the background's: no class below has that probability.

        A probability is at most `sigmoid(logit - background)`, as there may be further classes.
        """
        return ceil(log(Fraction(threshold) / (1 - Fraction(threshold))) * 2.0**logits.fraction)

    def costs(self, logits: Ints) -> Ints:
        """Return the cost of every class, the background left out, (..., classes), of logits (..., classes + 1)."""
        powers = np.take(self.exponents, logits.max(axis=-1, keepdims=True) - logits)
        costs = logarithm(terms(powers).sum(axis=-1, keepdims=True)) - powers
        return round_shift(self.without(costs), EXPONENT - self.bits, Rounding.HALF_UP)

    def without(self, values: Ints) -> Ints:
        """Return values of all classes without that of the background, (..., classes)."""
        return values[..., 1:] if self.background == 0 else values[..., :-1]
