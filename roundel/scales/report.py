"""The advice as plain values, as tables, and as a page."""

from collections.abc import Mapping
from typing import Any

from roundel.ui import markdown_table

AdviceValues = Mapping[str, Any]

TENSORS = ("tensor", "scale", "zero", "nearest", "ratio", "SQNR", "moved", "results")
FOLDS = ("tensor", "change")
NOTE = (
    "The columns SQNR, moved and results are in dB: the tensor as it is, the tensor moved, and the results with this "
    "tensor alone moved. Weights of the file count as exact."
)
AREAS = ("requantizer of", "bits in", "out", "keeps the scale, um2", "shift, um2", "saved, um2")


def advice_lines(values: AdviceValues) -> list[str]:
    """Sum the advice up, a line each."""
    moved = sum(row["ratio"] != 1 or row["ratio_most"] != 1 for row in values["tensors"])
    results = [f"{_db(values['results_db']['file'])} as the file computes them"]
    for name, option in (("kept", f"--requant {values['requant']}"), ("moved", "--refit")):
        if values["results_db"][name] is not None:
            results.append(f"{_db(values['results_db'][name])} in integers with `{option}`")
    lines = [
        f"- {len(values['tensors'])} tensors with a scale; {moved} of the scales are not powers of two.",
        f"- SQNR of the results, against real activations: {', '.join(results)}.",
    ]
    if values["requantizers"]:
        kept, shift = (sum(row[name] for row in values["requantizers"]) for name in ("kept_um2", "shift_um2"))
        lines.append(
            f"- Requantizers, one column of each layer: {kept:,.0f} um2 with {values['requant']}, {shift:,.0f} with "
            f"shifts, {kept / shift:.1f} times smaller."
        )
    return [*lines, f"- {NOTE}", *(f"- {note}." for note in values["notes"])]


def tables(values: AdviceValues) -> list[tuple[tuple[str, ...], list[list[str]]]]:
    """Columns and cells of each table."""
    rows = values["tensors"]
    columns_and_cells = [
        (TENSORS, [_tensor(row) for row in rows]),
        (FOLDS, [[row["tensor"], row["fold"]] for row in rows]),
    ]
    if values["requantizers"]:
        columns_and_cells.append((AREAS, [_area(row) for row in values["requantizers"]]))
    return columns_and_cells


def advice_table(values: AdviceValues) -> list[str]:
    """Return the lines of all tables in Markdown."""
    return "\n\n".join("\n".join(markdown_table(*table)) for table in tables(values)).splitlines()


def advice_page(values: AdviceValues, model: str) -> list[str]:
    """Return the lines of `advice.md`."""
    return [f"# {model}: scales as powers of two", "", *advice_lines(values), "", *advice_table(values)]


def _tensor(row: AdviceValues) -> list[str]:
    return [
        row["tensor"],
        _range(f"{row['scale']:.4g}", f"{row['scale_most']:.4g}"),
        "" if row["role"] == "weights" else str(row["zero_point"]),
        _range(f"2^{-row['shift_most']}", f"2^{-row['shift']}"),
        _range(f"{row['ratio']:.3f}", f"{row['ratio_most']:.3f}"),
        *(_db(row[name], "") for name in ("before_db", "after_db", "results_db")),
    ]


def _area(row: AdviceValues) -> list[str]:
    areas = (row["kept_um2"], row["shift_um2"], row["saved_um2"])
    return [row["layer"], str(row["acc_width"]), str(row["out_width"]), *(f"{value:,.0f}" for value in areas)]


def _range(low: str, high: str) -> str:
    return low if low == high else f"{low} to {high}"


def _db(value: float | None, unit: str = " dB") -> str:
    return "exact" if value is None else f"{value:.1f}{unit}"
