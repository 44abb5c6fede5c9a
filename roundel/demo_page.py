"""The demo's page: one Markdown file with tables and pictures, and the same tables for the terminal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from golden.layers import Weighted
from roundel.console import table
from roundel.demo import Demo
from roundel.demo_pictures import draw_accumulators, draw_digits, draw_errors, draw_formats
from roundel.markdown import markdown_table
from roundel.ratios import REQUANT_FIGURES, libraries, ratios
from roundel.report import REFERENCE_SCHEME, write_report
from roundel.report import show as show_report

Found = Mapping[str, Any]


@dataclass(frozen=True)
class Grid:
    """A table, wherever it is shown."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[Sequence[str]]

    @property
    def markdown(self) -> list[str]:
        return [*markdown_table(self.columns, self.rows), ""]


def show(found: Found) -> None:
    """Print the tables of a demo, given what `demo.json` holds."""
    for grid in (_modules(found), _layers(found), _accuracy(found)):
        table(grid.title, grid.columns, grid.rows)
    show_report(found["requant"])


def verdict(found: Found) -> str:
    """One sentence: equal or not."""
    if not found["equal"]:
        return f"RTL DIFFERS from golden in {len(found['differences'])} layers: {found['differences'][0]}"
    outputs = sum(row["positions"] * row["channels"] for row in found["layers"])
    return f"all {outputs:,} outputs of the RTL equal golden"


def write_page(demo: Demo, found: Found, folder: Path) -> None:
    """Write `demo.md`, its pictures and the report of the requantizers into `folder`."""
    weighted = [step for step in demo.golden if isinstance(step.layer, Weighted)]
    draw_digits(demo, folder / "digits.png")
    draw_formats(demo.quantized.choices, folder / "formats.png")
    draw_errors(demo.quantized.choices, folder / "errors.png")
    draw_accumulators(weighted, folder / "accumulators.png")
    text = [*_opening(found), *_integers(found), *_array(found), *_requantizers(demo, found, folder), *_files(found)]
    (folder / "demo.md").write_text("\n".join(text).rstrip() + "\n")


def _opening(found: Found) -> list[str]:
    layers, on_rtl = found["layers"], found["accuracy"]["on_rtl"]
    macs = sum(row["positions"] * row["products"] * row["channels"] for row in layers)
    return [
        f"# From `{found['model']}` to verified RTL",
        "",
        "The network was quantized to integers with nothing but shifts and rounding. Each of its",
        f"{len(layers)} weighted layers then ran for {on_rtl['images']} held-out images on the RTL of the MAC array",
        f"({macs:,} multiplications, {found['tools']['simulator']}), every layer fed with what the RTL gave",
        f"for the one before. Result: **{verdict(found)}**.",
        "",
        *(f"- {line}" for line in found["differences"]),
        *([""] if found["differences"] else []),
        *_accuracy(found).markdown,
        "![Held-out digits and what the RTL makes of them](digits.png)",
        "",
    ]


def _integers(found: Found) -> list[str]:
    return [
        "## The network in integers",
        "",
        "A real number r is stored as `round(r * 2^N)`. N, the fractional bits, belongs to a whole tensor and was",
        "chosen, module by module, for the least error on the calibration images; the requantizer's shift is",
        "N_x + N_w - N_o.",
        "",
        *_modules(found).markdown,
        "![Fractional bits of each module](formats.png)",
        "",
        "![Error of each module](errors.png)",
        "",
    ]


def _array(found: Found) -> list[str]:
    return [
        "## Every weighted layer on the array",
        "",
        *_layers(found).markdown,
        "A beat brings one activation per lane to all columns. What is missing to one beat per cycle is the first",
        "block of weights and the pipeline, once per simulation. Layers that differ in sign or width of their",
        f"operands run on arrays of their own: {_arrays(found)}.",
        "",
        "## What enters the requantizers",
        "",
        "![Histograms of accumulators with the range that the shift keeps](accumulators.png)",
        "",
        *_windows(found).markdown,
    ]


