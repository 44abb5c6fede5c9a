"""Heads other than the plain one: fields of BOXES, and the tables in its parameter stream."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from roundel.golden.engine.program import Descriptor
from roundel.golden.head import HeadParams, PlaceParams, Score, form_units
from roundel.golden.rounding import Ints

SCORES = (Score.LOGIT, Score.PRODUCT, Score.SOFTMAX)
"""What the field `score_form` counts."""
FORMS = ("distances", "distribution", "sides", "centres", "corners")
"""What the field `box_form` counts: the parts of `HeadParams` that say it, behind the plain distances."""
TABLES: Mapping[str, tuple[str, ...]] = {
    "products": ("cls", "objectness"),
    "softmax": ("exponents",),
    "distribution": ("exponents",),
    "sides": ("sides",),
    "centres": ("centres", "sides"),
    "corners": ("offsets",),
}
"""Tables of 256 words of each part of `HeadParams`, in the order of the stream; behind them the words of priors."""
PRIOR_WORDS = {"centres": 2, "corners": 4}
ENTRIES, WORD_BYTES = 256, 2


def head_units(head: HeadParams) -> tuple[str, ...]:
    """Return what a box unit needs for a head, as `EngineParams.heads` names it: nothing for the plain one."""
    plain = head.priors == 1 and not head.every_class and not head.peaks and head.place is None
    return form_units(head.score, head.form, curved=head.sides is not None, plain=plain)


def pack_head(head: HeadParams) -> bytes:
    """Return the parameter stream of a scale: words of 16 bits, little-endian; empty without tables."""
    words = list[int]()
    for part, names in TABLES.items():
        given = getattr(head, part)
        if given is not None:
            words += [word for name in names for word in getattr(given, name)]
            words += [word for prior in getattr(given, "priors", ()) for word in prior]
    return (np.array(words, np.int64) & 0xFFFF).astype("<u2").tobytes()


def head_fields(head: HeadParams) -> dict[str, int]:
    """Return the fields of BOXES that only engines with `heads` know."""
    fields = {"score_form": SCORES.index(head.score), "priors": head.priors - 1}
    fields |= {"every_class": int(head.every_class), "peaks": int(head.peaks)}
    fields |= {"box_form": next((n for n, part in enumerate(FORMS) if n and getattr(head, part) is not None), 0)}
    place = head.place or PlaceParams.of(head.stride, 0.5, fraction=head.fraction)
    fields |= {"step": place.step, "origin": place.origin}
    if head.products is not None:
        fields |= {"most": head.products.most}
    if head.softmax is not None:
        softmax = head.softmax
        fields |= {"most": softmax.most, "cost_fraction": softmax.bits}
        fields |= {"background": int(softmax.background > 0)}
    if head.distribution is not None:
        fields |= {"bins": head.distribution.bins}
    return {name: value for name, value in fields.items() if value}


def forms_of(descriptor: Descriptor) -> tuple[Score, str]:
    """Return how a descriptor's scores come about, and the part of `HeadParams` that says what its boxes are.

    Raises
    ------
    ValueError
        Numbers that stand for none.
    """
    if descriptor.score_form >= len(SCORES) or descriptor.box_form >= len(FORMS):
        raise ValueError(f"no head has score_form {descriptor.score_form} and box_form {descriptor.box_form}")
    return SCORES[descriptor.score_form], FORMS[descriptor.box_form]


def parts_of(descriptor: Descriptor, stream: bytes) -> dict[str, Any]:
    """Return the keyword arguments of `HeadParams` that a descriptor and its parameter stream stand for.

    Raises
    ------
    ValueError
        Fields that no head has.
    EOFError
        The stream ends before the last table, or goes on behind it.
    """
    score, form = forms_of(descriptor)
    priors = descriptor.priors + 1
    parts: dict[str, Any] = {"priors": priors, "every_class": bool(descriptor.every_class)}
    parts |= {"peaks": bool(descriptor.peaks)}
    if descriptor.step:
        parts["place"] = {"step": descriptor.step, "origin": descriptor.origin}
    words = _Words(stream)
    if score is Score.PRODUCT:
        tables = {name: tuple(word & 0xFFF for word in words.take(ENTRIES)) for name in TABLES["products"]}
        parts["products"] = tables | {"most": descriptor.most}
    if score is Score.SOFTMAX:
        background = descriptor.classes if descriptor.background else 0
        parts["softmax"] = {"background": background, "bits": descriptor.cost_fraction, "most": descriptor.most}
        parts["softmax"] |= {name: words.take(ENTRIES) for name in TABLES["softmax"]}
    if form in TABLES:
        parts[form] = {name: words.take(ENTRIES) for name in TABLES[form]}
        if form in PRIOR_WORDS:
            parts[form]["priors"] = tuple(words.take(PRIOR_WORDS[form]) for _ in range(priors))
    if form == "distribution":
        parts[form]["bins"] = descriptor.bins
    words.end()
    return parts


class _Words:
    """Signed words of a stream, one behind the other."""

    def __init__(self, stream: bytes):
        self.words: Ints = np.frombuffer(stream[: len(stream) // WORD_BYTES * WORD_BYTES], "<i2").astype(np.int64)
        self.at, self.whole = 0, not len(stream) % WORD_BYTES

    def take(self, count: int) -> tuple[int, ...]:
        """Return the next words; EOFError where there are fewer."""
        taken = self.words[self.at : self.at + count]
        if len(taken) < count:
            raise EOFError
        self.at += count
        return tuple(taken.tolist())

    def end(self) -> None:
        """Raise EOFError unless all words were taken."""
        if self.at < len(self.words) or not self.whole:
            raise EOFError
