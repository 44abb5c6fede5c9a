"""How many cycles a decoder of `rice` streams takes. `tests/units/test_decoder.py` runs the hardware against it."""

from pathlib import Path

import numpy as np
import pytest

from roundel.golden.codec import CodecError, CodecParams, cycles, decode, decode_codes, encode, header_words
from roundel.golden.codec.header import write_header
from roundel.golden.opq import laplace_levels
from roundel.hw.emit import to_verilog
from roundel.hw.units import UNITS
from roundel.sim.runner import Design, run
from roundel.sim.verify import BENCHES
from tests.support import codec_reference


def plain_cycles(stream: bytes, count: int, params: CodecParams) -> list[int]:
    """Cycles of each beat of the first segment, from the plain decoder: one a round, one for each word but one."""
    words = codec_reference.Words(stream)
    words.at = header_words(0) + 1
    head = {"slices": params.slices, "run": params.run_bits, "low": params.level_bits, "limit": params.level_limit}
    head |= {"extra": params.level_extra, "levels": 0, "base": params.base, "width": params.width}
    sources = [codec_reference.Bits(words) for _ in range(params.slices)]
    rows = [len(range(index, count, params.slices)) for index in range(params.slices)]
    parts: list[list[int]] = [[] for _ in rows]
    found = []
    depth = params.lanes // params.slices
    for beat in range(-(-count // params.lanes)):
        took = 0
        while waiting := [
            index for index, part in enumerate(parts) if len(part) < min(depth * (beat + 1), rows[index])
        ]:
            before = words.at
            for index in waiting:
                assert codec_reference.symbol(sources[index], parts[index], rows[index], head)
            took += max(1, words.at - before)
        found.append(max(1, took))
    return found


@pytest.mark.parametrize(("lanes", "slices"), [(4, 1), (8, 2), (16, 4), (8, 8), (32, 8)])
@pytest.mark.parametrize("density", [0.05, 0.5, 1.0])
def test_cycles(lanes: int, slices: int, density: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights = laplace_levels(rng, int(rng.integers(500, 600)), density=density, rho=0.7)
    stream = encode(weights, CodecParams(lanes=lanes, slices=slices))
    params, codes = decode_codes(stream)
    assert cycles(codes, params).tolist() == plain_cycles(stream, len(weights), params)


def test_weights_per_cycle(seed: int) -> None:
    """16 lanes, 4 slices, 90 % zeros: 8 dense weights a cycle are asked for."""
    weights = laplace_levels(np.random.default_rng(seed), 30_000, density=0.1, rho=0.7)
    params, codes = decode_codes(encode(weights, CodecParams(lanes=16, slices=4)))
    assert len(codes) / cycles(codes, params).sum() >= 8


LACKS, OUTSIDE = "the segment ends, expected a word of slice", "a level of slice . that is outside the codebook"
MEETING = (
    # In one round, a slice takes the segment's last word, the next one lacks a word, one behind it has a wrong level.
    (LACKS, 38, "139e1384 0441739c 7b9ce79c b84e1242 000039c9"),
    (LACKS, 74, "7044149c c8be7cf3 e7392889 82e4bcf9 c973f9ce ce644e49 0004a2cb 0003e4ff 00000739"),
    # One with a wrong level stands before one that lacks a word, and a word was taken in the round.
    (OUTSIDE, 58, "9e4a2149 f45f9173 448b90a5 0b9c273c 0024f09e 0000709c"),
    (OUTSIDE, 62, "e7392122 052c997c 2e09e085 5fe7f382 008bce7c 00072149"),
)


def test_faults_that_meet_in_a_round(tmp_path: Path, seed: int) -> None:
    params = CodecParams(width=4, lanes=16, slices=4, segment=128, level_extra=4)
    streams = []
    for message, count, payload in MEETING:
        words = [int(word, 16) for word in payload.split()]
        damaged = np.array([*write_header(params, count), len(words), *words], dtype="<u4").tobytes()
        with pytest.raises(CodecError, match=message):
            decode(damaged)
        streams += [damaged, encode([0, 3, 0, -8, 0, 0, 1, 5], params)]
    stimulus = tmp_path / "streams.npz"
    np.savez(
        stimulus, bytes=np.frombuffer(b"".join(streams), np.uint8), ends=np.cumsum([len(data) for data in streams])
    )
    unit = UNITS["decoder"]
    keywords = unit.configs["rice_16_4_slices"]
    design = Design(sources=(to_verilog(unit.component(unit.params(**keywords)), unit.name),), top=unit.name)
    result = run(design, BENCHES[unit.name], seed=seed, config={"params": dict(keywords), "stimulus": str(stimulus)})
    assert result.passed, result.failures[0]
