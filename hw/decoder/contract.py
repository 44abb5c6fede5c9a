"""What lies between the frame of a weight stream and the core of a format: the agreement that both sides keep.

The frame parses header and lengths, and offers the payload of segments as *chunks*: beats of the bus as they came, not
moved, with the number of the first word that belongs to the segment and of the one after the last. A chunk is whole in
the middle of a segment; only the first has a `start` above 0, only the last an `end` below the words of the bus. Chunks
come from a register, so that all of this is known from the start of a cycle.

The core turns the chunks of a segment into beats of codes:

- It may look at a chunk for as long as it wants and take it (`ready`) when it has no more use for it, so that the
  frame's register is a part of its buffer. The chunk after it comes in the next cycle at the earliest.
- It takes the `last` chunk when, and only when, the segment's last beat is taken from it, in the same cycle or later:
  the frame then knows that the segment is complete. Until then the frame stands.
- It may offer a beat that it says is `refused`, later in the cycle: if that is taken, nobody sees it.
- It raises `fault` with `fault_bit`, and gives no beat in that cycle nor after it, until the frame raises `clear`, in
  the next cycle; whether it takes a chunk then does not matter. `fault_bit` is the position of the fault
  (docs/codecs.md) relative to bit 0 of the chunk that is offered, or that comes next if none is: negative in chunks
  that were taken.
- A segment that ends before its weights are complete is a fault of the core, as are words left. A stream that ends in a
  segment looks like a segment that ends there; then, and only then, the last chunk may be empty (`start` and `end` are
  0). No segment is empty as a whole: that is a fault of the frame.
- While `clear` is high there are no chunks, and the state becomes that of before the first chunk. It is also that after
  the last beat of a segment, with no cycle between.
"""

from amaranth.hdl import signed
from amaranth.lib import data, stream

from roundel.golden.codec import DecoderParams
from roundel.hw.lib import In, Out, Port

MAX_SEGMENT = 1 << 16


def header_layout() -> data.StructLayout:
    """Fields of the header that do not change during a stream, in range; those of other formats are constants.

    `codes` is how many codes mean something (a table of levels), 2 to 32; without a table all do.
    """
    return data.StructLayout(
        {"codes": 6, "run_bits": 4, "base": 8, "level_bits": 4, "level_limit": 3, "level_extra": 4}
    )


def chunk_layout(params: DecoderParams) -> data.StructLayout:
    """Return a beat of the bus, `start` and `end` in words of 32 bits, and the dense `weights` of its segment."""
    words = params.words
    return data.StructLayout(
        {
            "data": params.bus,
            "start": range(max(2, words)),
            "end": range(words + 1),
            "last": 1,
            "weights": range(MAX_SEGMENT + 1),
        }
    )


def codes_layout(params: DecoderParams) -> data.StructLayout:
    """`lanes` codes, weight 0 first, 0 behind the segment's last; `zero`: all are 0, announced; `last` of a segment."""
    return data.StructLayout({"codes": data.ArrayLayout(params.width, params.lanes), "zero": 1, "last": 1})


def core_ports(params: DecoderParams, reach: int) -> dict[str, Port]:
    """Return the ports of a core.

    Parameters
    ----------
    params
        The decoder.
    reach
        Bits by which `fault_bit` can lie away from bit 0 of the chunk, exclusive.
    """
    return {
        "clear": In(1, "Become as before the first chunk."),
        "header": In(header_layout(), "The stream's header."),
        "chunks": In(stream.Signature(chunk_layout(params)), "Payload of the segments."),
        "beats": Out(stream.Signature(codes_layout(params)), "Codes of the weights, a beat at a time."),
        "refused": Out(1, "The beat is to be dropped once it is taken."),
        "fault": Out(1, "The segment is damaged."),
        "fault_bit": Out(
            signed((reach - 1).bit_length() + 1),
            "Position of the fault, relative to bit 0 of the chunk that is offered, or that comes next if none is.",
        ),
    }
