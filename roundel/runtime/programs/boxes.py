"""BOXES, drawn at random: the scales of an image, anywhere in the activation memory."""

import numpy as np

from roundel.golden.engine import RECORD, Opcode
from roundel.golden.head import SHIFTS
from roundel.golden.nms import BoxFormat
from roundel.runtime.programs.draw import Draw
from roundel.runtime.programs.parts import Outside, Step, spread, words_of

WORDS = 400  # of a scale, at most


def boxes(draw: Draw, outside: Outside, last: bool) -> Step:
    """Draw a BOXES descriptor.

    Parameters
    ----------
    draw
        Draws numbers.
    outside
        The outer memory, of an engine with a box unit.
    last
        Whether the scale is the last of its image: its records are written then.
    """
    params = outside.params
    assert params.nms is not None
    form = params.nms.format
    grid = _grid(draw, form, params.lanes)
    places, planes = grid["width"] * grid["height"], -(-grid["classes"] // params.lanes)
    values = {"cls": draw.field(24, draw.whole(0, params.words)), "box": draw.field(24, draw.whole(0, params.words))}
    values |= {"cls_plane": draw.field(32, places, 0, 1)} | grid
    values |= {"cls_signed": draw.whole(0, 1), "box_signed": draw.whole(0, 1), "last": int(last)}
    threshold = draw.of([0, draw.whole(-128, 255), draw.whole(40, 127), draw.of([-32768, 32767, -129, 256, 127])])
    values |= {"threshold": threshold, "score_shift": draw.whole(0, min(4, form.score_width - 8))}
    values |= {"shift": draw.of([-1, 0, 1, draw.whole(*SHIFTS), draw.whole(-4, 3)])}
    outer = outside.nothing()
    values |= {"region": draw.whole(0, 3), "offset": draw.field(30)}
    if last:
        size, bus = RECORD.size * (params.nms.capacity + 1), params.bus_bytes
        start, stop = -(-outside.writable.start // bus), (outside.writable.stop - size) // bus
        at = draw.whole(start, stop) * bus
        values |= outside.place("", at)
        outer[at - outside.data.start :][:size] = True
    logits = values["cls"] + spread((planes, values["cls_plane"]), (places, 1))
    return Step(
        opcode=Opcode.BOXES,
        values=values,
        reads=words_of(params, logits) | words_of(params, values["box"] + spread((places, 1))),
        writes=np.zeros(params.words, bool),
        outer_reads=outside.nothing(),
        outer_writes=outer,
    )


def _grid(draw: Draw, form: BoxFormat, lanes: int) -> dict[str, int]:
    """Draw a grid that begins nowhere beyond the image, and classes."""
    classes = draw.of([1, form.classes, draw.whole(1, form.classes)])
    while True:
        width, height = (draw.of([1, 2, draw.whole(1, 12), draw.whole(1, 60)]) for _ in range(2))
        stride = draw.whole(0 if form.fraction else 1, 7)
        within = (width - 1 << stride) < form.width and (height - 1 << stride) < form.height
        if within and width * height * (-(-classes // lanes) + 1) <= WORDS:
            return {"width": width, "height": height, "stride": stride, "classes": classes}
