"""Write the table of the box unit's cycles in docs/heads.md: `python docs/make/heads_cycles.py`.

Cycles are those of the model, `roundel.golden.cycles`, on `medium` with all heads; tests/units/test_box_cycles.py and
tests/examples/test_heads.py have it beside RTL.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from figures import replace as put

from roundel.golden.cycles import Passing, candidate_cycles, scale_cycles
from roundel.golden.engine import FORMS, HEADS, SCORES, Descriptor, EngineParams, Opcode
from roundel.golden.head import Score
from roundel.golden.nms import TopKParams
from roundel.ui import markdown_table

PAGE = Path(__file__).resolve().parents[1] / "heads.md"
CANDIDATES, CLASSES = 300, 5
"""Locations that pass, spread evenly; and, where every class counts, classes of each."""
PRODUCT = {"score_form": SCORES.index(Score.PRODUCT)}
SOFTMAX = {"score_form": SCORES.index(Score.SOFTMAX), "cost_fraction": 5}
BINS, CENTRES = {"box_form": FORMS.index("distribution"), "bins": 16}, {"box_form": FORMS.index("centres")}
SHIFT = 3 - 8  # of a mean at stride 8: its fraction bits, in quarters of a pixel, are 2 fewer
NETWORKS = {
    "YOLOv8n, 320 x 320, 80 classes, 16 bins": [
        (side, 1, 80, BINS | {"shift": SHIFT + 2 + scale}) for scale, side in enumerate((40, 20, 10))
    ],
    "YOLOv5n, 320 x 320, 80 classes, 3 priors": [(side, 3, 80, PRODUCT | CENTRES) for side in (40, 20, 10)],
    "SSD, 300 x 300, 20 classes, 4 or 6 priors": [
        (side, priors, 20, SOFTMAX | CENTRES) for side, priors in ((38, 4), (19, 6), (10, 6), (5, 6), (3, 4), (1, 4))
    ],
    "RetinaNet, 320 x 320, 90 classes, 9 priors": [(side, 9, 90, CENTRES) for side in (40, 20, 10, 5, 3)],
}
"""Columns and rows, priors, classes and forms of each scale."""


def engine(classes: int) -> EngineParams:
    """The engine for so many classes."""
    medium = EngineParams.named("medium")
    assert medium.nms is not None
    nms = TopKParams(format=replace(medium.nms.format, classes=classes), capacity=CANDIDATES)
    return replace(medium, heads=HEADS, nms=nms)


def spread(scales: list[Descriptor]) -> list[list[int]]:
    """Locations of each scale that pass."""
    counts = [scale.width * scale.height for scale in scales]
    found: list[list[int]] = [[] for _ in scales]
    for number in range(CANDIDATES):
        place = number * sum(counts) // CANDIDATES
        at = 0
        while place >= counts[at]:
            place, at = place - counts[at], at + 1
        found[at].append(place)
    return found


def passing(scale: Descriptor, places: list[int], classes: int) -> list[Passing]:
    """Priors that pass at these locations, each in its turn, with so many classes far from one another."""
    count = scale.priors + 1
    labels = tuple(range(0, scale.classes, -(-scale.classes // classes)))
    return [Passing(place, turn % count, labels=labels, sent=labels) for turn, place in enumerate(places)]


def figures(name: str) -> list[str]:
    """Return the row of a network."""
    params = engine(max(classes for _, _, classes, _ in NETWORKS[name]))
    values: list[dict[str, Any]] = [
        {"width": side, "height": side, "priors": priors - 1, "classes": classes} | forms
        for side, priors, classes, forms in NETWORKS[name]
    ]
    scales, every = (
        [Descriptor(opcode=Opcode.BOXES, values=scale | {"every_class": each}) for scale in values] for each in (0, 1)
    )

    def cycles(scales: list[Descriptor], classes: int) -> int:
        found = (passing(scale, places, classes) for scale, places in zip(scales, spread(scales), strict=True))
        return sum(scale_cycles(params, *pair) for pair in zip(scales, found, strict=True))

    candidates = [candidate_cycles(params, scale, prior) for scale in scales for prior in range(scale.priors + 1)]
    least, most = min(candidates), max(candidates)
    of_one = f"{least}" if least == most else f"{least} to {most}"
    empty, locations = sum(scale_cycles(params, scale) for scale in scales), sum(s.width * s.height for s in scales)
    return [name, f"{locations:,}", f"{empty:,}", of_one, f"{cycles(scales, 1):,}", f"{cycles(every, CLASSES):,}"]


def main() -> None:
    heads = ["head", "locations", "cycles of them", "of a candidate", f"with {CANDIDATES}"]
    heads.append(f"with every class, {CLASSES} of each of {CANDIDATES}")
    rows = [figures(name) for name in NETWORKS]
    text = put(PAGE.read_text(encoding="utf-8"), "scan cycles", "\n".join(markdown_table(heads, rows)))
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
