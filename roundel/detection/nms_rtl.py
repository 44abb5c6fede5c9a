"""Boxes of a file through the RTL of a suppression unit under Verilator, checked against its golden model."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from roundel.detection.fixed_point import FixedPoint
from roundel.golden.errors import InputError
from roundel.golden.nms import ExactParams, GreedyParams, NmsParams
from roundel.golden.rounding import Ints
from roundel.hw.units import UNITS, unit_of
from roundel.sim.nms_run import run_images
from roundel.sim.stimuli import BoxImage

SEED = 1  # of cocotb; nothing is drawn
CAPACITIES = [1 << power for power in range(6, 17)]  # few sizes, so that a build is found again for the next file


@dataclass(frozen=True, kw_only=True, eq=False)
class RtlRun:
    """The result of a run on the RTL.

    Attributes
    ----------
    kept
        Places of the boxes kept, image by image and class by class, in the order in which they came.
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
    def boxes_per_cycle(self) -> float | None:
        """Boxes that the unit took in a cycle, on average; None if there were no boxes, and nothing ran."""
        return self.boxes / self.cycles if self.cycles else None

    def __str__(self) -> str:
        if self.boxes_per_cycle is None:
            return "no boxes: nothing ran on the RTL"
        speed = f"{self.boxes:,} boxes in {self.cycles:,} cycles from the first to the last one kept"
        return f"RTL equal to golden: {speed}, {self.boxes_per_cycle:.2f} boxes per cycle"

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, as `--json` prints them."""
        names = ("boxes", "cycles", "fraction", "exact", "boxes_per_cycle")
        return {name: getattr(self, name) for name in names}


def run_rtl(fixed: FixedPoint) -> RtlRun:
    """Send each class of each image through the unit, as an image of its own; to the exact unit, whole images.

    [R] A unit that takes one class after another needs no class in the key of its window tables, which are then as
    small as for a single class. The exact unit has no such tables, and compares labels.

    Raises
    ------
    InputError
        More boxes in a group than a unit holds.
    MismatchError
        The RTL keeps other boxes than its golden model.
    """
    boxes = fixed.boxes
    whole = isinstance(fixed.params, ExactParams)
    groups, fraction, exact = boxes.of_images if whole else boxes.members, fixed.form.fraction, fixed.exact
    if not groups:
        return RtlRun(kept=np.zeros(0, np.int64), boxes=0, cycles=0, fraction=fraction, exact=exact)
    size = capacity(boxes.file, groups, "boxes" if whole else "boxes of one class")
    params: NmsParams | GreedyParams | ExactParams
    if isinstance(fixed.params, ExactParams):
        most = fixed.params.max_detections
        params = replace(fixed.params, capacity=size, max_detections=most and min(most, size))
    else:
        params = replace(fixed.params, capacity=size)
    result = run_images(UNITS[unit_of(params)], params, images(fixed, groups), seed=SEED)
    order = np.concatenate(groups)
    kept, cycles = order[result["kept"]], int(result["cycles"])
    return RtlRun(kept=kept, boxes=len(order), cycles=cycles, fraction=fraction, exact=exact)


def capacity(file: str, groups: Sequence[Ints], what: str = "boxes of one class") -> int:
    """Boxes of an image that the unit must hold; `what` they are is for the message."""
    largest = max(map(len, groups))
    if largest > CAPACITIES[-1]:
        raise InputError(
            f"{file}: {largest} {what} in one image: expected at most {CAPACITIES[-1]} on the RTL;"
            " --on golden takes more"
        )
    return next(size for size in CAPACITIES if size >= largest)


def images(fixed: FixedPoint, groups: Sequence[Ints]) -> list[BoxImage]:
    """Return the boxes of every group as the unit takes them."""
    labels = fixed.boxes.classes if fixed.form.classes > 1 else np.zeros(len(fixed.ranks), np.int64)
    return [
        BoxImage(
            boxes=fixed.codes[places],
            scores=fixed.ranks[places],
            labels=labels[places],
            present=np.ones(len(places), bool),
        )
        for places in groups
    ]
