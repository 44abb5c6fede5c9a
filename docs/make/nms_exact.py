"""Write the tables of docs/nms_exact.md: `python docs/make/nms_exact.py FOLDER`.

FOLDER holds `report.json` of `roundel compare nms` and `bench.json` of `roundel bench nms`; tables of what is not there
stay as they are.
"""

import json
import sys
from pathlib import Path
from typing import Any

from figures import energy, short
from figures import replace as put

from roundel.evaluation.report_nms import JOINT_COLUMNS, joint_cells
from roundel.evaluation.report_parts import libraries
from roundel.ui import markdown_table

PAGE = Path(__file__).resolve().parents[1] / "nms_exact.md"
BESIDE = "guarded parallel, 1 lane"
COSTS = ["", "NAND2", "of which registers", "longest path, ns", "memory, kbit", "pJ"]
COLUMNS = {"8 bits, 4 comparators": (8, 4), "16 bits, 4 comparators": (16, 4), "16 bits, 8 comparators": (16, 8)}

Rows = list[dict[str, Any]]


def costs(rows: Rows) -> str:
    """What the unit costs on each library, beside `guarded`."""
    cells = []
    for row in (row for row in rows if row["unit"] == "exact_nms" or row["scheme"] == BESIDE):
        share = f"{100 * row['area_registers_um2'] / row['area_um2']:.0f} %"
        figures = [f"{row['area_nand2']:,.0f}", share, f"{row['delay_ns']:.1f}", f"{row['memory_bits'] / 1024:,.0f}"]
        cells.append([f"{short(row['cells'])}: `{row['scheme']}`", *figures, energy(row)])
    return "\n".join(markdown_table(COSTS, cells))


def joint(rows: Rows) -> str:
    """Give all methods on the last library."""
    here = [row for row in rows if row["cells"] == libraries(rows)[-1]]
    return "\n".join(markdown_table(JOINT_COLUMNS, joint_cells(here)))


def rates(bench: Rows) -> str:
    """Boxes a cycle, and the boxes kept of an image of 16 bits."""
    found: dict[str, dict[tuple[int, int], dict[str, float]]] = {}
    for row in bench:
        about = row["params"]
        if row["name"].startswith("exact_nms."):
            key = about["score_width"], about["comparators"]
            found.setdefault(about["stimulus"], {}).setdefault(key, {})[row["name"]] = row["value"]
    cells = []
    for stimulus, by_unit in found.items():
        speeds = [by_unit.get(key, {}).get("exact_nms.boxes_per_cycle") for key in COLUMNS.values()]
        shown = ["" if value is None else f"{value:.3f}" for value in speeds]
        cells.append([stimulus, *shown, f"{by_unit[16, 4]['exact_nms.kept']:,.0f}"])
    return "\n".join(markdown_table(["images", *COLUMNS, "kept"], cells))


def main() -> None:
    folder, text = Path(sys.argv[1]), PAGE.read_text(encoding="utf-8")
    sources = {"report.json": {"costs": costs, "joint": joint}, "bench.json": {"rates": rates}}
    for name, tables in sources.items():
        if (folder / name).exists():
            rows = json.loads((folder / name).read_text(encoding="utf-8"))
            for table, make in tables.items():
                text = put(text, table, make(rows))
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
