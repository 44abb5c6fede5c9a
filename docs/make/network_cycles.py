"""Write the table of networks in docs/engine_cycles.md: `python docs/make/network_cycles.py`, two minutes.

What `roundel bench networks` measures, by the cycle model, of `medium`, and of an engine of one word and four taps.
"""

from dataclasses import replace
from pathlib import Path

from figures import replace as put

from roundel.benchmarks.networks import NetworkFigures, variants
from roundel.golden.engine import EngineParams
from roundel.ui import markdown_table

PAGE = Path(__file__).resolve().parents[1] / "engine_cycles.md"
HEADS = ["layers", "products", "cycles, one word", "utilization", "cycles, four words", "utilization"]


def lines(before: NetworkFigures, after: NetworkFigures) -> list[list[str]]:
    """Return a line for each kind of layer of a network on both engines."""
    cells: dict[str, list[str]] = {}
    for variant in (before, after):
        rows = {(row["params"]["kind"], row["name"]): row["value"] for row in variant.rows(1)}
        for kind in dict.fromkeys(kind for kind, _ in rows):
            products, cycles, used = (rows[kind, f"networks.{name}"] for name in ("products", "cycles", "utilization"))
            cells.setdefault(kind, [f"{products:,.0f}"]).extend((f"{cycles:,.0f}", f"{used:.3f}"))
    return [[kind, *values] for kind, values in cells.items()]


def main() -> None:
    """Fill the table."""
    usual = EngineParams.named("medium")
    parts = []
    for before, after in zip(variants(replace(usual, beat_words=1, taps=4)), variants(usual), strict=True):
        lanes = f", `act_lanes={after.params.act_lanes}`" if after.params.act_lanes else ""
        parts.append("\n".join([f"`{after.network}`{lanes}:", "", *markdown_table(HEADS, lines(before, after))]))
    PAGE.write_text(put(PAGE.read_text(encoding="utf-8"), "networks", "\n\n".join(parts)), encoding="utf-8")


if __name__ == "__main__":
    main()
