"""The table of docs/training.md, from `records.json`: accuracy beside speed-up."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from examples.zoo.page import put
from roundel.ui import markdown_table

PAGE = Path(__file__).parents[2] / "docs" / "training.md"
VARIANTS: dict[str, tuple[int, int | None]] = {  # bits of weights, N of N:8
    "4bit": (4, None),
    "4of8": (8, 4),
    "2of8": (8, 2),
    "4bit_4of8": (4, 4),
}
COLUMNS = (
    "network", "weights", "float", "untrained", "trained", "lost", "cycles", "times fewer", "bound", "of it",
)  # fmt: skip


def write(records: dict[str, Any]) -> None:
    """Put the table into the page."""
    told = [f"- {name}: {kept['measure']}, {kept['images']:,} held-out images" for name, kept in records.items()]
    lines = [*told, "", *markdown_table(list(COLUMNS), rows(records))]
    PAGE.write_text(put(PAGE.read_text(encoding="utf-8"), "trained", lines), encoding="utf-8")


def rows(records: dict[str, Any]) -> Iterator[list[str]]:
    """A row of each network, and one of each task's 8 bits."""
    for name, kept in records.items():
        base = kept["8bit"]
        lost = kept["float"] - base["after"]
        plain = [f"{kept['float']:.2f}", f"{base['after']:.2f}", "-", f"{lost:.2f}", f"{base['cycles']:,}"]
        yield [name, "8 bits", *plain, "1", "1", "-"]
        for variant, (bits, channels) in VARIANTS.items():
            if variant not in kept:
                continue
            one = kept[variant]
            said = f"{bits} bits" + ("" if channels is None else f", {channels}:8")
            points = [f"{value:.2f}" for value in (kept["float"], one["before"], one["after"], one["lost"])]
            share = f"{one['speedup'] / one['bound']:.2f}"
            yield [name, said, *points, f"{one['cycles']:,}", f"{one['speedup']:.2f}", f"{one['bound']:.2f}", share]
