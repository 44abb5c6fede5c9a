"""The tables of the zoo, and the page docs/zoo.md that has them."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from examples.zoo.measure import least
from examples.zoo.models import EXPORT, WHEEL
from roundel.ui import markdown_table

ENOUGH = 0.9  # share of the MACs on the engine from which on a file counts
RIVALS = ("engine", "tensor", "channel")
ENGINES = ("small", "medium")
HEADS = (
    "network",
    "image",
    "images",
    "GMAC",
    "on the engine",
    "SQNR, dB",
    "onnxruntime int8, by tensor",
    "by channel",
    "Mcycles `small`, used",
    "`medium`, used",
    "compress, s",
    "golden, s an image",
    "onnxruntime float, s",
    "MiB",
)
FAILED = ("network", "stage", "reason")
LEFT = ("network", "left to the host")
SHOWN = 160  # characters of a reason

Record = dict[str, Any]


def verdict(record: Record) -> str:
    """What became of a network, in a line."""
    if record["failed"]:
        stage, reason = next(iter(record["failed"].items()))
        return f"{stage}: {reason}"
    return f"{record['shares']['any']:.2%} on the engine, {_ratio(record, 'engine')} dB"


def runs(record: Record) -> bool:
    """Whether a network was compressed and run, and its outputs were compared with onnxruntime's."""
    return bool(record.get("sqnr", {}).get("engine"))


def counts(record: Record) -> bool:
    """Whether it compiles and runs, with enough of its MACs on the engine."""
    return (
        runs(record)
        and bool(record.get("cycles", {}).get("medium"))
        and record.get("shares", {}).get("any", 0) >= ENOUGH
    )


def tables(records: Iterable[Record]) -> list[str]:
    """Give all tables, with the counts above them, as lines of Markdown."""
    records = list(records)
    lines = [*summary(records), "", *measured(records)]
    if failures := failed(records):
        lines += ["", *failures]
    return [*lines, "", *hosts(records)]


def summary(records: list[Record]) -> list[str]:
    """How many files of each kind run with enough of their MACs on the engine."""
    kinds = {WHEEL: "files as shipped", EXPORT: "exports"}
    lines = []
    for origin, kind in kinds.items():
        rows = [record for record in records if record["about"]["model"]["origin"] == origin]
        if rows:
            lines.append(
                f"Of {len(rows)} {kind} {sum(map(runs, rows))} import, run and give outputs that were compared; "
                f"{sum(map(counts, rows))} compile as well, with at least {ENOUGH:.0%} of their MACs on the engine."
            )
    return lines


def measured(records: list[Record]) -> list[str]:
    """A row for each network."""
    return markdown_table(list(HEADS), [_row(record) for record in records])


def failed(records: list[Record]) -> list[str]:
    """What failed, and why; nothing where all went well."""
    rows = [[record["name"], stage, _text(reason)] for record in records for stage, reason in record["failed"].items()]
    return text_table(list(FAILED), rows) if rows else []


def hosts(records: list[Record]) -> list[str]:
    """What each network leaves to the host."""
    rows = []
    for record in records:
        counted: dict[str, int] = {}
        for block in record.get("blocks", ()):
            counted[block["operator"]] = counted.get(block["operator"], 0) + block["count"]
        told = ", ".join(f"{count} {name}" for name, count in sorted(counted.items())) or "nothing"
        if "blocks" in record:
            parts = record["parts"]["any"]
            rows.append([record["name"], f"{told}; {parts} part{'s' if parts != 1 else ''} on the engine"])
    return text_table(list(LEFT), rows)


def text_table(heads: list[str], rows: list[list[str]]) -> list[str]:
    """A table whose columns are all text."""
    first, _, *rest = markdown_table(heads, rows)
    return [first, f"| {' | '.join('---' for _ in heads)} |", *rest]


def _row(record: Record) -> list[str]:
    trained = record["about"]["model"]["trained"]
    name = f"**{record['name']}**" if trained else record["name"]
    macs, shares = record.get("macs"), record.get("shares")
    seconds = record["seconds"]
    rows, columns = record["about"]["model"]["shape"][1:]
    return [
        name,
        f"{rows} x {columns}",
        f"{record['about']['calibration']} + {record['about']['images']}",
        _number(macs and macs / 1e9, ".2f"),
        "-" if shares is None else f"{shares['any']:.2%}",
        *(_ratio(record, rival) for rival in RIVALS),
        *(_cycles(record.get("cycles", {}).get(name)) for name in ENGINES),
        _number(seconds.get("compress") if "compress" not in record["failed"] else None, ".1f"),
        _number(record.get("golden_seconds"), ".2f"),
        _number(record.get("float_seconds"), ".3f"),
        _number(record.get("own_peak"), ".0f"),
    ]


def _ratio(record: Record, rival: str) -> str:
    ratios = record.get("sqnr", {}).get(rival)
    return "-" if not ratios else f"{least(ratios.values()):.1f}"


def _cycles(item: dict[str, float] | None) -> str:
    return "-" if item is None else f"{item['cycles'] / 1e6:.2f}, {item['utilization']:.1%}"


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _text(reason: str) -> str:
    """A reason in a cell of a table, without the folders of this machine."""
    words = [Path(word).name if word.startswith("/") else word for word in reason.replace("|", "/").split()]
    text = " ".join(words)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]} ..."


def put(text: str, name: str, lines: Iterable[str]) -> str:
    """Put lines between the markers `<!-- name -->` and `<!-- /name -->`."""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    before, _, rest = text.partition(begin)
    _, mark, after = rest.partition(end)
    if not mark:
        raise SystemExit(f"no markers {begin} and {end}")
    content = "\n".join(lines)
    return f"{before}{begin}\n{content}\n{end}{after}"


def write(path: Path, records: list[Record]) -> None:
    """Write the tables of docs/zoo.md anew."""
    text = path.read_text(encoding="utf-8")
    parts = {"summary": summary, "zoo": measured, "failed": failed, "hosts": hosts}
    for name, make in parts.items():
        text = put(text, name, make(records) or ["nothing failed"])
    path.write_text(text, encoding="utf-8")


def trained(records: list[Record]) -> list[str]:
    """A row for each trained network, for the project's first page."""
    heads = ["trained network", "MACs on the engine", "SQNR, dB", "onnxruntime int8, dB", "Mcycles on `medium`, used"]
    rows = [
        [
            record["name"],
            "-" if "shares" not in record else f"{record['shares']['any']:.1%} of {record['macs'] / 1e9:.2f} G",
            _ratio(record, "engine"),
            _ratio(record, "channel"),
            _cycles(record.get("cycles", {}).get("medium")),
        ]
        for record in records
        if record["about"]["model"]["trained"]
    ]
    return markdown_table(heads, rows)


def write_first_page(path: Path, records: list[Record]) -> None:
    """Write the table of README.md anew."""
    path.write_text(put(path.read_text(encoding="utf-8"), "trained", trained(records)), encoding="utf-8")


def load(path: Path) -> list[Record]:
    """Read the records that a run left."""
    records: list[Record] = json.loads(path.read_text(encoding="utf-8"))
    return records
