"""Integer networks against those of onnxruntime's static quantization: `python -m examples.zoo.rivals`.

Every trained network of the zoo, quantized by `roundel compress` with several lines of options and by onnxruntime with
a scale for each tensor or channel and its three ways to calibrate, all on the same calibration images; the ratio of
each output to its error (SQNR) against the float network, on other images. Results lie in the cache, by their content.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx

import roundel
from examples.zoo.__main__ import HERE, PAGE, code_here
from examples.zoo.contest import OURS, PARTS, RIVALS, THEIRS, Entry, options_of
from examples.zoo.files import check_name
from examples.zoo.measure import least
from examples.zoo.models import TINY, ZOO, named
from examples.zoo.page import put, text_table
from roundel.benchmarks.golden import THREADS
from roundel.golden.errors import InputError
from roundel.processes import cache_root, run_child, work_folder
from roundel.sim.cache import code, digest
from roundel.ui import markdown_table, write_json

RECORDS = HERE / "rivals.json"
TRAINED = (*(model.name for model in ZOO if model.trained), *PARTS)
"""Networks that are compared without names: random weights say little about ways to quantize."""
CURES = ("--per-channel", "--equalize", "--correct-biases", "--round-to-results")
WAYS = (OURS, *(" ".join((OURS, *CURES[:count])) for count in range(1, len(CURES) + 1)))

Record = dict[str, Any]


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser().parse_args(arguments)
    ways = tuple(" ".join((OURS, *way.split())) for way in options.way) or WAYS
    try:
        check_name(options.networks, [model.name for model in (TINY, *ZOO)] + list(PARTS))
        for way in ways:
            options_of(way)
    except InputError as error:
        sys.exit(f"zoo: {error}")
    records = [
        measured(entry, options)
        for name in options.networks or TRAINED
        for entry in entries(name, (*RIVALS, *ways), options)
    ]
    print("\n".join(tables(records, ways)))
    if options.page:
        own = {key(record): record for record in load()} | {key(record): record for record in records}
        order = {name: place for place, name in enumerate(TRAINED)}
        kept = sorted((record for record in own.values() if record["name"] in order), key=lambda r: order[r["name"]])
        write_json(RECORDS, kept)
        write(PAGE, kept, ways)


def parser() -> argparse.ArgumentParser:
    """The options."""
    reader = argparse.ArgumentParser(
        prog="python -m examples.zoo.rivals", description=(__doc__ or "").partition("\n")[0]
    )
    reader.add_argument("networks", nargs="*", metavar="NAME", help="networks or parts of them; all trained ones")
    reader.add_argument(
        "--way",
        action="append",
        default=[],
        metavar="OPTIONS",
        help="options of `roundel compress`, '' for none; --way=... more than once compares several",
    )
    reader.add_argument("--size", type=int, nargs=2, metavar=("ROWS", "COLUMNS"), help="of images; the zoo's own")
    reader.add_argument("--calibration", type=int, default=4, help="images that choose formats")
    reader.add_argument("--images", type=int, default=4, help="other images that are compared")
    reader.add_argument("--seconds", type=float, default=900.0, help="time that a network may take in one way")
    reader.add_argument("--memory", type=int, default=12 << 10, help="MiB of address space that it may take")
    reader.add_argument("--keep", action="store_true", help="keep what other code measured")
    reader.add_argument("--fresh", action="store_true", help="measure everything again")
    reader.add_argument("--page", action="store_true", help="write the tables of docs/zoo.md")
    return reader


def entries(name: str, ways: Iterable[str], options: argparse.Namespace) -> list[Entry]:
    """Return what is measured of a network, a way each."""
    shape = named(PARTS[name][0] if name in PARTS else name).shape
    return [
        Entry(
            name=name,
            way=way,
            calibration=options.calibration,
            images=options.images,
            size=tuple(options.size or shape[1:]),
            memory=options.memory,
        )
        for way in ways
    ]


def measured(entry: Entry, options: argparse.Namespace) -> Record:
    """The record of an entry: from the cache, or measured now."""
    about = entry.as_dict() | {"model": entry.model.as_dict()}
    parts = [json.dumps(about, sort_keys=True), *code_here(), (HERE / "contest.py").read_bytes()]
    if entry.way.startswith(OURS):
        parts += code(roundel, roundel.golden) if not options.keep else []
    else:
        import onnxruntime

        parts += [onnxruntime.__version__, onnx.__version__]
    kind = "kept" if options.keep and entry.way.startswith(OURS) else "records"
    folder = cache_root() / "zoo" / "rivals"
    places = [folder / f"{digest([json.dumps(about, sort_keys=True)])}.json", folder / f"{digest(parts)}.json"]
    for place in places[:1] if kind == "kept" else places[1:]:
        if place.is_file() and not options.fresh:
            kept: Record = json.loads(place.read_text(encoding="utf-8"))
            return kept
    print(f"{entry.name}, {entry.way} ...", file=sys.stderr, flush=True)
    record = entry.as_dict() | _measured_now(entry, options)
    print(f"{entry.name}, {entry.way}: {_told(record)}", file=sys.stderr, flush=True)
    if "failed" not in record:
        folder.mkdir(parents=True, exist_ok=True)
        for place in places:
            write_json(place, record)
    return record


def _measured_now(entry: Entry, options: argparse.Namespace) -> Record:
    """Run a process that measures, and return what it wrote, or how it ended."""
    root = cache_root()
    with work_folder() as folder:
        task, place = folder / "entry.json", folder / "result.json"
        write_json(task, entry.as_dict() | {"folder": str(root / "zoo")})
        command = [sys.executable, "-m", "examples.zoo.contest", task, place]
        variables = {"ROUNDEL_CACHE": str(root), "PYTHONPATH": str(HERE.parents[1]), **dict.fromkeys(THREADS, "1")}
        variables |= {name: os.environ[name] for name in ("PIP_NO_INDEX", "PIP_FIND_LINKS") if name in os.environ}
        ended = run_child(command, folder=folder, variables=variables, timeout_s=options.seconds)
        if not place.is_file():
            lines = ended.errors.strip().splitlines()
            return {"failed": f"{ended}: {lines[-1] if lines else ''}".rstrip(": "), "seconds": options.seconds}
        found: Record = json.loads(place.read_text(encoding="utf-8"))
        return found


def key(record: Record) -> tuple[str, str]:
    """What distinguishes rows of the page."""
    return record["name"], record["way"]


def tables(records: Iterable[Record], ways: Sequence[str]) -> list[str]:
    """Return all tables as lines of Markdown: least outputs, onnxruntime's ways, all outputs, and what failed."""
    by_name: dict[str, dict[str, Record]] = {}
    for record in records:
        by_name.setdefault(record["name"], {})[record["way"]] = record
    lines = _table(by_name, ways, _summary, [f"`{_options(way)}`" for way in ways], "onnxruntime's best", "more, dB")
    lines += ["", *_table(by_name, RIVALS, _plain_row, [way.removeprefix(f"{THEIRS} ") for way in RIVALS])]
    rows = [
        [name, _options(way), ", ".join(f"`{output}` {_number(value)}" for output, value in found["ratios"].items())]
        for name, all_ways in by_name.items()
        for way, found in all_ways.items()
        if (way in ways or way in RIVALS) and len(found.get("ratios", ())) > 1
    ]
    if rows:
        lines += ["", *text_table(["network", "way", "outputs, dB"], rows)]
    failed = [
        [name, _options(way), " ".join(found["failed"].replace("|", "/").split())[:160]]
        for name, all_ways in by_name.items()
        for way, found in all_ways.items()
        if (way in ways or way in RIVALS) and "failed" in found
    ]
    return [*lines, "", *text_table(["network", "way", "reason"], failed)] if failed else lines


