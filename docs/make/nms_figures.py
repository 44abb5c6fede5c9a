"""Draw the pictures of docs/nms.md: `python docs/make/nms_figures.py [FOLDER]`, docs/pictures if none is given.

Cells, channels, windows, kernels and overlaps come from the golden models; only the boxes are made up.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.patches import Rectangle
from PIL import Image  # comes with matplotlib

from roundel.detection.nms_pictures import draw_suppression, palette
from roundel.detection.scenes import KINDS, scenes
from roundel.golden.nms import Floats, Pass, PsrrParams, iou, preset, psrr_nms
from roundel.golden.nms.psrr import recover, windows
from roundel.ui import COLOURS, figure

PICTURES = Path(__file__).resolve().parents[1] / "pictures"
BLUE, ORANGE, GREEN, RED, VIOLET, GREY = COLOURS
LINE, PALE = "#d5d5d5", "#f0f0f0"


def draw_recovery(path: Path) -> None:
    """A box with its cell, and the plane of widths and heights with the borders of the channels."""
    params = preset("psrr")
    box = np.array([[82.0, 35.0, 158.0, 205.0]])
    cells, scales, ratios = recover(box, params)
    with figure(path, 9.5, 4.4) as drawing:
        image, plane = drawing.subplots(1, 2)
        _box_and_cell(image, box[0], cells[0], params)
        _channels(plane, params)
        width, height = box[0, 2:] - box[0, :2]
        plane.plot(width, height, "*", color=RED, markersize=13, zorder=4)
        plane.annotate(
            f"the box, {width:.0f} x {height:.0f}:\nscale {scales[0]}, ratio {ratios[0]}",
            (width, height),
            xytext=(27, 330),
            color=RED,
            fontsize=9,
            arrowprops={"arrowstyle": "-", "color": RED, "linewidth": 0.8},
        )


def _box_and_cell(axes: Any, box: Floats, cell: Any, params: PsrrParams) -> None:
    side, end = params.stride, 256
    _grid(axes, range(0, end + 1, side), range(0, end + 1, side), LINE, 0.6)
    axes.add_patch(Rectangle(tuple(cell * side), side, side, color=ORANGE, alpha=0.8, linewidth=0))
    _outline(axes, box, RED, 1.8)
    centre = (box[:2] + box[2:]) / 2
    axes.plot(*centre, "o", color=RED, markersize=5)
    axes.annotate(
        f"centre ({centre[0]:.0f}, {centre[1]:.0f}):\ncell ({cell[0]}, {cell[1]})",
        centre,
        xytext=(170, 80),
        fontsize=9,
        arrowprops={"arrowstyle": "-", "color": "black", "linewidth": 0.8},
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 2},
    )
    _pixels(axes, (0, end), (0, end))
    axes.set_title(f"the cell: {side} x {side} pixels, by the centre")


def _channels(axes: Any, params: PsrrParams) -> None:
    """Logarithmic axes make areas lines that fall and ratios lines that rise."""
    low, high = 24.0, 1000.0
    ends = np.array([low, high])
    for threshold, place in zip(params.area_thresholds, (300, 620, 600), strict=True):
        axes.plot(ends, threshold / ends, color=BLUE, linewidth=1.2)
        _along(axes, (place, threshold / place), f"{threshold:,.0f} px²", BLUE, -45)
    for threshold, place in zip(params.ratio_thresholds, (44, 31), strict=True):
        axes.plot(ends, threshold * ends, color=GREEN, linewidth=1.2)
        _along(axes, (place, threshold * place), f"h/w = {threshold:g}", GREEN, 45)
    for scale, area in enumerate(params.areas):
        for ratio, rho in enumerate(params.ratios):
            x, y = np.sqrt(area / rho), np.sqrt(area * rho)
            axes.plot(x, y, "o", color="black", markersize=3)
            axes.annotate(f"{scale}, {ratio}", (x, y), (5, 2), textcoords="offset points", fontsize=8)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    ticks = [32, 64, 128, 256, 512]
    axes.set_xticks(ticks, map(str, ticks))
    axes.set_yticks(ticks, map(str, ticks))
    axes.set_xlim(low, high)
    axes.set_ylim(low, high)
    axes.set_aspect("equal")
    axes.set_xlabel("width, pixels")
    axes.set_ylabel("height, pixels")
    axes.set_title("the channel: scale, ratio")


def _along(axes: Any, place: tuple[float, float], text: str, colour: str, rotation: float) -> None:
    """A note on a line, which it interrupts."""
    patch = {"facecolor": "white", "edgecolor": "none", "pad": 1}
    axes.annotate(
        text, place, color=colour, fontsize=8, rotation=rotation, ha="center", va="center", bbox=patch, clip_on=True
    )


def draw_windows(path: Path) -> None:
    """Two boxes of one object that a plain grid separates and a shifted one joins."""
    plain = Pass(scales=((0,),), ratios=((0,),))
    shifted = Pass(scales=((0,),), ratios=((0,),), shift_x=True, shift_y=True)
    params = PsrrParams(passes=(plain, shifted), areas=(128**2,), ratios=(1.0,), width=384, height=288)
    left, right = (118, 212), (288, 118)
    around = [(-12, -6), (1, 9), (11, -12), (-5, 17), (16, 4)], [(-26, 6), (-13, -8), (12, 10), (16, -2), (9, -13)]
    centres = np.vstack([np.array(left) + around[0], np.array(right) + around[1]])
    boxes = np.hstack([centres - 64, centres + 64]).astype(np.float64)
    scores = np.array([0.71, 0.94, 0.65, 0.38, 0.82, 0.76, 0.52, 0.91, 0.44, 0.63])
    with figure(path, 9.5, 4.3) as drawing:
        both = []
        for axes, pooling, name in zip(drawing.subplots(1, 2), params.passes, ("plain", "shifted"), strict=True):
            key = windows(recover(boxes, params), params, pooling)
            best = np.array([scores[index] == scores[key == key[index]].max() for index in range(len(boxes))])
            both.append(best)
            _windows(axes, params, pooling)
            _centres(axes, boxes, scores, best)
            axes.set_title(f"{name}: {best.sum()} boxes survive")
        alive = both[0] & both[1]
        drawing.suptitle(f"{len(boxes)} boxes of one channel; {alive.sum()} survive both passes", fontsize=11)


def _windows(axes: Any, params: PsrrParams, pooling: Pass) -> None:
    """The grid of cells and over it that of windows."""
    stride, (columns, rows) = params.stride, params.cells
    _grid(axes, np.arange(columns) * stride, np.arange(rows) * stride, PALE, 0.6)
    ((x, y),), ((lead_x, lead_y),) = params.kernels(pooling), params.leads(pooling)
    across = np.array([0, *range(lead_x % x, columns, x)]) * stride
    down = np.array([0, *range(lead_y % y, rows, y)]) * stride
    _grid(axes, across, down, "black", 1.0)
    _pixels(axes, (0, params.width), (0, params.height))


def _centres(axes: Any, boxes: Floats, scores: Floats, best: Any) -> None:
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    for box in boxes[best]:
        _outline(axes, box, RED, 1.2)
    axes.plot(*centres[~best].T, "x", color=GREY, markersize=6, label="loses to a better box of its window")
    axes.plot(*centres[best].T, "o", color=RED, markersize=6, label="best of its window")
    for centre, score in zip(centres[best], scores[best], strict=True):
        axes.annotate(f"{score:.2f}", centre, (4, -13), textcoords="offset points", fontsize=9, color=RED)
    axes.legend(loc="lower right", fontsize=8, framealpha=0.9)


def draw_pyramids(path: Path) -> None:
    """Which channels pool together in the passes of two pyramids, and the kernel of every group in cells."""
    with figure(path, 9.5, 5.8) as drawing:
        rows = drawing.subfigures(2, 1)
        for row, name in zip(rows, ("psrr", "guarded"), strict=True):
            params = preset(name)
            shifts: dict[Any, list[str]] = {}  # of the passes that pool the same channels
            for pooling in params.passes:
                shift = " and ".join(
                    "xy"[axis] for axis, moved in enumerate((pooling.shift_x, pooling.shift_y)) if moved
                )
                shifts.setdefault((pooling.scales, pooling.ratios), []).append(
                    f"shifted in {shift}" if shift else "plain"
                )
            for axes, ((scales, ratios), passes) in zip(row.subplots(1, len(shifts)), shifts.items(), strict=True):
                _level(axes, params, Pass(scales=scales, ratios=ratios))
                axes.set_title("\n".join(passes), fontsize=9, fontweight="normal")
            row.axes[0].set_ylabel("root of the area")
            title = f"{name}: cells of {params.stride} pixels, alpha {params.alpha:g}, {len(params.passes)} passes"
            row.suptitle(title, fontsize=11, fontweight="bold")


def _level(axes: Any, params: PsrrParams, pooling: Pass) -> None:
    """A rectangle for each group of channels, with its kernel in the middle."""
    shades = (BLUE, ORANGE, GREEN, RED, VIOLET, GREY)
    for number, (group, kernel) in enumerate(zip(pooling.groups, params.kernels(pooling), strict=True)):
        scale_group = number // len(pooling.ratios)
        colour = shades[(scale_group + 2 * (number % len(pooling.ratios))) % len(shades)]
        scales, ratios = (sorted({channel[axis] for channel in group}) for axis in (0, 1))
        corner = (ratios[0] - 0.46, scales[0] - 0.44)
        size = (ratios[-1] - ratios[0] + 0.92, scales[-1] - scales[0] + 0.88)
        axes.add_patch(Rectangle(corner, *size, facecolor=colour, alpha=0.35, edgecolor=colour))
        middle = (np.mean(ratios), np.mean(scales))
        axes.annotate(f"{kernel[0]} x {kernel[1]}", middle, ha="center", va="center", fontsize=9)
    axes.set_xlim(-0.6, len(params.ratios) - 0.4)
    axes.set_ylim(len(params.areas) - 0.4, -0.6)
    axes.set_xticks(range(len(params.ratios)), [f"{ratio:g}" for ratio in params.ratios])
    axes.set_yticks(range(len(params.areas)), [f"{np.sqrt(area):.0f}" for area in params.areas])
    axes.set_xlabel("h/w", labelpad=1)
    axes.tick_params(length=0, labelsize=8)
    axes.spines[:].set_visible(False)


def draw_guard(path: Path) -> None:
    """The best box of a window, one box that it suppresses and one that it spares."""
    params = preset("guarded", alpha=1.0, stride=16, guard=7 / 16)
    boxes = np.array([[203, 135, 333, 265], [215, 144, 341, 272], [252, 174, 372, 290]], np.float64)
    pooling = params.passes[0]
    cells, scales, ratios = recover(boxes, params)
    keys = windows((cells, scales, ratios), params, pooling)
    assert len(set(keys.tolist())) == 1, "the example must lie in one window"
    group = pooling.group_of(scales[:1], ratios[:1])[0]
    kernel = np.array(params.kernels(pooling)[group])
    corner = cells[0] // kernel * kernel * params.stride  # plain windows begin at cell 0
    overlaps = iou(boxes[0], boxes)
    assert overlaps[1] > params.guard >= overlaps[2], "one box must be suppressed and one spared"
    with figure(path, 4.8, 5.4) as drawing:
        axes = drawing.subplots()
        window = Rectangle(tuple(corner), *(kernel * params.stride), facecolor=PALE, edgecolor="black", zorder=0)
        axes.add_patch(window)
        foot = corner + np.array([0, kernel[1] * params.stride])
        axes.annotate("window", foot, (4, 4), textcoords="offset points", fontsize=9)
        notes = (
            (BLUE, "best of the window: kept"),
            (GREY, f"IoU {overlaps[1]:.2f} with the best, above {params.guard:g}: suppressed"),
            (GREEN, f"IoU {overlaps[2]:.2f} with the best: spared"),
        )
        for box, (colour, note) in zip(boxes, notes, strict=True):
            _outline(axes, box, colour, 2.0, "--" if colour == GREY else "-")
            axes.plot(*(box[:2] + box[2:]) / 2, "o", color=colour, markersize=6, label=note)
        _pixels(axes, (193, 383), (125, 350))
        axes.legend(loc="lower left", fontsize=9, framealpha=0.95)
        axes.set_title("overlap guard")


def draw_timeline(path: Path) -> None:
    """Scatter and gather of consecutive images in two banks of tables."""
    sizes = (1000, 1000, 600, 1000, 1000)
    scatters: list[tuple[int, int]] = []
    gathers: list[tuple[int, int]] = []
    for number, size in enumerate(sizes):
        # a bank is free when the image before last has been gathered, the input when the last one has come in
        start = max(scatters[-1][1] if scatters else 0, gathers[number - 2][1] if number > 1 else 0)
        scatters.append((start, start + size))
        start = max(scatters[-1][1], gathers[-1][1] if gathers else 0)
        gathers.append((start, start + size))
    with figure(path, 9.5, 2.9) as drawing:
        axes = drawing.subplots()
        for number, ((first, scattered), (begin, end)) in enumerate(zip(scatters, gathers, strict=True)):
            colour, bank = COLOURS[number % len(COLOURS)], 1 + number % 2
            for row, start, stop, text in (
                (0, first, scattered, f"image {number}"),
                (bank, first, scattered, f"scatter {number}"),
                (bank, begin, end, f"gather {number}"),
                (3, begin, end, f"kept of {number}"),
            ):
                gather = row == 3 or text.startswith("gather")
                axes.barh(row, stop - start, left=start, height=0.7, color=colour, alpha=0.4 if gather else 0.8)
                middle = ((start + stop) / 2, row)
                axes.annotate(text, middle, ha="center", va="center", fontsize=9, color="black" if gather else "white")
        axes.set_yticks(range(4), ["boxes in", "bank 0", "bank 1", "boxes out"])
        axes.invert_yaxis()
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel("clock cycles, one box per cycle")
        axes.set_xlim(0, gathers[-1][1])


def draw_example(path: Path) -> None:
    """What `roundel nms` draws of the example on the page."""
    detections = scenes(KINDS["easy"], 1, seed=1)[0].detections
    kept = psrr_nms(detections, preset("guarded"))
    draw_suppression(path, "image 0, guarded", detections, kept, (640, 640), palette([detections]))


def _grid(axes: Any, across: Any, down: Any, colour: str, width: float) -> None:
    for place in across:
        axes.axvline(place, color=colour, linewidth=width, zorder=0.5)
    for place in down:
        axes.axhline(place, color=colour, linewidth=width, zorder=0.5)


def _outline(axes: Any, box: Floats, colour: str, width: float, style: str = "-") -> None:
    axes.add_patch(
        Rectangle(
            (box[0], box[1]), *(box[2:] - box[:2]), fill=False, edgecolor=colour, linewidth=width, linestyle=style
        )
    )


def _pixels(axes: Any, across: tuple[float, float], down: tuple[float, float]) -> None:
    """Axes of an image: equal, y downwards."""
    axes.set_xlim(*across)
    axes.set_ylim(down[1], down[0])
    axes.set_aspect("equal")
    axes.tick_params(labelsize=8)


DRAWINGS = {
    "nms_recovery.png": draw_recovery,
    "nms_windows.png": draw_windows,
    "nms_pyramids.png": draw_pyramids,
    "nms_guard.png": draw_guard,
    "nms_timeline.png": draw_timeline,
    "nms_example.png": draw_example,
}


def main(folder: Path = PICTURES) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, draw in DRAWINGS.items():
        draw(folder / name)
        shrink(folder / name)


def shrink(path: Path) -> None:
    """Write the picture again with 256 colours, in half the bytes."""
    with Image.open(path) as picture:
        small = picture.convert("RGB").quantize(256)
    small.save(path, optimize=True)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
