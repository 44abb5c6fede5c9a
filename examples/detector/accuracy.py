"""Print what integers and a parallel NMS cost the detector, as the Markdown table of README.md.

Run `python examples/detector/accuracy.py` in an environment with Roundel and pycocotools (`pip install -e .[bench]`).
Average precision is that of the held-out scenes.
"""

import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from golden.boxes import Detections
from golden.greedy_nms import GreedyParams, greedy_nms
from golden.head import Boxes
from golden.network import Network, outputs
from golden.nms import NmsParams
from golden.rounding import Ints
from roundel.detector import Detector, evaluate, load
from roundel.graph import Graph
from roundel.objects import Scenes, read_scenes
from roundel.onnx_import import import_onnx
from roundel.quantize import quantize
from roundel.search import Options

HERE = Path(__file__).resolve().parent
Row = tuple[str, str, tuple[float, float, float]]


def rows(detector: Detector, graph: Graph, network: Network, scenes: Scenes) -> Iterator[Row]:
    """Network, NMS, and AP50, AP75 and AP50:95."""
    found = detector.detections(graph.outputs(scenes.images))
    for threshold in (0.4, 0.5):
        yield "float", f"greedy {threshold}", evaluate(scenes.objects, found, partial(greedy_nms, threshold=threshold))
    boxes = detector.integer(detector.heads(network), outputs(network, network.encode(scenes.images)))
    methods: dict[str, GreedyParams | NmsParams] = {
        f"greedy {threshold}": GreedyParams(format=detector.nms.format, threshold=threshold) for threshold in (0.4, 0.5)
    }
    for name, method in (methods | {detector.nms.method: detector.nms}).items():
        yield "integer", name, suppressed(detector, scenes, boxes, method)


def suppressed(
    detector: Detector, scenes: Scenes, boxes: list[Boxes], method: GreedyParams | NmsParams
) -> tuple[float, float, float]:
    """Precisions of integer boxes behind an integer NMS."""
    kept: Iterator[Ints] = (method.compute(*one).kept for one in boxes)

    def suppress(_: Detections) -> Ints:
        return next(kept)

    return evaluate(scenes.objects, [detector.pixels(one) for one in boxes], suppress)


def main() -> None:
    model = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "detector.onnx"
    graph, detector = import_onnx(model), load(HERE / "detector.toml")
    scenes, calibration = (read_scenes(HERE / f"{name}.npz", graph.shape) for name in ("heldout", "calibration"))
    network = quantize(graph, calibration.images, Options()).network
    counts = [
        len(one.boxes)
        for one in detector.integer(detector.heads(network), outputs(network, network.encode(scenes.images)))
    ]
    print(f"{len(scenes.images)} scenes, {np.mean(counts):.1f} boxes a scene before the NMS, at most {max(counts)}\n")
    print("| network | NMS | AP50 | AP75 | AP50:95 |")
    print("|---|---|---|---|---|")
    for name, method, values in rows(detector, graph, network, scenes):
        print(f"| {name} | {method} | {' | '.join(f'{100 * value:.1f}' for value in values)} |")


if __name__ == "__main__":
    main()