def _table(by_name: Mapping[str, dict[str, Record]], ways: Sequence[str], row: Any, *heads: Any) -> list[str]:
    columns, *others = heads
    titles = ["network", "image", "images", *columns, *others]
    rows = []
    for name, found in by_name.items():
        about = next(iter(found.values()))
        rows.append(
            [
                name,
                " x ".join(map(str, about["size"])),
                f"{about['calibration']} + {about['images']}",
                *row(found, ways),
            ]
        )
    return markdown_table(titles, rows)


def _plain_row(found: Mapping[str, Record], ways: Sequence[str]) -> list[str]:
    """The least output of each way."""
    return [_least_text(found.get(way)) for way in ways]


def _summary(found: Mapping[str, Record], ways: Sequence[str]) -> list[str]:
    """The least output of our ways, the winner in bold, onnxruntime's best, and how much more ours has."""
    own = {way: value for way in ways if (value := _least(found.get(way))) is not None}
    others = {way: value for way in RIVALS if (value := _least(found.get(way))) is not None}
    best = max(own.values(), default=None)
    rival = max(others, key=lambda way: others[way], default=None)
    wins = best is not None and (rival is None or best >= others[rival])
    cells = [
        f"**{text}**" if wins and own.get(way) == best else text
        for way in ways
        for text in [_least_text(found.get(way))]
    ]
    told = "-" if rival is None else f"{_number(others[rival])} ({rival.removeprefix(f'{THEIRS} ')})"
    cells.append(told if wins or rival is None else f"**{told}**")
    return [*cells, "-" if best is None or rival is None else f"{best - others[rival]:+.1f}"]


def _least(record: Record | None) -> float | None:
    ratios = (record or {}).get("ratios")
    return least(ratios.values()) if ratios else None


def _least_text(record: Record | None) -> str:
    value = _least(record)
    return "-" if value is None else _number(value)


def _number(value: float | str) -> str:
    return f"{float(value):.1f}"


def _options(way: str) -> str:
    """A way as the table names it."""
    if way == OURS:
        return "default"
    return way.removeprefix(f"{OURS} ")


def _told(record: Record) -> str:
    return record["failed"] if "failed" in record else f"{_least_text(record)} dB, {record['seconds']:.0f} s"


def load() -> list[Record]:
    """The records behind the page."""
    if not RECORDS.is_file():
        return []
    records: list[Record] = json.loads(RECORDS.read_text(encoding="utf-8"))
    return records


def write(path: Path, records: Iterable[Record], ways: Sequence[str]) -> None:
    """Write the tables of docs/zoo.md anew."""
    path.write_text(put(path.read_text(encoding="utf-8"), "rivals", tables(records, ways)), encoding="utf-8")


if __name__ == "__main__":
    main()
