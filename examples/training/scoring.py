"""Average precision on held-out scenes, of float networks and of integer ones alike. Needs scikit-learn."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from examples.detector.scenes import glyphs, take
from roundel.data import DETECTOR
from roundel.detection import Detector, Scenes, evaluate, load
from roundel.detection.detections import Objects
from roundel.golden.network import Network, outputs
from roundel.golden.nms import Detections, GreedyParams, greedy_nms
from roundel.golden.rounding import Ints

SEED = 2  # of the held-out scenes, as in roundel/data/detector/heldout.npz, which has the first 200
SCORE_WIDTH = 11
THRESHOLD = 0.5  # of GreedyNMS, which stands behind all networks here

Reals = NDArray[np.float32]


def held_out(count: int) -> Scenes:
    """Scenes of digits that no training saw."""
    found = take(glyphs()["heldout"], SEED, count)
    objects = tuple(Objects(boxes=one.boxes, classes=one.classes) for one in found)
    return Scenes(images=np.stack([one.image for one in found])[:, None], objects=objects)


def detector() -> Detector:
    """How boxes come out of the outputs: as those of `examples/detector`, with scores of more bits.

    The formats of the logits of both scales are learned apart, and differ by some bits.
    """
    head = load(DETECTOR / "detector.toml")
    return replace(head, nms=replace(head.nms, format=replace(head.nms.format, score_width=SCORE_WIDTH)))


def float_ap50(found: Mapping[str, Reals], scenes: Scenes) -> float:
    """AP50 of a float network's outputs, in points."""
    boxes = detector().detections(dict(found))
    return 100 * evaluate(scenes.objects, boxes, partial(greedy_nms, threshold=THRESHOLD))[0]


def integer_ap50(network: Network, results: Mapping[str, str], scenes: Scenes) -> float:
    """AP50 of an integer network, boxes and suppression in integers too, in points.

    `results` has the layer behind each output, by the output's name.
    """
    head = detector()
    values = outputs(network, network.encode(scenes.images))
    named = {name: values[layer] for name, layer in results.items()}
    boxes = head.integer(head.heads(network, results), named)
    method = GreedyParams(format=head.nms.format, threshold=THRESHOLD)
    kept: Iterator[Ints] = (method.compute(*one).kept for one in boxes)

    def suppress(_: Detections) -> Ints:
        return next(kept)

    return 100 * evaluate(scenes.objects, [head.pixels(one) for one in boxes], suppress)[0]
