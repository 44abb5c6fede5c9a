"""The end of a tail that selects boxes: what its constants say, and which selection of a detector gives the same boxes.

Scores are drawn so that a few dozen boxes pass the threshold; the tail selects, the detector selects in float, and the
rows of both are compared.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roundel.detection import Detector, Scale, candidates
from roundel.golden.head import BoxForm, Score, Side
from roundel.golden.nms import Detections, Floats
from roundel.recognition.assembly import THRESHOLD, Assembled
from roundel.recognition.box_orders import ORDERS
from roundel.recognition.constants import Channel
from roundel.recognition.tail import NotRecognised, Tail, told

Maps = list[NDArray[np.float32]]
Place = tuple[int, int]

CHOSEN = 40  # locations whose best score is above the threshold
NEAR = 0.03  # pixels between the same corner in both
NO_LOGIT = -1e6  # below all that a network gives
MOST_PAIRS = 1 << 20  # of boxes that are compared at once
GREATER = ("Greater", "GreaterOrEqual")
NEEDED = ("max_output_boxes_per_class", "iou_threshold", "score_threshold")


def known_of(tail: Tail) -> dict[str, Any]:
    """Return what the constants of a selection say.

    Fields of `HeadForm`, `threshold`, `suppresses`, and `most`, the boxes of a class that a suppression keeps at most.
    """
    constants, known = tail.examination.scope.constants, dict[str, Any]()
    for item in tail.operators:
        inputs = [_first(constants.get(name)) for name in item.proto.input]
        if item.operator == "NonMaxSuppression":
            numbers = [0.0 if value is None else value for value in inputs[2:]]
            values: dict[str, float] = dict(zip(NEEDED, numbers, strict=False))
            known["iou"], known["most"] = values.get("iou_threshold", 0.0), int(values.get(NEEDED[0], 0))
            if 0 < values.get("score_threshold", 0.0) < 1:
                known["threshold"] = values["score_threshold"]
        elif item.operator in GREATER and (least := _least(inputs)) is not None:
            known.setdefault("threshold", least)
        elif item.operator == "TopK" and inputs[1] is not None:
            known["limit"] = int(inputs[1])
    if not tail.selects:
        return {}
    known["suppresses"] = "NonMaxSuppression" in tail.selects
    known["peaks"] = "MaxPool" in tail.selects
    if "limit" in known:  # before a suppression, or all that there is
        known["limit" if known["suppresses"] else "max_detections"] = known.pop("limit")
    return known


def _least(inputs: Sequence[float | None]) -> float | None:
    """Return a probability that numbers are compared with; None of no such."""
    numbers = [value for value in inputs if value is not None]
    return numbers[0] if len(numbers) == 1 and 0 < numbers[0] < 1 else None


def _first(values: NDArray[Any] | None) -> float | None:
    """Return the first number of a constant; None of what is none, or has no numbers."""
    return None if values is None or not values.size or values.dtype.kind not in "fiu" else float(values.ravel()[0])


def with_selection(
    tail: Tail, assembled: Assembled, known: Mapping[str, Any], rng: np.random.Generator
) -> tuple[Assembled, str]:
    """Find the selection of a detector that keeps what the tail keeps.

    Parameters
    ----------
    tail, assembled
        The tail, and the detector without its selection.
    known
        What the constants say: without a threshold every box is compared, and then those above the detector's.
    rng
        Source of raw values.

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
    for choice in _choices(assembled.detector, known):
        boxes = _kept(replace(assembled, detector=choice.compared), maps, known, cut=choice.cut)
        for name, values in rows:
            same = _same(boxes, values)
            if same == len(boxes) == len(values):
                made = choice.compared.form
                detector = replace(assembled.detector, form=made)
                return replace(assembled, detector=detector), _line(tail, choice, same, "threshold" in known)
            if 2 * same - len(boxes) - len(values) > best or best == -1:
                best, nearest = 2 * same - len(boxes) - len(values), f"{same} of {len(boxes)} are among {len(values)}"
                nearest += f" of {name}"
    raise NotRecognised(
        f"boxes and scores are {assembled.detector.form}, but no way to select keeps what {told(tail.selects)} "
        f"keep: at best {nearest}"
    )


