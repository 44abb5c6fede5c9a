"""The tables of the demo, from what `demo.json` holds."""

from collections.abc import Mapping, Sequence
from typing import Any

from roundel.evaluation import REFERENCE_SCHEME, REQUANT_FIGURES, libraries, ratio_cells
from roundel.ui import Grid

DemoValues = Mapping[str, Any]


def accuracy(figures: DemoValues) -> Grid:
    """Return a row for each network and NMS, in points, and the share of the float network's boxes that it has."""
    rows = [
        [
            f"{row['network']} + {row['nms']}",
            "NumPy" if row["network"] == "float" else row["on"],
            str(row["scenes"]),
            *(f"{100 * row[name]:.1f}" for name in ("ap50", "ap75", "ap50_95")),
            "-" if row["network"] == "float" else f"{row['agreeing']:.1%}",
        ]
        for row in figures["accuracy"]
    ]
    return Grid("Average precision", ("network", "on", "scenes", "AP50", "AP75", "AP50:95", "agreeing"), rows)


def modules(figures: DemoValues) -> Grid:
    """Return the fractional bits and the SQNR of each module."""
    rows = [
        [
            row["name"],
            _span(row["n_x"]),
            _span(row["n_w"], row["n_w_most"]),
            *(_span(row[key]) for key in ("n_b", "n_o", "shift")),
            decibels(row["sqnr_db"]),
        ]
        for row in figures["modules"]
    ]
    return Grid("Fractional bits", ("module", "N_x", "N_w", "N_b", "N_o", "shift", "SQNR, dB"), rows)


def _span(least: int | None, most: int | None = None) -> str:
    """Fractional bits that differ from channel to channel, from the least to the most."""
    if least is None:
        return "-"
    return str(least) if most in (None, least) else f"{least} to {most}"


def chain(figures: DemoValues) -> Grid:
    """Return the distance of the integers from the float network, a row for each tensor."""
    rows = [
        [
            row["tensor"],
            decibels(row["sqnr_db"]),
            f"{row['clamped']:.2%}",
            ", ".join(map(str, row["element"])),
            f"{row['real']:.3f}",
            f"{row['integer']:.3f}",
        ]
        for row in figures["chain"]
    ]
    return Grid("Float against integers", ("tensor", "SQNR, dB", "clamped", "most at", "float", "integer"), rows)


def layers(figures: DemoValues) -> Grid:
    """Return the cycles of each layer, and their sum."""
    keys = ("macs", "predicted", "cycles", "compute", "fill", "memory", "decoder")
    rows = [
        [row["layer"], *(f"{row[key]:,}" for key in keys), f"{row['utilization']:.3f}" if row["macs"] else "-"]
        for row in [*figures["layers"], figures["total"]]
    ]
    heads = ("layer", "macs", "model", *keys[2:], "used")
    return Grid("Layers on the engine", heads, rows)


def frames(figures: DemoValues) -> Grid:
    """Return the counters of the engine, a row for each scene."""
    keys = ("cycles", "computing", "read_beats", "write_beats", "boxes_before", "boxes")
    rows = [[f"scene {row['scene']}", *(f"{row[key]:,}" for key in keys)] for row in figures["frames"]]
    heads = ("", "cycles", "computing", "read", "written", "boxes", "kept")
    return Grid("Frames", heads, rows)


def matches(figures: DemoValues) -> Grid:
    """Return which boxes are right, a row for each scene, and their sum."""
    keys = ("objects", "true", "missed", "false", "unsure")
    named = [(f"scene {row['scene']}", row) for row in figures["frames"]]
    rows = [[name, *(str(row[key]) for key in keys)] for name, row in [*named, ("all", figures["matching"])]]
    return Grid("Boxes of the RTL and objects", ("", *keys), rows)


def traffic(figures: DemoValues) -> Grid:
    """Return the memory traffic of each layer, bytes."""
    keys = ("loaded", "stored", "weights", "parameters")
    rows = [[row["layer"], *(f"{row[key]:,}" for key in keys)] for row in figures["traffic"]]
    rows.append(["all", *(f"{sum(row[key] for row in figures['traffic']):,}" for key in keys)])
    return Grid("Traffic", ("layer", *keys), rows)


def energy(figures: DemoValues) -> Grid:
    """Return the energy of a mean frame, a row for each unit and memory."""
    rows = [
        [
            row["unit"],
            row["kind"],
            f"{row['count']:,} {row['what']}",
            "-" if row["pj"] is None else picojoules(row["pj"]),
            "not measured" if row["nj"] is None else f"{row['nj'] / 1000:.3f}",
            row["node"],
        ]
        for row in figures["energy"]["rows"]
    ]
    return Grid("Energy of a frame", ("unit", "kind", "counted", "pJ each", "µJ", "node"), rows)


def ratio_tables(rows: Sequence[Mapping[str, Any]]) -> list[Grid]:
    """One table per library: every requantizer against the runtime shift."""
    titles, grids = ("baseline", *REQUANT_FIGURES), []
    for cells in libraries(rows):
        lines = ratio_cells([row for row in rows if row["cells"] == cells], REFERENCE_SCHEME)
        grids.append(Grid(f"How many times more than `{REFERENCE_SCHEME}` on {cells}", titles, lines))
    return grids


def decibels(value: float | None) -> str:
    """One decimal; None is no error at all."""
    return "exact" if value is None else f"{value:.1f}"


def picojoules(value: float) -> str:
    """Three digits, or all before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
