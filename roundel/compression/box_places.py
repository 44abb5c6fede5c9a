"""Where a detector finds boxes on the calibration images: there alone the numbers of its boxes have to be right."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roundel.detection import Detector, location_scores
from roundel.graph import Graph

ENOUGH = 32  # locations with boxes; with fewer all locations count


def box_places(detector: Detector | None, graph: Graph, images: NDArray[Any]) -> Mapping[str, NDArray[np.bool_]]:
    """Return the locations whose best score reaches the threshold, (images, rows, columns), by tensor of boxes.

    Parameters
    ----------
    detector
        How boxes come out of the network's outputs; None gives nothing.
    graph, images
        The float network, and calibration images as it takes them.
    """
    if detector is None or not set(detector.outputs) <= graph.names.keys():
        return {}
    tensors, found = graph.named_outputs(images), dict[str, NDArray[np.bool_]]()
    for scale in detector.scales:
        places = location_scores(detector.form, scale, tensors) >= detector.threshold
        if places.sum() >= ENOUGH:
            found[graph.names[scale.box]] = places
    return found
