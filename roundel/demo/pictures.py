"""The pictures of the demo's page: scenes with boxes, the engine's time, energy of a frame."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.patches import Rectangle

from roundel.demo.matching import in_words
from roundel.ui import COLOURS, bars, figure

COLUMNS = 4  # scenes in a row
LABEL = 5  # pixels that the class needs above its box, or it stands inside
SHOWN = 8
CLASS_COLOURS = (
    "#4cc9f0", "#f72585", "#b8f35d", "#ffb703", "#9d7bff", "#2ec4b6", "#ff7b54", "#f5f749", "#ff9bd2", "#8ecae6",
)  # fmt: skip
TRUTH, TEXT, GROUND = "#ffffff", "#d5dbe3", "#10141a"
STYLES: dict[str, dict[str, Any]] = {
    "object": {"linewidth": 0.9, "linestyle": (0, (2, 2)), "alpha": 0.75},
    "true": {"linewidth": 1.8},
    "missed": {"linewidth": 1.8, "linestyle": (0, (5, 2))},
    "false": {"linewidth": 1.8, "linestyle": (0, (1, 1.2))},
    "unsure": {"linewidth": 0.6, "alpha": 0.55},
}
"""Lines of objects, and of what a box is (`roundel.demo.matching`)."""
NEXT = 1.1  # names on the roof stand at least so many times further right than the one before
PARTS = ("compute", "fill", "memory", "decoder")


def draw_scenes(path: Path, images: Any, objects: Sequence[Any], frames: Sequence[Mapping[str, Any]]) -> None:
    """Held-out scenes with their objects and the boxes that the RTL kept, in the styles that `STYLES` names.

    Parameters
    ----------
    images
        (count, channels, rows, columns)
    objects, frames
        For each image what is there (`roundel.detection.detections.Objects`), and its row of `demo.json`.
    """
    count = min(SHOWN, len(frames))
    rows = -(-count // COLUMNS)
    classes = sorted({box["class"] for frame in frames for box in frame["detections"]})
    colours = {name: CLASS_COLOURS[place % len(CLASS_COLOURS)] for place, name in enumerate(classes)}
    with figure(path, 2.9 * COLUMNS, 3.2 * rows + 0.6) as drawing:
        drawing.set_facecolor(GROUND)
        grid = drawing.subplots(rows, COLUMNS, squeeze=False)
        for axes in grid.flat:
            axes.axis("off")
        for axes, image, there, frame in zip(grid.flat, images[:count], objects, frames, strict=False):
            axes.imshow(_picture(image), cmap="gray", interpolation="nearest", vmin=0, extent=_extent(image))
            for box in there.boxes:
                _outline(axes, box, TRUTH, **STYLES["object"])
            for missed in frame["missed_objects"]:
                _labelled(axes, missed, TRUTH, "missed")
            for box in sorted(frame["detections"], key=lambda box: box["score"]):
                if box["match"] == "unsure":
                    _outline(axes, box["box"], colours[box["class"]], **STYLES["unsure"])
                else:
                    _labelled(axes, box, colours[box["class"]], box["match"])
            title = f"scene {frame['scene']}, {in_words(frame)}"
            axes.set_title(title.replace(": ", "\n"), color=TEXT, fontsize=9, fontweight="normal", pad=4)
        handles = [Rectangle((0, 0), 1, 1, fill=False, edgecolor=TEXT, **style) for style in STYLES.values()]
        drawing.legend(
            handles, STYLES, loc="outside lower center", ncols=len(STYLES), fontsize=9, frameon=False, labelcolor=TEXT
        )


def _labelled(axes: Any, box: Mapping[str, Any], colour: str, style: str) -> None:
    """Draw a box with its class in a corner, a false one with a question mark."""
    _outline(axes, box["box"], colour, **STYLES[style])
    x1, y1, *_ = box["box"]
    text = f"{box['class']}?" if style == "false" else box["class"]
    axes.text(
        x1, y1, text, color=GROUND, fontsize=8, fontweight="bold", ha="left",
        va="bottom" if y1 >= LABEL else "top",
        bbox={"boxstyle": "square,pad=0.15", "facecolor": colour, "edgecolor": "none"}, clip_on=True,
    )  # fmt: skip


def _outline(axes: Any, box: Sequence[float], colour: str, **style: Any) -> None:
    x1, y1, x2, y2 = box
    axes.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor=colour, **style))


def _picture(image: Any) -> Any:
    """(channels, rows, columns) as gray."""
    return np.asarray(image, dtype=np.float64).mean(axis=0)


def _extent(image: Any) -> tuple[float, float, float, float]:
    """So that a pixel's edges, not its middle, have whole coordinates."""
    _, rows, columns = image.shape
    return 0, columns, rows, 0


