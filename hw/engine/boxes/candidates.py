"""What goes between scan, decoder and NMS unit in an engine with `heads`."""

from amaranth.hdl import unsigned
from amaranth.lib import data

from roundel.golden.head import MAX_CLASSES, MOST_PRIORS
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


def table_word_layout() -> data.StructLayout:
    """Return a word of the box tables, and its number among them."""
    return data.StructLayout({"address": 10, "word": 16})
