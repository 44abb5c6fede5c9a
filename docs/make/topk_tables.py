"""Write the tables of docs/nms_topk.md: `python docs/make/topk_tables.py LIBRARY`; takes some minutes.

LIBRARY is a Liberty file. Each row of the first table is a unit, mapped by itself, also for an ECP5; those of the
second one are what `roundel bench nms` measures of it on the RTL, seed 1.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from activation_area import row
from figures import replace as put

from roundel.benchmarks.exact_nms import FITS, FLOOD, KEPT, ORDERS, SCORE_WIDTHS, TopKRate
from roundel.golden.nms import BoxFormat, TopKParams
from roundel.hw.lib import Component
from roundel.hw.nms import TopK
from roundel.ui import markdown_table

PAGE = Path(__file__).resolve().parents[1] / "nms_topk.md"
HEADS = ["unit", "um2", "bits of memories", "longest path, ns", "LUT4", "flip-flops", "multipliers", "block memories"]
SIZES = ((1024, 16), (1024, 8), (300, 8))  # boxes kept, bits of a score


def parts() -> Iterator[tuple[str, Component]]:
    """What is measured, by name: the best of many, and what only sorts as many boxes."""
    for capacity, width in SIZES:
        form = BoxFormat(classes=1, score_width=width)
        for name, params in (
            ("sorts alone", TopKParams(format=form, capacity=capacity, candidates=capacity)),
            ("keeps the best", TopKParams(format=form, capacity=capacity)),
        ):
            yield f"{capacity:,} boxes, {width} bits, {name}", TopK(params)


def rates() -> Iterator[list[str]]:
    """Boxes a cycle, a line for each order of the boxes of an image."""
    for stimulus in (FITS, *ORDERS):
        (first, *_), *others = ([*TopKRate(stimulus, width).rows(1)] for width in SCORE_WIDTHS)
        name = stimulus if stimulus == FITS else f"{FLOOD} times as many, {stimulus}"
        yield [name, *(f"{row['value']:.3f}" for row in (first, *(rows[0] for rows in others)))]


def main() -> None:
    text = PAGE.read_text(encoding="utf-8")
    heads = [f"boxes of an image, {KEPT} are kept", *(f"{width} bits" for width in SCORE_WIDTHS)]
    text = put(text, "speed", "\n".join(markdown_table(heads, rates())))
    text = put(text, "cost", "\n".join(markdown_table(HEADS, [row(*part, Path(sys.argv[1])) for part in parts()])))
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
