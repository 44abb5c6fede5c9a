"""The head of a detector in a compression: recognised, and the network that ends in it in place of the file's tail."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roundel.compression.options import CompressOptions
from roundel.detection import BoxFigures, Detector, location_scores
from roundel.frontend import Examination, Host, Model, examine, prepare, prepare_original
from roundel.golden.errors import InputError
from roundel.golden.network import Network, outputs
from roundel.golden.nms import Detections
from roundel.graph import Graph
from roundel.quantization import real_values
from roundel.recognition import NotRecognised, Recognised, Unknown, recognise, split_model

HEAD = "head.toml"
ENOUGH = 32  # locations with boxes; with fewer all locations count
COUNTED = 32  # calibration images whose boxes are counted
WAY_ON = "its tail is left to the host; a detector's file (--head) says how boxes come out of tensors (--outputs)"


@dataclass(frozen=True, kw_only=True)
class RecognisedHead:
    """What became of a head.

    Attributes
    ----------
    detector
        How boxes come out of the outputs; None where the tail is not recognised.
    notes
        What was compared, taken by convention, or not recognised.
    """

    detector: Detector | None
    notes: tuple[str, ...]


def with_head(options: CompressOptions, host: Host) -> tuple[CompressOptions, RecognisedHead | None]:
    """Return options whose network ends in its head convolutions, split by kind, where its tail is recognised.

    Parameters
    ----------
    options
        The network.
    host
        What may be left to a host: with `refuse` the network stays as it is.

    Returns
    -------
    tuple
        The options, as they were where nothing is recognised, and what became of the head; None of a network that has
        none, or whose user named its outputs.

    Raises
    ------
    InputError
        What `prepare` and `examine` refuse.
    """
    if host is Host.REFUSE or isinstance(options.model, Graph) or options.outputs is not None:
        return options, None
    prepared = prepare(options.model, input_shape=options.input_shape, images=options.calibration)
    found = recognise(examine(prepared))
    if found is None:
        return options, None
    if not isinstance(found, Recognised):
        return options, RecognisedHead(detector=None, notes=(f"{found.why}; {WAY_ON}",)) if found.likely else None
    try:
        model = split_model(found)
    except NotRecognised as reason:
        why = f"the head is recognised, but not split: {reason}; {WAY_ON}"
        return options, RecognisedHead(detector=None, notes=(why,))
    made = replace(options, model=model, input_shape=None, detector=found.detector)
    return made, RecognisedHead(detector=found.detector, notes=found.notes)


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


def box_figures(
    detector: Detector, network: Network, shape: tuple[int, ...], results: Mapping[str, str], images: NDArray[Any]
) -> BoxFigures | None:
    """Return what boxes an integer network finds in calibration images, decoded in double precision.

    Parameters
    ----------
    detector
        How boxes come out of its results.
    network, shape, results
        The network, the shape of its images, and the layer behind each output.
    images
        As the network takes them; the first `COUNTED` count.

    Returns
    -------
    BoxFigures
        None of a part of a network that does not have the detector's outputs.
    """
    if not results.keys() >= set(detector.outputs):
        return None
    candidates = list[Detections]()
    for image in images[:COUNTED]:  # one at a time: maps of heads are large
        codes = outputs(network, network.encode(image[None]))
        real = real_values(network, shape, {results[name]: codes[results[name]] for name in detector.outputs})
        candidates += detector.detections({name: real[results[name]] for name in detector.outputs})
    return BoxFigures.of(candidates, [detector.kept(image) for image in candidates])


def suppression_line(detector: Detector, figures: BoxFigures | None) -> str:
    """Say which suppression unit a detector gets, and from what."""
    nms = detector.nms
    told = f"suppression: method {nms.method}, capacity {nms.capacity}, scores of {nms.format.score_width} bits"
    if figures is None:
        return told
    images = f"{figures.images} calibration image{'s' if figures.images != 1 else ''}"
    return f"{told}; at most {figures.most} boxes above the threshold in {images}"


def with_split_head(original: Model, shape: tuple[int, ...], results: Collection[str]) -> Model:
    """Return a trained network with its head split, as a compressed one has it; as it is where that does not work.

    Parameters
    ----------
    original
        Its file.
    shape, results
        Shape of an image, and names of the outputs, of the compressed network.
    """
    try:
        found = recognise(examine(prepare_original(original, shape, results)))
        return split_model(found) if isinstance(found, Recognised) else original
    except (InputError, NotRecognised):  # another network, which is compared as far as it goes
        return original


def head_lines(examination: Examination) -> tuple[str, ...]:
    """Say what the tail of a detector is, a line each; nothing of a network without one."""
    found = recognise(examination)
    if isinstance(found, Recognised):
        detector = found.detector
        strides = ", ".join(f"{scale.stride:.5g}" for scale in detector.scales)
        classes = f"{len(detector.classes)} class{'es' if len(detector.classes) != 1 else ''}"
        return (f"head recognised: {detector.form}; {classes}, strides {strides}", *found.notes)
    return (found.why,) if isinstance(found, Unknown) and found.likely else ()
