"""What the boxes of each suppression unit are worth: average precision on scenes, below the better GreedyNMS."""

import json
from collections.abc import Mapping
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import numpy as np

from roundel import detection
from roundel.detection import GREEDY, KINDS, METHODS, SIZE, Method, accuracy
from roundel.golden.nms import BoxFormat, Detections, ExactParams, GreedyParams, NmsParams, TopKParams
from roundel.golden.rounding import Ints
from roundel.sim.cache import code, digest
from roundel.synth.measure import cached_row, code_digest

SCENES, SEEDS = 360, (3, 4, 5)  # no choice was based on these
CLASSES = max(kind.classes for kind in KINDS.values())
THRESHOLDS = tuple(float(name.split()[1]) for name in GREEDY)
CAPACITY = 2048  # boxes of a scene at most

Params = NmsParams | GreedyParams | ExactParams | TopKParams


def precision_columns(params: Params) -> dict[str, Any]:
    """Return by how many points AP50 and AP75 are below the better GreedyNMS in floating point, as columns of a row.

    The boxes are those that the unit's integers keep of `SCENES` scenes of each kind and seed, all classes of an image
    at once, whatever lanes and comparators the unit has; the columns are means over the seeds. Both kinds of GreedyNMS
    have both thresholds of `GREEDY`, as that in floating point, and the better one counts on each kind of scenes.

    Parameters
    ----------
    params
        The unit. There are no columns where its images are smaller than the scenes, or without pycocotools.
    """
    if find_spec("pycocotools") is None or min(params.format.width, params.format.height) < SIZE:
        return {}
    methods = unit_methods(params)
    about = json.dumps([held.as_dict() for held in methods.values()])
    key: list[str | bytes] = [code_digest(), digest(code(detection)), about, str(SCENES), str(SEEDS)]
    return cached_row(key, lambda: _columns({name: method_of(held) for name, held in methods.items()}))


def unit_methods(params: Params) -> dict[str, Params]:
    """Parameters of what is measured, by name: those that change what is kept, for scenes of all kinds."""
    form = replace(params.format, classes=CLASSES)
    if isinstance(params, NmsParams):
        return {"unit": replace(params, format=form, class_key=True, lanes=1, capacity=CAPACITY)}
    if isinstance(params, TopKParams):
        return {"unit": TopKParams(format=form, capacity=params.capacity)}
    return {f"unit {value}": GreedyParams(format=form, threshold=value, capacity=CAPACITY) for value in THRESHOLDS}


def method_of(params: Params) -> Method:
    """Return the unit's golden model as a method."""

    def method(detections: Detections) -> Ints:
        boxes, scores = codes(params.format, detections)
        return params.compute(boxes, scores, detections.labels).kept

    return method


def codes(form: BoxFormat, detections: Detections) -> tuple[Ints, Ints]:
    """Boxes in the unit's units, and scores rounded to its bits."""
    return form.codes(detections.boxes), np.rint(detections.scores * ((1 << form.score_width) - 1)).astype(np.int64)


def _columns(methods: Mapping[str, Method]) -> dict[str, Any]:
    compared = {name: METHODS[name] for name in GREEDY} | dict(methods)
    lost: dict[str, list[float]] = {}  # of each seed, by the column's name
    for seed in SEEDS:
        best: dict[str, float] = {}
        for row in accuracy(methods=compared, scenes=SCENES, seed=seed):
            if row["unit"] == "points":
                column = f"{row['name'].removeprefix('nms.')}_{row['params']['scene']}"
                best[column] = min(row["value"], best.get(column, row["value"]))
        for column, value in best.items():
            lost.setdefault(column, []).append(value)
    columns: dict[str, Any] = {name: sum(values) / len(SEEDS) for name, values in lost.items()}
    return columns | {"scenes": SCENES, "scene_seeds": list(SEEDS)}
