"""Boxes of an image before and after suppression, side by side."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgba
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from roundel.golden.nms import Detections, Floats, by_score
from roundel.golden.rounding import Ints
from roundel.ui import COLOURS, figure

CLASS_COLOURS = (*COLOURS[:5], "#1f9e9e", "#d4a514", "#c85a9c", "#6b4a2b")
OTHERS = "#8c8c8c"  # of all classes beyond those
WIDTH = 11.0  # of the picture in inches
GHOST = "#e4e4e4"  # boxes that are gone
LABELLED = 20  # kept boxes whose score can be written beside them and still be read


def palette(images: Sequence[Detections]) -> dict[int, str]:
    """Return a colour for each class; those with the most boxes in the whole file have one of their own."""
    counts: Counter[int] = Counter()
    for detections in images:
        counts.update(detections.labels.tolist())
    common = sorted(label for label, _ in counts.most_common(len(CLASS_COLOURS)))
    return dict.fromkeys(sorted(counts), OTHERS) | dict(zip(common, CLASS_COLOURS, strict=False))


def draw_suppression(
    path: Path, name: str, detections: Detections, kept: Ints, size: tuple[int, int] | None, colours: Mapping[int, str]
) -> None:
    """Draw all boxes on the left, those that were kept on the right over a shadow of the others.

    Parameters
    ----------
    path
        Where the picture goes.
    name
        What the title says.
    kept
        Places of the boxes kept, (k,).
    size
        Width and height of the image in pixels; None where it has no borders.
    colours
        Colour of every class, see `palette`. The better a score among those of the image, the heavier its line.
    """
    low, high = _extent(detections.boxes, size)
    aspect = np.clip((high - low)[1] / (high - low)[0], 0.25, 2.5)
    everything = np.arange(len(detections))
    with figure(path, WIDTH, WIDTH / 2 * aspect + 0.9) as drawing:
        before, after = drawing.subplots(1, 2)
        _draw(before, detections, everything, colours)
        before.set_title(f"before: {len(detections)} boxes")
        gone = PolyCollection(_outlines(detections.boxes), facecolors="none", edgecolors=GHOST, linewidths=0.5)
        after.add_collection(gone)
        _draw(after, detections, kept, colours)
        after.set_title(f"after: {len(kept)} kept")
        for axes in (before, after):
            _frame(axes, low, high)
        drawing.suptitle(name, fontweight="bold")
        drawing.legend(
            handles=_legend(detections, kept, colours),
            loc="outside lower center",
            ncols=5,
            frameon=False,
            fontsize=9,
            title="boxes before and after; the heavier a line, the better its score",
            title_fontsize=9,
        )


def _draw(axes: Any, detections: Detections, places: Ints, colours: Mapping[int, str]) -> None:
    """Boxes, the best on top; few boxes have their scores beside them."""
    order = places[by_score(detections.scores[places])][::-1]
    strength = np.empty(len(detections))  # from near 0, the worst of the image, to 1, the best
    strength[by_score(detections.scores)[::-1]] = np.arange(1, len(detections) + 1) / max(1, len(detections))
    crowd = min(1.0, 60 / max(1, len(places)))  # many boxes at once need light lines
    opacity = 0.1 + 0.3 * crowd + (0.9 - 0.3 * crowd) * strength**2
    shades = [to_rgba(colours[int(detections.labels[box])], min(1.0, opacity[box])) for box in order]
    widths = 0.3 + (0.9 + 0.9 * crowd) * strength[order]
    outlines = _outlines(detections.boxes[order])
    axes.add_collection(PolyCollection(outlines, facecolors="none", edgecolors=shades, linewidths=widths))
    digits = ".2f" if (np.abs(detections.scores) <= 1).all() else ".3g"
    for box in order if len(places) <= LABELLED else ():
        axes.annotate(
            f"{detections.scores[box]:{digits}}",
            detections.boxes[box, :2],
            (2, -2),
            textcoords="offset points",
            va="top",
            fontsize=6.5,
            color=colours[int(detections.labels[box])],
        )


def _outlines(boxes: Floats) -> list[Floats]:
    """Return the four corners of every box, (4, 2) each."""
    return list(boxes[:, [[0, 1], [2, 1], [2, 3], [0, 3]]])


def _extent(boxes: Floats, size: tuple[int, int] | None) -> tuple[Floats, Floats]:
    """Return the two corners of what is shown: the image, or where it has no borders all boxes."""
    if size is None:
        return boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    return np.zeros(2), np.array(size, np.float64)


def _frame(axes: Any, low: Floats, high: Floats) -> None:
    """Equal axes with y downwards, and the border of the image."""
    room = 0.01 * (high - low)
    axes.set_xlim(low[0] - room[0], high[0] + room[0])
    axes.set_ylim(high[1] + room[1], low[1] - room[1])
    axes.set_aspect("equal")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=2, labelsize=8, colors=OTHERS)
    axes.add_patch(Rectangle((low[0], low[1]), *(high - low), fill=False, edgecolor="black", linewidth=0.8))


def _legend(detections: Detections, kept: Ints, colours: Mapping[int, str]) -> list[Line2D]:
    """Classes of the image with their counts before and after; those without a colour of their own in one entry."""
    before, after = Counter(detections.labels.tolist()), Counter(detections.labels[kept].tolist())
    own = [label for label in sorted(before) if colours[label] != OTHERS]
    entries = [(colours[label], f"class {label}: {before[label]} to {after[label]}") for label in own]
    rest = [label for label in before if colours[label] == OTHERS]
    if rest:
        counts = [sum(count[label] for label in rest) for count in (before, after)]
        entries.append((OTHERS, f"{len(rest)} more classes: {counts[0]} to {counts[1]}"))
    return [Line2D([], [], color=colour, linewidth=2, label=text) for colour, text in entries]
