"""The result of a suppression: rows kept, how it was decided, tables, notes, files and pictures."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from roundel.detection.box_rows import BoxRows
from roundel.detection.detections import Arrays
from roundel.detection.fixed_point import FixedPoint
from roundel.detection.nms_options import NmsOptions
from roundel.detection.nms_pictures import draw_suppression, palette
from roundel.detection.nms_rtl import CAPACITIES, RtlRun
from roundel.golden.rounding import Ints
from roundel.ui import Grid, Result, write_json

PICTURES = 16  # a picture for each of the first images
SHOWN = 20  # images in the table
NAMED = 8  # rows in a line


@dataclass(frozen=True, kw_only=True, eq=False)
class NmsDifference:
    """Rows that floating point and the integers decide differently.

    Parameters
    ----------
    float_only, golden_only
        Rows that only one of the two keeps, rising.
    """

    float_only: Sequence[int]
    golden_only: Sequence[int]

    def __bool__(self) -> bool:
        return bool(len(self.float_only) or len(self.golden_only))

    def __str__(self) -> str:
        parts = [
            f"{len(rows):,} kept by {name} alone (row {_listed(rows)})"
            for name, rows in (("float", self.float_only), ("golden", self.golden_only))
            if len(rows)
        ]
        return f"float and golden keep different boxes: {', '.join(parts)}"

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, as `--json` prints them."""
        return {"float_only": list(self.float_only), "golden_only": list(self.golden_only)}


@dataclass(frozen=True, kw_only=True, eq=False)
class NmsResult(Result):
    """The boxes that a suppression keeps.

    Attributes
    ----------
    arrays
        `boxes`, `scores` and, where given, `classes` and `image_ids`: a row a box.
    options
        The method and its parameters, and where it ran.
    boxes
        The rows: which take part, which are dropped, which images there are.
    kept
        Rows that are kept, rising.
    fixed
        The boxes as integers, and what that rounds; None if the hardware cannot take them, which only
        `on="float"` lets pass.
    refused
        Why it cannot; empty otherwise.
    difference
        Rows that floating point and the integers decide differently; None if there are no integers.
    rtl
        The run on the RTL; None for the models.
    """

    arrays: Arrays
    options: NmsOptions
    boxes: BoxRows
    kept: Ints
    fixed: FixedPoint | None
    refused: str
    difference: NmsDifference | None
    rtl: RtlRun | None

    @property
    def images(self) -> list[tuple[int, Ints, Ints]]:
        """Number, rows and rows kept of each image, in the order in which the file first names them."""
        held = np.zeros(len(self.boxes.image_ids), bool)
        held[self.kept] = True
        return [(number, rows, rows[held[rows]]) for number, rows in self.boxes.images]

    def tables(self) -> Iterable[Grid]:
        """Give a row for each image, of the first ones, and for all."""
        rows = [(str(number), len(rows), len(kept)) for number, rows, kept in self.images]
        shown = rows[:SHOWN]
        if rest := rows[SHOWN:]:
            shown.append((f"{len(rest)} more", sum(row[1] for row in rest), sum(row[2] for row in rest)))
        shown.append(("all", len(self.boxes.image_ids), len(self.kept)))
        cells = [(name, f"{boxes:,}", f"{kept:,}") for name, boxes, kept in shown]
        title = f"{self.boxes.file}, {self.options.method} on {self.options.on}"
        yield Grid(title, ("image", "boxes", "kept"), cells)

    def lines(self) -> Iterable[str]:
        """Give the fixed-point format and what it rounds, what floating point decides otherwise, the RTL's speed."""
        if self.fixed is not None:
            yield str(self.fixed)
        else:
            yield f"not compared with golden: {self.refused}"
        if self.difference:
            yield str(self.difference)
        if self.rtl:
            yield str(self.rtl)

    def notes(self) -> Iterable[str]:
        """Give what the user should know beside the result.

        Yields
        ------
        str
            A line about boxes that were dropped, that are hardly pixels, or that are more than a unit holds.
        """
        file = self.boxes.file
        if self.boxes.dropped:
            reasons = ", ".join(f"{count:,} {reason}" for reason, count in self.boxes.reasons.items())
            yield f"{file}: {len(self.boxes.dropped):,} of {len(self.boxes.image_ids):,} boxes dropped: {reasons}"
        if unlike := self.boxes.unlike_pixels(self.options):
            yield f"{file}: {unlike}"
        whole = self.options.exact
        largest = np.bincount(self.boxes.image_numbers if whole else self.boxes.groups).max(initial=0)
        if largest > CAPACITIES[-1] and self.options.on == "golden":
            what = "boxes" if whole else "boxes of one class"
            yield f"{file}: {largest:,} {what} in one image: a unit holds at most {CAPACITIES[-1]:,}"

    def write(self, folder: Path) -> None:
        """Write `kept.json`, `kept.npz` (the rows kept) and pictures of the first `PICTURES` images."""
        write_json(folder / "kept.json", self.as_dict())
        kept: dict[str, Any] = {name: values[self.kept] for name, values in self.arrays.items()}
        np.savez(folder / "kept.npz", **kept)
        size = self.options.size if self.options.image or not self.options.greedy else None
        colours = palette([self.boxes.detections])
        for number, rows, kept_rows in self.images[:PICTURES]:
            places = np.flatnonzero(np.isin(self.boxes.rows, rows))
            drawn = np.flatnonzero(np.isin(self.boxes.rows[places], kept_rows))
            name = f"image {number}, {self.options.method} on {self.options.on}"
            draw_suppression(folder / f"image_{number}.png", name, self.boxes.take(places), drawn, size, colours)

    def as_dict(self) -> dict[str, Any]:
        """Give the rows kept, for all images together, then for each of them, and how they were decided."""
        images = [{"image_id": number, "boxes": len(rows), "kept": kept.tolist()} for number, rows, kept in self.images]
        values = {
            "kept": self.kept.tolist(),
            "method": self.options.method,
            "on": self.options.on,
            "images": images,
            "dropped": {"rows": sorted(self.boxes.dropped), "reasons": self.boxes.reasons},
            "fixed_point": self.fixed.as_dict() if self.fixed is not None else None,
            "difference": self.difference.as_dict() if self.difference is not None else None,
        }
        return values if self.rtl is None else values | {"rtl": self.rtl.as_dict()}


def _listed(rows: Sequence[int]) -> str:
    """Return the first rows, and how many there are more."""
    text = ", ".join(map(str, rows[:NAMED]))
    return text if len(rows) <= NAMED else f"{text} and {len(rows) - NAMED:,} more"
