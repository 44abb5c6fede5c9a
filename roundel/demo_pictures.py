"""The pictures of the demo's page."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from golden.layers import Step
from roundel.demo import Demo, accumulator_figures
from roundel.plots import COLOURS, figure
from roundel.quantize import Choice

WRONG = "#a23b4a"
STRIP = (2, 10)  # rows and columns of digits


def draw_digits(demo: Demo, path: Path) -> None:
    """Held-out images with the label that the RTL gives them; wrong ones are red, with the right label behind."""
    labels, predicted = demo.held_out.labels, demo.rtl.result.argmax(axis=1)
    assert labels is not None
    rows, columns = STRIP
    shown = min(rows * columns, len(predicted))
    with figure(path, columns * 0.85, rows * 1.12 + 0.4) as drawing:
        grid = drawing.subplots(rows, columns, squeeze=False)
        for place, axes in enumerate(grid.flat):
            axes.axis("off")
            if place < shown:
                right = predicted[place] == labels[place]
                text = str(predicted[place]) if right else f"{predicted[place]} (is {labels[place]})"
                axes.imshow(_picture(demo.held_out.images[place]), cmap="gray_r")
                axes.set_title(text, color="black" if right else WRONG, pad=3)
        drawing.suptitle(f"The first {shown} held-out digits, labelled by the RTL", fontsize=11, fontweight="bold")


def draw_formats(choices: Sequence[Choice], path: Path) -> None:
    """Fractional bits of input, weights, bias and output of each module, and its shift."""
    series = {
        "N_x input": "n_x",
        "N_w weights": "n_w",
        "N_b bias": "n_b",
        "N_o output": "n_o",
        "shift": "shift",
    }
    height = 0.8 / len(series)
    with figure(path, 8, 3.4) as drawing:
        axes = drawing.subplots()
        for number, (label, key) in enumerate(series.items()):
            places = np.arange(len(choices)) + (number - (len(series) - 1) / 2) * height
            values = [getattr(choice, key) for choice in choices]
            axes.bar(places, [value or 0 for value in values], height, color=COLOURS[number], label=label)
            for place, value in zip(places, values, strict=True):
                if value is not None:
                    axes.annotate(
                        str(value), (place, max(value, 0)), (0, 2), textcoords="offset points", ha="center", fontsize=8
                    )
        axes.axhline(0, color="black", linewidth=0.8)
        axes.set_xticks(np.arange(len(choices)), [choice.name for choice in choices])
        axes.set_ylabel("bits")
        axes.set_title("Fractional bits and shift of each module")
        axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))


def draw_errors(choices: Sequence[Choice], path: Path) -> None:
    """Error of each module's output relative to the float network's, root mean square, on the calibration images."""
    percent = [100 * 10 ** (-choice.sqnr_db / 20) for choice in choices]
    with figure(path, 8, 2.8) as drawing:
        axes = drawing.subplots()
        axes.bar(np.arange(len(choices)), percent, 0.5, color=COLOURS[0])
        for place, (value, choice) in enumerate(zip(percent, choices, strict=True)):
            note = f"{value:.2f} %\n{choice.sqnr_db:.1f} dB"
            axes.annotate(note, (place, value), (0, 3), textcoords="offset points", ha="center", fontsize=9)
        axes.set_xticks(np.arange(len(choices)), [choice.name for choice in choices])
        axes.set_ylim(0, max(percent, default=1) * 1.35 or 1)
        axes.set_ylabel("relative error, %")
        axes.set_title("Error after each module, against the float network")


def draw_accumulators(weighted: Sequence[Step], path: Path) -> None:
    """A histogram per layer; shaded is the range that the shift keeps, what lies outside is clamped."""
    columns = min(2, len(weighted))
    rows = -(-len(weighted) // columns)
    with figure(path, 4.6 * columns, 2.5 * rows + 0.5) as drawing:
        grid = drawing.subplots(rows, columns, squeeze=False)
        for axes in grid.flat[len(weighted) :]:
            axes.axis("off")
        for step, axes in zip(weighted, grid.flat, strict=False):
            _histogram(step, axes)
        handles, labels = grid.flat[0].get_legend_handles_labels()
        drawing.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False)


def _histogram(step: Step, axes: Any) -> None:
    figures = accumulator_figures(step)
    low, high = (end / 1000 for end in figures["window"])
    assert step.accumulators is not None
    values = step.accumulators.ravel() / 1000
    axes.axvspan(low, high, color=COLOURS[1], alpha=0.2, linewidth=0, label="range that the shift keeps")
    axes.hist(values, bins=80, color=COLOURS[0], log=True, label="accumulators")
    axes.set_ylim(bottom=0.5)  # a bar of height 1 shall be seen
    left, right = min(values.min(), low), max(values.max(), high)
    axes.set_xlim(left - 0.03 * (right - left), right + 0.03 * (right - left))
    axes.set_title(f"{figures['layer']}, shift {figures['shift']}", loc="left")
    clamped = f"clamped: {figures['below']:.1%} below, {figures['above']:.2%} above"
    axes.set_title(clamped, loc="right", fontsize=9, fontweight="normal")
    axes.set_xlabel("accumulator, thousands")
    axes.set_ylabel("count")


def _picture(image: Any) -> Any:
    """The first channel of (channels, rows, columns), or a vector as a row."""
    return image[0] if image.ndim == 3 else np.atleast_2d(image)
