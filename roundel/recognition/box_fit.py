"""Fits four columns of a box by the forms that there are: which raw value moves which quantity, and the constants.

A quantity is a corner, a centre or a side. In the forms `distances`, `dfl` and `corners` each corner depends on a raw
value (or on one distribution) of its own, in `centre` each centre and side does; so the dependence alone tells them
apart, and least squares gives the constants.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from roundel.detection import sigmoid
from roundel.golden.head import BoxForm, Centre, Side
from roundel.golden.nms import Floats
from roundel.golden.rounding import Ints
from roundel.recognition.box_orders import CENTRES, ORDERS
from roundel.recognition.fitting import NEAR, apart, movers, solve
from roundel.recognition.samples import Samples

MOST_BINS = 64


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """A corner, centre or side of a box, in units of the tail: step * place + start + factor * f(exponent * t).

    Attributes
    ----------
    channels
        The raw values behind it: one, or the bins of a distribution.
    function
        f: `linear`, `relu`, `exp`, `sigmoid`, `square_sigmoid` or `dfl`.
    step, start, factor, exponent
        The constants; `step` counts locations along its axis, 0 for a side, NaN on a grid of one.
    """

    channels: tuple[int, ...]
    function: str
    step: float
    start: float
    factor: float
    exponent: float = 1.0


@dataclass(frozen=True, kw_only=True)
class FittedBox:
    """A box of a location as one of the forms.

    Attributes
    ----------
    form, centre, side
        The forms.
    order
        Name of the order of the columns.
    columns
        The four columns.
    quantities
        Left, top, right and bottom; or centre x and y, width and height.
    assumed
        Whether the file does not decode boxes, so that a convention has to say how.
    """

    form: BoxForm
    centre: Centre
    side: Side
    order: str
    columns: tuple[int, ...]
    quantities: tuple[Quantity, ...]
    assumed: bool = False


@dataclass(frozen=True)
class Attempt:
    """A form that does not fit: its name, and the least difference of the quantity that fits worst."""

    form: str
    apart: float


def fit_box(samples: Samples, box: int, columns: list[int]) -> tuple[FittedBox | None, list[Attempt]]:
    """Find the form of a box.

    Parameters
    ----------
    samples, box
        The samples, and which box of a location.
    columns
        The four columns.

    Returns
    -------
    tuple
        The form, None where none fits; and what was tried.
    """
    tried: dict[str, float] = {}
    for order, matrix in ORDERS.items():
        for family, quantities in (("corners", matrix), ("centre", CENTRES @ matrix)):
            fitted = []
            for place, weights in enumerate(quantities):
                found, difference = _fit(samples, box, columns, weights, family, place)
                name = f"{family} of ({order})"
                tried[name] = max(tried.get(name, 0.0), difference)
                if found is None:
                    break
                fitted.append(found)
            if len(fitted) == 4 and (made := _box(family, order, columns, fitted)) is not None:
                return made, []
    return None, [Attempt(name, difference) for name, difference in sorted(tried.items(), key=lambda item: item[1])]


def _fit(
    samples: Samples, box: int, columns: list[int], weights: Floats, family: str, place: int
) -> tuple[Quantity | None, float]:
    """Fit one quantity, a weighted sum of the columns; also say how far the nearest function is."""
    values = samples.values[:, box, columns] @ weights
    largest = float(np.abs(samples.values[:, box, columns]).max())
    counted = [column for column, weight in zip(columns, weights, strict=True) if weight]
    channels = movers(samples.moves[:, :, box, counted] @ weights[weights != 0], largest)
    if not 1 <= len(channels) <= MOST_BINS:
        return None, float("inf")
    keep = _uncut(samples, box, columns, weights)
    if keep.sum() < 12:
        return None, float("inf")
    is_side = family == "centre" and place >= 2
    axis = samples.places[keep, place % 2].astype(np.float64)
    best: tuple[Quantity | None, float] = (None, float("inf"))
    for found, difference in _candidates(values[keep], samples.raw[keep][:, channels], axis, is_side, channels):
        if difference < best[1]:
            best = (found, difference)
        if difference <= NEAR:
            return found, difference
    return None, best[1]


def _uncut(samples: Samples, box: int, columns: list[int], weights: Floats) -> np.ndarray:
    """Return the samples of which no column that counts was cut at the border of the image."""
    keep = np.ones(len(samples.values), bool)
    for column, weight in zip(columns, weights, strict=True):
        if weight:
            keep &= ~np.isin(samples.values[:, box, column], samples.borders)
    return keep


def _candidates(
    values: Floats, raw: Floats, axis: Floats, is_side: bool, channels: Ints
) -> Iterator[tuple[Quantity, float]]:
    """Give every function that a quantity may be, with its constants and its difference."""
    own = tuple(channels.tolist())
    if is_side:
        yield from _sides(values, raw, own)
        return
    moving = len(np.unique(axis)) > 1
    base = [axis, np.ones_like(axis)] if moving else [np.ones_like(axis)]
    functions: dict[str, Floats] = {}
    if len(own) == 1:
        t = raw[:, 0]
        functions = {"linear": t, "relu": np.maximum(t, 0), "exp": np.exp(t), "sigmoid": sigmoid(t)}
    else:
        powers = np.exp(raw)
        functions = {"dfl": powers @ np.arange(len(own)) / powers.sum(axis=1)}
    for name, column in functions.items():
        factors, difference = solve([*base, column], values)
        step = float(factors[0]) if moving else float("nan")
        found = Quantity(channels=own, function=name, step=step, start=float(factors[-2]), factor=float(factors[-1]))
        yield found, difference


def _sides(values: Floats, raw: Floats, own: tuple[int, ...]) -> Iterator[tuple[Quantity, float]]:
    """Give the functions that a width or height may be."""
    if len(own) != 1:
        return
    t = raw[:, 0]
    functions = {"linear": t, "square_sigmoid": sigmoid(t) ** 2, "relu": np.maximum(t, 0)}
    for name, column in functions.items():
        factors, difference = solve([column], values)
        factor = float(factors[0])
        yield Quantity(channels=own, function=name, step=0.0, start=0.0, factor=factor), difference
    if values.min() > 0:
        (exponent, start), _ = solve([t, np.ones_like(t)], np.log(values))
        factor = float(np.exp(start))
        expected = factor * np.exp(exponent * t)
        found = Quantity(channels=own, function="exp", step=0.0, start=0.0, factor=factor, exponent=float(exponent))
        yield found, apart(values, expected)


SIDES = {
    "exp": Side.EXP,
    "square_sigmoid": Side.SQUARE_SIGMOID,
    "linear": Side.LINEAR,
    "relu": Side.RELU,
    "dfl": Side.LINEAR,
}


def _box(family: str, order: str, columns: list[int], fitted: list[Quantity]) -> FittedBox | None:
    """Return the form that four quantities are; None where they do not go together."""
    first = {item.function for item in fitted[:2]}
    second = {item.function for item in fitted[2:]}
    if len(first) != 1 or len(second) != 1:
        return None
    (function,), (side,) = first, second
    if family == "centre":
        if function not in ("linear", "sigmoid") or side == "relu":
            return None
        form, centre = BoxForm.CENTRE, Centre(function)
    else:
        if function != side or function == "sigmoid":
            return None
        form, centre = _corner_form(function, fitted), Centre.LINEAR
    return FittedBox(
        form=form, centre=centre, side=SIDES[side], order=order, columns=tuple(columns), quantities=tuple(fitted)
    )


def _corner_form(function: str, fitted: list[Quantity]) -> BoxForm:
    """Tell distances to the sides from moves of corners: they start at one point, and go opposite ways."""
    if function == "dfl":
        return BoxForm.DFL
    if function in ("relu", "exp"):
        return BoxForm.DISTANCES
    together = all(
        abs(low.start - high.start) <= 1e-4 * max(abs(low.factor), abs(high.factor), abs(high.start))
        and low.factor < 0 < high.factor
        for low, high in zip(fitted[:2], fitted[2:], strict=True)
    )
    return BoxForm.DISTANCES if together else BoxForm.CORNERS