@dataclass(frozen=True)
class Selecting:
    """A selection that the same operators may stand for.

    Attributes
    ----------
    compared
        The detector with it.
    cut
        Whether boxes are cut at the border before they suppress one another.
    """

    compared: Detector
    cut: bool


def _line(tail: Tail, choice: Selecting, same: int, has_threshold: bool) -> str:
    """Say how many boxes were compared."""
    line = f"its selection ({told(tail.selects)}) keeps the same {same} boxes of a random scene"
    if not choice.cut and choice.compared.suppresses:
        line += ", suppressed before they are cut at the border"
    return line if has_threshold else line + f"; it has no threshold, so that {THRESHOLD} is taken"


def _choices(detector: Detector, known: Mapping[str, Any]) -> Iterator[Selecting]:
    """Give every selection that the same operators may stand for."""
    form = detector.form
    every_box = replace(detector, threshold=NO_LOGIT if form.score is Score.LOGIT else 0.0)
    for start in (detector,) if "threshold" in known else (every_box, detector):
        for every, agnostic, cut in product((False, True), repeat=3):
            if detector.suppresses or not agnostic:
                yield Selecting(replace(start, form=replace(form, every_class=every, agnostic=agnostic)), cut)


def _kept(assembled: Assembled, maps: Maps, known: Mapping[str, Any], *, cut: bool) -> Floats:
    """Return the corners, cut at the border, of the boxes that a detector keeps; suppressed after the cut or before."""
    detector, tensors = assembled.detector, assembled.tensors(maps)
    if cut:
        [found] = detector.detections(tensors)
    else:
        one = {name: values[0] for name, values in tensors.items()}
        far = [candidates(detector.form, scale, one, detector.threshold, None) for scale in detector.scales]
        boxes, values, labels = (np.concatenate(part) for part in zip(*far, strict=True))
        found = Detections(boxes=boxes, scores=values, classes=labels)
    kept = detector.kept(found)
    if known.get("most"):  # of each class
        labels = found.labels[kept]
        kept = kept[[np.count_nonzero(labels[:place] == label) < known["most"] for place, label in enumerate(labels)]]
    return found.boxes[kept] if cut else _drawn(np.clip(found.boxes[kept], 0, detector.image * 2))


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
        for item in _linear_sides(assembled, scale):
            values = rng.uniform(0.5, 3, maps[item.place][item.channel].shape)
            maps[item.place][item.channel] = (values - item.shift) / item.factor
        rows, columns = assembled.detector.grid(scale)
        for _ in range(CHOSEN // len(assembled.detector.scales) + 1):
            y, x = int(rng.integers(rows)), int(rng.integers(columns))
            prior = int(rng.integers(scale.prior_count))
            _raise(assembled, scale, prior, maps, (y, x), rng)
            if form.score is Score.PRODUCT:
                item = assembled.outputs[scale.objectness][prior]
                maps[item.place][item.channel, y, x] = rng.uniform(2, 4)
    return maps


def _linear_sides(assembled: Assembled, scale: Scale) -> Iterator[Channel]:
    """Give the raw values that are sides or distances: a box whose ones are not above 0 has no area."""
    form = assembled.detector.form
    if form.side is Side.LINEAR and form.box in (BoxForm.CENTRE, BoxForm.DISTANCES):
        first = 2 if form.box is BoxForm.CENTRE else 0
        yield from (item for place, item in enumerate(assembled.outputs[scale.box]) if place % 4 >= first)


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
                for order, units in product(ORDERS.values(), {(1.0, 1.0), (width, height), assembled.units}):
                    made = rows[:, start : start + 4] @ order.T * (*units, *units)
                    yield name, _drawn(np.clip(made, 0, (width, height, width, height)))


def _drawn(boxes: Floats) -> Floats:
    """Return the boxes that have area: others are none, and suppress none (docs/detectors.md)."""
    return boxes[(boxes[:, :2] < boxes[:, 2:]).all(axis=1)]


def _same(boxes: Floats, rows: Floats) -> int:
    """Return how many boxes have a row that is the same."""
    if not len(boxes) or not len(rows) or (len(boxes) != len(rows) and len(boxes) * len(rows) > MOST_PAIRS):
        return 0
    parts = np.array_split(boxes, -(-len(boxes) * len(rows) // MOST_PAIRS))
    return sum(int((np.abs(part[:, None] - rows[None]).max(axis=2).min(axis=1) <= NEAR).sum()) for part in parts)
