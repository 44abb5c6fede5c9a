"""Write the figures of README.md and docs/mac.md from a report: `python docs/figures.py FOLDER`, or `make figures`.

Takes `report.json` and the pictures of `roundel compare`, puts tables between the markers of both pages and copies one
picture. Nothing between the markers is written by hand.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

from roundel.markdown import markdown_table
from roundel.ratios import libraries, ratios

ROOT = Path(__file__).resolve().parents[1]
NAMES = {"roundel_reference": "reference cells"}
BASELINES = ("fixed8", "fixed16", "fixed32", "float32", "codebook", "threshold")


def size(rows: list[dict[str, Any]]) -> str:
    """What the units of this project cost, a row each, a column for each library."""
    shift = [row for row in rows if row["unit"] == "requant" and row["scheme"] == "shift"]
    cells = [
        ["`shift` requantizer, 32 to 8 bits, with its output register, um2", *(f"{r['area_um2']:,.0f}" for r in shift)]
    ]
    for scheme in dict.fromkeys(row["scheme"] for row in rows if row["unit"] == "mac"):
        arrays = [row for row in rows if row["unit"] == "mac" and row["scheme"] == scheme]
        areas = [f"{row['area_per_mac_um2']:,.0f} / {row['energy_pj_per_op']:.2f}" for row in arrays]
        cells.append([f"16 x 16 array, {scheme}, um2 / pJ per MAC", *areas])
    return "\n".join(markdown_table(["", *map(short, libraries(rows))], cells))


def requantizers(rows: list[dict[str, Any]]) -> str:
    """How many times more than `shift` every other requantizer needs, area and energy of the operator and its logic."""
    rows = [row for row in rows if row["unit"] == "requant"]
    found = {(item["cells"], item["baseline"], item["figure"]): item["ratio"] for item in ratios(rows, "shift")}
    figures = ("area, operator", "energy, operator", "energy, logic alone", "energy, with input register")
    cells = []
    for baseline in BASELINES:
        each = [
            " / ".join(f"{found[library, baseline, figure]:.1f}" for figure in figures) for library in libraries(rows)
        ]
        cells.append([f"`{baseline}`", *each])
    return "\n".join(markdown_table(["times `shift`", *map(short, libraries(rows))], cells))


def arrays(rows: list[dict[str, Any]]) -> str:
    """What a multiplication costs in each array, a row each for every library."""
    columns = (
        "",
        "um2",
        "without requantizers",
        "of it registers",
        "longest path, ns",
        "pJ",
        "flow's multiplier, trees kept",
    )
    cells = []
    for row in (row for row in rows if row["unit"] == "mac"):
        names = ("area_per_mac_um2", "area_per_mac_without_requantizers_um2", "area_registers_per_mac_um2")
        flow = f"{row['flow']['multiplier']}, {'yes' if row['flow']['keep_trees'] else 'no'}"
        costs = [f"{row[name]:,.0f}" for name in names] + [f"{row['delay_ns']:.1f}", f"{row['energy_pj_per_op']:.2f}"]
        cells.append([f"{short(row['cells'])}: {row['scheme']}", *costs, flow])
    return "\n".join(markdown_table(columns, cells))


def short(library: str) -> str:
    """The library's name without its corner."""
    return NAMES.get(library, library.split("__")[0].split("_stdcell")[0])


def replace(text: str, name: str, content: str) -> str:
    """Put `content` between the markers `<!-- name -->` and `<!-- /name -->`."""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    before, _, rest = text.partition(begin)
    old, _, after = rest.partition(end)
    if not old:
        raise SystemExit(f"no markers {begin} and {end}")
    return f"{before}{begin}\n{content}\n{end}{after}"


def main(folder: Path) -> None:
    rows = json.loads((folder / "report.json").read_text())
    pictures = ROOT / "docs" / "pictures"
    pictures.mkdir(exist_ok=True)
    shutil.copy(folder / "requant_roundel_reference.png", pictures / "requant.png")
    for page, tables in (("README.md", {"size": size, "ratios": requantizers}), ("docs/mac.md", {"mac": arrays})):
        text = (ROOT / page).read_text()
        for name, make in tables.items():
            text = replace(text, name, make(rows))
        (ROOT / page).write_text(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
