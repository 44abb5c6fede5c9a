"""Write the table of areas in docs/heads.md: `python docs/make/heads_area.py LIBRARY`; takes some minutes.

LIBRARY is a Liberty file. Each row is a stage of the heads in hardware, mapped by itself, also for an ECP5.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from activation_area import row
from figures import replace as put

from roundel.hw.engine.boxes.mean import Mean
from roundel.hw.engine.boxes.powers import Length
from roundel.hw.engine.boxes.softmax import SoftmaxCost
from roundel.hw.engine.boxes.terms import Terms
from roundel.hw.lib import Component
from roundel.ui import markdown_table

PAGE = Path(__file__).resolve().parents[1] / "heads.md"
HEADS = ["stage", "um2", "bits of memories", "longest path, ns", "LUT4", "flip-flops", "multipliers", "block memories"]
BINS, CLASSES = 32, 257  # most terms of a distribution and of a softmax


def parts() -> Iterator[tuple[str, Component]]:
    """What is measured, by name."""
    yield "lengths", Length()
    yield "terms, of distributions and softmaxes", Terms(CLASSES, bins=BINS)
    yield "terms, of distributions alone", Terms(BINS, bins=BINS)
    yield "terms, of softmaxes alone", Terms(CLASSES)
    yield "means", Mean(BINS)
    yield "costs of softmaxes", SoftmaxCost(CLASSES)


def main() -> None:
    rows = [row(name, part, Path(sys.argv[1])) for name, part in parts()]
    text = put(PAGE.read_text(encoding="utf-8"), "stages", "\n".join(markdown_table(HEADS, rows)))
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