def short_names(names: Sequence[str]) -> list[str]:
    """Return the names of layers without what all paths share in front, and without operators behind.

    Exporters name layers by their modules. Where two of the short names are the same, all stay as they are.

    Examples
    --------
    >>> short_names(["/trunk/conv1/Conv", "/trunk/conv2/Conv", "/trunk/Resize", "cls"])
    ['conv1', 'conv2', 'Resize', 'cls']
    """
    paths = [name.strip("/").split("/") for name in names]
    deep = [path for path in paths if len(path) > 1]
    shared = 0
    while deep and len({path[shared] for path in deep}) == 1 and all(len(path) > shared + 1 for path in deep):
        shared += 1
    inner = [path[shared:] if len(path) > 1 else path for path in paths]
    short = ["/".join(path[:-1] if len(path) > 1 and path[-1][:1].isupper() else path) for path in inner]
    return short if len(set(short)) == len(names) else list(names)


def draw_cycles(path: Path, layers: Sequence[Mapping[str, Any]]) -> None:
    """Cycles of each layer by what they were spent on; the note is the share of useful multiplications."""
    with figure(path, 9, 0.3 * len(layers) + 1.2) as drawing:
        axes = drawing.subplots()
        parts = [(part, [row[part] for row in layers]) for part in PARTS]
        notes = [f"{row['utilization']:.0%}" if row["macs"] else "" for row in layers]
        bars(axes, short_names([row["layer"] for row in layers]), parts, notes, "cycles of a frame")
        axes.set_title("Where the cycles go, and utilization: useful products by cycles and multipliers")


def draw_roofline(path: Path, layers: Sequence[Mapping[str, Any]], multipliers: int, bus_bytes: int) -> None:
    """Draw useful products a cycle against products for each byte from or to the outer memory; a point for each layer.

    No layer can be above the flat roof (all multipliers, but for blocks of zeros, which are left out) or the slanted
    one (a beat of the bus in every cycle).

    Parameters
    ----------
    path
        The PNG to write.
    layers
        Rows `layers` of `demo.json`.
    multipliers
        Multipliers of the array.
    bus_bytes
        Bytes of a beat of the bus.
    """
    shown = [row for row in layers if row["macs"] and row["bytes"]]
    names = short_names([row["layer"] for row in shown])
    x, y = ([row["macs"] / row[key] for row in shown] for key in ("bytes", "cycles"))
    with figure(path, 8, 4.4) as drawing:
        axes = drawing.subplots()
        ends = multipliers / bus_bytes / 4, max(x) * 2
        roof = np.geomspace(*ends, 200)
        axes.semilogx(roof, np.minimum(roof * bus_bytes, multipliers), color=COLOURS[5], linewidth=2)
        largest = max(row["cycles"] for row in shown)
        axes.scatter(x, y, s=[8 + 90 * row["cycles"] / largest for row in shown], color=COLOURS[0], zorder=3)
        free = ends[0]  # right of the name before
        for at in np.argsort(x):
            below = y[at] < 0.9 * multipliers
            free = free if below else max(free * NEXT, x[at])
            place, turned = ((x[at], y[at] - 2), 0) if below else ((free, multipliers * 1.06), 60)
            axes.annotate(
                names[at], (x[at], y[at]), place, fontsize=8, rotation=turned, rotation_mode="anchor",
                ha="left", va="top" if below else "bottom",
                arrowprops=None if below else {"arrowstyle": "-", "linewidth": 0.5, "color": COLOURS[5]},
            )  # fmt: skip
        axes.set_xlim(ends)
        axes.set_ylim(0, multipliers * 1.35)
        axes.set_xlabel("products for each byte of the outer memory")
        axes.set_ylabel("useful products a cycle")
        axes.set_title(f"Roofline: {multipliers} multipliers, {bus_bytes} bytes a cycle; areas are the layers' cycles")


def draw_energy(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Two panels that must not be added up: logic on the cell library, memories at their own node."""
    with figure(path, 9, 2.7) as drawing:
        for axes, kind, colour in zip(drawing.subplots(1, 2), ("logic", "memory"), COLOURS, strict=False):
            shown = [row for row in rows if row["kind"] == kind and row["nj"] is not None]
            values = [row["nj"] / 1000 for row in shown]
            bars(
                axes,
                [row["unit"] for row in shown],
                [(kind, values)],
                [f"{value:.3g}" for value in values],
                "µJ a frame",
            )
            for patch in axes.patches:
                patch.set_color(colour)
            axes.set_title(f"{kind} ({shown[0]['node']})" if shown else kind)
