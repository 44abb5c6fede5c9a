"""Write the table of areas in docs/heads.md: `python docs/make/heads_area.py LIBRARY`; takes some minutes.

LIBRARY is a Liberty file. Each row is a part of the box unit of `small` mapped by itself, also for an ECP5.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from activation_area import row
from figures import replace as put

from roundel.golden.engine import HEADS, EngineParams
from roundel.hw.engine.boxes.corners import BoxCorners
from roundel.hw.engine.boxes.decoder import BoxDecoder
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


def main() -> None:
    rows = [row(name, part, Path(sys.argv[1])) for name, part in parts()]
    text = put(PAGE.read_text(encoding="utf-8"), "parts", "\n".join(markdown_table(["part", *COSTS], rows)))
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
