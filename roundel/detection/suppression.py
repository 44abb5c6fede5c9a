"""Suppression of the boxes of a file by any method, in floating point, in the hardware's integers or on the RTL."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from roundel.detection.box_rows import BoxRows, box_rows, inside
from roundel.detection.detections import Arrays, read_arrays
from roundel.detection.fixed_point import FixedPoint, fixed_point
from roundel.detection.nms_options import NmsOptions, image_size
from roundel.detection.nms_result import NmsDifference, NmsResult
from roundel.detection.nms_rtl import RtlRun, run_rtl
from roundel.golden.errors import InputError, MismatchError
from roundel.golden.nms import Share, greedy_nms, numbers, psrr_nms
from roundel.golden.rounding import Ints
from roundel.graph import array_of
from roundel.ui import Progress, silent

BoxSource: TypeAlias = str | Path | ArrayLike


def suppress(
    boxes: BoxSource,
    scores: ArrayLike | None = None,
    classes: ArrayLike | None = None,
    image_ids: ArrayLike | None = None,
    *,
    method: str = "guarded",
    semantics: str | None = None,
    shift: str | None = None,
    alpha: float | None = None,
    stride: int | None = None,
    guard: float | None = None,
    max_detections: int | None = None,
    image: tuple[int, int] | None = None,
    on: str = "golden",
    drop_bad: bool = False,
    normalized: bool = False,
    progress: Progress = silent,
) -> NmsResult:
    """Suppress scored boxes: non-maximum suppression by PSRR-MaxpoolNMS or GreedyNMS.

    Parameters
    ----------
    boxes
        (n, 4) corners x1, y1, x2, y2 in pixels, or the path of an `.npz` file that holds this and the next three.
    scores
        (n,) of the boxes; higher is better.
    classes
        (n,) integers; only boxes of one class suppress each other. None: all boxes are of one class.
    image_ids
        (n,) integers; only boxes of one image suppress each other. None: all boxes are of one image.
    method
        `guarded`, `psrr`, `adjacent`, `maxpool`: a pyramid of max pools; or `greedy` or `exact`, which are GreedyNMS
        in hardware by comparison of all pairs, and at about a box a cycle.
    semantics, shift, alpha, stride
        Parameters of a pyramid, see docs/nms.md. None stands for what the method's preset says.
    guard
        A pyramid's overlap guard, 0 to 1; the IoU threshold of greedy and exact, 0.5 if not given.
    max_detections
        Most boxes that exact keeps of an image, of all classes, the best ones, 1 to 65536; all if not given.
    image
        Width and height in pixels; 640 x 640 if not given, or no borders for greedy in floating point.
    on
        `float`: double precision; `golden`: the integers of the hardware, on fixed-point boxes; `rtl`: the hardware
        under Verilator, compared with golden.
    drop_bad
        Whether boxes are dropped that have no area, no score or no class, or lie outside the image, as the hardware
        does, instead of refused.
    normalized
        Whether boxes are parts of the image, 0 to 1, instead of pixels.
    progress
        How long work is shown.

    Returns
    -------
    NmsResult
        `kept`: the rows that are kept, rising; `difference`: the rows that `float` and `golden` decide differently.

    Raises
    ------
    InputError
        Bad arrays, a bad file or option. Boxes are named by their row.
    MismatchError
        The RTL keeps other boxes than its golden model.

    Examples
    --------
    >>> import roundel
    >>> boxes = [[10, 10, 50, 50], [12, 11, 51, 52], [200, 200, 240, 260]]
    >>> roundel.suppress(boxes, [0.9, 0.8, 0.7], method="greedy").kept.tolist()
    [0, 2]
    """
    options = NmsOptions(
        method=method,
        semantics=semantics,
        shift=shift,
        alpha=alpha,
        stride=stride,
        guard=guard,
        max_detections=max_detections,
        image=image if image is None else image_size(image),
        on=on,
        drop_bad=drop_bad,
        normalized=normalized,
    )
    if not options.greedy:
        options.pyramid()  # bad options are said before the file is read
    if isinstance(boxes, str | Path):
        if any(values is not None for values in (scores, classes, image_ids)):
            raise InputError(f"{boxes}: expected a file of boxes alone, or arrays, not both")
        file, arrays = str(boxes), read_arrays(Path(boxes))
    else:
        given = {"boxes": boxes, "scores": scores, "classes": classes, "image_ids": image_ids}
        file, arrays = "arrays", {name: _given(name, values) for name, values in given.items() if values is not None}
    return _suppressed(file, arrays, options, progress)


def _given(name: str, values: Any) -> NDArray[Any]:
    """Return an array that a user gave; that of an empty list has the shape and the type of no boxes."""
    array = array_of(name, values)
    if array.shape == (0,) and name != "scores" and array.dtype.kind in "iuf":
        return array.reshape(0, 4) if name == "boxes" else np.zeros(0, np.int64)
    if array.dtype.kind == "f":
        numbers(name, values)  # a list may hold integers beside floats that a double does not hold
    return array


def _suppressed(file: str, arrays: Arrays, options: NmsOptions, progress: Progress) -> NmsResult:
    """Decide in floating point and, where the hardware takes the boxes, in integers and on the RTL."""
    boxes, refused = box_rows(file, arrays, options), ""
    fixed: FixedPoint | None = None
    try:
        fixed = fixed_point(inside(boxes, options), options)
    except InputError as error:
        if options.on != "float":
            raise
        refused = str(error).removeprefix(f"{file}: ")
    if options.on != "float" and fixed is not None:
        boxes = fixed.boxes  # without those that are nothing in integers
    floats = boxes.rows[_float(boxes, options, progress)]
    integers, rtl = None, None
    if fixed is not None:
        with _shares(progress, "golden") as told:
            integers = fixed.boxes.rows[fixed.kept(told)]
        rtl = _on_rtl(fixed, integers, progress) if options.on == "rtl" else None
    return NmsResult(
        arrays=arrays,
        options=options,
        boxes=boxes,
        kept=floats if integers is None or options.on == "float" else integers,
        fixed=fixed,
        refused=refused,
        difference=None if integers is None else _difference(floats, integers),
        rtl=rtl,
    )


def _float(boxes: BoxRows, options: NmsOptions, progress: Progress) -> Ints:
    """Return the places of the boxes that double precision keeps, rising."""
    with _shares(progress, "float") as told:
        if options.greedy:
            kept = greedy_nms(boxes.as_groups(), options.threshold, told=told)
            return np.sort(boxes.best(kept, options.max_detections))
        return psrr_nms(boxes.as_groups(), options.pyramid())


def _on_rtl(fixed: FixedPoint, integers: Ints, progress: Progress) -> RtlRun:
    """Run the RTL, which must keep the same rows as the integers of all images at once."""
    with progress("RTL", 1) as done:
        run = run_rtl(fixed)
        done("all images")
    if (np.sort(fixed.boxes.rows[run.kept]) != integers).any():
        raise MismatchError("the RTL keeps other boxes, image by image, than golden of all images at once")
    return run


@contextmanager
def _shares(progress: Progress, name: str) -> Iterator[Share]:
    """Show the share of the boxes that is settled, in percent."""
    with progress(f"{name}, percent of the boxes", 100) as done:
        shown = 0

        def told(share: float) -> None:
            nonlocal shown
            while shown < int(100 * share):
                shown += 1
                done(f"{shown} %")

        yield told


def _difference(floats: Ints, integers: Ints) -> NmsDifference:
    return NmsDifference(
        float_only=np.setdiff1d(floats, integers).tolist(), golden_only=np.setdiff1d(integers, floats).tolist()
    )
