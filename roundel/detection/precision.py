"""Average precision of what each suppression keeps, on scenes whose objects are known."""

import io
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from types import MappingProxyType
from typing import Any

import numpy as np

from roundel.detection.detections import Objects
from roundel.detection.scenes import KINDS, Scene
from roundel.detection.scenes import scenes as make_scenes
from roundel.golden.errors import InputError
from roundel.golden.nms import Detections, Floats, PsrrParams, Semantics, Shift, greedy_nms, preset, psrr_nms
from roundel.golden.rounding import Ints
from roundel.ui import Done, Row, row

Method = Callable[[Detections], Ints]

SCENES, SEED = 60, 1
COUNTED = 100  # best boxes of an image and class that count, as in COCO
GREEDY = ("greedy 0.4", "greedy 0.5")  # what the others are measured against
PRECISIONS = ("nms.ap50", "nms.ap75", "nms.ap50_95")


def greedy(threshold: float) -> Method:
    """Return GreedyNMS as a method, with an IoU threshold of 0 to 1."""
    return lambda detections: greedy_nms(detections, threshold)


def pooled(params: PsrrParams) -> Method:
    """Return a pyramid of pools."""
    return lambda detections: psrr_nms(detections, params)


METHODS: Mapping[str, Method] = MappingProxyType(
    {name: greedy(float(name.split()[1])) for name in GREEDY}
    | {"maxpool": pooled(preset("maxpool"))}
    | {
        f"psrr {semantics.value} {shift.value}": pooled(preset("psrr", semantics=semantics, shift=shift))
        for semantics in Semantics
        for shift in Shift
    }
    | {
        f"{name} {semantics.value}": pooled(preset(name, semantics=semantics))
        for name in ("adjacent", "guarded")
        for semantics in Semantics
    }
)


def accuracy(
    kinds: Sequence[str] = tuple(KINDS),
    methods: Mapping[str, Method] = METHODS,
    *,
    scenes: int = SCENES,
    seed: int = SEED,
    done: Done = lambda name: None,
) -> list[Row]:
    """Return what every method keeps of every kind of scene; rows of `name`, `value`, `unit` and `params`.

    `nms.ap50`, `nms.ap75` and `nms.ap50_95` are average precisions, 0 to 1, `nms.kept` is boxes per image. Where both
    of `GREEDY` are among the methods, `nms.ap50_lost` and `nms.ap75_lost` say by how many points (hundredths) every
    other one is below the better of them.

    Parameters
    ----------
    kinds
        Names of `roundel.detection.scenes.KINDS`.
    methods
        By name.
    scenes
        Images of each kind.
    seed
        Seed of the scenes.
    done
        Called after each method on each kind.

    Raises
    ------
    InputError
        An unknown kind, or pycocotools is missing.
    """
    rows = []
    for kind in kinds:
        if kind not in KINDS:
            raise InputError(f"scenes {kind!r} are unknown, expected some of {', '.join(KINDS)}")
        images = make_scenes(KINDS[kind], scenes, seed=seed)
        for name, method in methods.items():
            about = {"scene": kind, "method": name, "scenes": scenes, "seed": seed}
            rows += _measure(images, method, about)
            done(f"{kind} {name}")
    return rows + _lost(rows)


def average_precision(images: Sequence[Scene], kept: Sequence[Ints]) -> tuple[float, float, float]:
    """AP50, AP75 and AP50:95, 0 to 1, as pycocotools computes them, of the detections kept in each image.

    Averaged over the classes that have objects; there must be at least one.

    Raises
    ------
    InputError
        pycocotools is missing.
    """
    try:
        from pycocotools.cocoeval import COCOeval
    except ImportError as error:
        raise InputError("average precision needs pycocotools: pip install 'roundel[bench]'") from error
    objects, answers = [], []
    for number, (scene, indices) in enumerate(zip(images, kept, strict=True)):
        detections = scene.detections
        objects += _annotations(number, scene.boxes, scene.classes, np.ones(len(scene.boxes)))
        answers += _annotations(
            number, detections.boxes[indices], detections.labels[indices], detections.scores[indices]
        )
    with redirect_stdout(io.StringIO()):  # it prints its progress
        evaluation = COCOeval(_dataset(len(images), objects), _dataset(len(images), answers), "bbox")
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, float("inf")]], ["all"]
        evaluation.params.maxDets = [COUNTED]
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][..., 0, 0]  # by IoU 0.5, 0.55... 0.95, recall and class; -1: no objects
    by_iou = precision[:, :, precision[0, 0] >= 0].mean(axis=(1, 2))
    return float(by_iou[0]), float(by_iou[5]), float(by_iou.mean())


def evaluate(
    objects: Sequence[Objects], detections: Sequence[Detections], suppress: Method
) -> tuple[float, float, float]:
    """AP50, AP75 and AP50:95, 0 to 1, of what `suppress` keeps of the detections of each image.

    Raises
    ------
    InputError
        pycocotools is missing.
    """
    pairs = zip(objects, detections, strict=True)
    images = [Scene(boxes=truth.boxes, classes=truth.classes, detections=answers) for truth, answers in pairs]
    return average_precision(images, [suppress(image.detections) for image in images])


def _annotations(image: int, boxes: Floats, labels: Ints, scores: Floats) -> list[Row]:
    """COCO's way to write boxes down: corner and size."""
    sizes = boxes[:, 2:] - boxes[:, :2]
    columns = (np.hstack([boxes[:, :2], sizes]).tolist(), sizes.prod(axis=1).tolist(), labels.tolist(), scores.tolist())
    return [
        {"image_id": image, "bbox": box, "area": area, "category_id": label, "score": score, "iscrowd": 0}
        for box, area, label, score in zip(*columns, strict=True)
    ]


def _dataset(images: int, annotations: list[Row]) -> Any:
    """Return the annotations as a `COCO`; numbered from 1, as it takes 0 for none."""
    from pycocotools.coco import COCO

    dataset = COCO()
    for number, annotation in enumerate(annotations, start=1):
        annotation["id"] = number
    labels = sorted({annotation["category_id"] for annotation in annotations})
    dataset.dataset = {
        "images": [{"id": number} for number in range(images)],
        "annotations": annotations,
        "categories": [{"id": label} for label in labels],
    }
    dataset.createIndex()
    return dataset


def _measure(images: Sequence[Scene], method: Method, about: Row) -> list[Row]:
    """Return the rows of one method on one kind of scene."""
    kept = [method(scene.detections) for scene in images]
    precisions = zip(PRECISIONS, average_precision(images, kept), strict=True)
    rows = [row(name, value, "AP", about) for name, value in precisions]
    return [*rows, row("nms.kept", sum(map(len, kept)) / len(images), "boxes", about)]


def _lost(rows: Sequence[Row]) -> list[Row]:
    """Points below the better GreedyNMS, of AP50 and AP75, on each kind of scene."""
    values = {
        (figure["name"], figure["params"]["scene"], figure["params"]["method"]): figure["value"] for figure in rows
    }
    lost = []
    for figure in rows:
        name, kind, method = figure["name"], figure["params"]["scene"], figure["params"]["method"]
        baselines = [values[name, kind, other] for other in GREEDY if (name, kind, other) in values]
        if name in PRECISIONS[:2] and method not in GREEDY and len(baselines) == len(GREEDY):
            lost.append(row(f"{name}_lost", 100 * (max(baselines) - figure["value"]), "points", figure["params"]))
    return lost
