"""The end of a tail that selects boxes: what its constants say, and which selection of a detector gives the same boxes.

Scores are drawn so that a few dozen boxes pass the threshold; the tail selects, the detector selects in float, and the
rows of both are compared.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roundel.detection import Detector, Scale, candidates
from roundel.golden.head import Score
from roundel.golden.nms import Detections, Floats
from roundel.recognition.assembly import Assembled
from roundel.recognition.box_orders import ORDERS
from roundel.recognition.tail import NotRecognised, Tail, told

Maps = list[NDArray[np.float32]]
Place = tuple[int, int]

CHOSEN = 40  # locations whose best score is above the threshold
NEAR = 0.03  # pixels between the same corner in both
NEEDED = ("max_output_boxes_per_class", "iou_threshold", "score_threshold")


def known_of(tail: Tail) -> dict[str, Any]:
    """Return what the constants of a selection say: fields of `HeadForm`, `threshold` and `suppresses`."""
    constants, known = tail.examination.scope.constants, dict[str, Any]()
    for item in tail.operators:
        inputs = [_first(constants.get(name)) for name in item.proto.input]
        if item.operator == "NonMaxSuppression":
            numbers = [0.0 if value is None else value for value in inputs[2:]]
            values: dict[str, float] = dict(zip(NEEDED, numbers, strict=False))
            known["iou"] = values.get("iou_threshold", 0.0)
            if 0 < values.get("score_threshold", 0.0) < 1:
                known["threshold"] = values["score_threshold"]
        elif item.operator == "TopK" and inputs[1] is not None:
            known["limit"] = int(inputs[1])
    if not tail.selects:
        return {}
    known["suppresses"] = "NonMaxSuppression" in tail.selects
    known["peaks"] = "MaxPool" in tail.selects
    if "limit" in known:  # before a suppression, or all that there is
        known["limit" if known["suppresses"] else "max_detections"] = known.pop("limit")
    return known


def _first(values: NDArray[Any] | None) -> float | None:
    """Return the first number of a constant; None of what is none, or has no numbers."""
    return None if values is None or not values.size or values.dtype.kind not in "fiu" else float(values.ravel()[0])


def with_selection(tail: Tail, assembled: Assembled, rng: np.random.Generator) -> tuple[Assembled, str]:
    """Find the selection of a detector that keeps what the tail keeps.

    Returns
    -------
    tuple
        The detector with it, and a line that says how many boxes were compared.

    Raises
    ------
    NotRecognised
        No selection keeps the same boxes.
    """
    maps = _scene(assembled, tail.drawn(rng, -1.0, 1.0), rng)
    rows = list(_rows(tail.model(tail.outputs).run(maps), assembled))
    best, nearest = -1, "no boxes"
    for detector, cut in _choices(assembled.detector):
        boxes = _kept(replace(assembled, detector=detector), maps, cut=cut)
        for name, values in rows:
            same = _same(boxes, values)
            if same == len(boxes) == len(values):
                line = f"its selection ({told(tail.selects)}) keeps the same {same} boxes of a random scene"
                order = "" if cut or not detector.suppresses else ", suppressed before they are cut at the border"
                return replace(assembled, detector=detector), line + order
            if 2 * same - len(boxes) - len(values) > best or best == -1:
                best, nearest = 2 * same - len(boxes) - len(values), f"{same} of {len(boxes)} are among {len(values)}"
                nearest += f" of {name}"
    raise NotRecognised(
        f"boxes and scores are {assembled.detector.form}, but no way to select keeps what {told(tail.selects)} "
        f"keep: at best {nearest}"
    )


def _choices(detector: Detector) -> Iterator[tuple[Detector, bool]]:
    """Give the detector with every selection that the same operators may stand for, and whether boxes are cut first."""
    form = detector.form
    for every, agnostic, cut in product((False, True), repeat=3):
        if detector.suppresses or not agnostic:
            yield replace(detector, form=replace(form, every_class=every, agnostic=agnostic)), cut


def _kept(assembled: Assembled, maps: Maps, *, cut: bool) -> Floats:
    """Return the corners, cut at the border, of the boxes that a detector keeps; suppressed after the cut or before."""
    detector, tensors = assembled.detector, assembled.tensors(maps)
    if cut:
        [found] = detector.detections(tensors)
        return found.boxes[detector.kept(found)]
    one = {name: values[0] for name, values in tensors.items()}
    far = [candidates(detector.form, scale, one, detector.threshold, None) for scale in detector.scales]
    boxes, values, labels = (np.concatenate(part) for part in zip(*far, strict=True))
    found = Detections(boxes=boxes, scores=values, classes=labels)
    return _drawn(np.clip(boxes[detector.kept(found)], 0, detector.image * 2))


def _scene(assembled: Assembled, maps: Maps, rng: np.random.Generator) -> Maps:
    """Return random maps with scores above the threshold at some locations alone."""
    form = assembled.detector.form
    for scale in assembled.detector.scales:
        every = assembled.outputs[scale.cls]
        high = assembled.outputs[scale.objectness] if form.score is Score.PRODUCT else every
        for item in high:
            maps[item.place][item.channel] = rng.uniform(-9, -7, maps[item.place][item.channel].shape)
        if form.score is Score.SOFTMAX:
            step = len(every) // scale.prior_count
            for item in every[form.background % step :: step]:
                maps[item.place][item.channel] += 9
        if form.score is Score.PRODUCT:
            for item in every:
                maps[item.place][item.channel] -= 2
        rows, columns = assembled.detector.grid(scale)
        for _ in range(CHOSEN // len(assembled.detector.scales) + 1):
            y, x = int(rng.integers(rows)), int(rng.integers(columns))
            prior = int(rng.integers(scale.prior_count))
            _raise(assembled, scale, prior, maps, (y, x), rng)
            if form.score is Score.PRODUCT:
                item = assembled.outputs[scale.objectness][prior]
                maps[item.place][item.channel, y, x] = rng.uniform(2, 4)
    return maps


def _raise(assembled: Assembled, scale: Scale, prior: int, maps: Maps, place: Place, rng: np.random.Generator) -> None:
    """Give a class of a prior, and sometimes a second one, a high score at a location."""
    form = assembled.detector.form
    step = len(assembled.outputs[scale.cls]) // scale.prior_count
    own = [
        item
        for number, item in enumerate(assembled.outputs[scale.cls][prior * step : (prior + 1) * step])
        if form.score is not Score.SOFTMAX or number != form.background % step
    ]
    for item in rng.permutation(len(own))[: 1 + int(rng.integers(2))]:
        chosen = own[int(item)]
        top = 14.0 if form.score is Score.SOFTMAX else 3.0
        maps[chosen.place][chosen.channel, place[0], place[1]] = rng.uniform(top - 3, top)


def _rows(tensors: Mapping[str, Any], assembled: Assembled) -> Iterator[tuple[str, Floats]]:
    """Give what may be the boxes that the tail keeps, as corners within the image in pixels, by name."""
    width, height = assembled.detector.image
    for name, values in tensors.items():
        if values.dtype.kind != "f" or values.ndim < 2 or not values.size:
            continue
        for table in (values, np.swapaxes(values, -1, -2)):
            rows = table.reshape(-1, table.shape[-1]).astype(np.float64)
            for start in range(min(rows.shape[1] - 3, 3)):
                for order, units in product(ORDERS.values(), ((1.0, 1.0), (width, height))):
                    made = rows[:, start : start + 4] @ order.T * (*units, *units)
                    yield name, _drawn(np.clip(made, 0, (width, height, width, height)))


def _drawn(boxes: Floats) -> Floats:
    """Return the boxes that have area: others are none, and suppress none (docs/detectors.md)."""
    return boxes[(boxes[:, :2] < boxes[:, 2:]).all(axis=1)]


def _same(boxes: Floats, rows: Floats) -> int:
    """Return how many boxes have a row that is the same."""
    if not len(boxes) or not len(rows):
        return 0
    apart = np.abs(boxes[:, None] - rows[None]).max(axis=2)
    return int((apart.min(axis=1) <= NEAR).sum())
