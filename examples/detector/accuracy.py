"""Print what integers and a parallel NMS cost the detector, as the Markdown table of README.md.

Run `python examples/detector/accuracy.py` in an environment with Roundel and pycocotools (`pip install -e .[bench]`).
Average precision is that of the held-out scenes, in points.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from golden.boxes import Detections
from golden.greedy_nms import GreedyParams, greedy_nms
from golden.head import Boxes
from golden.network import outputs
from golden.nms import NmsParams
from golden.rounding import Ints
from roundel.detector import Detector, evaluate, load
from roundel.objects import Scenes, read_scenes
from roundel.onnx_import import import_onnx
from roundel.quantize import quantize

HERE = Path(__file__).resolve().parent
MODELS = ("detector.onnx", "detector_sparse.onnx")
THRESHOLDS = (0.4, 0.5)  # of GreedyNMS

Precisions = tuple[float, float, float]
Row = tuple[str, str, float, Precisions]  # arithmetic, NMS, boxes of a scene before it, AP50, AP75 and AP50:95


def rows(model: str, detector: Detector, scenes: Scenes) -> Iterator[Row]:
    """All that is known of one model."""
    graph = import_onnx(HERE / model)
    found = detector.detections(graph.outputs(scenes.images))
    before = float(np.mean([len(one) for one in found]))
    for threshold in THRESHOLDS:
        precisions = evaluate(scenes.objects, found, partial(greedy_nms, threshold=threshold))
        yield "float", f"greedy {threshold}", before, precisions
    network = quantize(graph, read_scenes(HERE / "calibration.npz", graph.shape).images).network
    boxes = detector.integer(detector.heads(network), outputs(network, network.encode(scenes.images)))
    before = float(np.mean([len(one.boxes) for one in boxes]))
    methods: dict[str, GreedyParams | NmsParams] = {
        f"greedy {threshold}": GreedyParams(format=detector.nms.format, threshold=threshold) for threshold in THRESHOLDS
    }
    for name, method in (methods | {detector.nms.method: detector.nms}).items():
        yield "8 bits", name, before, suppressed(detector, scenes, boxes, method)


def suppressed(detector: Detector, scenes: Scenes, boxes: list[Boxes], method: GreedyParams | NmsParams) -> Precisions:
    """Precisions of integer boxes behind an integer NMS."""
    kept: Iterator[Ints] = (method.compute(*one).kept for one in boxes)

    def suppress(_: Detections) -> Ints:
        return next(kept)

    return evaluate(scenes.objects, [detector.pixels(one) for one in boxes], suppress)


def main() -> None:
    detector, scenes = load(HERE / "detector.toml"), read_scenes(HERE / "heldout.npz", (1, 96, 96))
    print("| network | arithmetic | boxes before | NMS | AP50 | AP75 | AP50:95 |")
    print("|---|---|---|---|---|---|---|")
    for model in MODELS:
        for arithmetic, method, before, precisions in rows(model, detector, scenes):
            cells = (model, arithmetic, f"{before:.1f}", method, *(f"{100 * value:.1f}" for value in precisions))
            print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
