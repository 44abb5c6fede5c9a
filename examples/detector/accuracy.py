"""Print what integers and a parallel NMS cost the detector, as the Markdown table of README.md.

Run `python examples/detector/accuracy.py` in an environment with Roundel and pycocotools (`pip install -e .[bench]`).
Average precision is that of the held-out scenes, in points; with `--validation` (needs scikit-learn) of as many scenes
of the validation part. `--choose` prints how the settings of the NMS were chosen, on those.
"""

import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import product

import numpy as np

from roundel.data import DETECTOR
from roundel.detection import Detector, Scenes, evaluate, load, read_scenes
from roundel.detection.detections import Objects
from roundel.frontend import read_onnx
from roundel.golden.head import Boxes
from roundel.golden.network import outputs
from roundel.golden.nms import Detections, GreedyParams, NmsParams, greedy_nms
from roundel.golden.rounding import Ints
from roundel.quantization import quantize

MODELS = ("detector.onnx", "detector_sparse.onnx")
THRESHOLDS = (0.4, 0.5)  # of GreedyNMS

Precisions = tuple[float, float, float]
Row = tuple[str, str, float, Precisions]  # arithmetic, NMS, boxes of a scene before it, AP50, AP75 and AP50:95


def rows(model: str, detector: Detector, scenes: Scenes) -> Iterator[Row]:
    """All that is known of one model."""
    found = detector.detections(read_onnx(DETECTOR / model).outputs(scenes.images))
    before = float(np.mean([len(one) for one in found]))
    for threshold in THRESHOLDS:
        precisions = evaluate(scenes.objects, found, partial(greedy_nms, threshold=threshold))
        yield "float", f"greedy {threshold}", before, precisions
    boxes = integer_boxes(model, detector, scenes)
    before = float(np.mean([len(one.boxes) for one in boxes]))
    methods: dict[str, GreedyParams | NmsParams] = {
        f"greedy {threshold}": GreedyParams(format=detector.nms.format, threshold=threshold) for threshold in THRESHOLDS
    }
    for name, method in (methods | {detector.nms.method: detector.nms}).items():
        yield "8 bits", name, before, suppressed(detector, scenes, boxes, method)


def integer_boxes(model: str, detector: Detector, scenes: Scenes) -> list[Boxes]:
    """What the integer network sends to the NMS, for each scene."""
    graph = read_onnx(DETECTOR / model)
    network = quantize(graph, read_scenes(DETECTOR / "calibration.npz", graph.shape).images).network
    return detector.integer(detector.heads(network), outputs(network, network.encode(scenes.images)))


def suppressed(detector: Detector, scenes: Scenes, boxes: list[Boxes], method: GreedyParams | NmsParams) -> Precisions:
    """Precisions of integer boxes behind an integer NMS."""
    kept: Iterator[Ints] = (method.compute(*one).kept for one in boxes)

    def suppress(_: Detections) -> Ints:
        return next(kept)

    return evaluate(scenes.objects, [detector.pixels(one) for one in boxes], suppress)


def validation(count: int) -> Scenes:
    """Scenes of digits that are neither held out nor trained on."""
    from scenes import glyphs, take

    found = take(glyphs()["validation"], 5, count)
    objects = tuple(Objects(boxes=one.boxes, classes=one.classes) for one in found)
    return Scenes(images=np.stack([one.image for one in found])[:, None], objects=objects)


def choose(detector: Detector, scenes: Scenes) -> None:
    """Print what other settings of the NMS give."""
    boxes = integer_boxes(MODELS[0], detector, scenes)
    print("| areas | ratios | stride | alpha | guard | windows of a class | AP50 |")
    print("|---|---|---|---|---|---|---|")
    for areas, ratios, stride, alpha, guard in product(
        ((64, 256, 1024), (100, 400, 1600)), ((1,), (1, 2)), (4, 8), (0.75, 1.0, 1.5), (0.3, 0.4)
    ):
        nms = replace(detector.nms, areas=areas, ratios=ratios, stride=stride, alpha=alpha, guard=guard)
        windows = sum(map(nms.pyramid.window_count, nms.pyramid.passes))
        ap50 = 100 * suppressed(detector, scenes, boxes, nms)[0]
        print(f"| {areas} | {ratios} | {stride} | {alpha} | {guard} | {windows:,} | {ap50:.2f} |", flush=True)


def main() -> None:
    detector, scenes = load(DETECTOR / "detector.toml"), read_scenes(DETECTOR / "heldout.npz", (1, 96, 96))
    if {"--validation", "--choose"} & set(sys.argv[1:]):
        scenes = validation(len(scenes.images))
    if "--choose" in sys.argv[1:]:
        choose(detector, scenes)
        return
    print("| network | arithmetic | boxes before | NMS | AP50 | AP75 | AP50:95 |")
    print("|---|---|---|---|---|---|---|")
    for model in MODELS:
        for arithmetic, method, before, precisions in rows(model, detector, scenes):
            cells = (model, arithmetic, f"{before:.1f}", method, *(f"{100 * value:.1f}" for value in precisions))
            print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
