"""How long a weight stream's beats take: read from the stream itself, as it depends on the weights."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import gcd

from roundel.golden.bits import WORD
from roundel.golden.codec import FINISH_CYCLES, CodecParams, DecoderParams, Packing, header_words


@dataclass(frozen=True)
class WeightBlock:
    """The beats of a weight block.

    Attributes
    ----------
    bus_beats
        Of the stream, up to the last one that the block needs.
    cycles
        That the decoder takes for it, from the block before.
    """

    bus_beats: int
    cycles: int


def weight_blocks(stream: bytes, params: DecoderParams, columns: int, count: int) -> list[WeightBlock]:
    """Blocks of `columns` beats of a stream without levels.

    Exact for `mask`. Streams of the other formats are taken to have as many bits in every block, and to come as fast
    as the bus.

    Parameters
    ----------
    stream
        Its bytes.
    params
        The decoder.
    columns, count
        Beats of a block, and blocks.
    """
    beats = -(-len(stream) // params.words * 8 // WORD)
    if params.packing is not Packing.MASK:
        ends = [beats * (block + 1) // count for block in range(count)]
        steps = [end - before for end, before in zip(ends, [0, *ends], strict=False)]
        return [WeightBlock(end, max(columns, step)) for end, step in zip(ends, steps, strict=True)]
    blocks, chunks = [], _chunks(stream, params, count * columns)
    for _ in range(count):
        cycles = 0
        for _ in range(columns):
            chunk, extra = next(chunks)
            cycles += extra
        blocks.append(WeightBlock(min(chunk + 1, beats), cycles))
    return blocks


def _chunks(stream: bytes, params: DecoderParams, count: int) -> Iterator[tuple[int, int]]:
    """roundel.hw.decoder.aligner: bus beat in which each beat of weights is cut out, and cycles since the one before.

    A field can be cut out when it begins less than a bus beat behind the bits that are held.
    """
    lanes, width, bus = params.lanes, params.width, params.bus
    held = lanes * (1 + width) - gcd(lanes, width)
    per_segment, size, ones = CodecParams.segment // lanes, lanes // 8 + 2, (1 << lanes) - 1
    at = WORD * header_words(0)
    for first in range(0, count, per_segment):
        words = int.from_bytes(stream[at // 8 : at // 8 + WORD // 8], "little")
        at += WORD
        place, chunk = at, (at + lanes + held) // bus
        # As many chunks have to move on before the first mask of a segment; the first segment's belong to the start.
        extra = 1 + (2 * FINISH_CYCLES[Packing.MASK] - 3 + (at % bus + held) // bus if first else 0)
        for _ in range(min(per_segment, count - first)):
            mask = int.from_bytes(stream[place >> 3 : (place >> 3) + size], "little") >> (place & 7) & ones
            place += lanes
            now = (place + held) // bus
            yield now, max(extra, now - chunk)
            place, chunk, extra = place + width * mask.bit_count(), now, 1
        at += WORD * words
