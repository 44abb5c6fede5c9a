"""How long the box unit takes for a scale of a head, without RTL: for its locations, and for a candidate.

[R] What a scale takes depends on what its logits are: `scale_cycles` is exact where no location passes, and every
candidate of a best class takes `candidate_cycles` more, unless the NMS unit lets it wait.
"""

from roundel.golden.engine import FORMS, SCORES, Descriptor, EngineParams
from roundel.golden.head import Score

PRODUCT, SOFTMAX = map(SCORES.index, (Score.PRODUCT, Score.SOFTMAX))
DISTRIBUTION = FORMS.index("distribution")
SIDES = (0, 2, 1, 3)  # in the order in which they are read
OVERHEAD = 9  # hw/engine/boxes/scan, reading, runs: from `start` to the first word, and from the last one to `done`
ASKED_TABLES = 1  # hw/engine/boxes/tables: from `start` to the command
SEEK = 7  # hw/engine/boxes/reading, cursor: from the end of a phase to the first word of the next
SIDE = 6  # hw/engine/boxes/reading: cycles without a word from side to side of a distribution


def levels(params: EngineParams) -> int:
    """Return the cycles from a piece to the greatest byte of it: two levels of comparisons in each."""
    return params.lanes.bit_length() // 2


def words(params: EngineParams, first: int, count: int) -> int:
    """Return how many words so many channels lie in."""
    return (first + count - 1) // params.lanes - first // params.lanes + 1


def location_cycles(params: EngineParams, descriptor: Descriptor) -> int:
    """Return the cycles of a location of which nothing passes."""
    priors, classes = descriptor.priors + 1, descriptor.classes
    if descriptor.score_form == PRODUCT:
        return priors
    softmax = int(descriptor.score_form == SOFTMAX)
    behind = softmax * (1 - descriptor.background)
    starts = range(behind, behind + priors * (classes + softmax), classes + softmax)
    return sum(words(params, start, classes) + softmax for start in starts)


def scale_cycles(params: EngineParams, descriptor: Descriptor) -> int:
    """Return the cycles from `start` to the end of a scale of which nothing passes, without those of its tables."""
    begin = OVERHEAD + descriptor.priors + 1 + levels(params)
    return begin + descriptor.width * descriptor.height * location_cycles(params, descriptor)


def candidate_cycles(params: EngineParams, descriptor: Descriptor, prior: int) -> int:
    """Return by how many cycles a candidate of that prior delays the scan, if all its bytes are taken at once."""
    classes, softmax = descriptor.classes, int(descriptor.score_form == SOFTMAX)
    logits, rest = classes + softmax, levels(params) + 1  # of a phase, behind its last word
    first = prior * logits
    cycles = _seek(params, prior, 4 * prior) + 4 + levels(params)
    if descriptor.box_form == DISTRIBUTION:
        bins = descriptor.bins
        starts = [(4 * prior + side) * bins for side in SIDES]
        read = sum(words(params, start, bins) + bins for start in starts)
        walks = sum(start // params.lanes for start in starts)
        cycles = SEEK + prior + walks + 3 * SIDE + read + levels(params)
    if descriptor.score_form == PRODUCT:
        cycles += _seek(params, prior, first) + words(params, first, classes) + levels(params)
    if softmax:
        cycles += _seek(params, prior, first) + words(params, first, logits) + logits + rest + 1
    if descriptor.peaks:
        cycles += _seek(params, prior, first) + 1 + levels(params)
    following = (prior + 1) % (descriptor.priors + 1)
    back = following if descriptor.score_form == PRODUCT else following * logits
    return cycles + _seek(params, following, back) + levels(params)


def _seek(params: EngineParams, prior: int, channel: int) -> int:
    """Return the cycles from the end of a phase to the first word that a prior has from a channel on."""
    return SEEK + prior + channel // params.lanes
