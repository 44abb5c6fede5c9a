"""What the benches of suppression units share: driving images, collecting what comes out, comparing with golden."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge

from roundel.golden.nms import Verdict, candidates_of
from roundel.golden.rounding import Ints
from roundel.sim.benches.bench import generator
from roundel.sim.benches.stream import StreamSink, StreamSource, stall_pattern
from roundel.sim.stimuli import BoxImage, beats, members, pack, tags, unpack

Errors = list[tuple[int, int, int]]

SLOW = 0.95  # share of stalls that fills every sorter and queue before the reader
PAUSE = 8  # cycles of an image beside one for each box
FULL_RATE = (1, 2, 7, 40)  # boxes of an image


def expected_errors(images: Sequence[BoxImage], verdicts: Sequence[Verdict], params: Any) -> Errors:
    """(malformed by lane, overflow, index) of every beat that has something wrong, in order."""
    errors = []
    for image, verdict in zip(images, verdicts, strict=True):
        bad = np.zeros(len(image) + params.lanes, bool)
        bad[verdict.malformed] = True
        for first in range(0, len(image), params.lanes):
            lanes = slice(first, first + params.lanes)
            if first >= candidates_of(params):
                if image.present[lanes].any():
                    errors.append((0, 1, candidates_of(params)))
            elif bad[lanes].any():
                errors.append((sum(int(wrong) << lane for lane, wrong in enumerate(bad[lanes])), 0, first))
    return errors


async def watch_errors(dut: Any, params: Any, errors: Errors) -> None:
    """Append what `error` shows, cycle by cycle."""
    while True:
        await RisingEdge(dut.clk)
        word = int(dut.error.value)
        malformed, word = word & ((1 << params.lanes) - 1), word >> params.lanes
        if malformed or word & 1:
            errors.append((malformed, word & 1, word >> 1))


async def drive(
    dut: Any,
    params: Any,
    images: Sequence[BoxImage],
    stalls: float,
    salt: int,
    lanes_out: int,
    *,
    reader_stalls: float | None = None,
) -> tuple[list[dict[str, Ints]], dict[str, Any]]:
    """Send images back to back; `reader_stalls` where the outputs stall otherwise than the inputs.

    Returns
    -------
    For each image the boxes that came out, a column per field, `index` among them, (kept,); and `cycles` from the
    first beat to the last, `arrivals`, the cycle of each beat that came, and `errors`.
    """
    form, width, tag_width = params.format, params.index_width, getattr(params, "tag_width", 0)
    layout = members(form, params.lanes, tag_width)
    errors: Errors = []
    watching = cocotb.start_soon(watch_errors(dut, params, errors))
    columns = beats(images, form, params.lanes, tag_width)
    source = StreamSource(dut, "inputs", stall_pattern(generator(salt), stalls))
    reader = stalls if reader_stalls is None else reader_stalls
    sink = StreamSink(dut, "outputs", stall_pattern(generator(salt + 1), reader))
    sending = cocotb.start_soon(source.send(pack(layout, columns, len(columns["last"]))))
    out = members(form, lanes_out, width)
    top = sum(member.width for member in out) - 1
    words: list[int] = []
    arrivals: list[int] = []
    lasts = 0
    while lasts < len(images):
        words += await sink.receive(1, timeout=200_000)
        arrivals.append(sink.cycles)
        lasts += words[-1] >> top
    await sink.expect_silence(40)
    assert sending.done(), "the unit left beats untaken"
    watching.cancel()
    received = unpack(out, words)
    ends = np.flatnonzero(received["last"]) + 1
    parts = [slice(*pair) for pair in zip([0, *ends[:-1]], ends, strict=True)]
    kept = [_kept({name: values[part] for name, values in received.items()}, lanes_out) for part in parts]
    return kept, {"cycles": sink.cycles, "arrivals": arrivals, "ends": ends, "errors": errors}


def _kept(columns: dict[str, Ints], lanes: int) -> dict[str, Ints]:
    """Fields of the places that hold a box, lane by lane within a beat."""
    names = [name.removesuffix("_0") for name in columns if name.endswith("_0")]
    whole = {name: np.stack([columns[f"{name}_{lane}"] for lane in range(lanes)], axis=1).ravel() for name in names}
    held = whole.pop("empty") == 0
    return {name: values[held] for name, values in whole.items()}


def check(name: str, params: Any, images: Sequence[BoxImage], kept: Sequence[dict[str, Ints]], errors: Errors) -> None:
    """Compare with golden; the message names the first image and box that differ."""
    verdicts = [params.compute(image.boxes, image.scores, image.labels, image.present) for image in images]
    for number, (image, verdict, came) in enumerate(zip(images, verdicts, kept, strict=True)):
        where = f"{name}, image {number} of {len(image)} boxes"
        tag_width = getattr(params, "tag_width", 0)
        names = tags(len(image), tag_width) if tag_width else np.arange(len(image))
        got, wanted = came["index"].tolist(), names[verdict.kept].tolist()
        assert got == wanted, f"{where}: kept {_first_difference(got, wanted)}"
        sent = dict(zip(params.format.fields, image.boxes.T, strict=True))
        sent |= {"score": image.scores, "label": image.labels}
        for field, values in sent.items():
            assert (came[field] == values[verdict.kept]).all(), f"{where}: {field} of a kept box is not what was sent"
    wanted_errors = expected_errors(images, verdicts, params)
    assert errors == wanted_errors, f"{name}: errors {errors[:8]}, golden {wanted_errors[:8]}"


async def sorted_images(
    dut: Any, params: Any, cases: Mapping[str, Sequence[BoxImage]], slow: Sequence[BoxImage], stalls: float
) -> None:
    """Send images to a unit that sorts: all cases, then `slow` ones to a reader that hardly ever takes a box."""
    for salt, (name, images) in enumerate(cases.items()):
        kept, seen = await drive(dut, params, images, stalls, 2 * salt, 1)
        check(name, params, images, kept, seen["errors"])
    kept, seen = await drive(dut, params, slow, 0.0, 70, 1, reader_stalls=SLOW)
    check("slow reader", params, slow, kept, seen["errors"])


async def full_rate(
    dut: Any, params: Any, latency: int, made: Callable[[int, int, int], Sequence[BoxImage]], *, bound: bool = True
) -> None:
    """Images that fit take a cycle for each box, and a pause; `made` from seed, boxes of an image, and how many."""
    for size in FULL_RATE:
        length, count = min(size, params.capacity), 12
        images = made(size, length, count)
        kept, seen = await drive(dut, params, images, 0.0, 100, 1)
        check(f"images of {size}", params, images, kept, seen["errors"])
        allowed = (length + PAUSE) * (count + len(params.digits)) + latency
        if bound:
            assert seen["cycles"] <= allowed, f"images of {size}: {seen['cycles']} cycles, not at most {allowed}"


def _first_difference(got: list[int], wanted: list[int]) -> str:
    place = next((i for i, pair in enumerate(zip(got, wanted, strict=False)) if pair[0] != pair[1]), None)
    if place is None:
        return f"{len(got)} boxes, golden {len(wanted)}"
    return f"box {got[place]} at place {place}, golden {wanted[place]}"


def load(path: str) -> list[BoxImage]:
    """Read the images of an npz file that `roundel.sim.nms_run.save_images` wrote."""
    with np.load(path) as given:
        columns, ends = {name: given[name] for name in ("boxes", "scores", "labels")}, given["ends"]
    parts = [slice(*pair) for pair in zip([0, *ends[:-1]], ends, strict=True)]
    images = [{name: values[part] for name, values in columns.items()} for part in parts]
    return [BoxImage(**image, present=np.ones(len(image["boxes"]), bool)) for image in images]


async def replay(dut: Any, params: Any, path: str, stalls: float, lanes_out: int) -> dict[str, Any]:
    """Drive the images of a file, check them, and leave `kept.npz` in the run's folder; returns what `drive` saw."""
    images = load(path)
    while not dut.inputs__ready.value:  # memories may have to be cleared first
        await RisingEdge(dut.clk)
    kept, seen = await drive(dut, params, images, stalls, 0, lanes_out)
    check("stimulus", params, images, kept, seen["errors"])
    starts = np.cumsum([0, *map(len, images)])[:-1]
    places = [start + came["index"] for start, came in zip(starts, kept, strict=True)]
    counts = {name: seen[name] for name in ("cycles", "arrivals", "ends")}
    np.savez("kept.npz", kept=np.concatenate(places), **counts)
    return seen
