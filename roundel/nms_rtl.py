"""Boxes of a file through the RTL of a suppression unit under Verilator, checked against its golden model."""

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from golden.box_format import BoxFormat
from golden.boxes import Detections, Floats
from golden.errors import InputError, MismatchError
from golden.greedy_nms import GreedyParams
from golden.nms import NmsParams
from golden.rounding import Ints
from hw.emit import to_verilog
from hw.units import UNITS
from sim.runner import Design, run

SEED = 1  # of cocotb; nothing is drawn
ROUNDED = 4  # fraction bits of boxes that no number of bits up to 8 holds exactly
CAPACITIES = [1 << power for power in range(6, 17)]  # few sizes, so that a build is found again for the next file


@dataclass(frozen=True, kw_only=True, eq=False)
class RtlRun:
    """What came out of the RTL.

    Attributes
    ----------
    kept
        Rows kept, image by image and class by class, in the order in which they came.
    boxes, cycles
        Boxes sent, and clock cycles from the end of reset to the last box kept, clearing of tables included.
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
        return self.boxes / self.cycles

    def __str__(self) -> str:
        speed = f"{self.boxes:,} boxes in {self.cycles:,} cycles from reset to the last one kept"
        return f"RTL equal to golden: {speed}, {self.boxes_per_cycle:.2f} boxes per cycle"

    def as_dict(self) -> dict[str, Any]:
        names = ("boxes", "cycles", "fraction", "exact", "boxes_per_cycle")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, kw_only=True, eq=False)
class Stimulus:
    """Groups of boxes as the bench sends them, each as an image of one class: the members of its stimulus file.

    Attributes
    ----------
    boxes, scores, labels
        Codes, (n, 4) and (n,), of all groups one after the other.
    ends
        How many boxes there are up to the end of each group.
    """

    boxes: Ints
    scores: Ints
    labels: Ints
    ends: Ints

    @property
    def parts(self) -> list[slice]:
        """Where each group is."""
        return [slice(*pair) for pair in zip([0, *self.ends[:-1]], self.ends, strict=True)]

    def expected(self, params: NmsParams | GreedyParams) -> Ints:
        """What the golden model keeps, in the order in which the unit sends it: places in `boxes`."""
        verdicts = [
            part.start + params.compute(self.boxes[part], self.scores[part], self.labels[part]).kept
            for part in self.parts
        ]
        return np.concatenate(verdicts)


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
        params = row.params(format=form, capacity=capacity(groups), **more)
    except (TypeError, ValueError) as error:
        raise InputError(str(error)) from None
    beats = stimulus(form, everything, groups)
    component = row.component(params)
    design = Design(sources=(to_verilog(component, unit),), top=unit)
    kept, cycles = _simulate(design, row.bench, {"params": params.as_dict(), "latency": component.latency}, beats)
    rows, wanted = np.concatenate(groups)[kept], np.concatenate(groups)[beats.expected(params)]
    for number, (got, right) in enumerate(zip_longest(rows.tolist(), wanted.tolist())):
        if got != right:
            raise MismatchError(f"{unit}: the RTL differs from golden at kept box {number}: row {got}, not row {right}")
    return RtlRun(kept=rows, boxes=len(beats.boxes), cycles=cycles, fraction=form.fraction, exact=exact)


def box_format(everything: Detections, size: tuple[int, int]) -> tuple[BoxFormat, bool]:
    """The format with the fewest fraction bits that holds all coordinates, and whether it holds them exactly."""
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


def stimulus(form: BoxFormat, everything: Detections, groups: Sequence[Ints]) -> Stimulus:
    """The boxes of all groups as codes; scores are ranks within the file."""
    codes, ranks = form.encode(Detections(boxes=everything.boxes, scores=everything.scores))
    order = np.concatenate(groups)
    ends = np.cumsum([len(rows) for rows in groups])
    return Stimulus(boxes=codes[order], scores=ranks[order], labels=np.zeros(len(order), np.int64), ends=ends)


def _simulate(design: Design, bench: str, config: dict[str, Any], beats: Stimulus) -> tuple[Ints, int]:
    """Places kept, in the order in which they came, and clock cycles."""
    folder = Path(tempfile.mkdtemp(prefix="roundel-"))  # stays, with its log, where anything below raises
    path = folder / "stimulus.npz"
    np.savez(path, **vars(beats))
    result = run(design, bench, seed=SEED, config=config | {"stimulus": str(path)}, folder=folder)
    if not result.passed:
        raise MismatchError(f"{design.top}: {result.failures[0]} (log in {folder})")
    with np.load(folder / "kept.npz") as file:
        kept, cycles = file["kept"], int(file["cycles"])
    shutil.rmtree(folder)
    return kept, cycles
