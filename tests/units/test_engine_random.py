"""Programs, parameters and weights with bits turned over: every run ends, and after a reset a sound one is right."""

from typing import Any

import numpy as np
import pytest

from roundel.compiler import compile_network
from roundel.golden.engine import (
    CONFIGS,
    DESCRIPTOR_BYTES,
    HEADER_BYTES,
    OFFSETS,
    Control,
    EngineParams,
    ErrorCode,
    Region,
    Status,
)
from roundel.runtime.random_networks import engine_detector
from roundel.sim.engine_run import control, place, read_all, simulate, whole_run
from tests.support.engine_programs import golden_run

PARAMS = EngineParams(**CONFIGS["tiny"])
LIMIT = 200_000  # cycles of a sound run
PATIENCE = 70_000  # cycles, more than the watchdog's
RUNS = 6
PAGE = 4096


def damaged(rng: np.random.Generator, image: bytes, begin: int, end: int) -> bytes:
    """One to four bits turned over."""
    data = bytearray(image)
    for at in rng.integers(8 * begin, 8 * end, rng.integers(1, 5)):
        data[at // 8] ^= 1 << at % 8
    return bytes(data)


def padded(image: bytes) -> bytes:
    """Whole pages, so that bursts are the same wherever an image lies."""
    return image + bytes(-len(image) % PAGE)


def moves(registers: dict[str, int]) -> list[int]:
    """What only grows while something is done."""
    return [registers[name] for name in ("computing", "read_beats", "write_beats")]


def check_end(first: dict[str, int], second: dict[str, int], descriptors: int) -> None:
    """A run is over, in one of the ways that there are; or it is long, and goes on."""
    status, code = second["status"], second["error_code"]
    if status & Status.BUSY:
        assert moves(first) != moves(second), "nothing happens any more"
    elif status & Status.ERROR:
        assert status in (Status.ERROR, Status.ERROR | Status.DROPPED)
        assert code in set(ErrorCode) - {ErrorCode.BUSY}
        assert second["error_index"] <= descriptors
    else:
        assert status in (Status.DONE, Status.DONE | Status.DROPPED)
        assert code == 0


@pytest.mark.parametrize("number", range(2))
@pytest.mark.parametrize("part", ["header", "descriptors", "streams"])
def test_bits_turned_over(part, number, seed):
    rng = np.random.default_rng([seed, number])
    network, source, heads = engine_detector(1000 * seed + number, PARAMS.nms.format, layers=3, size=6, channels=8)
    compiled = compile_network(network, source.shape, PARAMS, heads=heads, trace=True)
    regions = compiled.regions(source)
    image, count = regions[Region.PROGRAM].tobytes(), len(compiled.program.descriptors)
    behind = HEADER_BYTES + DESCRIPTOR_BYTES * count
    begin, end = {"header": (0, 16), "descriptors": (HEADER_BYTES, behind), "streams": (behind, len(image))}[part]
    images = [padded(one) for one in (image, *(damaged(rng, image, begin, end) for _ in range(RUNS)))]
    laid = regions | {Region.PROGRAM: np.frombuffer(b"".join(images), np.uint8)}
    base = place(laid)[0][Region.PROGRAM]
    script: list[list[Any]] = []
    for at in range(1, len(images)):
        script += [["write", OFFSETS["base_program"], base + at * len(images[0])], control(Control.START)]
        script += [["watch", LIMIT], *read_all(), ["watch", PATIENCE], *read_all()]
        script += [control(Control.RESET), ["rest", LIMIT], ["restore"]]
        script += [["write", OFFSETS["base_program"], base], *whole_run(LIMIT), control(Control.RESET)]
        script += [["restore"]] if at < RUNS else []
    run = simulate(PARAMS, laid, script=script, seed=seed)
    sound = run.readings[2::3]
    assert sound[0]["status"] in (Status.DONE, Status.DONE | Status.DROPPED)
    assert all(one == sound[0] for one in sound), "a sound run is not as the others"
    for first, second in zip(run.readings[::3], run.readings[1::3], strict=True):
        check_end(first, second, count)
    after, _ = golden_run(PARAMS, regions)
    for region in set(after) - {Region.PROGRAM}:
        assert np.array_equal(run.regions[region], after[region]), region.name
