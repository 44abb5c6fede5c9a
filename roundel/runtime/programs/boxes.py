"""BOXES, drawn at random: the scales of an image, anywhere in the activation memory."""

import numpy as np

from roundel.golden.engine import RECORD, Opcode
from roundel.golden.head import SHIFTS
from roundel.golden.nms import BoxFormat
from roundel.runtime.programs.draw import Draw
from roundel.runtime.programs.heads import DrawnHead, head
from roundel.runtime.programs.parts import Outside, Step, spread, words_of

WORDS = 400  # of a scale, at most, or one location
CYCLES = 40_000  # of a scale, about, at most


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
    drawn = head(draw, params, draw.of([1, form.classes, draw.whole(1, form.classes)]))
    planes = {name: -(-channels // params.lanes) for name, channels in drawn.channels.items()}
    grid = _grid(draw, form, drawn, sum(planes.values()))
    places, values, reads = grid["width"] * grid["height"], grid | drawn.values, np.zeros(params.words, bool)
    values |= {name: draw.field(24, draw.whole(0, params.words)) for name in planes}
    for name, count in planes.items():
        if params.heads or name == "cls":
            values |= {f"{name}_plane": draw.field(32, places, 0, 1)}
        pitch = values.get(f"{name}_plane", 0)
        reads |= words_of(params, values[name] + spread((count, pitch), (places, 1)))
    values |= outside.stream("parameters", drawn.stream) if drawn.stream else {}
    values |= {"cls_signed": draw.whole(0, 1), "box_signed": draw.whole(0, 1), "last": int(last)}
    threshold = draw.of([0, draw.whole(-128, 255), draw.whole(40, 127), draw.of([-32768, 32767, -129, 256, 127])])
    if params.heads and draw.chance(0.4):
        threshold = draw.of([-300, -60])
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
    return Step(
        opcode=Opcode.BOXES,
        values=values,
        reads=reads,
        writes=np.zeros(params.words, bool),
        outer_reads=outside.nothing(),
        outer_writes=outer,
    )


def _grid(draw: Draw, form: BoxFormat, drawn: DrawnHead, words: int) -> dict[str, int]:
    """Draw a grid that begins nowhere beyond the image, for a head of so many words at a location."""
    while True:
        width, height = (draw.of([1, 2, draw.whole(1, 12), draw.whole(1, 60)]) for _ in range(2))
        stride = draw.whole(0 if form.fraction else 1, 7)
        within = (width - 1 << stride) < form.width and (height - 1 << stride) < form.height
        if within and width * height * words <= max(WORDS, words) and width * height * drawn.cycles <= CYCLES:
            return {"width": width, "height": height, "stride": stride}
