"""Heads of BOXES, drawn at random: the fields that only engines with `heads` know, and their tables."""

from dataclasses import dataclass, field

import numpy as np

from roundel.golden.engine import FORMS, SCORES, EngineParams
from roundel.golden.head import Score, exponents
from roundel.runtime.programs.draw import Draw

PRODUCT, SOFTMAX = map(SCORES.index, (Score.PRODUCT, Score.SOFTMAX))
DISTRIBUTION, SIDES, CENTRES, CORNERS = map(FORMS.index, ("distribution", "sides", "centres", "corners"))
TABLE = 256
WORD, COST = 16, 12  # bits
STEP = 1 << 6  # of a location's place, in a coordinate's unit


@dataclass(frozen=True, kw_only=True)
class DrawnHead:
    """A head.

    Attributes
    ----------
    values
        Fields of the descriptor, without the places of maps and tables.
    channels
        Of each map that there is, by name.
    cycles
        Of a location, about, if all its classes make boxes.
    stream
        The tables.
    """

    values: dict[str, int]
    channels: dict[str, int]
    cycles: int
    stream: bytes = field(repr=False, default=b"")


def head(draw: Draw, params: EngineParams, classes: int) -> DrawnHead:
    """Draw a head of so many classes; the plain one for an engine without `heads`."""
    if not params.heads:
        return DrawnHead(values={"classes": classes}, channels={"cls": classes, "box": 4}, cycles=0)
    assert params.nms is not None
    known = params.heads
    score = draw.of([0, *([PRODUCT] * 2 if "product" in known else []), *([SOFTMAX] * 2 if "softmax" in known else [])])
    boxes = {"dfl": (DISTRIBUTION,), "centre": (SIDES, CENTRES), "corners": (CORNERS,)}
    form = draw.of([0, *(number for name, numbers in boxes.items() if name in known for number in numbers)])
    priors, bins = draw.of([1, 1, 2, 3, draw.whole(1, 9)]), draw.of([2, 16, 17, draw.whole(2, 32)])
    values = {
        "classes": classes,
        "priors": priors - 1,
        "score_form": score,
        "box_form": form,
        "every_class": draw.whole(0, 1),
    }
    values |= {"peaks": int(score != SOFTMAX and draw.chance(0.3)), "background": draw.whole(0, 1)}
    values |= {"cost_fraction": draw.whole(0, 8), "bins": bins}
    greatest = min((1 << params.nms.format.score_width) - 1, (1 << COST) - 1)
    if score == SOFTMAX:
        greatest = min(greatest, 31 << values["cost_fraction"])
    values |= {"most": draw.of([0, greatest, greatest, draw.whole(greatest // 2, greatest)])}
    values |= {"step": draw.of([1, 8 * STEP, draw.whole(1, 32 * STEP)])}
    values |= {"origin": draw.of([0, draw.whole(0, 40 * STEP), draw.whole(-99 * STEP, 99 * STEP)])}
    logits, numbers = priors * (classes + (score == SOFTMAX)), 4 * (bins if form == DISTRIBUTION else 1)
    channels = {"cls": logits, "box": priors * numbers}
    channels |= {"objectness": priors} if score == PRODUCT else {}
    channels |= {"maxima": logits} if values["peaks"] else {}
    cycles = (channels["box"] + 99 + logits) * (classes if values["every_class"] else 1)
    return DrawnHead(values=values, channels=channels, cycles=cycles, stream=_tables(draw, score, form, priors))


def _tables(draw: Draw, score: int, form: int, priors: int) -> bytes:
    """Draw the tables of a head: costs, whose upper bits do not count; exponents; places; logarithms of sizes."""
    words = [draw.rng.integers(0, 1 << COST, 2 * TABLE) >> draw.whole(0, 9)] if score == PRODUCT else []
    if words and draw.chance(0.5):
        words[0] |= draw.rng.integers(0, 1 << WORD - COST, 2 * TABLE) << COST
    for _ in range((score == SOFTMAX) + (form == DISTRIBUTION)):
        words.append(np.array(exponents(draw.whole(0, 10))))
        if draw.chance(0.5):  # any others; that of the greatest logit is 0
            words[-1][1:] = draw.rng.integers(draw.of([-1 << 15, -9 << 10, -999]), 1, TABLE - 1)
    span = 1 << draw.of([5, 7, draw.whole(0, WORD - 1)])
    places = draw.rng.integers(-span, span, TABLE)
    least, most = ((-1 << 15, 1 << 15), (0, 5 << 10), (-4 << 10, 4 << 10))[draw.whole(0, 2)]
    sizes = draw.rng.integers(least, most, TABLE)
    words += [places] if form in (CENTRES, CORNERS) else []
    words += [sizes] if form in (SIDES, CENTRES) else []
    if form == CENTRES:
        words.append(draw.rng.integers(0, 4 << 10, 2 * priors))
    if form == CORNERS:
        words.append(draw.rng.integers(-99, 99, 4 * priors))
    return b"".join((table & (1 << WORD) - 1).astype("<u2").tobytes() for table in words)
