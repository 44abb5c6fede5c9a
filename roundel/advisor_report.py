"""The advice as rows of plain values, as a table, and as a page."""

from typing import Any

from roundel.advisor import Advised, Row
from roundel.markdown import markdown_table

COLUMNS = (
    "tensor",
    "role",
    "scale",
    "zero point",
    "nearest",
    "ratio",
    "fold",
    "SQNR, dB",
    "moved",
    "results, moved alone",
)
AREAS = ("requantizer of", "bits in", "out", "keeps the scale, um2", "shift, um2", "saved, um2")


def advice(advised: Advised) -> dict[str, Any]:
    """Everything as JSON has it; SQNR in dB, null where there is no error."""
    return {
        "requant": advised.scheme.value,
        "results_db": {"file": advised.file_db, "kept": advised.kept_db, "moved": advised.moved_db},
        "tensors": [vars(row) for row in advised.rows],
        "requantizers": [vars(area) | {"saved_um2": area.saved_um2} for area in advised.areas],
    }


def advice_cells(advised: Advised) -> list[list[str]]:
    """The cells of the table with `COLUMNS`."""
    return [_cells(row) for row in advised.rows]


def area_cells(advised: Advised) -> list[list[str]]:
    """The cells of the table with `AREAS`."""
    return [
        [item.layer, str(item.acc_width), str(item.out_width)]
        + [f"{value:,.0f}" for value in (item.kept_um2, item.shift_um2, item.saved_um2)]
        for item in advised.areas
    ]


def advice_lines(advised: Advised) -> list[str]:
    """What it comes to, a line each."""
    moved = sum(row.ratio != 1 or row.ratio_most != 1 for row in advised.rows)
    scheme = advised.scheme.value
    lines = [
        f"- {len(advised.rows)} tensors with a scale, {moved} of them no power of two.",
        f"- SQNR of the results, against real activations: {_db(advised.file_db)} as the file computes them, "
        f"{_db(advised.kept_db)} in integers with `--requant {scheme}`, {_db(advised.moved_db)} with `--refit`.",
    ]
    if advised.areas:
        kept, shift = (sum(getattr(area, name) for area in advised.areas) for name in ("kept_um2", "shift_um2"))
        lines.append(
            f"- Requantizers of one column of every layer: {kept:,.0f} um2 with {scheme}, {shift:,.0f} with shifts, "
            f"{kept / shift:.1f} times less."
        )
    return lines


def advice_page(advised: Advised, model: str) -> list[str]:
    """The page."""
    lines = [f"# {model}: scales as powers of two", "", *advice_lines(advised), ""]
    lines += markdown_table(COLUMNS, advice_cells(advised))
    if advised.areas:
        lines += ["", *markdown_table(AREAS, area_cells(advised))]
    return lines


def _cells(row: Row) -> list[str]:
    return [
        row.tensor,
        row.role,
        _range(f"{row.scale:.4g}", f"{row.scale_most:.4g}"),
        "" if row.role == "weights" else str(row.zero_point),
        _range(f"2^{-row.shift_most}", f"2^{-row.shift}"),
        _range(f"{row.ratio:.3f}", f"{row.ratio_most:.3f}"),
        row.fold,
        _db(row.before_db, ""),
        _db(row.after_db, ""),
        _db(row.results_db, ""),
    ]


def _range(low: str, high: str) -> str:
    return low if low == high else f"{low} to {high}"


def _db(value: float | None, unit: str = " dB") -> str:
    return "exact" if value is None else f"{value:.1f}{unit}"
