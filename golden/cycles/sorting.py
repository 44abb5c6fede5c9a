"""How long the sorters take to keep the best boxes of an image, and the suppression of an engine, without RTL."""

import numpy as np

from roundel.golden.engine import RECORD, EngineParams
from roundel.golden.nms import NmsParams, TopKParams, best
from roundel.golden.rounding import Ints

SORTED = 7  # roundel.hw.nms.digit_sort: from the last box of an image to its first one out
BACK = 6  # the same where all of it is waited for: boxes come back while the next ones are offered
SIFTED = 27  # hw/nms, hw/engine/boxes/records, hw/axi: from the end of an image to the last answer, in an idle memory


def suppression_cycles(params: EngineParams, boxes: int, kept: int) -> int:
    """Return the cycles from the end of an image's last scale to its records in a memory that answers at once.

    To a few cycles: each sorter sends an image when all of it is there, a box a cycle; of the records the last burst
    follows the last box.

    Parameters
    ----------
    params
        The engine's, with `nms`.
    boxes, kept
        Boxes of the image, before and behind the suppression.
    """
    nms = params.nms
    assert nms is not None
    rounds = 1 if isinstance(nms, NmsParams) else len(nms.digits)
    beats = (kept + 1) * RECORD.size // params.bus_bytes
    last = (beats - 1) % params.burst + 1
    return SIFTED + (rounds - 1) * (boxes + SORTED) + max(boxes, beats - last) + last


def sorting_cycles(params: TopKParams, scores: Ints) -> tuple[int, int]:
    """Return the cycles from the first box of an image to the last one taken, and to the best one sent.

    Of an image alone whose boxes are all well-formed and offered without a pause, read without a pause; of images that
    are sorted more than once, within 1 %. The first
    `held` boxes are sorted, the best come back; from then on those no better than the last of these are left out.

    Parameters
    ----------
    params
        Of the unit.
    scores
        Integers, (n,), in the order in which boxes come; at least one.
    """
    digits, cycles, held = len(params.digits), 0, np.zeros(0, np.int64)
    rest, least = np.asarray(scores), -1
    while len(rest):
        better = np.flatnonzero(rest > least)
        room = params.held - len(held)
        full = params.selects and len(better) >= room
        taken = int(better[room - 1]) + 1 if full else len(rest)
        held = np.concatenate([held, rest[:taken][rest[:taken] > least]])
        cycles, rest = cycles + taken, rest[taken:]
        if full and len(rest):
            cycles += BACK * digits - 1 + params.held * (digits - 1) + params.capacity
            held = held[best(held, params.capacity)]
            least = int(held[-1])
    return cycles, cycles + SORTED * digits + (len(held) - 1) * (digits - 1)
