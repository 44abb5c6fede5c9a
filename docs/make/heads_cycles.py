"""Write the table of the scan's cycles in docs/heads.md: `python docs/make/heads_cycles.py`.

Cycles are those of the model, `roundel.golden.cycles`, on `medium`; tests/units/test_engine_scan.py has them on RTL.
"""

from pathlib import Path

from figures import replace as put

from roundel.golden.cycles import candidate_cycles, scale_cycles
from roundel.golden.engine import FORMS, SCORES, Descriptor, EngineParams, Opcode
from roundel.golden.head import Score
from roundel.ui import markdown_table

PAGE = Path(__file__).resolve().parents[1] / "heads.md"
CANDIDATES = 300
PRODUCT, SOFTMAX = ({"score_form": SCORES.index(score)} for score in (Score.PRODUCT, Score.SOFTMAX))
BINS, CENTRES = {"box_form": FORMS.index("distribution"), "bins": 16}, {"box_form": FORMS.index("centres")}
NETWORKS = {
    "YOLOv8n, 320 x 320, 80 classes, 16 bins": [(side, 1, 80, BINS) for side in (40, 20, 10)],
    "YOLOv5n, 320 x 320, 80 classes, 3 priors": [(side, 3, 80, PRODUCT | CENTRES) for side in (40, 20, 10)],
    "SSD, 300 x 300, 20 classes, 4 or 6 priors": [
        (side, priors, 20, SOFTMAX | CENTRES) for side, priors in ((38, 4), (19, 6), (10, 6), (5, 6), (3, 4), (1, 4))
    ],
    "RetinaNet, 320 x 320, 90 classes, 9 priors": [(side, 9, 90, CENTRES) for side in (40, 20, 10, 5, 3)],
}
"""Columns and rows, priors, classes and forms of each scale."""


def figures(name: str, params: EngineParams) -> list[str]:
    """Return the row of a network."""
    scales = [
        Descriptor(
            opcode=Opcode.BOXES,
            values={"width": side, "height": side, "priors": priors - 1, "classes": classes} | forms,
        )
        for side, priors, classes, forms in NETWORKS[name]
    ]
    cycles = sum(scale_cycles(params, scale) for scale in scales)
    candidates = [candidate_cycles(params, scale, prior) for scale in scales for prior in range(scale.priors + 1)]
    locations = sum(scale.width * scale.height for scale in scales)
    least, most = min(candidates), max(candidates)
    of_one = f"{least}" if least == most else f"{least} to {most}"
    return [name, f"{locations:,}", f"{cycles:,}", of_one, f"{cycles + CANDIDATES * most:,}"]


def main() -> None:
    params = EngineParams.named("medium")
    heads = ["head", "locations", "cycles of them", "of a candidate", f"with {CANDIDATES}, at most"]
    rows = [figures(name, params) for name in NETWORKS]
    text = put(PAGE.read_text(encoding="utf-8"), "scan cycles", "\n".join(markdown_table(heads, rows)))
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
