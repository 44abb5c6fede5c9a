"""A network as one SVG: a box for each operator, coloured by where it runs."""

from collections.abc import Iterator, Sequence
from xml.sax.saxutils import escape

from roundel.inspection.layout import Layout, layout
from roundel.inspection.rows import OperatorRow, RunsOn

COLOURS = {
    RunsOn.ENGINE: ("#dcebdf", "#4f8f5b", "on the engine"),
    RunsOn.HOST: ("#e3e9f3", "#24507a", "on the host, the engine could do it"),
    RunsOn.BLOCKED: ("#f8e0d0", "#d97b29", "on the host, the engine cannot do it"),
}
"""Fill, frame and words of each place."""
LETTER, SIZE = 6.7, 11  # pixels: width of a letter in a font of fixed width, and its height
HEIGHT, STEP, MARGIN, TOP = 40, 76, 16, 64
MOST = 26  # letters of a name


def picture(title: str, rows: Sequence[OperatorRow], edges: Sequence[tuple[int, int]]) -> str:
    """Draw a network from top to bottom.

    Parameters
    ----------
    title
        What stands above all.
    rows
        All operators; those that run nowhere are not drawn.
    edges
        Pairs of them that a tensor connects, by number.

    Returns
    -------
    str
        An SVG in which no text overlaps another. Whoever points at a box reads its full name and why it runs where it
        does. Of a network that is too large for a picture only the title.
    """
    shown = [number for number, row in enumerate(rows) if row.part is not None]
    place = {number: index for index, number in enumerate(shown)}
    labels = [_labels(rows[number]) for number in shown]
    widths = [2 * 8 + LETTER * max(map(len, pair)) for pair in labels]
    arrows = [(place[before], place[behind]) for before, behind in edges]
    result = layout(widths, arrows)
    if result is None:
        title = f"{title}; {len(shown)} operators, too many for a picture"
    body = [] if result is None else [*_arrows(result, arrows), *_boxes(result, rows, shown, labels, widths)]
    legend = sum(2 * 8 + 22 + LETTER * len(words) for *_, words in COLOURS.values())
    width = 2 * MARGIN + max(LETTER * len(title) * 14 / SIZE, legend, result.width if result else 0)
    height = TOP + (max(result.layers) + 1) * STEP if result else TOP
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height}" '
        f'viewBox="0 0 {width:.0f} {height}" font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" '
        f'font-size="{SIZE}">'
    )
    lines = [head, '<rect width="100%" height="100%" fill="white"/>']
    lines.append(_text(MARGIN, 24, title, size=14, weight="bold"))
    return "\n".join([*lines, *_legend(), *body, "</svg>", ""])


def _labels(row: OperatorRow) -> tuple[str, str]:
    """Return the two lines of a box: the name; kind, sizes and products."""
    name = row.name if len(row.name) <= MOST else f"…{row.name[1 - MOST :]}"
    sizes = "" if row.shape is None else "x".join("?" if size is None else str(size) for size in row.shape[1:])
    macs = f"{row.macs / 1e6:.3g}M MAC" if row.macs >= 1e4 else f"{row.macs} MAC" if row.macs else ""
    return _plain(name), _plain(" ".join(filter(None, (row.operator, sizes, macs))))


def _legend() -> Iterator[str]:
    x = float(MARGIN)
    for fill, frame, words in COLOURS.values():
        yield f'<rect x="{x:.1f}" y="36" width="14" height="14" rx="3" fill="{fill}" stroke="{frame}"/>'
        yield _text(x + 20, 47, words)
        x += 2 * 8 + 22 + LETTER * len(words)


def _boxes(
    places: Layout,
    rows: Sequence[OperatorRow],
    shown: Sequence[int],
    labels: Sequence[tuple[str, str]],
    widths: Sequence[float],
) -> Iterator[str]:
    for index, number in enumerate(shown):
        row, center, top = rows[number], places.centers[index] + MARGIN, TOP + places.layers[index] * STEP
        fill, frame, words = COLOURS[row.place]
        tip = f"{row.name} ({row.operator}): {row.reason or words}"
        yield f"<g><title>{escape(_plain(tip))}</title>"
        yield (
            f'<rect x="{center - widths[index] / 2:.1f}" y="{top}" width="{widths[index]:.1f}" height="{HEIGHT}" '
            f'rx="5" fill="{fill}" stroke="{frame}"/>'
        )
        for line, label in enumerate(labels[index]):
            yield _text(center, top + 16 + 15 * line, label, anchor="middle", weight="bold" if line == 0 else "")
        yield "</g>"


def _arrows(places: Layout, arrows: Sequence[tuple[int, int]]) -> Iterator[str]:
    """Give the arrows: straight through layers, slanted between them."""
    marker = '<path d="M0,0 L6,3 L0,6 z" fill="#8c8c8c"/>'
    yield f'<defs><marker id="tip" markerWidth="6" markerHeight="6" refX="6" refY="3" orient="auto">{marker}</marker>'
    yield '</defs><g fill="none" stroke="#8c8c8c">'
    for (before, behind), route in zip(arrows, places.routes, strict=True):
        x, y = places.centers[before] + MARGIN, TOP + places.layers[before] * STEP + HEIGHT
        points = [f"M{x:.1f},{y}"]
        for layer, center in enumerate(route, places.layers[before] + 1):
            top = TOP + layer * STEP
            points.append(f"L{center + MARGIN:.1f},{top} L{center + MARGIN:.1f},{top + HEIGHT}")
        points.append(f"L{places.centers[behind] + MARGIN:.1f},{TOP + places.layers[behind] * STEP}")
        yield f'<path d="{" ".join(points)}" marker-end="url(#tip)"/>'
    yield "</g>"


def _text(x: float, y: float, text: str, *, anchor: str = "", size: int = 0, weight: str = "") -> str:
    extra = f' text-anchor="{anchor}"' if anchor else ""
    extra += f' font-size="{size}"' if size else ""
    extra += f' font-weight="{weight}"' if weight else ""
    return f'<text x="{x:.1f}" y="{y}"{extra}>{escape(_plain(text))}</text>'


def _plain(text: str) -> str:
    """Return a text without signs that XML cannot hold: names in files may hold anything."""
    return "".join(sign if sign.isprintable() else "?" for sign in text)
