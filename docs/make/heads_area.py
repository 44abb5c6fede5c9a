"""Write the tables of areas in docs/heads.md: `python docs/make/heads_area.py LIBRARY`; takes some minutes.

LIBRARY is a Liberty file. Each row is a part of the box unit, the scan of `medium` and the decoder of `small`, mapped
by itself, also for an ECP5.
"""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from activation_area import row
from figures import replace as put

from roundel.golden.engine import HEADS, EngineParams
from roundel.hw.engine.boxes.best import BestClass
from roundel.hw.engine.boxes.corners import BoxCorners
from roundel.hw.engine.boxes.decoder import BoxDecoder
from roundel.hw.engine.boxes.scan import Scan
from roundel.hw.engine.boxes.words import BoxWords
from roundel.hw.lib import Component
from roundel.ui import markdown_table

PAGE = Path(__file__).resolve().parents[1] / "heads.md"
COSTS = ["um2", "bits of memories", "longest path, ns", "LUT4", "flip-flops", "multipliers", "block memories"]


def parts() -> Iterator[tuple[str, Component]]:
    """What is measured, by name."""
    nms = EngineParams.named("small").nms
    assert nms is not None
    yield "corners of the plain head, without `heads`", BoxCorners(nms)
    yield "decoder, plain distances", BoxDecoder(nms.format, ("priors",))
    for name in ("dfl", "softmax", "centre", "corners"):
        yield f"decoder, `{name}`", BoxDecoder(nms.format, (name,))
    yield "decoder, all forms", BoxDecoder(nms.format, HEADS)


def scans() -> Iterator[tuple[str, Component]]:
    """Scans that are measured, by name."""
    medium = EngineParams.named("medium")
    yield "words of the plain head, without `heads`", BoxWords(medium)
    yield "best class of the plain head, without `heads`", BestClass(medium)
    for heads in (("priors",), ("dfl",), ("product", "centre"), ("softmax", "centre")):
        yield f"scan, {' and '.join(f'`{name}`' for name in heads)}", Scan(replace(medium, heads=heads))
    yield "scan, all forms", Scan(replace(medium, heads=HEADS))


def main() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for name, measured in (("scans", scans()), ("parts", parts())):
        rows = [row(part, component, Path(sys.argv[1])) for part, component in measured]
        text = put(text, name, "\n".join(markdown_table(["part", *COSTS], rows)))
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
