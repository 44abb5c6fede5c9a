"""Draw docs/pictures/architecture.svg: `python docs/make/architecture.py [FILE]`.

Two parts: the way of the data from an ONNX file to Verilog and boxes, and the inside of the engine. The picture follows
the reader's light or dark setting, on a panel of its own.
"""

import sys
from html import escape
from pathlib import Path

PICTURE = Path(__file__).resolve().parents[1] / "pictures" / "architecture.svg"
WIDTH, HEIGHT = 1062, 850
LIGHT = {"panel": "#ffffff", "group": "#f4f6f8", "line": "#57606a", "text": "#1f2328", "pale": "#57606a"}
LIGHT |= {"data": "#ddeeff", "step": "#fff1d6", "unit": "#e2f5e5", "memory": "#efe4fb", "edge": "#8c959f"}
DARK = {"panel": "#0d1117", "group": "#161b22", "line": "#9da7b3", "text": "#e6edf3", "pale": "#9da7b3"}
DARK |= {"data": "#12304f", "step": "#47340f", "unit": "#12391f", "memory": "#34204f", "edge": "#6e7681"}
FILLED = ("panel", "group", "data", "step", "unit", "memory")
Point = tuple[float, float]


class Drawing:
    """Boxes, arrows and words as SVG elements; sizes are pixels, colours are names of `LIGHT`."""

    def __init__(self) -> None:
        self.elements: list[str] = []

    def box(self, x: float, y: float, width: float, height: float, kind: str, *lines: str) -> None:
        """A rounded box with its first line in bold, all lines centred; `group` boxes have their title at the top."""
        self.elements.append(f'<rect class="{kind}" x="{x}" y="{y}" width="{width}" height="{height}" rx="6"/>')
        if kind == "group":
            self.words(x + 10, y + 17, lines[0], "title start")
            return
        top = y + height / 2 - 7.5 * (len(lines) - 1) + 4
        for number, line in enumerate(lines):
            self.words(x + width / 2, top + 15 * number, line, "name" if number == 0 else "more")

    def words(self, x: float, y: float, text: str, kind: str) -> None:
        """A line of text on the base line `y`."""
        self.elements.append(f'<text class="{kind}" x="{x}" y="{y:g}">{escape(text)}</text>')

    def arrow(self, *points: Point, kind: str = "", label: str = "", at: Point | None = None) -> None:
        """A line through `points` with a head at its end, and a label centred at `at`."""
        path = " ".join(f"{x:g},{y:g}" for x, y in points)
        self.elements.append(f'<polyline class="arrow {kind}" points="{path}" marker-end="url(#head)"/>')
        if at is not None:
            self.words(*at, label, "label")

    def __str__(self) -> str:
        head = (
            '<marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
            'orient="auto-start-reverse"><path class="head" d="M0,0 L8,4 L0,8 z"/></marker>'
        )
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
                f'width="{WIDTH}" height="{HEIGHT}" role="img">',
                "<title>From an ONNX file to Verilog and boxes, and the inside of the engine</title>",
                f"<style>\n{FORMS}\n{colours(LIGHT)}",
                f"@media (prefers-color-scheme: dark) {{\n{colours(DARK)}\n}}</style>",
                f"<defs>{head}</defs>",
                f'<rect class="panel" x="0" y="0" width="{WIDTH}" height="{HEIGHT}" rx="10"/>',
                *self.elements,
                "</svg>\n",
            ]
        )


FORMS = """text { font-family: system-ui, "Segoe UI", Helvetica, Arial, sans-serif;
  font-size: 12px; text-anchor: middle; }
.name, .title { font-weight: 600; font-size: 13px; } .start { text-anchor: start; }
.heading { font-weight: 700; font-size: 16px; text-anchor: start; } .label { font-size: 11.5px; font-style: italic; }
.arrow { fill: none; stroke-width: 1.5; } .order { stroke-dasharray: 5 4; } rect { stroke-width: 1.2; }"""


def colours(palette: dict[str, str]) -> str:
    """The style rules of a palette."""
    fills = [f".{name} {{ fill: {palette[name]}; stroke: {palette['edge']}; }}" for name in FILLED]
    return "\n".join(
        [
            *fills,
            f"text {{ fill: {palette['text']}; }} .more, .label {{ fill: {palette['pale']}; }}",
            f".arrow {{ stroke: {palette['line']}; }} .head {{ fill: {palette['line']}; }}",
        ]
    )


