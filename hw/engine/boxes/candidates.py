"""What goes between scan, decoder and NMS unit in an engine with `heads`."""

from amaranth.hdl import Value, unsigned
from amaranth.lib import data

from roundel.golden.engine import FORMS, SCORES
from roundel.golden.head import MAX_CLASSES, MOST_PRIORS, Score
from roundel.golden.nms import MAX_IMAGE, BoxFormat
from roundel.hw.nms import box_layout


def place_layout() -> data.StructLayout:
    """Return where a box comes from within its scale: row and column of its location, and its prior."""
    number = unsigned((MAX_IMAGE - 1).bit_length())
    return data.StructLayout({"row": number, "column": number, "prior": unsigned((MOST_PRIORS - 1).bit_length())})


def candidate_layout(form: BoxFormat) -> data.StructLayout:
    """Return a candidate: its place, its class, and its score; of a softmax the decoder makes the score."""
    label = unsigned((MAX_CLASSES - 1).bit_length())
    return data.StructLayout(dict(place_layout().members) | {"label": label, "score": form.score_width})


def decoded_layout(form: BoxFormat) -> data.StructLayout:
    """Return a box, as the NMS unit takes it, and its place."""
    return data.StructLayout(dict(box_layout(form).members) | dict(place_layout().members))


def words_layout() -> data.StructLayout:
    """Return words of the box tables, each with its number among them; they cannot wait."""
    word = data.StructLayout({"address": 10, "word": 16})
    return data.StructLayout({"valid": 1, "payload": word})


def has_score(head: data.View, score: Score) -> Value:
    """Whether the scores of a descriptor's head come about so."""
    return Value.cast(head.score_form == SCORES.index(score))


def has_form(head: data.View, form: str) -> Value:
    """Whether the boxes of a descriptor's head are of one of `FORMS`."""
    return Value.cast(head.box_form == FORMS.index(form))
