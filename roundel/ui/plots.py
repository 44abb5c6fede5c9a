"""The one style of all plots, and bars per scheme."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STYLE = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "figure.dpi": 110,
    "savefig.dpi": 110,
    "svg.hashsalt": "roundel",
}
COLOURS = ("#24507a", "#d97b29", "#4f8f5b", "#a23b4a", "#7a6aa8", "#8c8c8c")


@contextmanager
def figure(path: Path, width: float = 8.0, height: float = 4.0) -> "Iterator[Figure]":
    """Open a figure in the common style; it is written to `path` (PNG, without dates or versions) as the block ends."""
    import matplotlib as mpl  # takes a third of a second, and most commands draw nothing
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        drawing = Figure(figsize=(width, height), layout="constrained")
        yield drawing
        drawing.savefig(path, metadata={"Software": None})


def bars(
    axes: Any, names: Sequence[str], parts: Sequence[tuple[str, Sequence[float]]], notes: Sequence[str], label: str
) -> None:
    """Stacked horizontal bars on a logarithmic-free axis, a note behind each.

    Parameters
    ----------
    names, notes
        One per bar, the first on top.
    parts
        Name and values of each layer of the stack.
    label
        Label of the axis, with the unit.
    """
    places = range(len(names))
    left = [0.0] * len(names)
    for colour, (name, values) in zip(COLOURS, parts, strict=False):
        axes.barh(places, values, left=left, color=colour, label=name, height=0.65)
        left = [before + value for before, value in zip(left, values, strict=True)]
    longest = max(left, default=0.0) or 1.0
    for place, end, note in zip(places, left, notes, strict=True):
        axes.text(end + 0.01 * longest, place, note, va="center", fontsize=9)
    axes.set_yticks(places, names)
    axes.invert_yaxis()
    axes.set_xlim(0, longest * 1.18)
    axes.set_xlabel(label)
    if len(parts) > 1:
        axes.legend(frameon=False, loc="lower right")
