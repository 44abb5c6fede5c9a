"""Boxes of a file through the RTL of a suppression unit under Verilator, checked against its golden model."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from roundel.golden.errors import InputError
from roundel.golden.nms import BoxFormat, Detections, Floats
from roundel.golden.rounding import Ints
from roundel.hw.units import UNITS
from roundel.sim.nms_run import run_images
from roundel.sim.stimuli import BoxImage

SEED = 1  # of cocotb; nothing is drawn
ROUNDED = 4  # fraction bits of boxes that no number of bits up to 8 holds exactly
CAPACITIES = [1 << power for power in range(6, 17)]  # few sizes, so that a build is found again for the next file


@dataclass(frozen=True, kw_only=True, eq=False)
class RtlRun:
    """The result of a run on the RTL.

    Attributes
    ----------
    kept
        Rows kept, image by image and class by class, in the order in which they came.
    boxes, cycles
        Boxes sent, and clock cycles from the first beat to the last box kept.
    fraction
        Fraction bits of the coordinates.
    exact
        Whether the coordinates are what the file says; otherwise they were rounded.
    """

    kept: Ints
    boxes: int
    cycles: int
    fraction: int
    exact: bool

    @property
    def boxes_per_cycle(self) -> float:
        """Boxes that the unit took in a cycle, on average."""
        return self.boxes / self.cycles

    def __str__(self) -> str:
        speed = f"{self.boxes:,} boxes in {self.cycles:,} cycles from the first to the last one kept"
        return f"RTL equal to golden: {speed}, {self.boxes_per_cycle:.2f} boxes per cycle"

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, as `--json` prints them."""
        names = ("boxes", "cycles", "fraction", "exact", "boxes_per_cycle")
        return {name: getattr(self, name) for name in names}


def run_rtl(unit: str, everything: Detections, groups: Sequence[Ints], *, size: tuple[int, int], **more: Any) -> RtlRun:
    """Send groups of rows through a unit, each as an image of its own.

    [R] A unit that takes one class after another needs no class in the key of its window tables, which are then as
    small as for a single class.

    Parameters
    ----------
    unit
        `nms` or `greedy_nms`.
    everything
        All boxes of the file, at least one.
    groups
        Rows of one class of one image each, rising.
    size
        Width and height of the images in pixels.
    more
        Parameters of the unit.

    Raises
    ------
    InputError
        More boxes in a group than a unit holds, a box without area after rounding, or a bad parameter.
    MismatchError
        The RTL keeps other boxes than its golden model.
    """
    form, exact = box_format(everything, size)
    row = UNITS[unit]
    try:
        params = row.params.from_dict(dict(format=form, capacity=capacity(groups), **more))
    except (TypeError, ValueError) as error:
        raise InputError(str(error)) from None
    result = run_images(row, params, images(form, everything, groups), seed=SEED)
    order = np.concatenate(groups)
    cycles = int(result["cycles"])
    return RtlRun(kept=order[result["kept"]], boxes=len(order), cycles=cycles, fraction=form.fraction, exact=exact)


def box_format(everything: Detections, size: tuple[int, int]) -> tuple[BoxFormat, bool]:
    """Return the format with the fewest fraction bits that holds all coordinates, and whether it holds them exactly."""
    exact = [bits for bits in range(9) if whole(everything.boxes * 2.0**bits)]
    width, height = size
    fraction = exact[0] if exact else ROUNDED
    score_width = 16 if len(everything) <= 1 << 16 else 32
    form = BoxFormat(width=width, height=height, fraction=fraction, score_width=score_width, classes=1)
    return form, bool(exact)


def whole(values: Floats) -> bool:
    """Whether all of them are integers."""
    return bool((values == np.floor(values)).all())


def capacity(groups: Sequence[Ints]) -> int:
    """Boxes of an image that the unit must hold."""
    largest = max(map(len, groups))
    if largest > CAPACITIES[-1]:
        raise InputError(f"{largest} boxes of one class in one image: expected at most {CAPACITIES[-1]} on the RTL")
    return next(size for size in CAPACITIES if size >= largest)


def images(form: BoxFormat, everything: Detections, groups: Sequence[Ints]) -> list[BoxImage]:
    """Return the boxes of every group as codes; scores are ranks within the file."""
    codes, ranks = form.encode(Detections(boxes=everything.boxes, scores=everything.scores))
    return [
        BoxImage(
            boxes=codes[rows],
            scores=ranks[rows],
            labels=np.zeros(len(rows), np.int64),
            present=np.ones(len(rows), bool),
        )
        for rows in groups
    ]
