"""Write the figures of docs/ from reports: `python docs/make/figures.py FOLDER`, or `make figures`.

FOLDER holds what `roundel compare requant mac` wrote, FOLDER/nms what `roundel compare nms --fpga ecp5` and `roundel
bench nms` did, FOLDER/decoder the same for `decoder`; what is not there stays as it is. Puts tables between the markers
of the pages and copies pictures. Nothing between the markers is written by hand.
"""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from roundel.evaluation import libraries, ratios
from roundel.evaluation.report_decoder import one_each
from roundel.evaluation.report_parts import frequency
from roundel.ui import markdown_table

ROOT = Path(__file__).resolve().parents[2]
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
    ratio_of = {(item["cells"], item["baseline"], item["figure"]): item["ratio"] for item in ratios(rows, "shift")}
    figures = ("area, operator", "energy, operator", "energy, logic alone", "energy, with input register")
    cells = []
    for baseline in BASELINES:
        columns = [
            " / ".join(f"{ratio_of[library, baseline, figure]:.1f}" for figure in figures)
            for library in libraries(rows)
        ]
        cells.append([f"`{baseline}`", *columns])
    return "\n".join(markdown_table(["times `shift`", *map(short, libraries(rows))], cells))


def arrays(rows: list[dict[str, Any]]) -> str:
    """What a multiplication costs in each array, a row each for every library."""
    columns = (
        "",
        "um2",
        "without requantizers",
        "of which registers",
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


def suppressors(rows: list[dict[str, Any]]) -> str:
    """What the suppression units cost, a row each, area and energy in a column for each library."""
    cells = []
    for scheme in dict.fromkeys(row["scheme"] for row in rows):
        variants = [row for row in rows if row["scheme"] == scheme]
        known = [f"{variants[0]['boxes_per_cycle']:.3g}", f"{variants[0]['memory_bits'] / 1024:,.0f}"]
        areas = [f"{row['area_um2'] / 1000:,.0f} / {energy(row)}" for row in variants]
        cells.append([f"`{scheme}`", *known, *areas])
    heads = ["", "boxes per cycle", "memory, kbit", *(f"{short(name)}, 1,000 um2 / pJ" for name in libraries(rows))]
    return "\n".join(markdown_table(heads, cells))


def energy(row: dict[str, Any]) -> str:
    """Energy per box, or a dash for a netlist that was too large to simulate."""
    value = row["energy_pj_per_op"]
    return "-" if value is None else f"{value:,.0f}"


def suppression(rows: list[dict[str, Any]]) -> str:
    """Parts of the energy per box on each library, what the memories move, and the longest path."""
    heads = (
        "",
        "NAND2",
        "of which registers",
        "longest path, ns",
        "pJ",
        "internal",
        "switching",
        "tables, pJ at 45 nm",
    )
    cells = []
    for row in rows:
        spent = [energy(row)] + [
            "-" if row[name] is None else f"{row[name]:,.0f}" for name in ("internal", "switching")
        ]
        share = f"{100 * row['area_registers_um2'] / row['area_um2']:.0f} %"
        costs = [f"{row['area_nand2']:,.0f}", share, f"{row['delay_ns']:.1f}", *spent]
        cells.append([f"{short(row['cells'])}: `{row['scheme']}`", *costs, f"{row['energy_tables_pj_per_op']:,.0f}"])
    return "\n".join(markdown_table(heads, cells))


def on_fpga(rows: list[dict[str, Any]]) -> str:
    """The same units on ECP5."""
    cells = []
    for row in one_each([row for row in rows if row["cells"] == rows[0]["cells"]]):
        counts = [f"{row[name]:,}" for name in ("lut", "ff", "dsp", "bram")]
        cells.append([f"`{row['scheme']}`", *counts, frequency(row)])
    return "\n".join(markdown_table(("", "LUT4", "FF", "DSP", "block RAM", "Fmax, MHz"), cells))


def suppression_speed(bench: list[dict[str, Any]]) -> str:
    """Boxes per cycle and latency of each unit, and its speed-up over GreedyNMS in hardware."""
    heads = ("", "boxes per cycle", "first kept after", "kept", "`greedy_nms`", "speed-up", "speed-up, one image")
    names = ("boxes_per_cycle", "first_kept_after", "kept", "", "speedup_over_greedy", "speedup_over_greedy_one_image")
    lines: dict[tuple[str, int], dict[str, float]] = {}
    for row in bench:
        if "images" in row["params"]:
            about = lines.setdefault((row["params"]["scheme"], row["params"]["lanes"]), {})
            about[row["name"].removeprefix("nms.")] = row["value"]
    cells = []
    for (scheme, lanes), about in lines.items():
        figures = [about.get(name or "greedy_nms.cycles_per_image") for name in names]
        shown = ["" if value is None else f"{value:.3f}" if value < 10 else f"{value:,.0f}" for value in figures]
        cells.append([f"{scheme}, {lanes} lane{'s' if lanes > 1 else ''}", *shown])
    return "\n".join(markdown_table(heads, cells))


def suppression_software(bench: list[dict[str, Any]]) -> str:
    """Time for an image: NumPy and compiled GreedyNMS, NumPy PSRR, and the hardware at the clock of the rows."""
    microseconds = {
        (row["name"], row["params"].get("scheme"), row["params"].get("boxes")): row["value"] for row in bench
    }
    sizes = sorted({boxes for name, _, boxes in microseconds if name == "software.greedy_numpy"})
    clock = next(row["params"]["clock_mhz"] for row in bench if "clock_mhz" in row["params"])
    lines = {
        "GreedyNMS, NumPy": [microseconds["software.greedy_numpy", None, size] for size in sizes],
        "GreedyNMS, compiled (onnxruntime)": [microseconds["software.greedy_compiled", None, size] for size in sizes],
        "`psrr` parallel, NumPy": [microseconds["software.psrr_numpy", "psrr parallel", size] for size in sizes],
        "`guarded` parallel, NumPy": [microseconds["software.psrr_numpy", "guarded parallel", size] for size in sizes],
        f"`nms`, 1 lane, steady, at {clock} MHz": [size / clock for size in sizes],
    }
    cells = [[name, *(f"{value:,.0f}" for value in values)] for name, values in lines.items()]
    return "\n".join(markdown_table(["us per image", *(f"{size:,} boxes" for size in sizes)], cells))


def decoder_sizes(rows: list[dict[str, Any]]) -> str:
    """Area in NAND2 and longest path of every decoder and of its core, a row each for every library."""
    heads = ("", "NAND2", "core: logic", "core: registers", "longest path, ns", "of the core")
    cells = []
    for library in libraries(rows):
        for row in one_each([row for row in rows if row["cells"] == library]):
            names = ("area_nand2", "area_core_logic_nand2", "area_core_registers_nand2")
            sizes = [f"{row[name]:,.0f}" for name in names]
            paths = [f"{row[name]:.1f}" for name in ("delay_ns", "delay_core_ns")]
            cells.append([f"{short(library)}: `{row['scheme']}`", *sizes, *paths])
    return "\n".join(markdown_table(heads, cells))


def decoder_packing(rows: list[dict[str, Any]]) -> str:
    """Bits per weight and weights per cycle, the same for every library."""
    return by_stimulus(named(rows), lambda row: f"{row['bits_per_weight']:.3f} / {row['weights_per_cycle']:.2f}")


def decoder_energy(rows: list[dict[str, Any]]) -> str:
    """Energy of a dense weight, a row for each decoder and library."""
    named_rows = [row | {"scheme": f"{short(row['cells'])}: `{row['scheme']}`"} for row in rows]
    return by_stimulus(named_rows, lambda row: f"{row['energy_pj_per_op']:.2f}")


def decoder_traffic(rows: list[dict[str, Any]]) -> str:
    """Energy that a memory saves, SRAM / DRAM."""
    return by_stimulus(
        named(rows), lambda row: f"{row['saved_sram_pj_per_op']:.2f} / {row['saved_dram_pj_per_op']:.0f}"
    )


def named(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of the first library, schemes in code style."""
    return [row | {"scheme": f"`{row['scheme']}`"} for row in rows if row["cells"] == rows[0]["cells"]]


def by_stimulus(rows: list[dict[str, Any]], cell: Callable[[dict[str, Any]], str]) -> str:
    """A line for each scheme, a column for each stimulus."""
    lines: dict[str, list[str]] = {}
    for row in rows:
        lines.setdefault(row["scheme"], []).append(cell(row))
    heads = ["", *dict.fromkeys(row["stimulus"] for row in rows)]
    return "\n".join(markdown_table(heads, [[name, *cells] for name, cells in lines.items()]))


def decoder_rates(bench: list[dict[str, Any]]) -> str:
    """Weights per cycle within a stream, and cycles between two."""
    lines: dict[str, dict[float, dict[str, float]]] = {}
    for row in bench:
        about = lines.setdefault(row["params"]["scheme"], {}).setdefault(row["params"]["zeros"], {})
        about[row["name"].removeprefix("decoder.")] = row["value"]
    zeros = sorted({part for rates in lines.values() for part in rates})
    cells = []
    for scheme, by_zeros in lines.items():
        waits = sorted({f"{about['cycles_between_streams']:.0f}" for about in by_zeros.values()}, key=int)
        rates = [f"{by_zeros[part]['weights_per_cycle']:.2f}" for part in zeros]
        cells.append([f"`{scheme}`", *rates, " to ".join(dict.fromkeys((waits[0], waits[-1])))])
    return "\n".join(
        markdown_table(["", *(f"{part:.0%} zeros" for part in zeros), "cycles between two streams"], cells)
    )


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
    pictures = ROOT / "docs" / "pictures"
    pictures.mkdir(exist_ok=True)
    if (folder / "report.json").exists():
        rows = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        write("docs/results.md", {"size": size(rows), "ratios": requantizers(rows)})
        write("docs/mac.md", {"mac": arrays(rows)})
        shutil.copy(folder / "requant_roundel_reference.png", pictures / "requant.png")
    if (folder / "nms" / "report.json").exists():
        rows = json.loads((folder / "nms" / "report.json").read_text(encoding="utf-8"))
        write("docs/results.md", {"nms": suppressors(rows)})
        write("docs/nms_hardware.md", {"costs": suppression(rows), "fpga": on_fpga(rows)})
        shutil.copy(folder / "nms" / "nms_roundel_reference.png", pictures / "nms_cost.png")
    if (folder / "nms" / "bench.json").exists():
        rows = json.loads((folder / "nms" / "bench.json").read_text(encoding="utf-8"))
        write("docs/nms_hardware.md", {"speed": suppression_speed(rows), "software": suppression_software(rows)})
    if (folder / "decoder" / "report.json").exists():
        rows = json.loads((folder / "decoder" / "report.json").read_text(encoding="utf-8"))
        tables = {"packing": decoder_packing(rows), "sizes": decoder_sizes(rows), "energy": decoder_energy(rows)}
        write("docs/decoder_cost.md", tables | {"traffic": decoder_traffic(rows), "fpga": on_fpga(rows)})
        shutil.copy(folder / "decoder" / "decoder_roundel_reference.png", pictures / "decoder_cost.png")
    if (folder / "decoder" / "bench.json").exists():
        rows = json.loads((folder / "decoder" / "bench.json").read_text(encoding="utf-8"))
        write("docs/decoder_cost.md", {"rates": decoder_rates(rows)})


def write(page: str, tables: dict[str, str]) -> None:
    """Put tables between their markers in a page."""
    text = (ROOT / page).read_text(encoding="utf-8")
    for name, content in tables.items():
        text = replace(text, name, content)
    (ROOT / page).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
