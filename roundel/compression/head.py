"""The head of a detector in a compression: recognised, and the network that ends in it in place of the file's tail."""

from collections.abc import Collection
from dataclasses import dataclass, replace

from roundel.compression.options import CompressOptions
from roundel.detection import Detector
from roundel.frontend import Examination, Host, Model, examine, prepare, prepare_original
from roundel.golden.errors import InputError
from roundel.graph import Graph
from roundel.recognition import NotRecognised, Recognised, Unknown, recognise, split_model

HEAD = "head.toml"
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
    return replace(options, model=model, input_shape=None), RecognisedHead(detector=found.detector, notes=found.notes)


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