def way_of_the_data(draw: Drawing) -> None:
    """Five columns: what a trained network becomes, in files and in hardware."""
    x, width, height = [20, 238, 456, 674, 892], 150, 66
    top, middle, bottom = 50, 160, 270
    draw.words(20, 30, "From an ONNX file to Verilog and boxes", "heading")
    draw.box(x[0], top, width, height, "data", "trained network", "ONNX file,", "calibration images")
    draw.box(x[1], top, width, height, "data", "float graph", "folded, grouped", "into modules")
    draw.box(x[2], top, width, height, "data", "integer network", "pruned weights,", "shifts, heads")
    draw.box(x[3], top, width, height, "data", "program", "descriptors, streams,", "memory map")
    draw.box(x[4], top, width, height, "step", "golden", "NumPy interpreter")
    draw.box(x[2], middle, width, height, "data", "EngineParams", "tiny, small, medium,", "large, or your own")
    draw.box(x[3], middle, width, height, "data", "Verilog", "one clock, AXI4;", "every unit alone, too")
    draw.box(x[4], middle, width, height, "step", "RTL", "Verilator, cocotb")
    draw.box(x[3], bottom, width, height, "data", "report", "area, delay, energy;", "cells or ECP5")
    draw.box(x[4], bottom, width, height, "data", "boxes", "and cycles, counters")
    row, low, upper, lower = top + 26, top + 50, middle + 20, middle + 45
    for column, verb in enumerate(("read_onnx", "compress", "compile", "run")):
        begin, end = x[column] + width, x[column + 1]
        draw.arrow((begin, row), (end, row), label=verb, at=((begin + end) / 2, row - 8))
    draw.arrow((x[2] + width, upper), (x[3] - 34, upper), (x[3] - 34, low), (x[3], low))
    draw.arrow((x[2] + width, lower), (x[3], lower), label="generate", at=(x[3] - 34, lower + 16))
    draw.arrow((x[3] + width, low), (x[4] - 34, low), (x[4] - 34, upper), (x[4], upper))
    draw.arrow((x[3] + width, lower), (x[4], lower), label="verify", at=(x[4] - 34, lower + 16))
    down = x[3] + width / 2
    draw.arrow((down, middle + height), (down, bottom), label="compare", at=(down + 32, bottom - 16))
    down = x[4] + width / 2
    draw.arrow((down, middle + height), (down, bottom))
    both = ((down, top + height), (down, middle))
    draw.arrow(*both, kind="order")
    draw.arrow(*reversed(both), kind="order", label="equal, bit for bit", at=(down - 58, middle - 17))
    draw.words(20, bottom + 30, "Words on arrows are Python functions of roundel,", "label start")
    draw.words(20, bottom + 47, "commands of the shell, or both.", "label start")


def inside_of_the_engine(draw: Drawing) -> None:
    """Registers, fetch and dispatch at the left, the units between the activation memory and the bus."""
    draw.words(20, 390, "Inside the engine", "heading")
    draw.box(20, 420, 1022, 350, "group", "")
    draw.box(40, 440, 150, 60, "unit", "registers", "control, status,", "bases, counters")
    draw.box(40, 540, 150, 60, "unit", "dispatch", "a queue for a unit,", "tokens, watchdog")
    draw.box(40, 640, 150, 46, "unit", "fetch", "header, descriptors")
    draw.box(230, 440, 792, 44, "memory", "activation memory", "banks of words; the feeder reads from any byte on")
    draw.box(230, 520, 100, 166, "unit", "LOAD", "runs of bytes", "come in")
    draw.box(350, 520, 410, 166, "group", "COMPUTE")
    draw.box(365, 550, 105, 48, "unit", "feeder", "taps, border")
    draw.box(500, 550, 105, 48, "unit", "array", "lanes x columns")
    draw.box(635, 550, 110, 48, "unit", "requantizers", "a shift, a clamp")
    draw.box(365, 626, 105, 48, "unit", "parameters", "bias, shift, steps")
    draw.box(500, 626, 105, 48, "unit", "decoder", "of weights")
    draw.box(780, 520, 122, 166, "group", "BOXES")
    draw.box(792, 550, 98, 48, "unit", "decode", "of a head")
    draw.box(792, 626, 98, 48, "unit", "NMS", "PSRR-Maxpool")
    draw.box(922, 520, 100, 166, "unit", "STORE", "runs of bytes", "go out")
    draw.box(40, 716, 982, 40, "unit", "bus", "AXI4 master: fetch, LOAD and COMPUTE read, BOXES and STORE write")
    draw.box(20, 796, 1022, 40, "memory", "outer memory", "regions: program with weights, input, output, scratch")
    connect_the_engine(draw)


def connect_the_engine(draw: Drawing) -> None:
    """Arrows of `inside_of_the_engine`; those of the order of work are dashed."""
    draw.arrow((115, 398), (115, 440), label="AXI4-Lite, interrupt", at=(180, 412))
    draw.arrow((115, 500), (115, 540), kind="order", label="start", at=(135, 524))
    draw.arrow((115, 640), (115, 600), kind="order", label="descriptors", at=(152, 624))
    for x in (260, 555, 812, 992):
        draw.arrow((190, 570), (210, 570), (210, 502), (x, 502), (x, 520), kind="order")
    memory, units, blocks, bus = 484, 520, 550, 716
    for x, begin, end in ((300, units, memory), (437, memory, blocks), (662, blocks, memory), (696, memory, blocks)):
        draw.arrow((x, begin), (x, end))
    for x, begin, end in ((865, memory, blocks), (952, memory, units)):
        draw.arrow((x, begin), (x, end))
    for x, begin, end in ((115, bus, 686), (280, bus, 686), (417, bus, 674), (552, bus, 674)):
        draw.arrow((x, begin), (x, end))
    for x, begin, end in ((841, 674, bus), (972, 686, bus), (552, 626, 598), (417, 626, 598), (841, 598, 626)):
        draw.arrow((x, begin), (x, end))
    draw.arrow((470, 574), (500, 574))
    draw.arrow((605, 574), (635, 574))
    draw.arrow((470, 650), (485, 650), (485, 612), (690, 612), (690, 598))
    draw.words(638, 537, "results", "label")
    draw.words(726, 537, "residual", "label")
    for both in (((400, 756), (400, 796)), ((640, 756), (640, 796))):
        draw.arrow(*both)
        draw.arrow(*reversed(both))
    draw.words(520, 787, "AXI4", "label")


def main(path: Path = PICTURE) -> None:
    """Write the picture."""
    draw = Drawing()
    way_of_the_data(draw)
    inside_of_the_engine(draw)
    path.write_text(str(draw), encoding="utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