def _requantizers(demo: Demo, found: Found, folder: Path) -> list[str]:
    if not demo.requant:
        return []
    inner = folder / "requant"
    inner.mkdir(exist_ok=True)
    write_report(demo.requant, inner)
    row = demo.requant[0]
    text = [
        "## What a requantizer costs",
        "",
        f"Each scheme, for accumulators of {row['params']['acc_width']} bits, was mapped to gates, and the gates ran",
        f"{row['ops']:,} of this network's accumulators; every result equalled golden. Area and energy are those of",
        "the operator with its output register; the whole [report](requant/report.md) has all parts apart.",
        "",
    ]
    pictures = sorted(path.name for path in inner.glob("*.png"))
    for name in pictures:
        text += [f"![Area and energy of each requantizer](requant/{name})", ""]
    for grid in _ratios(found["requant"]):
        text += [grid.title + ":", "", *grid.markdown]
    return text


def _files(found: Found) -> list[str]:
    lines = [
        "- [`demo.json`](demo.json): all figures of this page",
        "- Verilog as simulated, and the requantizers alone:",
    ]
    for name in found["verilog"]:
        sheet = name.removesuffix(".v") + ".json"
        lines.append(f"  - [`{name}`]({name}), [ports and parameters]({sheet})")
    return ["## Files", "", *lines, ""]


def _arrays(found: Found) -> str:
    """Which layers ran on which array."""
    names: dict[str, list[str]] = {}
    for row in found["layers"]:
        names.setdefault(row["array"], []).append(row["layer"])
    return "; ".join(f"{', '.join(layers)} on `{array}`" for array, layers in names.items())


def _accuracy(found: Found) -> Grid:
    names = {"on_rtl": "run on RTL", "held_out": "all held-out"}
    rows = []
    for key, title in names.items():
        part = found["accuracy"][key]
        rows.append([title, str(part["images"]), *(_percent(part.get(kind)) for kind in ("float", "integer", "rtl"))])
    return Grid("Accuracy", ("images", "count", "float", "integer", "RTL"), rows)


def _modules(found: Found) -> Grid:
    keys = ("n_x", "n_w", "n_b", "n_o", "shift")
    rows = [
        [row["name"], *("-" if row[key] is None else str(row[key]) for key in keys), _decibels(row["sqnr_db"])]
        for row in found["modules"]
    ]
    return Grid("Fractional bits", ("module", "N_x", "N_w", "N_b", "N_o", "shift", "SQNR, dB"), rows)


def _layers(found: Found) -> Grid:
    keys = ("positions", "products", "channels", "beats", "cycles")
    rows = [
        [row["layer"], *(f"{row[key]:,}" for key in keys), f"{row['beats_per_cycle']:.4f}"] for row in found["layers"]
    ]
    return Grid("Layers on RTL", ("layer", *keys, "beats/cycle"), rows)


def _windows(found: Found) -> Grid:
    rows = [
        [
            row["layer"],
            str(row["shift"]),
            f"{row['least']:,} to {row['greatest']:,}",
            "{:,} to {:,}".format(*row["window"]),
            _percent(row["below"]),
            _percent(row["above"]),
        ]
        for row in found["accumulators"]
    ]
    return Grid(
        "Accumulators", ("layer", "shift", "accumulators", "kept range", "clamped below", "clamped above"), rows
    )


def _ratios(rows: Sequence[Mapping[str, Any]]) -> list[Grid]:
    """One table per library: every baseline against the runtime shift."""
    found = ratios(rows, REFERENCE_SCHEME)
    grids = []
    for cells in libraries(rows):
        place = {(item["baseline"], item["figure"]): item["ratio"] for item in found if item["cells"] == cells}
        names = dict.fromkeys(baseline for baseline, _ in place)
        lines = [[name, *(f"{place[name, title]:.2f}" for title in REQUANT_FIGURES)] for name in names]
        title = f"How many times more than `{REFERENCE_SCHEME}` on {cells}"
        grids.append(Grid(title, ("baseline", *REQUANT_FIGURES), lines))
    return grids


def _percent(part: float | None) -> str:
    return "-" if part is None else f"{part:.2%}"


def _decibels(value: float | None) -> str:
    return "exact" if value is None else f"{value:.1f}"
