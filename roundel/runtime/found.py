"""What a run found in pictures: boxes in their own pixels, as rows of a report, a table, and drawn."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roundel.runtime.pictures import Prepared, draw_boxes
from roundel.ui import Grid, shortened

PICTURES = "pictures"  # the folder of what is drawn, and the rows in run.json
LISTED = 100  # boxes in the table of a terminal
COLUMNS = ("picture", "class", "probability", "x1", "y1", "x2", "y2")
Arrays = dict[str, NDArray[Any]]


def in_pictures(boxes: Arrays, prepared: Prepared) -> Arrays:
    """Return boxes of a network's input in pixels of the pictures, cut at their borders.

    [R] What lies beside a picture, or along its border, is no box.

    Parameters
    ----------
    boxes
        As `roundel.runtime.report.boxes` gives them.
    prepared
        Where the pictures lie in the input.
    """
    corners = np.zeros_like(boxes["boxes"], np.float64)
    for image, place in enumerate(prepared.places):
        own = boxes["image_ids"] == image
        corners[own] = place.back(boxes["boxes"][own])
    whole = (corners[:, :2] < corners[:, 2:]).all(axis=1)
    return {name: values[whole] for name, values in (boxes | {"boxes": corners}).items()}


def found_rows(boxes: Arrays, prepared: Prepared, names: Sequence[str]) -> list[dict[str, Any]]:
    """Return a row for each picture: its file, its size and its boxes, as plain values."""
    rows = []
    for image, (file, place) in enumerate(zip(prepared.files, prepared.places, strict=True)):
        own = np.flatnonzero(boxes["image_ids"] == image)
        found = [
            {
                "class": names[int(boxes["classes"][row])],
                "label": int(boxes["classes"][row]),
                "probability": float(boxes["probabilities"][row]),
                "box": boxes["boxes"][row].tolist(),
            }
            for row in own
        ]
        rows.append({"file": str(file), "size": list(place.size), "boxes": found})
    return rows


def found_tables(rows: Sequence[Mapping[str, Any]]) -> Iterator[Grid]:
    """Give the boxes of all pictures, the first `LISTED` of them; none where there are none."""
    cells = [
        [Path(row["file"]).name, box["class"], f"{box['probability']:.3f}", *(f"{end:.1f}" for end in box["box"])]
        for row in rows
        for box in row["boxes"]
    ]
    if cells:
        more = f", the first {LISTED} of {len(cells)}; run.json has all" if len(cells) > LISTED else ""
        yield Grid(f"boxes in pixels of the pictures{more}", COLUMNS, shortened(cells[:LISTED]))


def draw_found(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Draw all pictures with their boxes: `folder/NAME.png`, with a number where two have one name."""
    folder.mkdir()
    taken = set[str]()
    for row in rows:
        file = Path(row["file"])
        numbers = (f"_{number}" if number > 1 else "" for number in range(1, len(rows) + 1))
        name = next(f"{file.stem}{end}.png" for end in numbers if f"{file.stem}{end}.png" not in taken)
        taken.add(name)
        boxes = row["boxes"]
        draw_boxes(
            folder / name,
            file,
            np.array([box["box"] for box in boxes], np.float64).reshape(-1, 4),
            [box["class"] for box in boxes],
            [box["label"] for box in boxes],
            [box["probability"] for box in boxes],
        )
